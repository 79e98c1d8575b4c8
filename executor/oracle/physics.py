"""What a numerical kernel is asked and how its answers are judged. Plain Python: the same file is in the gold image.

    python3 /opt/cordon/oracle/physics.py judge --system pendulum --seed 0123abcd /workspace/answers

A kernel advances a Hamiltonian system by one step. The questions are drawn from a seed that nobody knew when the kernel
was compiled; whoever judges draws them anew, so nothing the kernel's machine says about them is believed. Checks:

- `complete`      every question has its answer, of exactly the right size,
- `finite`        no NaN and no infinity anywhere,
- `repeatable`    the same state gives the same bits again, in another place of the batch,
- `accurate`      one step agrees with a reference to the order claimed, for every state: a map that conserves all and
                  goes nowhere (the identity) fails here, and so does a force that is wrong in one corner,
- `symplectic`    the step's Jacobian J (fourth-order differences) fulfils J^T W J = W, for every state,
- `conservative`  over a long run the energy stays within a band and its mean does not move.

Exit status 0 when all hold, 1 when one does not; one line of JSON says which, with the worst figure of each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ASK: Final = b"CPOQ0001"
ANSWER: Final = b"CPOA0001"
MARK: Final = "CORDON-ORACLE "
STATES: Final = 96
"""Random states; each is asked for its local error twice and for its Jacobian."""
LONG: Final = 16
"""States that are followed for a long time."""
REPEATED: Final = 32
STEP: Final = 0.05
FINE: Final = STEP / 4
WIDE: Final = 0.25
"""Step of the symplecticity check. The property is exact at any step, and a wide one shows what misses it narrowly."""
LONG_STEPS: Final = 4000
LONG_EVERY: Final = 50
DELTA: Final = 1e-3
"""Of the differences. Fourth order: truncation near 1e-12, rounding near 1e-13."""
SYMPLECTIC: Final = 1e-9
ENERGY: Final = 2e-2
"""Largest excursion of the energy, by its scale."""
DRIFT: Final = 2e-3
"""Largest move of the mean energy from the first to the last quarter, by its scale."""
GROWTH: Final = 3.0
"""By how much the leading error coefficient may seem to grow when the step is quartered; one order less is 4."""
ROUNDING: Final = 1e-13
MAX_ANSWERS: Final = 8 << 20

Vector = tuple[float, ...]


@dataclass(frozen=True)
class System:
    """A Hamiltonian system: degrees of freedom, energy, its gradients, and where its states are drawn from."""

    n: int
    energy: Callable[[Sequence[float], Sequence[float]], float]
    force: Callable[[Sequence[float]], Vector]
    """-dH/dq; in every system here dH/dp is p."""
    draw: Callable[[random.Random], tuple[Vector, Vector]]
    scale: float
    """The unit of its energies."""


def _pendulum_draw(rng: random.Random) -> tuple[Vector, Vector]:
    return (rng.uniform(-3.0, 3.0),), (rng.uniform(-2.0, 2.0),)


def _henon(q: Sequence[float], p: Sequence[float]) -> float:
    x, y = q
    return 0.5 * (p[0] * p[0] + p[1] * p[1] + x * x + y * y) + x * x * y - y * y * y / 3.0


def _henon_draw(rng: random.Random) -> tuple[Vector, Vector]:
    while True:
        q, p = [tuple(rng.uniform(-0.45, 0.45) for _ in range(2)) for _ in range(2)]
        if _henon(q, p) < 0.12:  # well below 1/6, where orbits begin to escape
            return q, p


def _kepler_force(q: Sequence[float]) -> Vector:
    cube = (q[0] * q[0] + q[1] * q[1]) ** 1.5
    return -q[0] / cube, -q[1] / cube


def _kepler_draw(rng: random.Random) -> tuple[Vector, Vector]:
    """Bound orbits with eccentricities up to 0.3, from their apocentre or pericentre."""
    radius, angle = rng.uniform(0.9, 1.6), rng.uniform(-3.0, 3.0)
    speed = math.sqrt((1.0 + rng.uniform(-0.3, 0.3)) / radius)
    # No libm but sqrt, which is exact everywhere: questions must come out the same on every host.
    cosine, sine = (1 - angle * angle) / (1 + angle * angle), 2 * angle / (1 + angle * angle)
    return (radius * cosine, radius * sine), (-speed * sine, speed * cosine)


SYSTEMS: Final[dict[str, System]] = {
    "pendulum": System(
        1, lambda q, p: 0.5 * p[0] * p[0] - math.cos(q[0]), lambda q: (-math.sin(q[0]),), _pendulum_draw, 1.0
    ),
    "henon-heiles": System(
        2, _henon, lambda q: (-q[0] - 2 * q[0] * q[1], -q[1] - q[0] * q[0] + q[1] * q[1]), _henon_draw, 0.1
    ),
    "kepler": System(
        2,
        lambda q, p: 0.5 * (p[0] * p[0] + p[1] * p[1]) - 1.0 / math.sqrt(q[0] * q[0] + q[1] * q[1]),
        _kepler_force,
        _kepler_draw,
        0.5,
    ),
}


@dataclass(frozen=True)
class Question:
    """Advance (q, p) by `steps` steps of `h`, answering after every `every`th."""

    h: float
    steps: int
    every: int
    q: Vector
    p: Vector


@dataclass(frozen=True)
class Exam:
    """All questions, in the order in which they are asked; the other fields say where to find which."""

    questions: tuple[Question, ...]
    local: tuple[tuple[int, int], ...]
    """For each state: its questions with the step and the fine step."""
    jacobians: tuple[tuple[tuple[int, int, int, int], ...], ...]
    """For each state and coordinate: questions at -2d, -d, +d, +2d."""
    long: tuple[int, ...]
    repeated: tuple[tuple[int, int], ...]


def exam(name: str, seed: str) -> Exam:
    """The questions `seed` stands for: the same ones wherever they are drawn."""
    system = SYSTEMS[name]
    rng = random.Random(f"{name}:{seed}")  # noqa: S311 - reproducible on purpose; the seed is the secret part
    asked: list[Question] = []

    def ask(h: float, q: Vector, p: Vector, steps: int = 1, every: int = 1) -> int:
        asked.append(Question(h, steps, every, q, p))
        return len(asked) - 1

    states = [system.draw(rng) for _ in range(STATES)]
    local = [(ask(STEP, q, p), ask(FINE, q, p)) for q, p in states]
    jacobians = []
    for q, p in states:
        rows = []
        for place in range(2 * system.n):
            shifted = []
            for times in (-2, -1, 1, 2):
                z = [*q, *p]
                z[place] += times * DELTA
                shifted.append(ask(WIDE, tuple(z[: system.n]), tuple(z[system.n :])))
            rows.append((shifted[0], shifted[1], shifted[2], shifted[3]))
        jacobians.append(tuple(rows))
    long = [ask(STEP, *system.draw(rng), LONG_STEPS, LONG_EVERY) for _ in range(LONG)]
    repeated = []
    for first in rng.sample(range(len(asked)), REPEATED):
        one = asked[first]
        repeated.append((first, ask(one.h, one.q, one.p, one.steps, one.every)))
    order = list(range(len(asked)))
    rng.shuffle(order)  # a kernel cannot tell by the place what it is asked for
    place_of = {old: new for new, old in enumerate(order)}
    return Exam(
        tuple(asked[old] for old in order),
        tuple((place_of[a], place_of[b]) for a, b in local),
        tuple(tuple((place_of[a], place_of[b], place_of[c], place_of[d]) for a, b, c, d in rows) for rows in jacobians),
        tuple(place_of[one] for one in long),
        tuple((place_of[a], place_of[b]) for a, b in repeated),
    )


def encode(questions: Sequence[Question]) -> bytes:
    """The file a kernel's driver reads (fixtures/gold_image/oracle_driver.cpp)."""
    n = len(questions[0].q)
    form = f"<dII{2 * n}d"
    body = b"".join(struct.pack(form, one.h, one.steps, one.every, *one.q, *one.p) for one in questions)
    return ASK + struct.pack("<II", n, len(questions)) + body


