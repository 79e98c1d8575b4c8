"""Run reports: everything is in them, in each form, and nothing that a guest says can act on whoever reads them."""

from __future__ import annotations

import hashlib
import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from executor.errors import OutsideError
from executor.outcome import CollectedFile, CommandResult, Outcome, Stage
from executor.reporting import publish
from executor.reporting.document import MAX_OUTPUT, build, dumped, timeline
from executor.reporting.markdown import run_markdown
from executor.reporting.page import POLICY, cpu_percent, run_page
from executor.reporting.plot import MAX_POINTS, bars, plot, thinned
from executor.reporting.text import block, code, code_all, html, html_all, line, visible
from executor.rollback import pack
from tests.reporting.page_reader import HOSTILE, TAGS, check_page, read


def outcome(text: str = "hello\n") -> Outcome:
    """An outcome that has everything, with `text` wherever somebody else chooses the words."""
    raw = text.encode("utf-8", "surrogatepass")
    event = {"seq": 7, "ts": text, "type": "exec_event.FINISHED", "actor": text, "data": {"by": text}, "hash": "0" * 64}
    samples = [
        {"at_ms": at, "cpu_usec": at * 500, "memory_bytes": at << 16, "disk_bytes": at, "pids": 3}
        for at in range(0, 900, 50)
    ]
    return Outcome(
        intent_id=text,
        engine="tcg",
        verdict="allow",
        reasons=(text,),
        effect="completed",
        decision={
            "reasons": [{"code": text, "msg": text, "remedy": text}],
            "grants": [{"kind": "program", "name": text, "by": text}],
            "risk": {"score": 3, "band": text, "factors": [{"name": text, "points": 3}]},
        },
        lease={"lease_id": text, "limits": {"mem_quota_mb": 256, "cpu_quota": 100}},
        results=(CommandResult((text, text), "exited", 0, 0, raw, raw * 3, 12_345_678, 5000, 1 << 20),),
        files=(CollectedFile(text, 0o644, raw, text),),
        events=(event,),
        stages=(Stage(text, 1_500_000),),
        samples=tuple(samples),
        vm_id=text,
        message=text,
    )


def report(text: str = "hello\n") -> dict[str, Any]:
    one = outcome(text)
    return build(one, one.events, one.decision, one.lease)


def test_hostile_text_is_only_text_in_the_page() -> None:
    """Tags, attributes, control characters: all of it is shown, none of it is markup."""
    reader = check_page(run_page(report(HOSTILE)))
    shown = "".join(reader.text)
    assert "<script>alert(1)</script>" in shown
    assert "\\e]0;owned\\x07" in shown
    assert "\\u{202e}" in shown


@given(st.text(alphabet=st.characters(codec=None) | st.sampled_from("<>&\"'`|\n\x1b\u202e#![]()"), max_size=80))
def test_no_text_gets_out_of_its_place(text: str) -> None:
    """Any text: the page's tags and attributes stay the known ones, and the Markdown holds no HTML, link or image."""
    check_page(run_page(report(text)))
    check_markdown(run_markdown(report(text)))


MARKDOWN = {
    "heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td", "inline", "text", "code_inline", "fence",
    "softbreak", "ordered_list", "list_item",
}  # fmt: skip


def tokens(items: list[Token]) -> list[Token]:
    return [found for item in items for found in (item, *tokens(item.children or []))]


def check_markdown(text: str) -> None:
    assert visible(text) == text
    found = tokens(MarkdownIt("commonmark", {"html": True}).enable("table").parse(text))
    assert {item.type.removesuffix("_open").removesuffix("_close") for item in found} <= MARKDOWN
    headings = [found[at + 1].content for at, item in enumerate(found) if item.type == "heading_open"]
    assert headings[1:] == ["Decision", "Lease", "Commands", "Resources", "Changes", "Trail", "Time"]


@given(
    st.lists(st.text(st.characters(codec=None) | st.sampled_from("<&`|\n\t \ue000\x1b")) | st.integers(), max_size=6),
    st.sampled_from((0, 3)),
)
def test_cells_escaped_together_are_what_each_is_alone(cells: list[object], limit: int) -> None:
    """Also where a cell holds the mark that stands between them: none of it lands in another cell."""
    assert html_all(cells, limit) == [html(cell, limit) for cell in cells]
    assert code_all(cells, limit) == [code(cell, limit) for cell in cells]


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_in_words_is_json(value: object) -> None:
    """However it is laid out: the same value is read from it."""
    assert json.loads(dumped(value)) == value


