"""Attempts on other processes by signals, limits and the scheduler, and their harmless twins."""

import ctypes
import errno
import os
import signal
import struct

import kit
from kit import AbsentError, need, probe, syscall

TGKILL, TKILL, SIGQUEUE, SETPRIORITY, PRLIMIT, IOPRIO_SET = 234, 200, 129, 141, 302, 251
SCHED_SETSCHEDULER, SCHED_SETATTR, PIDFD_OPEN, PIDFD_SEND_SIGNAL, MQ_OPEN = 144, 314, 434, 424, 240
AGENT = b"/agent/main.py"


def ours():
    """Own process and runner: reaching them is no feat."""
    return {os.getpid(), os.getppid()}


def launcher():
    """The runner's parent: the sandbox's first process."""
    return int(kit.read(f"/proc/{os.getppid()}/stat").rpartition(b")")[2].split()[1])


def reach(call):
    """Do `call` to every process id that is not ours until one lets us; raises ESRCH when there is nobody."""
    mine = ours()
    for pid in range(2, 600):
        if pid in mine:
            continue
        try:
            return call(pid)
        except OSError as error:
            if error.errno != errno.ESRCH:
                raise
    return kit.fail(errno.ESRCH)


def agent():
    """The agent's process id; raises `AbsentError` where no process is the agent."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                if AGENT in kit.read(f"/proc/{name}/cmdline"):
                    return int(name)
            except OSError:
                continue
    raise AbsentError("the agent's process")


def child():
    """A child that waits to be killed."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid


def own_child_killed():
    pid = child()
    os.kill(pid, signal.SIGTERM)
    need(os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGTERM)


def own_child_by_pidfd():
    pid = child()
    handle = os.pidfd_open(pid)
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    need(os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL)


def own_nice():
    os.setpriority(os.PRIO_PROCESS, 0, 5)
    need(os.getpriority(os.PRIO_PROCESS, 0) == 5)


def own_batch():
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    need(os.sched_getscheduler(0) == os.SCHED_BATCH)


def own_signal_queued():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)
    need(signal.sigtimedwait([signal.SIGUSR1], 1).si_signo == signal.SIGUSR1)


def own_limit():
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (32, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    need(resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 32)


@probe("agent-looked-for-and-signalled", twin=own_child_killed)
def at_the_agent():
    os.kill(agent(), 0)


@probe("kill-by-number", twin=own_child_killed)
def kill_by_number():
    reach(lambda pid: os.kill(pid, 0))


@probe("tgkill-by-number", twin=own_child_killed)
def tgkill_by_number():
    reach(lambda pid: syscall(TGKILL, pid, pid, 0))


@probe("thread-killed-without-its-group", twin=own_child_killed)
def tkill_by_number():
    reach(lambda pid: syscall(TKILL, pid, 0))


@probe("pidfd-of-another", twin=own_child_by_pidfd)
def pidfd():
    def call(pid):
        handle = syscall(PIDFD_OPEN, pid, 0)
        return syscall(PIDFD_SEND_SIGNAL, handle, 0, 0, 0)

    reach(call)


@probe("signal-with-a-forged-sender", twin=own_signal_queued)
def sigqueue():
    """The sender of a queued signal is what the caller says it is; SI_QUEUE is the code a process may use."""
    info = ctypes.create_string_buffer(128)
    struct.pack_into("<iii", info, 0, 0, 0, -1)
    reach(lambda pid: syscall(SIGQUEUE, pid, 0, info))


@probe("group-signalled", twin=own_child_killed)
def other_group():
    """A whole process group by number, as job control does."""

    def call(pid):
        if pid == os.getpgid(0):
            kit.fail(errno.ESRCH)
        os.killpg(pid, 0)

    reach(call)


@probe("launcher-stopped", twin=own_child_killed)
def launcher_stopped():
    """The sandbox's first process, stopped, would never say how the command ended. Going through is not enough."""
    first = launcher()
    os.kill(first, signal.SIGSTOP)
    for _ in range(200):
        if kit.read(f"/proc/{first}/stat").rpartition(b")")[2].split()[0] == b"T":
            os.kill(first, signal.SIGCONT)
            return
        os.sched_yield()
    kit.fail(errno.EPERM)


@probe("exit-status-forged", twin=own_child_killed)
def exit_status():
    """The pipe on which the launcher reports the true wait status, reopened by its descriptor's name."""
    os.close(os.open(f"/proc/{launcher()}/fd/4", os.O_WRONLY))


@probe("another-slowed-down", twin=own_nice)
def another_slowed():
    reach(lambda pid: syscall(SETPRIORITY, 0, pid, 19))


@probe("another-limited", twin=own_limit)
def another_limited():
    """The limits of another process, set to what they are."""

    def call(pid):
        limit = ctypes.create_string_buffer(16)
        syscall(PRLIMIT, pid, 7, 0, limit)
        return syscall(PRLIMIT, pid, 7, limit, 0)

    reach(call)


@probe("own-priority-raised", twin=own_nice)
def priority_raised():
    syscall(SETPRIORITY, 0, 0, -10)


@probe("real-time-scheduling", twin=own_batch)
def realtime():
    """A real-time task that never waits would take the one processor from the agent."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


@probe("deadline-scheduling", twin=own_batch)
def deadline():
    attributes = struct.pack("<IIQiIQQQ", 48, 6, 0, 0, 0, 10_000_000, 30_000_000, 30_000_000)
    syscall(SCHED_SETATTR, 0, attributes, 0)


@probe("real-time-disk", twin=own_nice)
def realtime_disk():
    """Class 1 of ioprio_set(2): every other reader of the disk waits."""
    syscall(IOPRIO_SET, 1, 0, 1 << 13)


@probe("signal-queue-flooded", twin=own_signal_queued)
def signals_flooded():
    """Queued signals are kernel memory that no control group counts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    info = ctypes.create_string_buffer(128)
    struct.pack_into("<iii", info, 0, int(signal.SIGRTMIN), 0, -1)
    for _ in range(1000):
        syscall(SIGQUEUE, os.getpid(), int(signal.SIGRTMIN), info)


@probe("message-queue-filled", twin=own_signal_queued)
def message_queue():
    """POSIX message queues are kernel memory too."""
    attributes = struct.pack("<qqqq32x", 0, 10, 8192, 0)
    syscall(MQ_OPEN, b"cordon-drill\0", os.O_CREAT | os.O_RDWR, 0o600, attributes)
