"""`_signal`: what is caught and ignored is told to the model, which delivers."""

import _signal as raw_signal
import shim
from models.common import constants
from shim import call


def signal_module():
    """`_signal`: what is caught and ignored is told to the model, which delivers."""
    m = constants(raw_signal, "_signal")
    m.default_int_handler = raw_signal.default_int_handler
    m.struct_siginfo = raw_signal.struct_siginfo
    m.ItimerError = OSError
    m.strsignal, m.valid_signals = raw_signal.strsignal, raw_signal.valid_signals

    def signal(number, handler):
        if not 1 <= number <= 64:
            raise ValueError("signal number out of range")
        before = shim.handlers.get(number, m.default_int_handler if number == 2 else 0)
        call("sigaction", int(number), int(handler) if not callable(handler) else 2)
        shim.handlers[number] = handler if callable(handler) else int(handler)
        return before

    m.signal = signal
    m.getsignal = lambda number: shim.handlers.get(number, m.default_int_handler if number == 2 else 0)
    m.pause = lambda: call("pause")
    m.alarm = lambda seconds: call("alarm", seconds * 10**9)
    m.raise_signal = lambda number: call("kill", call("getpid"), int(number))
    m.pthread_kill = lambda _thread, number: call("kill", call("getpid"), int(number))
    m.pidfd_send_signal = lambda fd, number, info=None, flags=0: call("pidfd_send_signal", fd, int(number))
    m.set_wakeup_fd = lambda fd, **_k: -1
    m.siginterrupt = lambda *_a: None
    m.setitimer = lambda which, seconds, interval=0.0: (call("alarm", round(seconds * 1e9)) / 1e9, 0.0)
    m.getitimer = lambda which: (0.0, 0.0)
    m.pthread_sigmask = lambda how, mask: set(call("sigmask", int(how), [int(one) for one in mask]))
    m.sigpending = lambda: set(call("sigpending"))

    def waited(numbers, seconds):
        number = call("sigtimedwait", [int(one) for one in numbers], seconds * 1e9)
        return raw_signal.struct_siginfo((number, 0, 0, 0, 0, 0, 0))

    def sigtimedwait(numbers, seconds):
        try:
            return waited(numbers, seconds)
        except BlockingIOError:
            return None

    m.sigtimedwait = sigtimedwait
    m.sigwaitinfo = lambda numbers: waited(numbers, -1)
    m.sigwait = lambda numbers: waited(numbers, -1).si_signo
    return m
