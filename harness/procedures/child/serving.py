"""A service around an executor, with a client and an operator of its own, all in one process and over real sockets."""

from __future__ import annotations

import contextlib
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from executor.bridge.client import BridgeClient, Submission
from executor.bridge.config import Client, Config, Operator
from executor.bridge.curve import make_pair
from executor.bridge.service import Service
from executor.clock import SystemClock
from executor.control.client import ControlClient
from executor.errors import OutsideError, RequestRefusedError
from executor.intent import Intent
from executor.keys import KeyStore
from executor.metrics.log import make_log

if TYPE_CHECKING:
    from executor.service import LocalExecutor

REQUESTER: Final = "drill"
OPERATOR: Final = "stop"
ANSWER_S: Final = 60.0
LET_IN_S: Final = 1.0
"""How long a connection that is refused is waited for: nothing ever comes, so this is what it costs."""


class Serving:
    """Open from construction to `close`."""

    def __init__(self, executor: LocalExecutor, state: str, *, workers: int) -> None:
        """Make keys for everybody and serve on free ports of this machine."""
        self._executor = executor
        self._state = Path(state)
        self._keys = {name: make_pair(self._state, name) for name in ("bridge", "control", OPERATOR, REQUESTER)}
        folder = self._state / "keys" / "curve"
        self._config = Config(
            bridge_listen="tcp://127.0.0.1:*",
            bridge_key=folder / "bridge.key",
            control_listen="tcp://127.0.0.1:*",
            control_key=folder / "control.key",
            clients=(Client(REQUESTER, self._keys[REQUESTER].public),),
            operators=(Operator(OPERATOR, self._keys[OPERATOR].public),),
            workers=workers,
            capacity=1000,
        )
        self._store = KeyStore(self._state, SystemClock())
        self._resources = ExitStack()
        self._open()

    def _open(self) -> None:
        self._service = Service(
            self._config,
            self._executor,
            state=self._state,
            clock=SystemClock(),
            log=make_log("json", "error", sys.stderr),
        )
        self._resources.callback(self._service.close)
        self._client: BridgeClient | None = None

    def submit(self, intent: Intent) -> Submission:
        """Submit as the drills' requester."""
        if self._client is None:
            self._client = self._resources.enter_context(self._connect())
        return self._client.submit(intent, stream=False)

    def operator(self) -> ControlClient:
        """A connection to the control socket; closed with this."""
        return self._resources.enter_context(
            ControlClient(
                self._service.control.endpoint, server_key=self._keys["control"].public, pair=self._keys[OPERATOR]
            )
        )

    def running(self) -> int:
        """Commands that run at this moment, by the record."""
        return self._executor.running()

    def safe_mode(self) -> bool:
        """Whether the service says that it is in safe mode."""
        return bool(self.operator().status()["safe_mode"]["on"])

    def resumes_as(self, holder: str) -> bool:
        """Whether the service goes on when `holder` signs for it."""
        try:
            self.operator().resume(self._store.signer_for(holder))
        except RequestRefusedError:
            return False
        return True

    def lets_in(self) -> bool:
        """Whether a listed client can connect."""
        try:
            self._connect(LET_IN_S).close()
        except OutsideError:
            return False
        return True

    @staticmethod
    def refused(task: Submission) -> str:
        """The reason with which a task was turned away; empty when it was not."""
        error = task.outcome.exception(ANSWER_S)
        return error.reason if isinstance(error, RequestRefusedError) else ""

    def restart(self) -> None:
        """End the service and start it again on the same state."""
        self._resources.close()
        self._open()

    def close(self) -> None:
        """Release everything but the executor."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OutsideError):
            self.close()

    def _connect(self, seconds: float = ANSWER_S) -> BridgeClient:
        return BridgeClient(
            self._service.bridge.endpoint,
            server_key=self._keys["bridge"].public,
            pair=self._keys[REQUESTER],
            connect_s=seconds,
        )
