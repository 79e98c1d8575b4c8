"""Run the benchmark suite: every module of `bench/` (or those named) in a process of its own, one after the other.

    python -m bench                 all; figures in build/bench/summary.json
    python -m bench svf lease       these two
    python -m bench --list          what there is

A module that fails is reported and the others still run; the exit status is 1 then. Compare figures of one run only:
machines are shared and differ from hour to hour, which is why each module's load average is kept beside its figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
HELPERS: Final = frozenset({"__init__", "__main__", "figure"})
"""Files of `bench/` that measure nothing."""


def modules() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.stem for path in (ROOT / "bench").glob("*.py") if path.stem not in HELPERS)


def host() -> dict[str, Any]:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {"cpu": model, "cores": os.cpu_count(), "memory_mb": memory, "kernel": platform.release()}


def measure(name: str) -> tuple[list[dict[str, Any]], str]:
    """The figures of one module, and why there are none."""
    child = subprocess.run(
        [sys.executable, "-m", f"bench.{name}"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if child.returncode != 0:
        return [], f"ended with status {child.returncode}"
    try:
        found: list[dict[str, Any]] = json.loads(child.stdout)
    except ValueError as error:
        return [], f"printed no figures: {error}"
    return found, ""


def main() -> int:
    """Measure, tell, write the summary."""
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a module of bench/ (all)")
    parser.add_argument("--list", action="store_true", help="name the modules and end")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench/summary.json", help="where the figures go")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.names) - set(modules())):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(modules())}")
    if chosen.list:
        sys.stdout.write("\n".join(modules()) + "\n")
        return 0
    figures: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for name in chosen.names or modules():
        _say(f"{name} ...")
        begun, load = time.monotonic(), os.getloadavg()[0]
        found, why = measure(name)
        _say(f"{name}: {why or f'{len(found)} figures'} after {time.monotonic() - begun:.0f} s")
        figures += [{**figure, "bench": name, "load_before": round(load, 2)} for figure in found]
        if why:
            failed[name] = why
    for figure in figures:
        _say(f"  {figure['name']:40} {_number(figure['p50']):>12} {figure['unit']:12} n={figure['n']}{_ratio(figure)}")
    engine = next((figure["engine"] for figure in figures if figure.get("engine")), "none")
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    summary = {"engine": engine, "host": host(), "figures": figures, "failed": failed}
    chosen.output.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    _say(f"figures: {chosen.output}")
    return 1 if failed else 0


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3g}"


def _ratio(figure: dict[str, Any]) -> str:
    return f"  ({figure['ratio_to']} / this = {figure['ratio']})" if "ratio" in figure else ""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