class FailedError(Exception):
    """A check does not hold; its name and why."""

    def __init__(self, check: str, why: str) -> None:
        super().__init__(why)
        self.check = check


def decode(data: bytes, questions: Sequence[Question]) -> list[list[Vector]]:
    """For each question its samples, each (q..., p...); raises `FailedError` for anything else than all of them."""
    width = 2 * len(questions[0].q)
    counts = [one.steps // one.every for one in questions]
    wanted = len(ANSWER) + 8 * width * sum(counts)
    if not data.startswith(ANSWER) or len(data) != wanted:
        raise FailedError("complete", f"{len(data)} bytes of answers where {wanted} are due")
    numbers = struct.unpack_from(f"<{width * sum(counts)}d", data, len(ANSWER))
    if bad := sum(not math.isfinite(number) for number in numbers):
        raise FailedError("finite", f"{bad} of {len(numbers)} numbers are NaN or infinite")
    found, at = [], 0
    for count in counts:
        found.append([numbers[at + width * k : at + width * (k + 1)] for k in range(count)])
        at += width * count
    return found


def reference(system: System, q: Vector, p: Vector, h: float) -> list[float]:
    """The state after `h`, by Runge and Kutta's method with small steps: an error near 1e-12 at most."""
    n, parts = system.n, 24
    dt = h / parts
    z = [*q, *p]

    def slope(state: list[float]) -> list[float]:
        return [*state[n:], *system.force(state[:n])]

    for _ in range(parts):
        a = slope(z)
        b = slope([z[i] + dt / 2 * a[i] for i in range(2 * n)])
        c = slope([z[i] + dt / 2 * b[i] for i in range(2 * n)])
        d = slope([z[i] + dt * c[i] for i in range(2 * n)])
        z = [z[i] + dt / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i]) for i in range(2 * n)]
    return z


