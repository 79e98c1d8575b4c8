"""An operator's side of the control socket: one order, one answer."""

from __future__ import annotations

import secrets
import time
from typing import Any, Final, Self

import zmq

from executor import canonical
from executor.bridge.curve import CurvePair, dial
from executor.control.desk import MAX_MESSAGE, VERSION, order
from executor.control.permit import Challenge, sign
from executor.errors import InvalidInputError, OutsideError, RequestRefusedError
from executor.keys import Signer

ANSWER_S: Final = 15.0
"""Seconds an order may take; a SCRAM answers within one, a resume waits for the record of what was flushed."""
ANSWER_BYTES: Final = 4 * 1024 * 1024


class ControlClient:
    """A connection to the control socket. For one thread; closing twice is silent."""

    def __init__(self, endpoint: str, *, server_key: bytes, pair: CurvePair) -> None:
        """`server_key`: the control socket's public key; `pair`: the operator's own."""
        self._endpoint = endpoint
        self._context, self._socket = dial(
            endpoint, server_key=server_key, pair=pair, options={zmq.MAXMSGSIZE: ANSWER_BYTES}
        )

    def status(self) -> dict[str, Any]:
        """How the service stands."""
        return self._ask("status")

    def scram(self, why: str) -> dict[str, Any]:
        """Stop everything."""
        return self._ask("scram", why=why)

    def kill(self, scope: str, name: str = "", why: str = "") -> dict[str, Any]:
        """Kill one `task`, a `requester`'s, or `all`; what was reached."""
        return self._ask("kill", scope=scope, name=name, why=why)

    def resume(self, signer: Signer) -> dict[str, Any]:
        """Go on, signed by a registered person's key."""
        found = self._ask("challenge")
        return self._ask("resume", **sign(Challenge(str(found["nonce"]), str(found["since"])), signer))

    def close(self) -> None:
        """Disconnect."""
        self._context.destroy(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, op: str, **fields: str) -> dict[str, Any]:
        """Raises `RequestRefusedError` as the service says, `OutsideError` when it says nothing."""
        order_id = secrets.token_hex(8)
        message = order(op, order_id, **fields)
        if len(message) > MAX_MESSAGE:  # the service hangs up on it without a word
            raise InvalidInputError(f"an order has at most {MAX_MESSAGE} bytes, this one {len(message)}: say less")
        self._socket.send(message)
        deadline = time.monotonic() + ANSWER_S
        while self._socket.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            raw = canonical.loads(self._socket.recv(), where="answer")
            if not isinstance(raw, dict) or raw.get("v") != VERSION:
                raise InvalidInputError(f"{self._endpoint} speaks another protocol")
            if raw.get("id") not in {order_id, ""}:
                continue  # the late answer to an order that was given up
            if raw["op"] == "error":
                raise RequestRefusedError(int(raw["status"]), str(raw["code"]), str(raw["message"]))
            answer: dict[str, Any] = raw["answer"]
            return answer
        raise OutsideError(
            f"{self._endpoint} does not answer within {ANSWER_S:g} s: nobody listens there, its key is another, or "
            "this key is no operator's"
        )