def test_hostile_text_is_only_text_in_markdown() -> None:
    """A renderer that allows HTML finds code spans and code blocks, and the report's own headings only."""
    check_markdown(run_markdown(report(HOSTILE)))


def test_the_page_allows_nothing_to_load_or_run() -> None:
    """The policy is the first thing in the head after the charset, and the one style sheet is the one it allows."""
    page = run_page(report())
    assert page.index("Content-Security-Policy") < page.index("<style>")
    assert POLICY.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in POLICY
    style = page.split("<style>")[1].split("</style>")[0]
    assert f"'sha256-{_base64_sha256(style)}'" in POLICY


def _base64_sha256(text: str) -> str:
    import base64  # noqa: PLC0415 - for this one line

    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_run_folder_has_every_file(tmp_path: Path) -> None:
    """Streams and exit code as they were, facts as JSON, the report in three forms, all for the owner only."""
    made = pack.create(tmp_path / "run", {"a": b"1"}, ["/workspace/b"])
    done = pack.complete(made, {"a": b"2", "b": b"3"})
    published = publish(tmp_path / "run", outcome(), pack=done)
    folder = tmp_path / "run"
    names = {"stdout.log", "stderr.log", "exit_code.txt", "meta.json", "report.json", "report.md", "report.html"}
    assert {path.name for path in folder.iterdir()} == names | {"rollback"}
    assert {name: path.parent for name, path in published.paths.items()} == dict.fromkeys(names, folder)
    assert (folder / "stdout.log").read_bytes() == b"hello\n"
    assert (folder / "stderr.log").read_bytes() == b"hello\n" * 3
    assert (folder / "exit_code.txt").read_text() == "0\n"
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in names} == {0o600}
    read_back = json.loads((folder / "report.json").read_bytes())
    assert [(one["path"], one["kind"], one["expected"]) for one in read_back["changes"]] == [
        ("a", "modified", False),
        ("b", "created", True),
    ]
    assert json.loads((folder / "meta.json").read_bytes())["effect"] == "completed"
    digest = hashlib.sha256((folder / "report.json").read_bytes()).hexdigest()
    assert published.event_data() == {"effect": "completed", "report": f"sha256:{digest}"}


def test_json_is_plain_ascii_also_for_hostile_text(tmp_path: Path) -> None:
    """A terminal that shows report.json or meta.json is not acted on, and nothing of the text is lost."""
    published = publish(tmp_path / "run", outcome(HOSTILE))
    for name in ("report.json", "meta.json"):
        raw = published.paths[name].read_bytes()
        assert all(byte == 10 or 32 <= byte < 127 for byte in raw)
        assert json.loads(raw)["intent_id"] == HOSTILE


def test_a_link_in_the_run_folder_is_replaced_not_followed(tmp_path: Path) -> None:
    """Publishing cannot be made to write elsewhere, and publishing again replaces the report."""
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "host").write_bytes(b"host")
    (tmp_path / "run/stdout.log").symlink_to(tmp_path / "host")
    publish(tmp_path / "run", outcome())
    publish(tmp_path / "run", outcome("again"))
    assert (tmp_path / "host").read_bytes() == b"host"
    assert (tmp_path / "run/stdout.log").read_bytes() == b"again"


KILLED = """
import os, signal, sys
from pathlib import Path
from executor.reporting import publish
from tests.reporting.test_run_report import outcome
left, replace = int(sys.argv[2]), os.replace
def dying(path, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return replace(path, target)
os.replace = dying
publish(Path(sys.argv[1]), outcome("new" * 1000))
"""


@pytest.mark.parametrize("at", [0, 3, 6])
def test_killed_while_publishing_no_file_is_half(tmp_path: Path, at: int) -> None:
    """SIGKILL before a file takes its name: every file is the old or the new one, whole; the next report sweeps up."""
    old, new = publish(tmp_path / "old", outcome("old")), publish(tmp_path / "new", outcome("new" * 1000))
    run = tmp_path / "run"
    publish(run, outcome("old"))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(run), str(at)],
        cwd=Path(__file__).parents[2], capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    for name in old.paths:
        assert (run / name).read_bytes() in {old.paths[name].read_bytes(), new.paths[name].read_bytes()}
    assert len([path for path in run.iterdir() if path.name not in old.paths]) == 1
    publish(run, outcome("again"))
    assert {path.name for path in run.iterdir()} == set(old.paths)


