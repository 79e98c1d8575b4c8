"""The client of the bridge: submit an intent, watch it, wait for its outcome.

    with BridgeClient("tcp://10.0.0.1:7070", server_key=..., pair=CurvePair.from_file(...)) as bridge:
        task = bridge.submit(Intent("i-1", "cbo", (Command(("echo", "hello")),)))
        for piece in task.output():
            print(piece.data)
        print(task.outcome.result(60).effect)

One thread owns the socket. While something is awaited it asks for it again every `REATTACH_S`: a connection that was
lost and came back, or an executor that was started anew, is noticed that way, and no future waits for ever.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

import zmq

from executor.bridge import wire
from executor.bridge.curve import CurvePair, dial
from executor.bridge.outcome_wire import unpack
from executor.errors import InvalidInputError, MisuseError, OutsideError, RequestRefusedError
from executor.intent import Intent
from executor.outcome import Outcome

REATTACH_S: Final = 5.0
ACKNOWLEDGE_S: Final = 30.0
"""Seconds after which a submission without an answer is given up: the connection broke between the two."""
SEND_MS: Final = 500
"""Milliseconds one send may wait for somebody to take it, before the client looks whether it is to end."""
HELLO_S: Final = 10.0
"""Seconds a connection may take to be answered for the first time."""
REPLY_BYTES: Final = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Output:
    """A piece of what a command wrote."""

    command: int
    stream: Literal["stdout", "stderr"]
    data: bytes


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the executor says of itself and of this key."""

    requester: str
    engine: str


@dataclass(eq=False)
class Submission:
    """One submitted intent. Its futures raise `RequestRefusedError` when the executor refuses, with its reason."""

    intent: Intent
    accepted: Future[str] = field(default_factory=Future)
    """The task's id, once it is queued."""
    answer: Future[Outcome] = field(default_factory=Future)
    """What became of it, as soon as its commands have ended and that is on record (with `stream`; else the outcome)."""
    outcome: Future[Outcome] = field(default_factory=Future)
    """The same with the whole trail: its machine is gone and its report written."""
    events: list[Mapping[str, Any]] = field(default_factory=list)
    """Events on record so far (with `stream`)."""
    _sent: float = field(default_factory=time.monotonic)
    _pieces: queue.SimpleQueue[Output | None] = field(default_factory=queue.SimpleQueue)

    def output(self) -> Iterator[Output]:
        """What the commands write, as it comes, until the task has ended. For one reader."""
        while (piece := self._pieces.get()) is not None:
            yield piece

    def _fail(self, error: Exception) -> None:
        for future in (self.accepted, self.answer, self.outcome):
            with suppress(InvalidStateError):  # known already, or its holder has cancelled it: nobody asks any more
                future.set_exception(error)
        self._pieces.put(None)

    def _answered(self, outcome: Outcome) -> None:
        _resolve(self.answer, outcome)
        self._pieces.put(None)

    def _end(self, outcome: Outcome) -> None:
        self._answered(outcome)
        _resolve(self.outcome, outcome)


def _resolve(future: Future[Any], value: object) -> None:
    with suppress(InvalidStateError):  # as in `_fail`
        future.set_result(value)


