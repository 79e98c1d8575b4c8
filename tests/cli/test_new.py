"""`cordon new scenario`: what it writes is a drill as it stands, under an id nobody has, and nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from cordon.__main__ import main
from harness import schema
from harness.document.scenario import Scenario, parse_file

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one scenario in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios/taken.yaml").write_text((ROOT / "scenarios/hello_staging.yaml").read_text())
    return tmp_path


@pytest.mark.parametrize("plan", [name for name, _ in schema.choices("plan")])
@pytest.mark.parametrize("class_", ["", "K"])
def test_what_is_written_is_a_drill(plan: str, class_: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For every plan, plain or as an attempt: it is accepted, and pytest would collect it where it lies."""
    asked = ["new", "scenario", "reads-a-file", "--plan", plan, *(["--class", class_] if class_ else [])]
    assert main(asked) == 0
    target = Path(capsys.readouterr().out.strip())
    assert target.parts[0] == "scenarios"
    (drill,) = parse_file(target)
    assert isinstance(drill, Scenario)
    assert (drill.id, drill.plan) == ("reads-a-file", plan)
    assert (drill.breakout.class_ if drill.breakout else "") == class_
    first = target.read_text().splitlines()[0]
    assert (target.parent / first.partition("=")[2]).resolve() == Path.cwd() / "harness/schema/scenario.schema.json"


def test_a_taken_id_gets_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    """Ids are unique over the collection: the next free one is taken, and told."""
    assert main(["new", "scenario", "hello-staging"]) == 0
    told = capsys.readouterr()
    assert "hello-staging is taken: this one is hello-staging-2" in told.err
    assert [drill.id for drill in parse_file(Path(told.out.strip()))] == ["hello-staging-2"]


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there stays as it is."""
    before = Path("scenarios/taken.yaml").read_text()
    assert main(["new", "scenario", "other", "--file", "scenarios/taken.yaml"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert Path("scenarios/taken.yaml").read_text() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["Not An Id"], "is no id"),
        (["x", "--plan", "Z"], "no such plan: Z; there are hello, A"),
        (["x", "--class", "Z"], "no such class: Z; there are P, N"),
    ],
)
def test_wrong_words_are_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What would fit is named, and nothing is written."""
    assert main(["new", "scenario", *words]) == 2
    assert told in capsys.readouterr().err
    assert [path.name for path in Path("scenarios").rglob("*.yaml")] == ["taken.yaml"]


@pytest.mark.parametrize("title", ["Colons: and #hashes", "it's", "- a list", "no"])
def test_any_title_is_text(title: str, capsys: pytest.CaptureFixture[str]) -> None:
    """YAML means nothing in a title."""
    assert main(["new", "scenario", "titled", "--title", title]) == 0
    (drill,) = parse_file(Path(capsys.readouterr().out.strip()))
    assert drill.title == title
