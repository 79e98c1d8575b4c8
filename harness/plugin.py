"""The pytest plugin: options, markers, native collection of scenarios, and the summary at the end.

Scenarios are the YAML files below a folder named `scenarios`, and any YAML file named on the command line. Under xdist
every worker has its own executor; records travel on the test reports to the controller, which alone sums up.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest

from executor import weaken
from executor.errors import InvalidInputError
from executor.paths import private_dir
from harness import schema
from harness.collection.drill_session import ENGINES, DrillSession, own_state
from harness.collection.items import IDS, RECORD, SESSION, DrillItem, ScenarioFile, ScenarioItem
from harness.collection.order import Order
from harness.collection.own_cpu import keep_to_one
from harness.collection.shard import Shard
from harness.judgement import coverage
from harness.judgement.coverage import Covered
from harness.report import records, summary
from harness.report.records import Record
from harness.report.whole_file import write_json

RECORDS: Final = pytest.StashKey[list[Record]]()
COVERED: Final = pytest.StashKey[Covered]()
FOLDER: Final = "scenarios"
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder made in it is this user's, with mode 0700


def simulated_root() -> Path | None:
    """Where simulated runs keep their state: in memory, as nothing of them has to outlive the machine."""
    return private_dir(MEMORY / f"cordon-sim-{os.getuid()}") if os.access(MEMORY, os.W_OK) else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of drills."""
    group = parser.getgroup("cordon", "Cordon drills")
    group.addoption("--engine", choices=ENGINES, default="auto", help="what runs the guests (default: auto)")
    group.addoption("--policies", metavar="DIR", type=Path, help="policy folder (default: policies/)")
    group.addoption("--state", metavar="DIR", type=Path, help="state folder (default: a fresh one under build/drills)")
    group.addoption("--shard", metavar="I/N", type=Shard.parse, help="run only the I-th of N parts of the scenarios")
    group.addoption("--order", metavar="random:SEED", type=Order.parse, help="run them shuffled (default: as written)")
    group.addoption("--sabotage", metavar="CONTROL", action="append", default=[], help="take a control away everywhere")
    group.addoption("--summary", metavar="FILE", type=Path, help="write the machine-readable summary there")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers the schema knows, and prepare what scenarios share."""
    for definition, prefix in (("plan", "plan_"), ("tag", ""), ("class", "class_")):
        for value, meaning in schema.choices(definition):
            config.addinivalue_line("markers", f"{prefix}{value.lower()}: {meaning}")
    config.addinivalue_line("markers", "breakout: a break-out attempt")
    try:
        sabotage = weaken.parse(config.getoption("--sabotage"))
    except InvalidInputError as error:
        raise pytest.UsageError(str(error)) from None
    worker = _worker(config)
    simulated = config.getoption("--engine") == "sim"
    if _is_worker(config) and simulated:
        keep_to_one(int(worker.removeprefix("gw")), config.workerinput["workercount"])  # type: ignore[attr-defined] # xdist's
    state = config.getoption("--state")
    fresh = simulated_root() if simulated else None
    config.stash[IDS] = {}
    config.stash[RECORDS] = []
    config.stash[COVERED] = Covered()
    config.stash[SESSION] = DrillSession(
        engine=config.getoption("--engine"),
        policies=(config.getoption("--policies") or config.rootpath / "policies").absolute(),
        state=state.absolute() / worker
        if state
        else own_state(fresh or config.rootpath / "build/drills/state", worker),
        progress=lambda text: _progress(config, text),
        sabotage=sabotage,
        watched=(config.rootpath / FOLDER,),
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give everything back, however the session ended."""
    if SESSION in config.stash:
        config.stash[SESSION].close()
        if MEMORY in config.stash[SESSION].state.parents:
            shutil.rmtree(config.stash[SESSION].state, ignore_errors=True)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """A YAML file below `scenarios`, or named on the command line."""
    if file_path.suffix not in {".yaml", ".yml"}:
        return None
    try:
        below = file_path.relative_to(parent.config.rootpath).parts
    except ValueError:
        below = ()
    if FOLDER not in below[:-1] and not parent.session.isinitpath(file_path):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the collector of garbage away from what collection makes: modules and drills stay to the end.

    Walking through them again and again took a twentieth of a simulated run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep this shard's scenarios, in the order that was asked for: under xdist by file, and within each."""
    shard: Shard | None = config.getoption("--shard")
    if shard is not None:
        _keep(shard, config, items)
    order: Order | None = config.getoption("--order")
    if order is not None:
        items[:] = order.of(items)


