"""The configuration: the commented default is the default, and a mistake names file, line, field and what would fit."""

from __future__ import annotations

import socket
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from executor.bridge import config, config_check, config_file
from executor.bridge.curve import CurvePair, make_pair
from executor.errors import InvalidInputError, OutsideError
from executor.intent import Priority
from executor.network.plane import NetworkConfig

ROOT = Path(__file__).parents[2]
DEFAULT = Path("deploy/cordon.toml").read_text()
KEY = CurvePair.generate().public.decode()
MINIMAL = (
    'schema = "cordon.config/1"\n[bridge]\nlisten = "tcp://127.0.0.1:7070"\nsecret_key_file = "a"\n'
    '[control]\nlisten = "tcp://127.0.0.1:7071"\nsecret_key_file = "b"\n'
)


def test_commented_default_holds_the_defaults() -> None:
    """What deploy/cordon.toml spells out is what is taken when nothing is."""
    spelled = config_file.parse(DEFAULT, "cordon.toml")
    left_out = config_file.parse(MINIMAL, "minimal")
    assert (
        config.Config(
            **{
                **{name: getattr(spelled, name) for name in config.Config.__dataclass_fields__},
                "bridge_key": left_out.bridge_key,
                "control_key": left_out.control_key,
            }
        )
        == left_out
    )


def test_commented_examples_are_good_when_uncommented() -> None:
    """The client and operator tables of the default work once their comment signs are gone and a key is in."""
    lines = []
    for line in DEFAULT.splitlines():
        if line.startswith(("# [[", "# name", "# key", "# approvals", "# top_priority")):
            line = line.removeprefix("# ")  # noqa: PLW2901 - the line without its sign
        if line.startswith("key ="):
            line = f'key = "{KEY}"'  # noqa: PLW2901 - and with a key
        lines.append(line)
    found = config_file.parse("\n".join(lines), "cordon.toml")
    assert found.clients == (config.Client("cbo", KEY.encode(), ("cp14",), Priority.HIGH),)
    assert found.operators == (config.Operator("ada", KEY.encode()),)


def test_the_way_out_is_a_namespace_and_a_list_of_hosts() -> None:
    """What the operator says about the world outside, parsed at the door."""
    text = f'{MINIMAL}[network]\nuplink = "/run/netns/egress"\nhosts = {{ "mirror.example.org" = ["203.0.113.7"] }}\n'
    found = config_file.parse(text, "x.toml").network
    assert found.uplink == Path("/run/netns/egress")
    assert found.hosts == {"mirror.example.org": (IPv4Address("203.0.113.7"),)}


