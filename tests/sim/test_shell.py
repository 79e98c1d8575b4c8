"""The simulator's shell against a real one: the same script says the same and ends alike in the guest and in dash."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.sim.clock import SimClock
from executor.sim.provider import SimProvider
from tests.sim.test_model import run

SCRIPTS: Final = [
    one.partition("\n") for one in (Path(__file__).parent / "shell_scripts.txt").read_text().split("\n%% ")[1:]
]
TOPICS: Final = sorted({topic for topic, _, _ in SCRIPTS})
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
EXAMPLES: Final = 40
"""Each some 50 ms, a machine's start."""


@pytest.fixture(scope="module")
def provider() -> Iterator[SimProvider]:
    """Machines without an executor around them."""
    made = SimProvider(SimClock(10**18))
    yield made
    made.close()


def said_by_both(provider: SimProvider, *scripts: str) -> tuple[list[str], list[str]]:
    """What the simulator's shell and dash say to each script, started in a folder of its own, and how it ends."""
    lines = ["exec 2>&1"]
    for number, script in enumerate(scripts):
        lines.append(f'mkdir w{number}; cd w{number}; sh -c {shlex.quote(script)}; echo "[$?]"; cd ..; echo ----')
    whole = "\n".join(lines)
    _, simulated = run(provider, "sh", "-c", f"HOME=/root\n{whole}")
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run(
            ["sh", "-c", whole], executable="/usr/bin/dash", cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    return simulated.split("----\n"), told.stdout.decode().split("----\n")


@pytest.mark.parametrize("topic", TOPICS)
def test_a_script_goes_as_dash_has_it(provider: SimProvider, topic: str) -> None:
    """Output, errors with their lines, and exit codes of scripts, one by one."""
    scripts = [script for name, _, script in SCRIPTS if name == topic]
    simulated, told = said_by_both(provider, *scripts)
    wrong = [one for one in zip(scripts, simulated, told, strict=False) if one[1] != one[2]]
    assert (wrong, len(simulated)) == ([], len(told))


PIECES: Final = st.sampled_from(
    ["a", "b c", "'", '"', "\\", "$x", "${x}", ' "$@" ', "$*", "${u:-d e}", "${x%?}", "${#x}", "$(echo p  q)",
     "`echo r`", "$((1+2))", "~", "*", "[ab]", "\\*", "'s t'", '"u v"', "${u+w}", "${e:+x}", "${e-y}", "$.", " ", "\n"]
)  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    words=st.lists(st.lists(PIECES, max_size=6).map("".join), min_size=1, max_size=6),
    value=st.text("ab :*?\\\n", max_size=6),
    separators=st.sampled_from([" \t\n", ":", " :", "", "b"]),
)
def test_words_expand_as_dash_has_it(provider: SimProvider, words: list[str], value: str, separators: str) -> None:
    """Quotes, expansions, fields and file names in any order give the same arguments, or the same complaint."""
    once = shlex.quote(value)
    before = f"touch a ab; e=; IFS={shlex.quote(separators)}; x={once}; set -- {once} 'i j'\n"
    after = '\necho "$#"; for i; do printf "<%s>" "$i"; done'
    simulated, told = said_by_both(provider, *(f"{before}set -- {word}{after}" for word in words))
    assert simulated == told


TOKENS: Final = st.sampled_from(
    ["a", "b=c", "if", "then", "else", "elif", "fi", "while", "do", "done", "for", "i", "in", "case", "esac", "{", "}",
     "(", ")", ";", ";;", "&", "&&", "||", "|", "!", "<", ">", "\n", "f()", "'q'", "# c", "$(", "`", "2>&1"]
)  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None)
@given(scripts=st.lists(st.lists(TOKENS, max_size=8).map(" ".join), min_size=1, max_size=12))
def test_what_is_no_script_is_refused_as_dash_refuses_it(provider: SimProvider, scripts: list[str]) -> None:
    """Keywords and operators in any order: both parse them, or both name the same mistake."""
    simulated, told = said_by_both(provider, *(f"if false; then\n{one}\nfi" for one in scripts))
    assert simulated == told


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> str:
    """An expression of small numbers and variables; a division may be by zero."""
    if depth == 0:
        return draw(st.sampled_from(["0", "1", "7", "0x1f", "010", "x", "$y", "unset", "9223372036854775807"]))
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    form = draw(
        st.sampled_from(["{}+{}", "{}-{}", "{} * {}", "{}/{}", "{}%{}", "({}) << ({}&7)", "{}>>({}&7)", "{}<{}",
                         "{} >= {}", "{}=={}", "{}!={}", "{}&{}", "{}|{}", "{}^{}", "{}&&{}", "{}||{}", "-({})-{}",
                         "!({})|~({})",
                         "({})?{}:3", "x=({})+({})", "x+=({})*({})"])
    )  # fmt: skip
    return form.format(left, right)


@settings(max_examples=EXAMPLES, deadline=None)
@given(written=st.lists(expressions(), min_size=1, max_size=10))
def test_expressions_are_calculated_as_dash_does(provider: SimProvider, written: list[str]) -> None:
    """Precedence, 64 bits, assignments, what is not looked at, and division by zero."""
    simulated, told = said_by_both(provider, *(f'x=5; y=-3\necho "$(({one}))"; echo $x' for one in written))
    assert simulated == told


QUOTES: Final = "''"
PATTERNS: Final = st.lists(
    st.sampled_from(["a", "b", "-", "]", "[", "!", "*", "?", "[ab]", "[!a]", "[a-c]", "[]-]", "[[:alpha:]]", "'*'",
                     '"[a]"', "\\?", "."]),
    max_size=5,
).map("".join)  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None)
@given(pairs=st.lists(st.tuples(st.text("ab-]![*?.c", max_size=5), PATTERNS), min_size=1, max_size=10))
def test_patterns_fit_what_they_fit_in_dash(provider: SimProvider, pairs: list[tuple[str, str]]) -> None:
    """case, and the shortest and longest beginning and end."""
    scripts = [
        f"x={shlex.quote(text)}\ncase $x in {pattern or QUOTES}) echo fits;; esac\n"
        f'printf "<%s>" "${{x#{pattern}}}" "${{x##{pattern}}}" "${{x%{pattern}}}" "${{x%%{pattern}}}"'
        for text, pattern in pairs
    ]
    simulated, told = said_by_both(provider, *scripts)
    assert simulated == told
