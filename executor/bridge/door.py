"""What a request is answered with: decided from the message, the sender's key and what is known. No sockets here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from executor.api import Engine
from executor.bridge import wire
from executor.bridge.config import Client
from executor.bridge.intake import Intake, Reply, Task
from executor.clock import Clock
from executor.errors import CordonError, RequestRefusedError


class Door:
    """Takes requests in. `answer` never raises: whatever comes, something fitting goes back."""

    def __init__(self, intake: Intake, clients: Sequence[Client], clock: Clock, engine: Engine) -> None:
        """`clients`: who may submit, by name; two keys of one name share what the first entry allows."""
        self._intake = intake
        self._clients: Mapping[str, Client] = {}
        self.set_clients(clients)
        self._clock = clock
        self._engine = engine
        self.counts: Final = {"malformed": 0, "refused": 0}

    def set_clients(self, clients: Sequence[Client]) -> None:
        """Who may submit from now on; what was accepted stays accepted."""
        self._clients = {client.name: client for client in reversed(clients)}

    def answer(self, sender: str, identity: bytes, frames: Sequence[bytes]) -> list[Reply]:
        """The replies to one message from `sender`, whose connection is `identity`."""
        try:
            return self._answer(sender, identity, frames)
        except RequestRefusedError as refusal:
            self.counts["malformed" if refusal.status in {400, 413} else "refused"] += 1
            return [(wire.error(refusal, request_id=wire.correlation(frames)),)]
        except CordonError as error:  # the journal's disk, for one: the door stays open and says so
            failure = RequestRefusedError(500, error.code, str(error))
            return [(wire.error(failure, request_id=wire.correlation(frames)),)]

    def _answer(self, sender: str, identity: bytes, frames: Sequence[bytes]) -> list[Reply]:
        message = wire.parse_request(frames)
        client = self._clients.get(sender)
        if client is None:
            raise RequestRefusedError(403, "bridge.stranger", "this key is no client's")
        if isinstance(message, wire.Hello):
            return [(wire.header("welcome", id=message.id, requester=client.name, engine=self._engine),)]
        if isinstance(message, wire.Attach):
            return [self._attach(message, task_id, client, identity) for task_id in message.tasks]
        return [self._submit(message, client, identity)]

    def _submit(self, message: wire.Submit, client: Client, identity: bytes) -> Reply:
        """Refused in this order: another's name, somebody else's signature, a priority above the client's own."""
        intent = message.intent
        if intent.requester != client.name:
            raise RequestRefusedError(
                403, "bridge.wrong_requester", f"this key submits as {client.name}, not as {intent.requester:.64}"
            )
        if foreign := sorted(set(message.approvals) - set(client.approvals)):
            raise RequestRefusedError(
                403, "bridge.wrong_approval", f"{client.name} may not ask for the signature of {foreign[0]:.64}"
            )
        if intent.priority < client.top_priority:
            raise RequestRefusedError(
                403, "bridge.wrong_priority", f"{client.name} may ask for {client.top_priority.name} at most"
            )
        task = Task(intent, message.approvals, client.name, identity, message.stream, self._clock.monotonic_ns())
        ahead = self._intake.add(task)
        return (wire.accepted(message.id, task.task_id, ahead),)

    def _attach(self, message: wire.Attach, task_id: str, client: Client, identity: bytes) -> Reply:
        try:
            result = self._intake.attach(task_id, client.name, identity)
        except RequestRefusedError as refusal:
            return (wire.error(refusal, request_id=message.id, task_id=task_id),)
        return result or (wire.header("accepted", id=message.id, task=task_id, ahead=0),)