FAULTS = [
    (f'{MINIMAL}[network]\nuplinks = "x"\n', "x.toml:9: network.uplinks: unknown field; there are hosts, uplink"),
    (
        f'{MINIMAL}[network]\nhosts = {{ "Mirror.test" = ["203.0.113.7"] }}\n',
        "x.toml:9: network.hosts: 'Mirror.test' is no host name",
    ),
    (
        f'{MINIMAL}[network]\nhosts = {{ "mirror.test" = ["203.0.113"] }}\n',
        "x.toml:9: network.hosts: mirror.test: expected",
    ),
    (
        f'{MINIMAL}[network]\nhosts = {{ "mirror.test" = "203.0.113.7" }}\n',
        "x.toml:9: network.hosts: mirror.test: expected",
    ),
    (MINIMAL.replace("[control]", "[controll]"), "x.toml:1: control.listen: is required"),
    (MINIMAL.replace("tcp://127.0.0.1:7070", "udp://x"), "x.toml:3: bridge.listen: 'udp://x' is not tcp://"),
    (MINIMAL.replace(":7070", ":99999"), "x.toml:3: bridge.listen: 'tcp://127.0.0.1:99999': a port is 1 to 65535"),
    (MINIMAL.replace(":7070", ":0"), "x.toml:3: bridge.listen: 'tcp://127.0.0.1:0': a port is 1 to 65535"),
    (MINIMAL.replace(":7071", ":7070"), "x.toml:6: control.listen: tcp://127.0.0.1:7070 is the bridge's already"),
    (f"{MINIMAL}[queue]\nshare = 0\n", "x.toml:9: queue.share: expected a whole number of 1 to 100"),
    (f"{MINIMAL}[queue]\ncapacity = 1001\n", "x.toml:9: queue.capacity: expected a whole number of 1 to 1000"),
    (f"{MINIMAL}[queue]\ncapacity = true\n", "x.toml:9: queue.capacity: expected a whole number"),
    (f"{MINIMAL}[queue]\nsize = 3\n", "x.toml:9: queue.size: unknown field; there are capacity"),
    (f"{MINIMAL}[pool]\nmax_uses = 11\n", "x.toml:9: pool.max_uses: expected a whole number of 1 to 10"),
    (f'{MINIMAL}[pool]\nwarm = ["gpu"]\n', "x.toml:9: pool.warm: 'gpu' is none of standard, large_mem, egress"),
    (f'{MINIMAL}[metrics]\nlisten = "0.0.0.0:9464"\n', "x.toml:9: metrics.listen: '0.0.0.0:9464' is not 127.0.0.1"),
    (f"{MINIMAL}[executor]\ndrill = 1\n", "x.toml:9: executor.drill: expected true or false"),
    (f'{MINIMAL}[[client]]\nname = "a"\nkey = "short"\n', "x.toml:10: client.key: a CURVE public key is 40 characters"),
    (
        f'{MINIMAL}[[client]]\nname = "a"\nkey = "{KEY}"\n[[client]]\nname = "b/c"\nkey = "{KEY}"\n',
        "x.toml:12: client.name: 'b/c' is not letters",
    ),
    (
        f'{MINIMAL}[[client]]\nname = "a"\nkey = "{KEY}"\n[[client]]\nname = "b"\nkey = "{KEY}"\n',
        "x.toml: client b: its key is another client's already",
    ),
    (
        f'{MINIMAL}[[client]]\nname = "a"\nkey = "{KEY}"\ntop_priority = "URGENT"\n',
        "x.toml:11: client.top_priority: 'URGENT' is none of CRITICAL",
    ),
    ("schema = 1\n", "x.toml:1: schema: expected text"),
    ("schema = \n", "x.toml: Invalid value (at line 1"),
]


@pytest.mark.parametrize(("text", "says"), FAULTS, ids=[says[:40] for _, says in FAULTS])
def test_mistake_is_located(text: str, says: str) -> None:
    """File, line, field, and what would fit."""
    with pytest.raises(InvalidInputError) as error:
        config_file.parse(text, "x.toml")
    assert str(error.value).startswith(says)


def test_files_are_looked_at_before_anything_is_started(tmp_path: Path) -> None:
    """A key that is missing or no key, and a folder without policies, are told by name; whole ones are fine."""
    tmp_path.chmod(0o700)
    for name in ("bridge", "control"):
        make_pair(tmp_path, name)
    keys = [tmp_path / "keys" / "curve" / f"{name}.key" for name in ("bridge", "control")]
    good = replace(
        config_file.parse(MINIMAL, "x.toml"), bridge_key=keys[0], control_key=keys[1], policies=ROOT / "policies"
    )
    config_check.check_files(good)
    with pytest.raises(OutsideError, match=r"none\.key"):
        config_check.check_files(replace(good, control_key=tmp_path / "none.key"))
    with pytest.raises(OutsideError, match="holds no policies"):
        config_check.check_files(replace(good, policies=tmp_path))
    keys[0].write_text("no key")
    with pytest.raises(InvalidInputError, match="not a CURVE secret key"):
        config_check.check_files(good)


@pytest.mark.parametrize("table", ["bridge", "control", "metrics"])
def test_taken_port_is_told_before_anything_is_started(table: str) -> None:
    """The field and the address of whichever socket cannot be had; free ones and ipc are fine."""
    base = replace(config_file.parse(MINIMAL, "x.toml"), bridge_listen="tcp://127.0.0.1:*", control_listen="ipc:///x")
    base = replace(base, metrics_listen=None)
    config_check.check_ports(base)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listen: Any = ("127.0.0.1", port) if table == "metrics" else f"tcp://127.0.0.1:{port}"
        with pytest.raises(OutsideError, match=rf"^{table}\.listen: cannot listen on tcp://127\.0\.0\.1:{port}: Addr"):
            config_check.check_ports(replace(base, **{f"{table}_listen": listen}))
    config_check.check_ports(replace(base, **{f"{table}_listen": listen}))


