"""bootstrap.py and .ci/run as processes: what they print, how they end, what they leave alone."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent.parent


def bootstrap(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "bootstrap.py", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dry_run_tells_and_touches_nothing(tmp_path: Path) -> None:
    """What would be installed and run is printed; the cache folder is not even made."""
    done = bootstrap("lint", "--dry-run", CORDON_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "bootstrap: will install:"
    assert "tox, pinned" in lines[1]
    assert lines[-1] == "bootstrap: then it would run: tox run -e lint"
    assert list(tmp_path.iterdir()) == []


def test_words_behind_two_dashes_reach_the_environment(tmp_path: Path) -> None:
    """They are not looked at here, even when they look like ours."""
    done = bootstrap("drills", "--dry-run", "--", "-k", "hello", "--dry-run", CORDON_CACHE=str(tmp_path))
    assert done.stdout.splitlines()[-1].endswith("tox run -e drills -- -k hello --dry-run")


@pytest.mark.parametrize("words", [(), ("nonsense",), ("--dry-run",), ("lint", "--nonsense")])
def test_wrong_use_is_2(words: tuple[str, ...]) -> None:
    """A wrong word is said so, with the usage."""
    done = bootstrap(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: python3 bootstrap.py" in done.stderr


def test_help_shows_environments_and_examples() -> None:
    """--help is enough to begin with."""
    done = bootstrap("--help")
    assert done.returncode == 0
    assert "python3 bootstrap.py drills -- -k hello -n 2" in done.stdout


def test_a_cache_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file where the folder should be: said in one line, with the way out, no traceback."""
    (tmp_path / "file").touch()
    done = bootstrap("lint", CORDON_CACHE=str(tmp_path / "file"))
    assert done.returncode == 1
    assert done.stderr.startswith("bootstrap: error: ")
    assert done.stderr.count("\n") == 1
    assert "CORDON_CACHE" in done.stderr


def test_an_older_python_can_read_the_first_file() -> None:
    """bootstrap.py parses as Python 3.7, so that it can say what is wrong."""
    ast.parse((ROOT / "bootstrap.py").read_text("utf-8"), feature_version=(3, 7))


def test_only_the_standard_library_is_imported() -> None:
    """bootstrap runs where nothing is installed: isolated from site-packages it still plans."""
    code = (
        "import sys; sys.path.insert(0, '.'); import provision.main\n"
        "own = {'provision', 'bootstrap', '__main__'}\n"
        "foreign = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names) - own\n"
        "sys.exit(str(sorted(foreign)) if foreign else 0)"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that holds .ci/run and a bootstrap.py that writes down its words and does what `behave` says."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    (tmp_path / "bootstrap.py").write_text(
        "import pathlib, signal, sys\n"
        "with open('words', 'a') as out: out.write(' '.join(sys.argv[1:]) + '\\n')\n"
        "assert sys.stdin.read() == ''\n"
        "exec(pathlib.Path('behave').read_text())\n"
    )
    (tmp_path / "behave").write_text("")
    return tmp_path


def ci(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / ".ci" / "run"], cwd="/", capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_ci_is_green_when_both_are(checkout: Path) -> None:
    """Both commands, in order, from the checkout's folder wherever it is called; a plain last line."""
    done = ci(checkout)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "ci: green")
    assert (checkout / "words").read_text("utf-8") == "tests\ndrills\n"


@pytest.mark.parametrize("red", ["tests", "drills"])
def test_ci_is_red_when_one_is_and_runs_the_other(checkout: Path, red: str) -> None:
    """A failure of the first does not hide the second's, and either is the run's."""
    (checkout / "behave").write_text(f"sys.exit(sys.argv[1] == {red!r})")
    done = ci(checkout)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "ci: RED (status 1)")
    assert (checkout / "words").read_text("utf-8") == "tests\ndrills\n"


def test_a_terminated_ci_ends_its_child_and_says_so(checkout: Path) -> None:
    """SIGTERM reaches bootstrap, is waited for, and the run is red."""
    (checkout / "behave").write_text(
        "def end(number, frame):\n    open('ended', 'w').close()\n    sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\nsignal.pause()\n"
    )
    with subprocess.Popen([checkout / ".ci" / "run"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "ready\n":
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert (process.returncode, rest.splitlines()[-1]) == (143, "ci: RED (status 143)")
    assert (checkout / "ended").exists()