def _accurate(system: System, paper: Exam, answers: Sequence[Sequence[Vector]], order: int) -> float:
    """The worst growth of a leading error coefficient; raises `FailedError`."""
    coefficients = []
    for pair in paper.local:
        both = []
        for place in pair:
            one = paper.questions[place]
            right = reference(system, one.q, one.p, one.h)
            error = max(abs(x - y) for x, y in zip(right, answers[place][0], strict=True))
            both.append(max(error - ROUNDING * 100, 0.0) / one.h ** (order + 1))
        coefficients.append((both[0], both[1]))
    typical = sorted(coarse for coarse, _ in coefficients)[len(coefficients) // 2]
    floor = max(typical, 1e-9)
    worst = max(fine / max(coarse, floor) for coarse, fine in coefficients)
    if typical > 50:
        raise FailedError("accurate", f"an error of {typical:.3g} h^{order + 1} in a single step is not this system's")
    if worst > GROWTH:
        raise FailedError(
            "accurate", f"the error does not shrink with order {order}: its coefficient grows {worst:.3g} times"
        )
    return worst


def _symplectic(system: System, paper: Exam, answers: Sequence[Sequence[Vector]]) -> float:
    """The worst |J^T W J - W|; raises `FailedError`."""
    n, worst = system.n, 0.0
    for rows in paper.jacobians:
        columns = []
        for far, near, ahead, beyond in rows:
            a, b, c, d = (answers[place][0] for place in (far, near, ahead, beyond))
            columns.append([(a[i] - 8 * b[i] + 8 * c[i] - d[i]) / (12 * DELTA) for i in range(2 * n)])
        for i, u in enumerate(columns):
            for j, v in enumerate(columns):
                form = sum(u[k] * v[n + k] - u[n + k] * v[k] for k in range(n))
                due = 1.0 if j == i + n else -1.0 if i == j + n else 0.0
                worst = max(worst, abs(form - due))
    if worst > SYMPLECTIC:
        raise FailedError("symplectic", f"|J^T W J - W| is {worst:.3g}, over {SYMPLECTIC:.0e}")
    return worst


def _conservative(system: System, paper: Exam, answers: Sequence[Sequence[Vector]]) -> tuple[float, float]:
    """The worst excursion and the worst drift of the energy; raises `FailedError`."""
    n, excursion, drift = system.n, 0.0, 0.0
    for place in paper.long:
        one = paper.questions[place]
        start = system.energy(one.q, one.p)
        course = [(system.energy(z[:n], z[n:]) - start) / system.scale for z in answers[place]]
        quarter = len(course) // 4
        excursion = max(excursion, *(abs(value) for value in course))
        drift = max(drift, abs(sum(course[-quarter:]) - sum(course[:quarter])) / quarter)
    if not excursion <= ENERGY:
        raise FailedError("conservative", f"the energy leaves its band: {excursion:.3g} of its scale, over {ENERGY}")
    if not drift <= DRIFT:
        raise FailedError("conservative", f"the energy drifts by {drift:.3g} of its scale, over {DRIFT}")
    return excursion, drift


def _checks(name: str, paper: Exam, data: bytes, order: int) -> Iterator[tuple[str, Any]]:
    system = SYSTEMS[name]
    answers = decode(data, paper.questions)
    yield "complete", len(paper.questions)
    yield "finite", True
    if odd := [pair for pair in paper.repeated if answers[pair[0]] != answers[pair[1]]]:
        raise FailedError("repeatable", f"{len(odd)} of {REPEATED} states gave other bits when asked again")
    yield "repeatable", REPEATED
    yield "accurate", _accurate(system, paper, answers, order)
    yield "symplectic", _symplectic(system, paper, answers)
    yield "conservative", _conservative(system, paper, answers)


CHECKS: Final = ("complete", "finite", "repeatable", "accurate", "symplectic", "conservative")


def judge(name: str, seed: str, data: bytes, *, order: int = 2) -> dict[str, Any]:
    """The verdict on `data`, the answers to the exam of `seed`; never raises for what a kernel wrote."""
    figures: dict[str, Any] = {}
    verdict: dict[str, Any] = {
        "system": name, "seed": seed, "order": order, "states": STATES + LONG,
        "answers_sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    try:
        for check, figure in _checks(name, exam(name, seed), data, order):
            figures[check] = f"{figure:.3e}" if isinstance(figure, float) else _text(figure)
    except FailedError as failure:
        return {**verdict, "passed": False, "failed": failure.check, "why": str(failure), "figures": figures}
    except (ArithmeticError, ValueError) as error:
        why = f"the answers lead to no figure: {type(error).__name__}"
        return {**verdict, "passed": False, "failed": "finite", "why": why, "figures": figures}
    return {**verdict, "passed": True, "failed": "", "why": "", "figures": figures}


def _text(figure: Any) -> str:
    return ", ".join(f"{one:.3e}" for one in figure) if isinstance(figure, tuple) else str(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """`judge` in the guest."""
    parser = argparse.ArgumentParser(prog="physics.py")
    parser.add_argument("action", choices=["judge"])
    parser.add_argument("--system", choices=sorted(SYSTEMS), required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--order", type=int, default=2)
    parser.add_argument("answers", type=Path)
    args = parser.parse_args(arguments)
    with args.answers.open("rb") as stream:
        data = stream.read(MAX_ANSWERS + 1)
    verdict = judge(args.system, args.seed, data, order=args.order)
    sys.stdout.write(f"{MARK}{json.dumps(verdict, sort_keys=True)}\n")
    return 0 if verdict["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