def test_a_path_somebody_listens_at_is_not_taken_from_him(tmp_path: Path) -> None:
    """A second service on the same ipc path would leave the first one there, and unreachable; a dead one's is free."""
    base = replace(config_file.parse(MINIMAL, "x.toml"), bridge_listen=f"ipc://{tmp_path}/b", metrics_listen=None)
    base = replace(base, control_listen="tcp://127.0.0.1:*")
    config_check.check_ports(base)
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(f"{tmp_path}/b")
        taken.listen()
        with pytest.raises(OutsideError, match=r"^bridge\.listen: .*somebody listens there already"):
            config_check.check_ports(base)
    config_check.check_ports(base)
    with pytest.raises(OutsideError, match=r"^bridge\.listen: .*there is no folder"):
        config_check.check_ports(replace(base, bridge_listen=f"ipc://{tmp_path}/none/b"))


def test_metrics_have_a_port_of_their_own() -> None:
    """Told before machines are booted, with the line."""
    with pytest.raises(InvalidInputError, match=r"^x\.toml:9: metrics\.listen: .* is the bridge's already"):
        config_file.parse(f'{MINIMAL}[metrics]\nlisten = "127.0.0.1:7070"\n', "x.toml")


def test_an_uplink_that_is_not_there_is_told_ahead(tmp_path: Path) -> None:
    """Not by the first task that wants out."""
    for name in ("bridge", "control"):
        make_pair(tmp_path, name)
    keys = tmp_path / "keys" / "curve"
    base = replace(
        config_file.parse(MINIMAL, "x.toml"), bridge_key=keys / "bridge.key", control_key=keys / "control.key"
    )
    base = replace(base, policies=ROOT / "policies")
    config_check.check_files(base)
    with pytest.raises(OutsideError, match=r"^network\.uplink: there is no network namespace /run/netns/none"):
        config_check.check_files(replace(base, network=NetworkConfig(Path("/run/netns/none"))))


def test_what_a_reload_takes_over() -> None:
    """Who may submit and order, and the share, are no reason for a restart; everything else is named."""
    old = config_file.parse(MINIMAL, "x.toml")
    assert old.needs_restart(replace(old, clients=(), operators=(), share=1)) == ()
    assert old.needs_restart(replace(old, drain_s=1, log_level="debug", share=1)) == ("log_level", "drain_s")


def test_who_submits_alone_has_the_whole_queue() -> None:
    """The share counts where there are others; two keys of one name are one."""
    one, other = config.Client("a", KEY.encode()), config.Client("b", KEY.encode())
    base = replace(config_file.parse(MINIMAL, "x.toml"), share=70)
    assert [replace(base, clients=some).door_share for some in ((), (one, one), (one, other))] == [100, 100, 70]


@pytest.mark.parametrize("text", ["a = " + "[" * 5000 + "]" * 5000, "a = " + "{a = " * 5000, "[" * 5000])
def test_nesting_beyond_all_measure_is_a_mistake_like_any_other(text: str) -> None:
    """A file that only nests is refused with its name, not by an error of the interpreter's."""
    with pytest.raises(InvalidInputError, match=r"^x\.toml: "):
        config_file.parse(text, "x.toml")


def test_missing_file_is_told(tmp_path: Path) -> None:
    """A file that is not there is something outside, with its path."""
    with pytest.raises(OutsideError, match=r"cannot read .*none.toml"):
        config_file.load(tmp_path / "none.toml")


def test_keys_do_not_show() -> None:
    """A printed configuration or pair does not hold a key's secret half, nor the list of keys."""
    pair = CurvePair.generate()
    assert pair.secret.decode() not in repr(pair)
    assert KEY not in repr(config.Client("a", KEY.encode()))
