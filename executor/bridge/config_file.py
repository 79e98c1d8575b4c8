"""Reading the configuration: one TOML file becomes one `Config`, or an error that names file, line and field.

Every field is named with its unit, every table is optional but `bridge` and `control`, nothing unknown is let through.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final, get_args

from executor.bridge.config import (
    DRAIN_S,
    KEEP_RESULTS,
    KEEP_RESULTS_MIB,
    POLICIES,
    WORKERS,
    Client,
    Config,
    EngineWanted,
    LogFormat,
    LogLevel,
    Operator,
    WarmProfile,
)
from executor.bridge.curve import NAME, parse_public
from executor.bridge.toml_table import Table, read
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
    root = read(text, where)
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
    if config.metrics_listen and config.metrics_listen[1]:
        told = "tcp://{}:{}".format(*config.metrics_listen)
        if told in {config.bridge_listen, config.control_listen}:
            whose = "bridge" if told == config.bridge_listen else "control socket"
            raise metrics.wrong("listen", f"{told} is the {whose}'s already")
    return config


def _profiles(pool: Table) -> tuple[WarmProfile, ...]:
    names = pool.texts("warm", ("standard",))
    for name in names:
        if name not in get_args(WarmProfile):
            raise pool.wrong("warm", f"{name!r:.40} is none of {', '.join(get_args(WarmProfile))}")
    return tuple(dict.fromkeys(_one_of(name, get_args(WarmProfile)) for name in names))


def _client(entry: Table) -> Client:
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


def _network(entry: Table) -> NetworkConfig:
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


def _operator(entry: Table) -> Operator:
    operator = Operator(*_holder(entry))
    entry.end()
    return operator


def _holder(entry: Table) -> tuple[str, bytes]:
    name = entry.matching("name", NAME, "letters, digits, dot, dash and underscore, at most 64")
    try:
        return name, parse_public(entry.text("key", None), "key")
    except InvalidInputError as error:
        raise entry.wrong("key", str(error).removeprefix("key: ")) from None


def _endpoint(entry: Table) -> str:
    """Where a socket listens; ports end at 65535, which the shape alone does not say."""
    value = entry.matching("listen", _ENDPOINT, "tcp://ADDRESS:PORT or ipc://PATH")
    port = value.rpartition(":")[2]
    if value.startswith("tcp://") and port != "*" and not 0 < int(port) <= MAX_PORT:
        raise entry.wrong("listen", f"{value!r:.80}: a port is 1 to {MAX_PORT}, or * for a free one")
    return value


def _loopback(entry: Table) -> tuple[str, int] | None:
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