class BridgeClient:
    """A connection to an executor. Thread-safe; closing twice is silent."""

    def __init__(self, endpoint: str, *, server_key: bytes, pair: CurvePair, connect_s: float = HELLO_S) -> None:
        """Connect and wait to be welcomed; raises `OutsideError` after `connect_s` seconds without an answer.

        `server_key`: the executor's public key; nobody else can answer. `pair`: this client's own.
        """
        options = {
            zmq.SNDTIMEO: SEND_MS,
            zmq.SNDHWM: 0,  # what is submitted waits in this process, not in an exception
            zmq.RCVHWM: 0,
            zmq.MAXMSGSIZE: REPLY_BYTES,
            zmq.HEARTBEAT_IVL: 5_000,
            zmq.HEARTBEAT_TIMEOUT: 15_000,
            zmq.RECONNECT_IVL: 100,
            zmq.RECONNECT_IVL_MAX: 5_000,
        }
        self._context, self._socket = dial(endpoint, server_key=server_key, pair=pair, options=options)
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._sending: list[Sequence[bytes]] = []
        self._asked: dict[str, Submission] = {}
        self._running: dict[str, Submission] = {}
        self._welcomes: dict[str, Future[Welcome]] = {}
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="bridge-client", daemon=True)
        self._thread.start()
        try:
            self.welcome: Final = self.hello().result(connect_s)
        except TimeoutError:
            self.close()
            raise OutsideError(
                f"{endpoint} does not answer within {connect_s:g} s: nobody listens there, its key is another, or this "
                f"key ({pair.public.decode()}) is not on its list"
            ) from None

    def hello(self) -> Future[Welcome]:
        """Ask who the executor takes this key for."""
        future: Future[Welcome] = Future()
        request_id = f"c{next(self._ids)}"
        with self._lock:
            self._welcomes[request_id] = future
        self._put([wire.header("hello", id=request_id)])
        return future

    def submit(self, intent: Intent, *, approvals: Sequence[str] = ("cp14",), stream: bool = True) -> Submission:
        """Submit `intent`. Raises `InvalidInputError` when it cannot be written down, `MisuseError` when closed."""
        request_id = f"c{next(self._ids)}"
        frames = wire.submit(request_id, intent, approvals, stream=stream)
        submission = Submission(intent)
        with self._lock:
            self._asked[request_id] = submission
        self._put(frames)
        return submission

    def close(self) -> None:
        """Disconnect; what is not answered fails. The executor runs what it has accepted all the same."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._context.destroy(0)
        os.close(self._wake)
        gone = OutsideError("the connection to the executor was closed")
        for submission in [*self._asked.values(), *self._running.values()]:
            submission._fail(gone)  # noqa: SLF001 - this module's own
        for welcome in self._welcomes.values():
            welcome.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, frames: Sequence[bytes]) -> None:
        with self._lock:
            if self._closed:
                raise MisuseError("this client is closed")
            self._sending.append(frames)
            os.eventfd_write(self._wake, 1)

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wake, zmq.POLLIN)
        ask_again = time.monotonic() + REATTACH_S
        while not self._closed:
            ready = dict(poller.poll(1000))
            if self._wake in ready:
                with self._lock:
                    os.eventfd_read(self._wake)
                    sending, self._sending = self._sending, []
                for number, frames in enumerate(sending):
                    if not self._sent(frames):
                        with self._lock:  # nobody there to take it: tried again until this client is closed
                            self._sending = [*sending[number:], *self._sending]
                            os.eventfd_write(self._wake, 1)
                        break
            if self._socket in ready:
                self._receive()
            if time.monotonic() >= ask_again:
                ask_again = time.monotonic() + REATTACH_S
                self._attach()

    def _attach(self) -> None:
        late = time.monotonic() - ACKNOWLEDGE_S
        with self._lock:
            waiting = list(self._running)
            given_up = [key for key, submission in self._asked.items() if submission._sent < late]  # noqa: SLF001 - as in close
            lost = [self._asked.pop(key) for key in given_up]
        for submission in lost:
            submission._fail(OutsideError(f"not acknowledged within {ACKNOWLEDGE_S:g} s; it may run all the same"))  # noqa: SLF001 - as in close
        for at in range(0, len(waiting), wire.MAX_ATTACH):
            self._sent([wire.header("attach", id="again", tasks=waiting[at : at + wire.MAX_ATTACH])])

    def _sent(self, frames: Sequence[bytes]) -> bool:
        """Whether the socket has taken it; a refused handshake leaves a socket that takes nothing, for ever."""
        try:
            self._socket.send_multipart(frames)
        except zmq.Again:
            return False
        return True

    def _receive(self) -> None:
        for _ in range(256):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                raw = wire.parse_header(frames[0])
                self._handle(raw, frames[1] if len(frames) > 1 else b"")
            except (InvalidInputError, KeyError, TypeError):
                continue  # the executor's key is its own: a message that cannot be read is a newer version's

    def _handle(self, raw: Mapping[str, Any], payload: bytes) -> None:
        handlers: dict[str, Callable[[Mapping[str, Any], bytes], None]] = {
            "welcome": self._welcomed,
            "accepted": self._accepted,
            "output": self._wrote,
            "event": self._happened,
            "answer": self._answered,
            "result": self._ended,
            "error": self._refused,
        }
        if handler := handlers.get(raw["op"]):
            handler(raw, payload)

    def _welcomed(self, raw: Mapping[str, Any], _: bytes) -> None:
        with self._lock:
            future = self._welcomes.pop(raw["id"], None)
        if future is not None:
            _resolve(future, Welcome(str(raw["requester"]), str(raw["engine"])))

    def _accepted(self, raw: Mapping[str, Any], _: bytes) -> None:
        with self._lock:
            submission = self._asked.pop(raw["id"], None)
            if submission is not None:
                self._running[raw["task"]] = submission
        if submission is not None:
            _resolve(submission.accepted, raw["task"])

    def _wrote(self, raw: Mapping[str, Any], payload: bytes) -> None:
        if (submission := self._running.get(raw["task"])) is not None:
            submission._pieces.put(Output(int(raw["command"]), raw["stream"], payload))  # noqa: SLF001 - as in close

    def _happened(self, raw: Mapping[str, Any], _: bytes) -> None:
        if (submission := self._running.get(raw["task"])) is not None:
            submission.events.append(raw["event"])

    def _answered(self, raw: Mapping[str, Any], payload: bytes) -> None:
        if (submission := self._running.get(raw["task"])) is not None:
            submission._answered(unpack(raw["outcome"], payload))  # noqa: SLF001 - as in close

    def _ended(self, raw: Mapping[str, Any], payload: bytes) -> None:
        with self._lock:
            submission = self._running.pop(raw["task"], None)
        if submission is None:
            return
        try:
            submission._end(unpack(raw["outcome"], payload))  # noqa: SLF001 - as in close
        except InvalidInputError as error:
            submission._fail(OutsideError(f"the executor's answer cannot be read: {error}"))  # noqa: SLF001 - as in close

    def _refused(self, raw: Mapping[str, Any], _: bytes) -> None:
        refusal = RequestRefusedError(int(raw["status"]), str(raw["code"]), str(raw["message"]))
        with self._lock:
            submission = self._running.pop(raw["task"], None) or self._asked.pop(raw["id"], None)
            welcome = self._welcomes.pop(raw["id"], None)
        if submission is not None:
            submission._fail(refusal)  # noqa: SLF001 - as in close
        if welcome is not None:
            with suppress(InvalidStateError):
                welcome.set_exception(refusal)
