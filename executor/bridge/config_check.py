"""What a configuration asks of this host, looked at before anything is started for it."""

from __future__ import annotations

import socket
from pathlib import Path

from executor.bridge.config import Config
from executor.bridge.curve import CurvePair
from executor.errors import OutsideError


def check_files(config: Config) -> None:
    """That the files `config` names are there and good, before anything is started for it.

    Raises `InvalidInputError` or `OutsideError` naming the file.
    """
    for path in (config.bridge_key, config.control_key):
        CurvePair.from_file(path)
    if not (config.policies / ".manifest").is_file():
        raise OutsideError(f"executor.policies: {config.policies} holds no policies (no .manifest)")
    uplink = config.network.uplink
    if uplink is not None and not uplink.exists():
        raise OutsideError(f"network.uplink: there is no network namespace {uplink}; `ip netns add` makes one")


def check_ports(config: Config) -> None:
    """That nobody listens where the service is to; raises `OutsideError` naming the field and the address.

    Whoever comes in between is noticed later, when the sockets are made; this is for not booting machines in vain.
    """
    wanted = [("bridge.listen", config.bridge_listen), ("control.listen", config.control_listen)]
    if config.metrics_listen:
        wanted.append(("metrics.listen", "tcp://{}:{}".format(*config.metrics_listen)))
    for field_name, endpoint in wanted:
        scheme, _, where = endpoint.partition("://")
        if scheme == "ipc":
            _check_path(field_name, Path(where))
        else:
            _check_port(field_name, where)


def _check_port(field_name: str, where: str) -> None:
    """That nobody listens at `ADDRESS:PORT`; a port that the kernel is to choose is free."""
    host, _, port = where.rpartition(":")
    if port == "*":
        return
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), int(port)))
    except socket.gaierror:
        return  # an interface's name, which ZeroMQ knows as well
    except OSError as error:
        raise OutsideError(f"{field_name}: cannot listen on tcp://{where}: {error.strerror}") from None


def _check_path(field_name: str, path: Path) -> None:
    """That nobody listens at `path`: ZeroMQ would take the name away from him, without a word to either."""
    if not path.parent.is_dir():
        raise OutsideError(f"{field_name}: cannot listen on ipc://{path}: there is no folder {path.parent}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return  # nobody there, at most what a killed service left
    raise OutsideError(f"{field_name}: cannot listen on ipc://{path}: somebody listens there already")