def test_a_folder_that_cannot_be_written_is_an_outside_error(tmp_path: Path) -> None:
    """The reason is told, and no temporary file stays."""
    (tmp_path / "run/report.md").mkdir(parents=True)
    with pytest.raises(OutsideError, match=r"report\.md"):
        publish(tmp_path / "run", outcome())
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_a_refusal_has_a_report_too() -> None:
    """Nothing ran, no lease: said so in every form."""
    refused = Outcome("i", "kvm", "deny", ("a.b",), "denied", {"reasons": [{"code": "a.b"}]}, None)
    values = build(refused, (), refused.decision, None)
    assert "No lease was issued" in run_markdown(values)
    page = run_page(values)
    assert "Nothing ran." in page
    assert 'class="bad"' in page


def test_output_is_cut_in_the_report_and_whole_in_the_log(tmp_path: Path) -> None:
    """A megabyte of output makes a small report; the log has all of it, and the report its digest."""
    published = publish(tmp_path / "run", outcome("é" * 500_000))
    stream = json.loads(published.paths["report.json"].read_bytes())["results"][0]["stdout"]
    raw = published.paths["stdout.log"].read_bytes()
    assert (stream["text"], stream["bytes"]) == ("é" * MAX_OUTPUT, len(raw))
    assert stream["sha256"] == hashlib.sha256(raw).hexdigest()


def test_a_report_takes_under_ten_milliseconds(tmp_path: Path) -> None:
    """The best of ten, on a usual run, in processor time: the path waits for it, whatever else the machine does."""
    took = []
    for number in range(10):
        begun = time.process_time()
        publish(tmp_path / f"run{number}", outcome())
        took.append(time.process_time() - begun)
    assert min(took) < 0.010


def test_commands_follow_one_another_on_one_time_axis() -> None:
    """Each command counts from its own start; the plot does not go back in time, and use is never negative."""
    samples = [{"at_ms": 0, "cpu_usec": 0}, {"at_ms": 100, "cpu_usec": 50_000},
               {"at_ms": 50, "cpu_usec": 10_000}, {"at_ms": 150, "cpu_usec": 110_000}]  # fmt: skip
    placed = timeline(samples)
    assert [one["at_ms"] for one in placed] == [0, 100, 150, 250]
    assert cpu_percent(placed) == [(0.1, 50.0), (0.15, 20.0), (0.25, 100.0)]


@pytest.mark.parametrize("count", [0, 1, 2, 400, 401, 12345])
def test_a_plot_keeps_its_peak_however_long_the_run(count: int) -> None:
    """At most so many points, in order, the highest among them; none and one point are drawn as well."""
    points = [(float(at), float(at * 7919 % 1009)) for at in range(count)]
    shown = thinned(points)
    assert len(shown) <= MAX_POINTS
    assert shown == sorted(shown)
    assert max((y for _, y in shown), default=None) == max((y for _, y in points), default=None)
    assert plot("x", "MiB", points, limit=100.0).count("<svg") == 1


def test_drawings_escape_their_labels() -> None:
    """Names in a drawing are text."""
    drawn = plot(HOSTILE, HOSTILE, [(0, 1)]) + bars(HOSTILE, [(HOSTILE, 1.0)], HOSTILE)
    assert read(drawn).tags <= TAGS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31m", "\\e[31m"),
        ("\r\0\x9b", "\\r\\0\\x9b"),
        ("\u202e\ufeff\U000e0041", "\\u{202e}\\u{feff}\\u{e0041}"),
        (b"\xff", "\ufffd"),
        ("grün 日本 🙂", "grün 日本 🙂"),
    ],
)
def test_hidden_characters_become_visible(text: object, shown: str) -> None:
    """What would act or hide is spelled out; ordinary text of any script stays."""
    assert visible(text) == shown


def test_each_form_of_text_is_fit_for_its_place() -> None:
    """HTML, a code span in a table, a code block, one line."""
    assert html("<a href='x'>&") == "&lt;a href=&#x27;x&#x27;&gt;&amp;"
    assert code("a|b`c") == "``a\\|b`c``"
    assert code("`") == "`` ` ``"
    assert code(" ") == ""
    assert block("```\nx") == "````text\n```\nx\n````"
    assert line("a\nb\tc") == "a\\nb\\tc"
    assert visible("abcdef", 3) == "abc\n[3 more characters]"
