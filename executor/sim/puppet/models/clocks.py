"""`time` on the model's clock."""

import time as real_time

from models.common import constants
from shim import call


def time_module():
    """`time` on the model's clock."""
    m = constants(real_time, "time")
    for name in ("struct_time", "strftime", "strptime", "mktime", "asctime", "tzset", "get_clock_info", "_STRUCT_TM_ITEMS"):
        if hasattr(real_time, name):
            setattr(m, name, getattr(real_time, name))
    m.timezone, m.altzone, m.daylight, m.tzname = 0, 0, 0, ("UTC", "UTC")
    m.time_ns = lambda: call("clock", 0)
    m.time = lambda: call("clock", 0) / 1e9
    for name, which in (("monotonic", 1), ("perf_counter", 1), ("process_time", 2), ("thread_time", 3)):
        setattr(m, name, lambda _w=which: call("clock", _w) / 1e9)
        setattr(m, f"{name}_ns", lambda _w=which: call("clock", _w))
    m.clock_gettime = lambda which: call("clock", which) / 1e9
    m.clock_gettime_ns = lambda which: call("clock", which)
    m.clock_getres = lambda which: 1e-9
    m.clock_settime = lambda which, value: call("clock_settime", which, round(value * 1e9))
    m.clock_settime_ns = lambda which, value: call("clock_settime", which, value)

    def sleep(seconds):
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        call("sleep", round(seconds * 1e9))

    m.sleep = sleep
    m.gmtime = lambda seconds=None: real_time.gmtime(m.time() if seconds is None else seconds)
    m.localtime = m.gmtime
    m.ctime = lambda seconds=None: real_time.asctime(m.gmtime(seconds))
    return m
