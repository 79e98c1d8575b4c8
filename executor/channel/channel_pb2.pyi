from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ToGuest(_message.Message):
    __slots__ = ("configure", "prepare", "put_file", "start", "kill", "collect", "reset", "ping", "power_off")
    CONFIGURE_FIELD_NUMBER: _ClassVar[int]
    PREPARE_FIELD_NUMBER: _ClassVar[int]
    PUT_FILE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    COLLECT_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    POWER_OFF_FIELD_NUMBER: _ClassVar[int]
    configure: Configure
    prepare: Prepare
    put_file: PutFile
    start: Start
    kill: Kill
    collect: Collect
    reset: Reset
    ping: Ping
    power_off: PowerOff
    def __init__(self, configure: _Optional[_Union[Configure, _Mapping]] = ..., prepare: _Optional[_Union[Prepare, _Mapping]] = ..., put_file: _Optional[_Union[PutFile, _Mapping]] = ..., start: _Optional[_Union[Start, _Mapping]] = ..., kill: _Optional[_Union[Kill, _Mapping]] = ..., collect: _Optional[_Union[Collect, _Mapping]] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., power_off: _Optional[_Union[PowerOff, _Mapping]] = ...) -> None: ...

class Configure(_message.Message):
    __slots__ = ("vm_id", "hostname", "wall_clock_ns", "entropy", "weaken")
    VM_ID_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    WALL_CLOCK_NS_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    WEAKEN_FIELD_NUMBER: _ClassVar[int]
    vm_id: str
    hostname: str
    wall_clock_ns: int
    entropy: bytes
    weaken: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, vm_id: _Optional[str] = ..., hostname: _Optional[str] = ..., wall_clock_ns: _Optional[int] = ..., entropy: _Optional[bytes] = ..., weaken: _Optional[_Iterable[str]] = ...) -> None: ...

class Prepare(_message.Message):
    __slots__ = ("lease_id", "capabilities", "paths_write", "env_allowlist", "limits", "commands_allowlist", "artefacts")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    PATHS_WRITE_FIELD_NUMBER: _ClassVar[int]
    ENV_ALLOWLIST_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_ALLOWLIST_FIELD_NUMBER: _ClassVar[int]
    ARTEFACTS_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    paths_write: _containers.RepeatedScalarFieldContainer[str]
    env_allowlist: _containers.RepeatedScalarFieldContainer[str]
    limits: Limits
    commands_allowlist: _containers.RepeatedScalarFieldContainer[str]
    artefacts: _containers.RepeatedCompositeFieldContainer[Artefact]
    def __init__(self, lease_id: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., paths_write: _Optional[_Iterable[str]] = ..., env_allowlist: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., commands_allowlist: _Optional[_Iterable[str]] = ..., artefacts: _Optional[_Iterable[_Union[Artefact, _Mapping]]] = ...) -> None: ...

