"""The libvirt connection: `qemu:///embed` inside this process by default, `qemu:///system` by configuration.

One embed root a process is libvirt's rule, so a process has at most one `Hypervisor` of that kind (DESIGN section 7).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

# libvirt reads this once, while it is imported. What goes wrong reaches us as exceptions, not as lines on a terminal.
os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null")

import libvirt

from executor.domain.rundir import kill_and_wait
from executor.domain.signs import Signs
from executor.domain.xml import EMULATOR
from executor.errors import HypervisorError, OutOfDiskError, OutOfMemoryError, OutsideError

SYSTEM_URI: Final = "qemu:///system"
LAST_WORDS: Final = 4096
"""Bytes of the end of QEMU's log that are looked at when it has died."""
FORGET_S: Final = 3.0
"""How long libvirt may take to forget domains that are gone."""
QEMU_USER: Final = "libvirt-qemu"
"""Debian's account for QEMU; libvirt's QEMU driver refuses to start without it."""

MAX_FILES: Final = 127
"""Open files of one QEMU; libvirt grants one more than it is told."""
MAX_PROCESSES: Final = 4096
"""Processes and threads of QEMU's account: up to 70 threads a machine."""

_QEMU_CONF: Final = """\
# Written by Cordon for its own embedded libvirt; not a system file.
stdio_handler = "file"           # no virtlogd here
user = "{user}"
group = "{group}"
dynamic_ownership = 0            # the executor owns the files' modes; a gold image is never chowned
remember_owner = 0
cgroup_controllers = [ ]         # cgroups are the executor's own (executor/domain/groups.py): hybrid hosts have no v2
security_default_confined = 0
seccomp_sandbox = 1              # -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
max_core = 0                     # a core file of QEMU is a copy of the guest's memory
max_files = {files}               # some thirty are open
max_processes = {processes}           # of QEMU's account in all: threads, since it may not spawn
cgroup_device_acl = [ "/dev/null", "/dev/full", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/kvm" ]
"""

LOOP_END_S: Final = 5.0
"""How long the end of this process waits for libvirt's event loop; a round of it takes a millisecond."""

_loop_lock = threading.Lock()
_loop_started = False
_loop_ending: Final = threading.Event()


def _quiet(_context: object, _error: object) -> None:
    """libvirt prints errors to stderr by default; ours travel as exceptions."""


def _start_event_loop() -> None:
    global _loop_started  # noqa: PLW0603 - libvirt's event loop is one per process by its own design
    with _loop_lock:
        if _loop_started:
            return
        libvirt.registerErrorHandler(_quiet, None)
        libvirt.virEventRegisterDefaultImpl()
        # A timer keeps the loop's poll finite, so that new handles are noticed (libvirt's own event loop example).
        libvirt.virEventAddTimeout(1000, lambda *_: None, None)
        loop = threading.Thread(target=_run_loop, name="libvirt-events", daemon=True)
        loop.start()
        atexit.register(_end_loop, loop)
        _loop_started = True


def _run_loop() -> None:
    while not _loop_ending.is_set():
        with contextlib.suppress(libvirt.libvirtError):
            libvirt.virEventRunDefaultImpl()


def _end_loop(loop: threading.Thread) -> None:
    """Before the interpreter goes: a timer that fires after it calls into nothing, and the process ends by SIGSEGV."""
    _loop_ending.set()
    libvirt.virEventAddTimeout(0, lambda *_: None, None)  # ends the round that is under way
    loop.join(LOOP_END_S)


