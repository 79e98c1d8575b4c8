"""The launcher's request and a task's environment."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.guest.errors import DeniedError
from executor.guest.launch_request import MAX_BYTES, encode, environment

DEFAULTS = {"PATH": b"/usr/bin"}
PLAIN = st.binary(max_size=40).filter(lambda item: b"\0" not in item)


@given(PLAIN, PLAIN, st.lists(PLAIN, min_size=1, max_size=5), st.dictionaries(st.sampled_from(["A", "B_1"]), PLAIN))
def test_the_request_reads_back(cwd: bytes, file: bytes, argv: list[bytes], env: dict[str, bytes]) -> None:
    """Read as the launcher reads it, the request gives exactly what went in."""
    data = encode(cwd=cwd, file=file, argv=argv, env=env)
    size, argc, envc = struct.unpack_from("<III", data)
    strings = data[12:].split(b"\0")
    assert (size, argc, envc) == (len(data) - 12, len(argv), len(env))
    assert strings[:2] == [cwd, file]
    assert strings[2 : 2 + argc] == argv
    assert dict(item.split(b"=", 1) for item in strings[2 + argc : 2 + argc + envc]) == {
        name.encode(): value for name, value in env.items()
    }


@pytest.mark.parametrize("argv", [[], [b"a\0b"], [b"x" * (MAX_BYTES + 1)]])
def test_what_cannot_be_passed_exactly_is_denied(argv: list[bytes]) -> None:
    """No arguments, NUL bytes, and too much of it."""
    with pytest.raises(DeniedError) as caught:
        encode(cwd=b"/", file=b"/x", argv=argv, env={})
    assert caught.value.code == "guest.bad_command"


def test_only_listed_names_get_in() -> None:
    """Listed ones do, others do not, and the defaults stay."""
    found = environment(DEFAULTS, [("A", b"1"), ("B", b"2")], ["A"])
    assert found == {"PATH": b"/usr/bin", "A": b"1"}


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "PYTHONPATH", "GCONV_PATH", "IFS"])
def test_names_that_steer_the_loader_never_get_in(name: str) -> None:
    """Not even when the lease lists them."""
    assert environment(DEFAULTS, [(name, b"x")], [name]) == DEFAULTS


@pytest.mark.parametrize(
    ("name", "value"), [("A", b"x\ny"), ("A", b"\x1b[2J"), ("A=B", b""), ("1A", b""), ("\u00c4", b"")]
)
def test_hidden_characters_are_denied(name: str, value: bytes) -> None:
    """Control characters in values and anything but plain names."""
    with pytest.raises(DeniedError) as caught:
        environment(DEFAULTS, [(name, value)], [name])
    assert caught.value.code == "guest.env_invalid"
    assert environment({}, [(name, value)], [], enforced=False) == {name: value}
