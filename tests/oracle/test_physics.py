"""The oracle's judgement: right kernels pass with any seed, wrong ones fail for the right reason."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.oracle import physics

Step = Callable[[list[float], float], None]


def answers(system: str, seed: str, step: Step) -> bytes:
    """What the driver would write for a kernel `step`, which moves z = q + p in place."""
    out = [physics.ANSWER]
    for one in physics.exam(system, seed).questions:
        z = [*one.q, *one.p]
        for number in range(1, one.steps + 1):
            step(z, one.h)
            if number % one.every == 0:
                out.append(struct.pack(f"<{len(z)}d", *z))
    return b"".join(out)


def leapfrog(strength: float = 1.0, friction: float = 0.0) -> Step:
    def step(z: list[float], h: float) -> None:
        z[1] -= h / 2 * strength * math.sin(z[0])
        z[0] += h * z[1]
        z[1] -= h / 2 * strength * math.sin(z[0])
        z[1] *= 1 - friction

    return step


def corner(z: list[float], h: float) -> None:
    """Wrong near the top of the swing only."""
    if z[0] > 2.7:
        z[1] -= h * 1e-4
    leapfrog()(z, h)


def identity(z: list[float], h: float) -> None:
    """Conserves everything and goes nowhere."""


def euler(z: list[float], h: float) -> None:
    """Explicit: of first order, gains energy."""
    z[0], z[1] = z[0] + h * z[1], z[1] - h * math.sin(z[0])


def runge_kutta(z: list[float], h: float) -> None:
    """Accurate, and not symplectic."""
    pendulum = physics.SYSTEMS["pendulum"]
    a = (z[1], *pendulum.force(z[:1]))
    b = (z[1] + h / 2 * a[1], *pendulum.force([z[0] + h / 2 * a[0]]))
    c = (z[1] + h / 2 * b[1], *pendulum.force([z[0] + h / 2 * b[0]]))
    d = (z[1] + h * c[1], *pendulum.force([z[0] + h * c[0]]))
    for i in range(2):
        z[i] += h / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i])


def domain(z: list[float], h: float) -> None:
    """Leaves a function's domain in fast states."""
    leapfrog()(z, h)
    if z[1] > 2.2:
        z[0] = math.nan


def remembering() -> Step:
    calls = [0]

    def step(z: list[float], h: float) -> None:
        leapfrog()(z, h)
        calls[0] += 1
        z[0] += 1e-12 * (calls[0] % 1000)

    return step


@pytest.mark.parametrize(
    ("failed", "step"),
    [
        ("", leapfrog()),
        ("symplectic", leapfrog(friction=1e-7)),
        ("accurate", leapfrog(friction=1e-4)),
        ("accurate", leapfrog(strength=1.0005)),
        ("accurate", corner),
        ("accurate", identity),
        ("accurate", euler),
        ("symplectic", runge_kutta),
        ("finite", domain),
        ("repeatable", remembering()),
    ],
    ids=["leapfrog", "friction", "much friction", "constant", "corner", "identity", "euler", "rk4", "nan", "memory"],
)
def test_each_kernel_fails_where_it_is_wrong(failed: str, step: Step) -> None:
    """A verdict names the first check that does not hold, and the good kernel passes every one."""
    verdict = physics.judge("pendulum", "seed", answers("pendulum", "seed", step))
    assert (verdict["failed"], verdict["passed"]) == (failed, not failed), verdict
    assert not verdict["passed"] or set(verdict["figures"]) == set(physics.CHECKS)


def test_the_claimed_order_is_held_to() -> None:
    """Leapfrog claimed to be of third order fails, of first order it passes."""
    data = answers("pendulum", "s", leapfrog())
    assert physics.judge("pendulum", "s", data, order=3)["failed"] == "accurate"
    assert physics.judge("pendulum", "s", data, order=1)["passed"]


def test_answers_to_other_questions_fail() -> None:
    """Answers belong to their seed."""
    data = answers("pendulum", "one", leapfrog())
    assert not physics.judge("pendulum", "two", data)["passed"]


def test_questions_are_the_seeds() -> None:
    """The same seed asks the same, another asks something else, for every system."""
    for name in physics.SYSTEMS:
        assert physics.exam(name, "a") == physics.exam(name, "a")
        assert physics.exam(name, "a").questions != physics.exam(name, "b").questions


@given(st.data())
def test_no_answer_raises(data: st.DataObject) -> None:
    """Whatever bytes a kernel writes, there is a verdict, and it is a no."""
    paper = physics.exam("pendulum", "s")
    size = len(physics.ANSWER) + 16 * sum(one.steps // one.every for one in paper.questions)
    filler = data.draw(st.sampled_from([b"\0", b"\xff", b"\x7f", b"\x01\x02", struct.pack("<d", 1e308)]))
    body = (physics.ANSWER + filler * size)[: data.draw(st.sampled_from([size, size - 1, size + 1, 0, 8]))]
    assert physics.judge("pendulum", "s", data.draw(st.sampled_from([body, filler])))["passed"] is False