class Hypervisor:
    """Creates and destroys transient domains. Thread-safe, as libvirt connections are."""

    def __init__(self, connection: libvirt.virConnect, root: Path | None) -> None:
        """Use `embed` or `system`."""
        self._connection: libvirt.virConnect | None = connection
        self._root = root
        self._frozen = False
        self._resuming = threading.Lock()
        self._gone: set[str] = set()
        """Domains killed whose log libvirt still has."""
        self.signs: Final = Signs()
        """What was said of machines that are watched."""
        try:
            self.signs.listen(connection)
        except libvirt.libvirtError as error:
            raise HypervisorError(f"libvirt tells no events: {error.get_error_message()}") from None

    @classmethod
    def embed(cls, root: Path, capability_cache: Path) -> Hypervisor:
        """libvirt inside this process, its files below `root` (short: sockets live there).

        `capability_cache` keeps what libvirt learnt of QEMU between processes: 4 s on a first start otherwise.
        Raises `HypervisorError`.
        """
        (root / "etc").mkdir(parents=True, mode=0o711, exist_ok=True)
        privileged = os.geteuid() == 0
        conf = _QEMU_CONF.format(user=QEMU_USER, group=QEMU_USER, files=MAX_FILES, processes=MAX_PROCESSES)
        if not privileged:
            conf = "\n".join(line for line in conf.splitlines() if not line.startswith(("user", "group", "dynamic")))
        (root / "etc" / "qemu.conf").write_text(conf)
        cache = root / "cache" / "qemu" / "capabilities"
        cache.mkdir(parents=True, exist_ok=True)
        if capability_cache.is_dir():
            shutil.copytree(capability_cache, cache, dirs_exist_ok=True)
        _start_event_loop()
        hypervisor = cls(_open(f"qemu:///embed?root={root}"), root)
        hypervisor._save_capabilities(cache, capability_cache)
        return hypervisor

    @classmethod
    def system(cls) -> Hypervisor:
        """The machine's libvirtd, for production. Raises `HypervisorError`."""
        _start_event_loop()
        return cls(_open(SYSTEM_URI), None)

    def _save_capabilities(self, fresh: Path, keep: Path) -> None:
        if keep.is_dir() and any(keep.iterdir()):
            return
        with contextlib.suppress(libvirt.libvirtError, OSError):
            self._live().getDomainCapabilities(EMULATOR, "x86_64", "q35", "qemu")
            staging = keep.with_name(f"{keep.name}.{os.getpid()}")
            shutil.copytree(fresh, staging)
            try:
                staging.rename(keep)  # atomic; another process may have been first, then ours is dropped
            except OSError:
                shutil.rmtree(staging)

    def create_paused(self, xml: str) -> libvirt.virDomain:
        """A transient domain, created and not running yet. Raises `HypervisorError` with libvirt's words."""
        try:
            return self._live().createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED)
        except libvirt.libvirtError as error:
            raise _failed("cannot create the domain", error) from None

    def resume(self, domain: libvirt.virDomain) -> None:
        """Let a paused domain run. Raises `HypervisorError`, also while everything is frozen."""
        with self._resuming:  # whoever freezes afterwards finds the domain running, and suspends it
            if self._frozen:
                raise HypervisorError(f"{domain.name()} stays paused: everything was stopped")
            try:
                domain.resume()
            except libvirt.libvirtError as error:
                raise HypervisorError(f"libvirt cannot resume {domain.name()}: {error.get_error_message()}") from None

    def freeze(self, *, frozen: bool) -> None:
        """From now on no domain begins to run, or it may again."""
        with self._resuming:
            self._frozen = frozen

    @property
    def frozen(self) -> bool:
        """Whether everything was stopped."""
        return self._frozen

    def sickness(self, domain: libvirt.virDomain) -> str:
        """Why a domain that should be paused and whole is not; empty when it is."""
        try:
            state, reason = domain.state()
        except libvirt.libvirtError as error:
            return str(error.get_error_message())
        return "" if state == libvirt.VIR_DOMAIN_PAUSED else f"it is in state {state}, reason {reason}"

    def suspend(self, domain: libvirt.virDomain) -> None:
        """Stop a running domain where it is; one that is paused or gone is fine. Raises `HypervisorError`."""
        try:
            domain.suspend()
        except libvirt.libvirtError as error:
            if error.get_error_code() not in {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID}:
                raise HypervisorError(f"libvirt cannot pause a domain: {error.get_error_message()}") from None

    def restore_paused(self, save: Path, name: str) -> libvirt.virDomain:
        """The domain saved in `save`, which now says `name`, paused. Raises `HypervisorError`."""
        try:
            self._live().restoreFlags(str(save), None, libvirt.VIR_DOMAIN_SAVE_PAUSED)
            return self._live().lookupByName(name)
        except libvirt.libvirtError as error:
            raise _failed("cannot restore a clone", error) from None

    def save(self, domain: libvirt.virDomain, path: Path) -> None:
        """Write a domain's memory and devices to `path`, ending it. Raises `HypervisorError`."""
        try:
            domain.save(str(path))
        except libvirt.libvirtError as error:
            raise _failed("cannot save a machine", error) from None

    def device_tree(self, domain: libvirt.virDomain) -> str:
        """QEMU's own list of its devices, as its monitor prints it. Raises `HypervisorError`."""
        import libvirt_qemu  # noqa: PLC0415 - for drills only

        ask = '{"execute": "human-monitor-command", "arguments": {"command-line": "info qtree"}}'
        try:
            answer: str = libvirt_qemu.qemuMonitorCommand(domain, ask, 0)
        except libvirt.libvirtError as error:
            raise HypervisorError(f"QEMU does not tell its devices: {error.get_error_message()}") from None
        return str(json.loads(answer)["return"])

    def look(self, domain: libvirt.virDomain) -> tuple[str, int]:
        """A live domain's XML and the CPU time it has used, in nanoseconds. Raises `HypervisorError`."""
        try:
            return domain.XMLDesc(), int(domain.info()[4])
        except libvirt.libvirtError as error:
            raise HypervisorError(f"a domain is gone: {error.get_error_message()}") from None

    def destroy(self, domain: libvirt.virDomain) -> None:
        """End a domain at once; one that is already gone is fine. Raises `HypervisorError` when it stays.

        Where QEMU is this process's own it is killed and waited for; libvirt sees its monitor end and forgets the
        transient domain by itself. Its own `destroy` asks politely and polls: 2 s a domain where this takes 5 ms.
        """
        name = domain.name()
        if pid := self.pid(name):
            kill_and_wait([pid])
            with self._resuming:
                self._gone.add(name)
            return
        try:
            domain.destroy()
        except libvirt.libvirtError as error:
            if error.get_error_code() not in {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID}:
                raise HypervisorError(f"libvirt cannot destroy a domain: {error.get_error_message()}") from None

    def tidy(self) -> None:
        """Remove the logs libvirt keeps of domains that it has forgotten; in the background, a moment after `destroy`.

        Not at once: libvirt writes a last line when it notices, and would make the file again.
        """
        if self._root is None:
            return
        with self._resuming:
            names = list(self._gone)
        for name in names:
            if not (self._root / "run" / "qemu" / f"{name}.xml").exists():
                (self._root / "log" / "qemu" / f"{name}.log").unlink(missing_ok=True)
                with self._resuming:
                    self._gone.discard(name)

    def pid(self, domain_name: str) -> int | None:
        """QEMU's process id, where this process's own libvirt runs it."""
        if self._root is None:
            return None
        try:
            return int((self._root / "run" / "qemu" / f"{domain_name}.pid").read_text())
        except (OSError, ValueError):
            return None

    def last_words(self, domain_name: str) -> bytes:
        """The end of what QEMU wrote to standard error, where this process's own libvirt runs it."""
        if self._root is None:
            return b""
        with contextlib.suppress(OSError), (self._root / "log" / "qemu" / f"{domain_name}.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_WORDS))
            return log.read(LAST_WORDS)
        return b""

    def versions(self) -> dict[str, str]:
        """Versions of libvirt and QEMU, `x.y.z`.

        QEMU is asked itself: libvirt's `getVersion` probes a second binary for it, 4 s in every new process.
        """
        number = self._live().getLibVersion()
        said = subprocess.run([EMULATOR, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.search(r"version (\d+\.\d+\.\d+)", said)
        return {
            "libvirt": f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}",
            "qemu": found[1] if found else "unknown",
        }

    def close(self) -> None:
        """Close the connection; a second call is silent."""
        if self._connection is not None:
            deadline = time.monotonic() + FORGET_S
            self.signs.stop(self._connection)
            with contextlib.suppress(libvirt.libvirtError):
                # libvirt tidies up after killed domains on threads of its own; closing under them would cut that short.
                while self._root is not None and self._connection.listDomainsID() and time.monotonic() < deadline:
                    time.sleep(0.01)  # it says nothing when its threads are done; bounded by the deadline
                self._connection.close()
            self._connection = None

    def _live(self) -> libvirt.virConnect:
        if self._connection is None:
            raise HypervisorError("the libvirt connection is closed")
        return self._connection


def _failed(what: str, error: libvirt.libvirtError) -> OutsideError:
    """`error` as one of ours: a host without memory or room on its disk is told from everything else."""
    words = error.get_error_message() or ""
    message = f"libvirt {what}: {words}"
    if "No space left on device" in words:
        return OutOfDiskError(message)
    return OutOfMemoryError(message) if "Cannot allocate memory" in words else HypervisorError(message)


def _open(uri: str) -> libvirt.virConnect:
    try:
        return libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise HypervisorError(
            f"libvirt does not open {uri}: {error.get_error_message()}; `cordon doctor` says what is missing"
        ) from None
