"""The shell of the command line: finding commands without importing them, errors in one line, exit statuses."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest

import cordon.__main__ as shell
from cordon import VERSION
from cordon.commands import FOLDER, catalogue, help_line
from executor.errors import BugError, CordonError, InvalidInputError, MisuseError, OutsideError

ROOT: Final = Path(__file__).resolve().parent.parent.parent


def command(run: object) -> SimpleNamespace:
    def configure(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--flag", action="store_true")
        parser.add_argument("word", nargs="?")

    return SimpleNamespace(HELP="try something", configure=configure, run=run)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    """A command `try` that keeps its arguments and returns 0; tests replace `load` to do worse."""
    kept: list[argparse.Namespace] = []

    def run(args: argparse.Namespace) -> int:
        kept.append(args)
        return 0

    monkeypatch.setattr(shell, "catalogue", lambda: {"try": "try something", "two-words": ""})
    monkeypatch.setattr(shell, "_load", lambda _name: command(run))
    return kept


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(_args: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(shell, "catalogue", lambda: {"try": ""})
    monkeypatch.setattr(shell, "_load", lambda _name: command(run))


def test_a_command_gets_its_own_arguments(tried: list[argparse.Namespace]) -> None:
    """Words behind the command's name are the command's, also those the shell knows."""
    assert shell.main(["--debug", "try", "--flag", "word"]) == 0
    assert [(args.flag, args.word) for args in tried] == [(True, "word")]


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InvalidInputError("no such field"), 2, "cordon: error: no such field [cordon.invalid_input]\n"),
        (MisuseError("not so"), 2, "cordon: error: not so [cordon.misuse]\n"),
        (OutsideError("disk full"), 1, "cordon: error: disk full [cordon.outside]\n"),
        (BugError("x"), 1, "cordon: error: x [cordon.bug]\n"),
        (CordonError("two\nlines\x1b[31m"), 1, "cordon: error: two\\nlines\\e[31m [cordon.error]\n"),
        (KeyboardInterrupt(), 130, "cordon: stopped by Ctrl-C\n"),
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whose fault it is decides the status; the message stays one line whatever it holds."""
    raising(monkeypatch, error)
    assert shell.main(["try"]) == status
    assert capsys.readouterr() == ("", line)


def test_debug_shows_the_traceback_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--debug adds the way to the error, and only when it stands before the command."""
    raising(monkeypatch, OutsideError("disk full"))
    shell.main(["--debug", "try"])
    assert "Traceback" in capsys.readouterr().err
    shell.main(["try"])
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_nobody_foresaw_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only errors Cordon raises on purpose are put into one line."""
    raising(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        shell.main(["try"])


def test_a_wrong_command_names_the_near_one(
    tried: list[argparse.Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing mistake is misuse, and the likely meaning is offered."""
    assert shell.main(["tyr"]) == 2
    assert capsys.readouterr().err == "cordon: error: no such command: tyr; did you mean `try`?\n"
    assert shell.main(["zzz"]) == 2
    assert capsys.readouterr().err == "cordon: error: no such command: zzz; there are try, two-words\n"
    assert tried == []


def test_no_command_is_misuse_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Bare `cordon` prints the help to stderr."""
    assert shell.main([]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "  doctor" in output.err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """--version and pyproject.toml agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert shell.main(["--version"]) == 0
    assert capsys.readouterr().out == f"cordon {project['version']}\n"
    assert project["version"] == VERSION


def test_a_missing_package_is_told_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command whose dependency is not installed says which, and how to get it."""

    def no_module(_name: str) -> None:
        raise ModuleNotFoundError("No module named 'libvirt'", name="libvirt")

    monkeypatch.setattr(shell, "catalogue", lambda: {"try": ""})
    monkeypatch.setattr("importlib.import_module", no_module)
    assert shell.main(["try"]) == 1
    assert "needs libvirt, which is not installed" in capsys.readouterr().err


def test_commands_are_listed_without_being_imported(tmp_path: Path) -> None:
    """A command that cannot be imported is listed all the same; helpers are not commands."""
    (tmp_path / "two_words.py").write_text('import nothing_of_the_kind\nHELP: Final = "one" " line"\n')
    (tmp_path / "plain.py").write_text("HELP = 'plain'\n")
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "computed.py").write_text("HELP = ' '.join([])\n")
    (tmp_path / "_helper.py").write_text("HELP = 'no'\n")
    assert catalogue(tmp_path) == {"broken": "", "computed": "", "plain": "plain", "two-words": "one line"}


def test_a_later_assignment_does_not_count() -> None:
    """The first HELP at the top level is the line."""
    assert help_line("OTHER = 'x'\nHELP = 'first'\nHELP = 'second'\n") == "first"
    assert help_line("def f():\n    HELP = 'inner'\n") == ""


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_command_has_a_line_and_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of this checkout says what it is for, in one line, and shows an example in --help."""
    line = catalogue()[name]
    assert line
    assert "\n" not in line
    with pytest.raises(SystemExit) as leave:
        shell.main([name, "--help"])
    assert leave.value.code == 0
    assert f"cordon {name}" in capsys.readouterr().out.partition("usage:")[2].partition("\n")[2]


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    """`cordon --help` loads neither libvirt nor rich nor any command."""
    code = (
        "import sys; from cordon.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'libvirt', 'rich', 'zmq', 'requests', 'pytest'} & set(sys.modules)\n"
        "heavy |= {name for name in sys.modules if name.startswith('cordon.commands.')}\n"
        "sys.exit(str(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`cordon --help | head -0` ends without a traceback."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "cordon", "--version"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert done.stderr == b""


def test_ctrl_c_ends_a_real_command_with_130(tmp_path: Path) -> None:
    """SIGINT in the middle of a command: one line, no traceback, 130."""
    code = (
        "import sys, types, signal, os; import cordon.__main__ as shell\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it\n"
        "def run(args):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    signal.pause()\n"
        "shell.catalogue = lambda: {'try': ''}\n"
        "shell._load = lambda name: types.SimpleNamespace(HELP='', configure=lambda parser: None, run=run)\n"
        "sys.exit(shell.main(['try']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "cordon: stopped by Ctrl-C\n")
    assert done.returncode == 128 + signal.SIGINT


def test_the_catalogue_is_this_folder() -> None:
    """Every module in cordon/commands is a command, and doctor is one."""
    assert "doctor" in catalogue(FOLDER)
