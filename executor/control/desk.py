"""The operators' socket: what may be ordered, and what is answered. Every order comes from a listed operator's key.

Requests:  status {id} - scram {id, why} - kill {id, scope, name, why} - challenge {id} - resume {id, nonce, kid, sig}
Replies:   answer {id, ...} or error {id, status, code, message}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from executor import canonical
from executor.bridge.intake import Reply
from executor.control.switch import Switch
from executor.errors import CordonError, InvalidInputError, RequestRefusedError

VERSION: Final = "cordon.control/1"
DOMAIN: Final = "cordon.control"
MAX_MESSAGE: Final = 16 * 1024
"""Bytes of an order."""
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "status": (),
    "scram": ("why",),
    "kill": ("scope", "name", "why"),
    "challenge": (),
    "resume": ("nonce", "kid", "sig"),
}


class Desk:
    """Carries orders out. `answer` never raises."""

    def __init__(self, switch: Switch, operators: frozenset[str], status: Callable[[], dict[str, Any]]) -> None:
        """`operators`: names that may order; `status` is what `status` answers."""
        self._switch = switch
        self._operators = operators
        self._status = status

    def set_operators(self, operators: frozenset[str]) -> None:
        """Who may order from now on."""
        self._operators = operators

    def answer(self, sender: str, identity: bytes, frames: Sequence[bytes]) -> list[Reply]:  # noqa: ARG002 - a Server's signature
        """The one reply to one order of `sender`'s."""
        order_id = ""
        try:
            raw = parse(frames)
            order_id = raw["id"]
            if sender not in self._operators:
                raise RequestRefusedError(403, "control.stranger", "this key is no operator's")  # noqa: TRY301 - one refusal's shape for all
            return [(_message("answer", order_id, self._carry_out(sender, raw)),)]
        except RequestRefusedError as refusal:
            return [(_error(order_id, refusal.status, refusal.reason, str(refusal)),)]
        except InvalidInputError as error:
            return [(_error(order_id, 400, "control.malformed", str(error)),)]
        except CordonError as error:
            return [(_error(order_id, 500, error.code, str(error)),)]

    def _carry_out(self, sender: str, raw: Mapping[str, str]) -> dict[str, Any]:
        match raw["op"]:
            case "scram":
                return self._switch.scram(sender, raw["why"])
            case "kill":
                return self._switch.kill(sender, raw["scope"], raw["name"], raw["why"])
            case "challenge":
                challenge = self._switch.challenge()
                return {"nonce": challenge.nonce, "since": challenge.since}
            case "resume":
                return self._switch.resume(raw)
            case _:
                return self._status()


def parse(frames: Sequence[bytes]) -> dict[str, str]:
    """An order's fields, all of them texts; raises `InvalidInputError`."""
    if len(frames) != 1 or len(frames[0]) > MAX_MESSAGE:
        raise InvalidInputError(f"order: one frame of at most {MAX_MESSAGE} bytes is wanted")
    raw = canonical.loads(frames[0], where="order")
    if not isinstance(raw, dict) or raw.get("v") != VERSION:
        raise InvalidInputError(f"order: an object with v {VERSION} is wanted")
    op = raw.get("op")
    if not isinstance(op, str) or op not in _FIELDS:
        raise InvalidInputError(f"order.op: {op!r:.40} is none of {', '.join(_FIELDS)}")
    wanted = {"v", "op", "id", *_FIELDS[op]}
    if wrong := sorted(raw.keys() ^ wanted):
        raise InvalidInputError(f"order.{wrong[0]:.40}: {'is required' if wrong[0] in wanted else 'is not known'}")
    if not all(isinstance(value, str) for value in raw.values()):
        raise InvalidInputError("order: every field is text")
    return raw


def order(op: str, order_id: str, **fields: str) -> bytes:
    """The bytes of an order."""
    return canonical.dumps({"v": VERSION, "op": op, "id": order_id, **fields})


def _message(op: str, order_id: str, fields: Mapping[str, Any]) -> bytes:
    return canonical.dumps({"v": VERSION, "op": op, "id": order_id, "answer": fields})


def _error(order_id: str, status: int, code: str, message: str) -> bytes:
    plain = message[:2000].encode("utf-8", "replace").decode()
    fields = {"id": order_id, "status": status, "code": code, "message": plain}
    return canonical.dumps({"v": VERSION, "op": "error", **fields})
