"""How long one decision takes, how many sixteen clients get, and where the time goes.

Bars: one decision p50 <= 2 ms, p99 <= 10 ms; sixteen clients >= 1000 decisions a second. Everything is real: the
checkout's policies in a child OPA, asked through `PolicyEngine.decide` as the executor asks. `decision.rate` are
threads of one process, as in the executor; `decision.rate.processes` are sixteen processes on the same OPA. The parts:
`document` builds the input, `validate` holds it against its schema, `evaluate` is Rego in OPA and `serve` all that OPA
does about one question (both as OPA measures itself), `transport` is HTTP on both sides of the socket, `parse` reads
the answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.figure import spread
from executor.intent import Command, Intent
from executor.policy import DecisionRequest, Facts, PolicyEngine, Review, default_policies_dir
from executor.policy.client import PACKAGE, RULE, UnixOpaClient
from executor.policy.decision import parse_decision
from executor.policy.schema import input_schema

ROUNDS: Final = 2000
CLIENTS: Final = 16
WINDOWS: Final = 5
"""Seconds the rate is taken over, each a value of its own."""
NOW: Final = 1_700_000_000
HELLO: Final = DecisionRequest(
    Intent("bench", "cbo", (Command(("echo", "Hello, Staging")),)), Facts(reviews=(Review("cp14", "PASS"),))
)


def figures() -> list[dict[str, Any]]:
    """One decision, its parts, the rate of sixteen clients, start and reload."""
    begun = time.perf_counter_ns()
    with PolicyEngine(default_policies_dir()) as engine:
        started = (time.perf_counter_ns() - begun) / 1e6
        found = [
            spread("decision.one", "ms", _timed(lambda: _allowed(engine))),
            *_parts(engine),
            spread("decision.rate", "1/s", _rate_of_threads(engine)),
            spread("decision.rate.processes", "1/s", _rate_of_processes(engine)),
            spread("decision.engine_start", "ms", [started]),
            spread("decision.engine_reload", "ms", _timed(engine.reload, rounds=5)),
        ]
        if engine.statistics()["malformed"]:
            raise SystemExit("a decision was malformed: these are no figures")
    return found


def _allowed(engine: PolicyEngine) -> None:
    decision = engine.decide(HELLO)
    if not decision.allowed:
        raise SystemExit(f"Hello, Staging is not allowed: {decision.codes} {decision.cause}")


def _parts(engine: PolicyEngine) -> list[dict[str, Any]]:
    """Where the time of one decision goes."""
    schema = input_schema(default_policies_dir())
    document = HELLO.document(now=NOW)
    with UnixOpaClient(_socket(engine), timeout_s=5) as client:
        answer = client.ask(document)["result"]
        told, whole = [], []
        for _ in range(ROUNDS):
            begun = time.perf_counter_ns()
            body = client.query_rule(document, PACKAGE, RULE, query_params={"metrics": "true"})
            whole.append((time.perf_counter_ns() - begun) / 1e6)
            told.append(body["metrics"])
    evaluated = [metrics["timer_rego_query_eval_ns"] / 1e6 for metrics in told]
    served = [metrics["timer_server_handler_ns"] / 1e6 for metrics in told]
    return [
        spread("decision.part.document", "ms", _timed(lambda: HELLO.document(now=NOW))),
        spread("decision.part.validate", "ms", _timed(lambda: schema.validate(document))),
        spread("decision.part.evaluate", "ms", evaluated),
        spread("decision.part.serve", "ms", served),
        spread("decision.part.transport", "ms", [all_ - inside for all_, inside in zip(whole, served, strict=True)]),
        spread("decision.part.parse", "ms", _timed(lambda: parse_decision(answer))),
    ]


def _socket(engine: PolicyEngine) -> Path:
    """Where the engine's OPA listens, from its command line: the engine does not hand it out."""
    arguments = Path(f"/proc/{engine.opa_pid}/cmdline").read_bytes().decode().split("\0")
    return Path(arguments[arguments.index("--addr") + 1].removeprefix("unix://"))


def _rate_of_threads(engine: PolicyEngine) -> list[float]:
    """Decisions in each second, sixteen threads asking all the time."""
    counts = [0] * CLIENTS
    stop = threading.Event()

    def ask(client: int) -> None:
        while not stop.is_set():
            _allowed(engine)
            counts[client] += 1

    threads = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        return _watch(lambda: sum(counts))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _rate_of_processes(engine: PolicyEngine) -> list[float]:
    """Decisions in each second, sixteen processes with a client each.

    Started as programs of their own, not by multiprocessing: a caller without a main guard would start itself again.
    """
    command = [sys.executable, "-m", "bench.decision", "--client", str(_socket(engine))]
    asking = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)
    ]
    try:
        for process in asking:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise SystemExit("a client did not come up")
        rates = [json.loads(process.communicate(timeout=120)[0]) for process in _told_to_go(asking)]
    finally:
        for process in asking:
            process.kill()
            process.wait()
    return [float(sum(per_second)) for per_second in zip(*rates, strict=True)]


def _told_to_go(asking: Sequence[subprocess.Popen[str]]) -> Sequence[subprocess.Popen[str]]:
    """All of them, after each has been told to begin."""
    for process in asking:
        if process.stdin is not None:
            process.stdin.write("go\n")
            process.stdin.flush()
    return asking


def _client(path: Path) -> None:
    """One client: says ready, waits for a line, then prints how many decisions it got in each second."""
    document = HELLO.document(now=NOW)
    with UnixOpaClient(path, timeout_s=30) as client:
        parse_decision(client.ask(document)["result"])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        counts = []
        for _ in range(WINDOWS):
            until = time.perf_counter() + 1
            count = 0
            while time.perf_counter() < until:
                parse_decision(client.ask(document)["result"])
                count += 1
            counts.append(count)
        json.dump(counts, sys.stdout)


def _watch(count: Callable[[], int]) -> list[float]:
    """How much `count` grows in each of some seconds, the first thrown away."""
    rates = []
    pause = threading.Event()
    for _ in range(WINDOWS + 1):
        before, begun = count(), time.perf_counter()
        pause.wait(1)
        rates.append((count() - before) / (time.perf_counter() - begun))
    return rates[1:]


def _timed(action: Callable[[], object], *, rounds: int = ROUNDS) -> list[float]:
    """Milliseconds of each call, after some that are not counted."""
    for _ in range(min(rounds, 100) // 5):
        action()
    values = []
    for _ in range(rounds):
        begun = time.perf_counter_ns()
        action()
        values.append((time.perf_counter_ns() - begun) / 1e6)
    return values


def where_the_time_goes(found: Sequence[dict[str, Any]]) -> str:
    """One line for people: each part's share of one decision, by medians."""
    at = {figure["name"].removeprefix("decision."): figure["p50"] for figure in found}
    own = {name: at[f"part.{name}"] for name in ("document", "validate", "evaluate", "transport", "parse")}
    own["rest of OPA"] = max(0.0, at["part.serve"] - at["part.evaluate"])
    whole = sum(own.values())
    shares = ", ".join(f"{name} {value:.2f} ms ({value / whole:.0%})" for name, value in own.items())
    rate = median([at["rate"], at["rate.processes"]])
    return f"one decision {at['one']:.2f} ms: {shares}; sixteen clients {rate:.0f}/s"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        _client(Path(sys.argv[2]))
        sys.exit(0)
    measured = figures()
    json.dump(measured, sys.stdout, indent=2)
    sys.stdout.write("\n")
    sys.stderr.write(where_the_time_goes(measured) + "\n")
