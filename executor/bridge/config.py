"""The service's configuration: one TOML file, read once into a frozen value. A mistake names file, line and field.

Every field is named with its unit, every table is optional but `bridge` and `control`, nothing unknown is let through.
`deploy/cordon.toml` is the commented default.
"""

from __future__ import annotations

import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final, Literal, get_args

from executor.bridge.curve import NAME, CurvePair, parse_public
from executor.errors import InvalidInputError, OutsideError
from executor.intent import Priority
from executor.network.plane import NetworkConfig
from executor.pool.plan import MAX_AGE_S, MAX_USES
from executor.queue.queue import CAPACITY, SHARE

SCHEMA: Final = "cordon.config/1"
MAX_FILE: Final = 1 << 20
MAX_PORT: Final = 0xFFFF
_ENDPOINT: Final = re.compile(r"tcp://(?:[0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\]):(?:[0-9]{1,5}|\*)|ipc://[^\0]{1,100}")
_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_LISTEN: Final = re.compile(r"(127\.0\.0\.1|\[::1\]|localhost):([0-9]{1,5})")

POLICIES: Final = Path("/usr/share/cordon/policies")
WORKERS: Final = 2
"""Tasks that run at once; each has a VM of its own."""
KEEP_RESULTS: Final = 256
KEEP_RESULTS_MIB: Final = 64
DRAIN_S: Final = 30

LIVE: Final = frozenset({"clients", "operators", "share"})
"""Fields of `Config` that a reload changes."""

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]
EngineWanted = Literal["auto", "kvm", "tcg"]
WarmProfile = Literal["standard", "large_mem", "egress"]


