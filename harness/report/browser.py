"""A headless Chromium held by the DevTools protocol over two pipes: no driver program, no port, no network.

Chromium runs with a new profile folder and goes with it. As root it needs --no-sandbox, which is acceptable only
because the page is a file of ours; it is not given for other users.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from executor.host.tools import find_tool
from harness.errors import ReportError

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS: Final = (
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
"""The last one keeps a page from reaching any host: what the report shows must be in the file."""
TIMEOUT_S: Final = 180.0
"""A bound for a page that never comes, not a measure: a shared machine can take a minute over one that does."""
_POLL_S: Final = 0.05
_LAUNCH: Final = """\
import os, sys
reader, writer = os.dup(int(sys.argv[1])), os.dup(int(sys.argv[2]))
os.dup2(reader, 3)
os.dup2(writer, 4)
os.set_inheritable(3, True)
os.set_inheritable(4, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium wants the protocol on descriptors 3 and 4: moved there in the child, where nothing else is in the way."""


class Browser:
    """One Chromium with one page; use it with `with`."""

    def __init__(self, *, width: int = 1280, height: int = 900) -> None:
        """Start Chromium; raises `ReportError` when there is none or it does not answer."""
        program = find_tool(*NAMES)
        if program is None:
            raise ReportError("chromium is not installed; `python3 bootstrap.py drills` installs it")
        self._folder = tempfile.TemporaryDirectory(prefix="cordon-browser-", ignore_cleanup_errors=True)
        command_read, self._write = os.pipe()
        self._read, answer_write = os.pipe()
        flags = [*FLAGS, f"--user-data-dir={self._folder.name}", f"--window-size={width},{height}"]
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        self._log = (Path(self._folder.name) / "log").open("wb")
        ends = (str(command_read), str(answer_write))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCH, *ends, str(program), *flags, "about:blank"],
            pass_fds=(command_read, answer_write),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        os.close(command_read)
        os.close(answer_write)
        self._buffer = bytearray()
        self._number = 0
        self._loaded = False
        self.dialogs: list[str] = []
        """Texts of dialogs a page opened: none is expected of a report."""
        self.errors: list[str] = []
        """What the page threw or the browser refused it: also nothing that is expected of a report."""
        try:
            self._session = self._attach()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """The browser itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End Chromium and remove its profile; a second call is silent."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for descriptor in (self._write, self._read):
            if descriptor >= 0:
                os.close(descriptor)
        self._write = self._read = -1
        self._log.close()
        self._folder.cleanup()

    def _attach(self) -> str:
        targets = self._call("Target.getTargets", session=None)["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        session: str = self._call("Target.attachToTarget", session=None, targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable", session=session)
        return session

    def open(self, url: str) -> None:
        """Go to `url` and wait until the document is loaded."""
        self._loaded = False
        answer = self._call("Page.navigate", url=url)
        if text := answer.get("errorText"):
            raise ReportError(f"the browser could not open {url}: {text}")
        # The event, not a question to the page: what is asked while the old page goes is sometimes never answered.
        deadline = time.monotonic() + TIMEOUT_S
        while not self._loaded:
            self._notice(self._receive(deadline))

    def evaluate(self, expression: str) -> Any:
        """The JSON-like value of a JavaScript expression; raises `ReportError` when it throws."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise ReportError(f"the page threw: {answer['exceptionDetails'].get('text')} in {expression}")
        return answer["result"].get("value")

    def wait_until(self, condition: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until a JavaScript expression is true; raises `ReportError` after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.evaluate(f"!!({condition})"):
            if time.monotonic() > deadline:
                raise ReportError(f"the page did not come to: {condition}")
            select.select([], [], [], _POLL_S)

    def text(self) -> str:
        """What a person can read on the page."""
        return str(self.evaluate("document.body.innerText"))

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page a window of that size in pixels."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, target: Path, *, whole: bool = False) -> None:
        """A PNG of the window, or of the whole page."""
        answer = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        target.write_bytes(base64.b64decode(answer["data"]))

    def _call(self, method: str, *, session: str | None = "", **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session or self._session
        try:
            os.write(self._write, json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            raise ReportError(f"the browser ended: {self._last_words()}") from None
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == number:
                if "error" in answer:
                    raise ReportError(f"the browser refused {method}: {answer['error'].get('message')}")
                result: dict[str, Any] = answer["result"]
                return result
            self._notice(answer)

    def _notice(self, event: dict[str, Any]) -> None:
        """Keep that the page has loaded; close a dialog, or it would hold the page up for ever."""
        if event.get("method") == "Page.loadEventFired":
            self._loaded = True
        if event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            entry = event["params"]["entry"]
            self.errors.append(f"{entry['text']} {entry.get('url', '')}"[:300])
        if event.get("method") == "Runtime.exceptionThrown":
            details = event["params"]["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description", details["text"]))[:300])
        if event.get("method") == "Page.javascriptDialogOpening":
            self.dialogs.append(str(event["params"].get("message")))
            self._number += 1
            close = {"id": self._number, "method": "Page.handleJavaScriptDialog", "params": {"accept": False}}
            os.write(self._write, json.dumps({**close, "sessionId": event.get("sessionId")}).encode() + b"\0")

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self._read, 1 << 16) if ready else b""
            if not piece:
                raise ReportError(f"the browser {'ended' if ready else 'did not answer'}: {self._last_words()}")
            self._buffer += piece
        line, _, rest = bytes(self._buffer).partition(b"\0")
        self._buffer = bytearray(rest)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        text = (Path(self._folder.name) / "log").read_text(errors="replace").strip()
        return text.splitlines()[-1][:300] if text else "without a word"