class Artefact(_message.Message):
    __slots__ = ("name", "sha256")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    name: str
    sha256: str
    def __init__(self, name: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("cpu_quota", "mem_quota_mb", "disk_quota_mb", "wallclock_timeout_s", "fd_limit", "pids", "output_mb")
    CPU_QUOTA_FIELD_NUMBER: _ClassVar[int]
    MEM_QUOTA_MB_FIELD_NUMBER: _ClassVar[int]
    DISK_QUOTA_MB_FIELD_NUMBER: _ClassVar[int]
    WALLCLOCK_TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    FD_LIMIT_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MB_FIELD_NUMBER: _ClassVar[int]
    cpu_quota: int
    mem_quota_mb: int
    disk_quota_mb: int
    wallclock_timeout_s: int
    fd_limit: int
    pids: int
    output_mb: int
    def __init__(self, cpu_quota: _Optional[int] = ..., mem_quota_mb: _Optional[int] = ..., disk_quota_mb: _Optional[int] = ..., wallclock_timeout_s: _Optional[int] = ..., fd_limit: _Optional[int] = ..., pids: _Optional[int] = ..., output_mb: _Optional[int] = ...) -> None: ...

class PutFile(_message.Message):
    __slots__ = ("path", "mode", "data", "last")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    path: str
    mode: int
    data: bytes
    last: bool
    def __init__(self, path: _Optional[str] = ..., mode: _Optional[int] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class EnvVar(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("task_id", "argv", "cwd", "env", "compromised")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ARGV_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    COMPROMISED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    argv: _containers.RepeatedScalarFieldContainer[bytes]
    cwd: str
    env: _containers.RepeatedCompositeFieldContainer[EnvVar]
    compromised: bool
    def __init__(self, task_id: _Optional[str] = ..., argv: _Optional[_Iterable[bytes]] = ..., cwd: _Optional[str] = ..., env: _Optional[_Iterable[_Union[EnvVar, _Mapping]]] = ..., compromised: _Optional[bool] = ...) -> None: ...

class Kill(_message.Message):
    __slots__ = ("task_id", "reason")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    reason: str
    def __init__(self, task_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Collect(_message.Message):
    __slots__ = ("paths", "max_bytes")
    PATHS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    max_bytes: int
    def __init__(self, paths: _Optional[_Iterable[str]] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Ping(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class PowerOff(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FromGuest(_message.Message):
    __slots__ = ("ready", "prepared", "file_stored", "started", "output", "sample", "finished", "denied", "file_piece", "collect_done", "pong", "fault")
    READY_FIELD_NUMBER: _ClassVar[int]
    PREPARED_FIELD_NUMBER: _ClassVar[int]
    FILE_STORED_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    DENIED_FIELD_NUMBER: _ClassVar[int]
    FILE_PIECE_FIELD_NUMBER: _ClassVar[int]
    COLLECT_DONE_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    ready: Ready
    prepared: Prepared
    file_stored: FileStored
    started: Started
    output: Output
    sample: Sample
    finished: Finished
    denied: Denied
    file_piece: FilePiece
    collect_done: CollectDone
    pong: Pong
    fault: Fault
    def __init__(self, ready: _Optional[_Union[Ready, _Mapping]] = ..., prepared: _Optional[_Union[Prepared, _Mapping]] = ..., file_stored: _Optional[_Union[FileStored, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., output: _Optional[_Union[Output, _Mapping]] = ..., sample: _Optional[_Union[Sample, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., denied: _Optional[_Union[Denied, _Mapping]] = ..., file_piece: _Optional[_Union[FilePiece, _Mapping]] = ..., collect_done: _Optional[_Union[CollectDone, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., fault: _Optional[_Union[Fault, _Mapping]] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("protocol", "agent_digest", "kernel", "boot_id", "hostname", "configured", "boot_ns", "weaken")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    AGENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    CONFIGURED_FIELD_NUMBER: _ClassVar[int]
    BOOT_NS_FIELD_NUMBER: _ClassVar[int]
    WEAKEN_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    agent_digest: str
    kernel: str
    boot_id: str
    hostname: str
    configured: bool
    boot_ns: int
    weaken: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, protocol: _Optional[int] = ..., agent_digest: _Optional[str] = ..., kernel: _Optional[str] = ..., boot_id: _Optional[str] = ..., hostname: _Optional[str] = ..., configured: _Optional[bool] = ..., boot_ns: _Optional[int] = ..., weaken: _Optional[_Iterable[str]] = ...) -> None: ...

class Prepared(_message.Message):
    __slots__ = ("lease_id",)
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    def __init__(self, lease_id: _Optional[str] = ...) -> None: ...

class FileStored(_message.Message):
    __slots__ = ("path", "size", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    size: int
    sha256: str
    def __init__(self, path: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("task_id", "pid")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    pid: int
    def __init__(self, task_id: _Optional[str] = ..., pid: _Optional[int] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("task_id", "stream", "data")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    stream: int
    data: bytes
    def __init__(self, task_id: _Optional[str] = ..., stream: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Sample(_message.Message):
    __slots__ = ("task_id", "at_ns", "cpu_usec", "memory_bytes", "memory_peak_bytes", "disk_bytes", "pids", "fds", "forks_refused")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    AT_NS_FIELD_NUMBER: _ClassVar[int]
    CPU_USEC_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    FDS_FIELD_NUMBER: _ClassVar[int]
    FORKS_REFUSED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    at_ns: int
    cpu_usec: int
    memory_bytes: int
    memory_peak_bytes: int
    disk_bytes: int
    pids: int
    fds: int
    forks_refused: int
    def __init__(self, task_id: _Optional[str] = ..., at_ns: _Optional[int] = ..., cpu_usec: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., memory_peak_bytes: _Optional[int] = ..., disk_bytes: _Optional[int] = ..., pids: _Optional[int] = ..., fds: _Optional[int] = ..., forks_refused: _Optional[int] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("task_id", "cause", "exit_code", "signal", "syscall", "usage", "duration_ns")
    class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EXITED: _ClassVar[Finished.Cause]
        SIGNALED: _ClassVar[Finished.Cause]
        SECCOMP: _ClassVar[Finished.Cause]
        OOM: _ClassVar[Finished.Cause]
        WALLCLOCK: _ClassVar[Finished.Cause]
        DISK: _ClassVar[Finished.Cause]
        OUTPUT: _ClassVar[Finished.Cause]
        REQUESTED: _ClassVar[Finished.Cause]
        PIDS: _ClassVar[Finished.Cause]
    EXITED: Finished.Cause
    SIGNALED: Finished.Cause
    SECCOMP: Finished.Cause
    OOM: Finished.Cause
    WALLCLOCK: Finished.Cause
    DISK: Finished.Cause
    OUTPUT: Finished.Cause
    REQUESTED: Finished.Cause
    PIDS: Finished.Cause
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    SYSCALL_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DURATION_NS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    cause: Finished.Cause
    exit_code: int
    signal: int
    syscall: int
    usage: Sample
    duration_ns: int
    def __init__(self, task_id: _Optional[str] = ..., cause: _Optional[_Union[Finished.Cause, str]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., syscall: _Optional[int] = ..., usage: _Optional[_Union[Sample, _Mapping]] = ..., duration_ns: _Optional[int] = ...) -> None: ...

class Denied(_message.Message):
    __slots__ = ("task_id", "code", "message")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    code: str
    message: str
    def __init__(self, task_id: _Optional[str] = ..., code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class FilePiece(_message.Message):
    __slots__ = ("path", "mode", "offset", "data", "last", "refused")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    path: str
    mode: int
    offset: int
    data: bytes
    last: bool
    refused: str
    def __init__(self, path: _Optional[str] = ..., mode: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ..., refused: _Optional[str] = ...) -> None: ...

class CollectDone(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: int
    def __init__(self, files: _Optional[int] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class Fault(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