@dataclass(frozen=True, slots=True)
class Client:
    """A client that may submit; its key is its identity."""

    name: str
    """The requester it submits as: nobody else."""
    key: bytes = field(repr=False)
    approvals: tuple[str, ...] = ("cp14",)
    """Reviewers it may ask to sign off; the executor signs with the keys it keeps, so `human` is rarely right here."""
    top_priority: Priority = Priority.HIGH
    """The most urgent priority it may ask for."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who may stop everything; going on takes a registered person's signature besides."""

    name: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """All of it; defaults are those of deploy/cordon.toml."""

    bridge_listen: str
    bridge_key: Path
    control_listen: str
    control_key: Path
    clients: tuple[Client, ...] = ()
    operators: tuple[Operator, ...] = ()
    engine: EngineWanted = "auto"
    policies: Path = POLICIES
    state: Path | None = None
    """None: `$CORDON_STATE` or its default."""
    workers: int = WORKERS
    pool_size: int = 0
    """Machines kept waiting for each hardware profile; 0: as many as there are workers."""
    reuse: bool = False
    """Whether a machine is reset and used again; one task a machine where not."""
    max_uses: int = MAX_USES
    max_age_s: int = MAX_AGE_S
    warm: tuple[WarmProfile, ...] = ("standard",)
    """Profiles whose machines are made at the start; the others when first asked for."""
    drill: bool = False
    capacity: int = CAPACITY
    share: int = SHARE
    """Percent of the queue that one requester may take, where there are several."""
    keep_results: int = KEEP_RESULTS
    """Results kept for clients that lost their connection; at most `keep_results_mib` of them."""
    keep_results_mib: int = KEEP_RESULTS_MIB
    metrics_listen: tuple[str, int] | None = ("127.0.0.1", 9464)
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Where machines with net:egress may get out; by default nowhere."""
    drain_s: int = DRAIN_S
    """Seconds the queue is worked off after SIGTERM; what waits then is turned away."""

    @property
    def door_share(self) -> int:
        """The share that counts: whoever submits alone may fill the queue."""
        return self.share if len({client.name for client in self.clients}) > 1 else 100

    def needs_restart(self, new: Config) -> tuple[str, ...]:
        """Fields that `new` has otherwise and that take a restart; the rest may change while the service runs."""
        names = (one.name for one in fields(self))
        return tuple(name for name in names if name not in LIVE and getattr(self, name) != getattr(new, name))


def load(path: Path) -> Config:
    """The configuration in `path`; raises `InvalidInputError` located in the file, `OutsideError` when unreadable."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OutsideError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise InvalidInputError(f"{path}: over {MAX_FILE} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path}: byte {error.start} is not UTF-8") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> Config:
    """The configuration in `text`; `where` names it in messages. Raises `InvalidInputError`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInputError(f"{where}: {error}") from None
    except RecursionError:  # a running service reads it again on SIGHUP: it must not end over a file
        raise InvalidInputError(f"{where}: nested far deeper than any setting is") from None
    root = _Table(raw, "", 0, text, where)
    root.choice("schema", None, (SCHEMA,))
    service, queue = root.table("executor"), root.table("queue")
    bridge, control = root.table("bridge"), root.table("control")
    metrics, log, network = root.table("metrics"), root.table("log"), root.table("network")
    pool = root.table("pool")
    state = service.text("state", "")
    config = Config(
        bridge_listen=_endpoint(bridge),
        bridge_key=Path(bridge.text("secret_key_file", None)),
        control_listen=_endpoint(control),
        control_key=Path(control.text("secret_key_file", None)),
        clients=tuple(_client(entry) for entry in root.tables("client")),
        operators=tuple(_operator(entry) for entry in root.tables("operator")),
        engine=_one_of(service.choice("engine", "auto", get_args(EngineWanted)), get_args(EngineWanted)),
        policies=Path(service.text("policies", str(POLICIES))),
        state=Path(state) if state else None,
        workers=service.whole("workers", WORKERS, 1, 64),
        pool_size=pool.whole("size", 0, 0, 64),
        reuse=pool.truth("reuse", default=False),
        max_uses=pool.whole("max_uses", MAX_USES, 1, MAX_USES),
        max_age_s=pool.whole("max_age_s", MAX_AGE_S, 1, MAX_AGE_S),
        warm=_profiles(pool),
        drill=service.truth("drill", default=False),
        capacity=queue.whole("capacity", CAPACITY, 1, CAPACITY),
        share=queue.whole("share", SHARE, 1, 100),
        keep_results=bridge.whole("keep_results", KEEP_RESULTS, 0, 100_000),
        keep_results_mib=bridge.whole("keep_results_mib", KEEP_RESULTS_MIB, 1, 4096),
        metrics_listen=_loopback(metrics),
        network=_network(network),
        log_format=_one_of(log.choice("format", "json", get_args(LogFormat)), get_args(LogFormat)),
        log_level=_one_of(log.choice("level", "info", get_args(LogLevel)), get_args(LogLevel)),
        drain_s=service.whole("drain_s", DRAIN_S, 0, 3600),
    )
    for table in (service, pool, queue, bridge, control, metrics, log, network, root):
        table.end()
    _no_key_twice(config, where)
    if config.bridge_listen == config.control_listen and not config.bridge_listen.endswith(":*"):
        raise control.wrong("listen", f"{config.control_listen} is the bridge's already")
    return config


def check_files(config: Config) -> None:
    """That the files `config` names are there and good, before anything is started for it.

    Raises `InvalidInputError` or `OutsideError` naming the file.
    """
    for path in (config.bridge_key, config.control_key):
        CurvePair.from_file(path)
    if not (config.policies / ".manifest").is_file():
        raise OutsideError(f"executor.policies: {config.policies} holds no policies (no .manifest)")


def check_ports(config: Config) -> None:
    """That nobody listens where the service is to; raises `OutsideError` naming the field and the address.

    Whoever comes in between is noticed later, when the sockets are made; this is for not booting machines in vain.
    """
    wanted = [("bridge.listen", config.bridge_listen), ("control.listen", config.control_listen)]
    if config.metrics_listen:
        wanted.append(("metrics.listen", "tcp://{}:{}".format(*config.metrics_listen)))
    for field_name, endpoint in wanted:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        if not endpoint.startswith("tcp://") or port == "*":
            continue
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host.strip("[]"), int(port)))
        except socket.gaierror:
            continue  # an interface's name, which ZeroMQ knows as well
        except OSError as error:
            raise OutsideError(f"{field_name}: cannot listen on {endpoint}: {error.strerror}") from None


class _Table:
    """One table being read: every field is asked for once, what is left over is an error."""

    def __init__(self, raw: Mapping[str, Any], name: str, number: int, text: str, where: str) -> None:
        self._left = dict(raw)
        self._known: list[str] = []
        self._name = name
        self._number = number
        self._text = text
        self._where = where

    def wrong(self, key: str, message: str) -> InvalidInputError:
        """The error of field `key`, with its line."""
        dotted = f"{self._name}.{key}" if self._name else key
        return InvalidInputError(
            f"{self._where}:{_line(self._text, self._name, self._number, key)}: {dotted}: {message}"
        )

    def take(self, key: str, default: Any) -> Any:
        self._known.append(key)
        if key in self._left:
            return self._left.pop(key)
        if default is None:
            raise self.wrong(key, "is required")
        return default

    def text(self, key: str, default: str | None) -> str:
        value = self.take(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, f"expected text in quotes, found {value!r:.40}")
        return value

    def choice(self, key: str, default: str | None, allowed: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise self.wrong(key, f"{value!r:.40} is none of {', '.join(allowed)}")
        return value

    def matching(self, key: str, pattern: re.Pattern[str], wanted: str) -> str:
        value = self.text(key, None)
        if not pattern.fullmatch(value):
            raise self.wrong(key, f"{value!r:.80} is not {wanted}")
        return value

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"expected a whole number of {low} to {high}, found {value!r:.40}")
        return value

    def truth(self, key: str, *, default: bool) -> bool:
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, f"expected true or false, found {value!r:.40}")
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.take(key, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "expected a list of texts")
        return tuple(value)

    def table(self, key: str) -> _Table:
        value = self.take(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"expected a table [{key}]")
        return _Table(value, key, 0, self._text, self._where)

    def tables(self, key: str) -> list[_Table]:
        value = self.take(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, f"expected tables [[{key}]]")
        return [_Table(item, key, number, self._text, self._where) for number, item in enumerate(value)]

    def end(self) -> None:
        if self._left:
            key = min(self._left)
            raise self.wrong(key, f"unknown field; there are {', '.join(sorted(self._known))}")


def _profiles(pool: _Table) -> tuple[WarmProfile, ...]:
    names = pool.texts("warm", ("standard",))
    for name in names:
        if name not in get_args(WarmProfile):
            raise pool.wrong("warm", f"{name!r:.40} is none of {', '.join(get_args(WarmProfile))}")
    return tuple(dict.fromkeys(_one_of(name, get_args(WarmProfile)) for name in names))


def _client(entry: _Table) -> Client:
    name, key = _holder(entry)
    allowed = tuple(priority.name for priority in Priority)
    client = Client(
        name, key, entry.texts("approvals", ("cp14",)), Priority[entry.choice("top_priority", "HIGH", allowed)]
    )
    entry.end()
    return client


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("not a list of texts")
    return value


def _network(entry: _Table) -> NetworkConfig:
    uplink = entry.text("uplink", "")
    given = entry.take("hosts", {})
    if not isinstance(given, dict):
        raise entry.wrong("hosts", "expected a table of names")
    hosts: dict[str, tuple[IPv4Address, ...]] = {}
    for name, addresses in given.items():
        if not _HOST.fullmatch(name):
            raise entry.wrong("hosts", f"{name!r:.80} is no host name in lower case")
        try:
            hosts[name] = tuple(IPv4Address(address) for address in _texts(addresses))
        except ValueError as error:
            raise entry.wrong("hosts", f"{name}: expected a list of IPv4 addresses: {error}") from None
    return NetworkConfig(Path(uplink) if uplink else None, hosts)


def _operator(entry: _Table) -> Operator:
    operator = Operator(*_holder(entry))
    entry.end()
    return operator


def _holder(entry: _Table) -> tuple[str, bytes]:
    name = entry.matching("name", NAME, "letters, digits, dot, dash and underscore, at most 64")
    try:
        return name, parse_public(entry.text("key", None), "key")
    except InvalidInputError as error:
        raise entry.wrong("key", str(error).removeprefix("key: ")) from None


def _endpoint(entry: _Table) -> str:
    """Where a socket listens; ports end at 65535, which the shape alone does not say."""
    value = entry.matching("listen", _ENDPOINT, "tcp://ADDRESS:PORT or ipc://PATH")
    port = value.rpartition(":")[2]
    if value.startswith("tcp://") and port != "*" and not 0 < int(port) <= MAX_PORT:
        raise entry.wrong("listen", f"{value!r:.80}: a port is 1 to {MAX_PORT}, or * for a free one")
    return value


def _loopback(entry: _Table) -> tuple[str, int] | None:
    """Where metrics are told: loopback or nowhere. They say who is denied what, and have no authentication."""
    value = entry.text("listen", "127.0.0.1:9464")
    if not value:
        return None
    match = _LISTEN.fullmatch(value)
    if match is None or int(match[2]) > MAX_PORT:
        raise entry.wrong("listen", f"{value!r:.60} is not 127.0.0.1:PORT, [::1]:PORT or empty")
    return match[1].strip("[]"), int(match[2])


def _no_key_twice(config: Config, where: str) -> None:
    for holders, what in ((config.clients, "client"), (config.operators, "operator")):
        seen: set[bytes] = set()
        for holder in holders:
            if holder.key in seen:
                raise InvalidInputError(f"{where}: {what} {holder.name}: its key is another {what}'s already")
            seen.add(holder.key)


def _one_of(value: str, allowed: tuple[Any, ...]) -> Any:
    """`value` as the literal it is; `choice` has checked it."""
    return allowed[allowed.index(value)]


def _line(text: str, table: str, number: int, key: str) -> int:
    """The line of `key` in the `number`th table of that name; the table's own line, or 1, where it is not written."""
    here, count, found = "", -1, 1
    for at, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if header := re.fullmatch(r"\[\[?\s*([A-Za-z0-9_.-]+)\s*\]\]?(?:\s*#.*)?", stripped):
            here = header[1]
            count += here == table
            if here == table and count == number:
                found = at
            elif not table and here == key:
                return at
        elif here == table and (not table or count == number) and re.match(rf"{re.escape(key)}\s*=", stripped):
            return at
    return found