def _keep(shard: Shard, config: pytest.Config, items: list[pytest.Item]) -> None:
    mine = shard.keep([item for item in items if isinstance(item, DrillItem)], unit=_unit)
    dropped = [item for item in items if isinstance(item, DrillItem) and item not in mine]
    items[:] = [item for item in items if item not in dropped]
    config.hook.pytest_deselected(items=dropped)


def _unit(item: DrillItem) -> str:
    """What shares its runs: a batch, or the drill alone."""
    member = item.scenario.member if isinstance(item, ScenarioItem) else None
    return member.batch if member else item.name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the record on the report, which xdist carries to the controller."""
    report = yield
    if report.when == "call" and RECORD in item.stash:
        report.cordon_record = item.stash[RECORD]  # type: ignore[attr-defined] # reports take extra JSON-like fields
    return report


class _Collected:
    """Gathers records where reports arrive: in the controller, or in the only process."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record: Record | None = getattr(report, "cordon_record", None)
        if record is not None:
            self._config.stash[RECORDS].append(record)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start gathering, in the process that sums up."""
    if not _is_worker(session.config):
        session.config.pluginmanager.register(_Collected(session.config), "cordon-records")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Release the executor, write the summary, and refuse to call a run green in which nothing passed."""
    config = session.config
    _spare_hypothesis(config)
    config.stash[SESSION].close()
    config.stash[COVERED] |= config.stash[SESSION].kept.covered | coverage.of_trail(config.stash[SESSION].state)
    if _is_worker(config):
        config.workeroutput["cordon_covered"] = config.stash[COVERED].to_json()  # type: ignore[attr-defined] # xdist's
        return
    found = config.stash[RECORDS]
    if found and session.exitstatus == pytest.ExitCode.OK and not any(record["good"] for record in found):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if found and (results := config.getoption("allure_report_dir", None)):
        coverage.attach(config.stash[COVERED], Path(results))
    if target := config.getoption("--summary"):
        policies = config.stash[SESSION].policies
        source = summary.source_of(config.rootpath)
        write_json(target, summary.summarize(found, policies, config.stash[COVERED], source))
        part = config.getoption("--shard")
        records.write(target.with_name(records.FILE), found, config.stash[COVERED], shard=str(part) if part else "")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out whole files where xdist would hand out single tests: batches share their runs within one worker."""
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # noqa: PLC0415 - when xdist asks

    return LoadFileScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a worker's audit trail covers; a worker that died has none."""
    raw = getattr(node, "workeroutput", {}).get("cordon_covered")
    if raw is not None:
        node.config.stash[COVERED] |= Covered.from_json(raw)


def _spare_hypothesis(config: pytest.Config) -> None:
    """Take hypothesis' plugin out where nothing used hypothesis: to say so it would import all of it, for 0.25 s."""
    plugin = config.pluginmanager.get_plugin("hypothesispytest")
    if plugin is not None and "hypothesis" not in sys.modules:
        config.pluginmanager.unregister(plugin)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table at the end of a run."""
    config = terminalreporter.config
    if found := config.stash[RECORDS]:
        from harness.report import summary_table  # noqa: PLC0415 - rich is for the one process that draws tables

        terminalreporter.section("drills")
        width = terminalreporter._tw.fullwidth  # noqa: SLF001 - pytest offers no public way to ask for the width
        terminalreporter.write_line(
            summary_table.render(found, config.stash[COVERED], width=width, color=terminalreporter.hasmarkup)
        )


@pytest.fixture(scope="session")
def drill_session(pytestconfig: pytest.Config) -> DrillSession:
    """What scenarios of this process share; `.executor()` starts the executor."""
    return pytestconfig.stash[SESSION]


def _worker(config: pytest.Config) -> str:
    return str(config.workerinput["workerid"]) if _is_worker(config) else "main"  # type: ignore[attr-defined] # xdist's


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _progress(config: pytest.Config, text: str) -> None:
    """Show one line at once: also while output is captured, also from an xdist worker."""
    reporter: Any = config.pluginmanager.getplugin("terminalreporter")
    if _is_worker(config) or reporter is None:
        if sys.__stderr__ is not None:
            sys.__stderr__.write(f"{_worker(config)}: {text}\n")
        return
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        reporter.write_line(text)
