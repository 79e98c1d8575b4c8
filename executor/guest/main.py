"""The agent's life: set up, say that it is ready, serve one host, and take the VM down with it.

Ending is always ending the VM: init powers off when this process is gone, for whatever reason.
"""

from __future__ import annotations

import json
import os
import select
import sys
from typing import Any, Final, NoReturn

from executor.guest import fastpb

fastpb.install()

from executor.channel import channel_pb2 as pb  # noqa: E402 - needs the fast path in place
from executor.guest import agent as conversation  # noqa: E402 - as above
from executor.guest import capability, kernel, network, port, reset, spare  # noqa: E402 - as above
from executor.guest.errors import FaultError  # noqa: E402 - as above

_HERE: Final = "/agent/executor/guest"
_LAST_WORDS_S: Final = 2.0
WAITING: Final = "cordon-agent: waiting for a host"
"""Written to the console when the agent can be cloned: from here on it only waits for the channel to be opened."""


def main() -> int:
    """Serve one host; the exit code is 0 when the host asked for the end."""
    conversation.set_up()
    programs, seccomp, baseline, spares = _programs(), _load("seccomp.json"), reset.Baseline(), spare.Spares()
    if spare.WORD in kernel.read("/proc/cmdline").split() and not network.card():
        spares.make(programs, seccomp)
    channel = port.Port(port.find_device())  # the host takes an open port for the sign that all is made
    agent = conversation.Agent(channel, programs, seccomp, baseline, spares)
    print(WAITING, flush=True)  # noqa: T201 - the console is the log here
    channel.send_blocking(agent.ready())
    code = 1
    try:
        _serve(channel, agent)
    except conversation.PowerOffError:
        code = 0
    except FaultError as error:
        _last_words(channel, error.code, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the host is told and the VM ends
        import traceback  # noqa: PLC0415 - the last thing that happens here

        traceback.print_exc()
        _last_words(channel, "guest.bug", f"{type(error).__name__}: {error}")
    return code


def _serve(channel: port.Port, agent: conversation.Agent) -> NoReturn:
    """Until the host asks for the end or something breaks."""
    while True:
        poll = select.poll()
        poll.register(channel.fd, select.POLLIN | (select.POLLOUT if channel.backlog else 0))
        task = agent.task
        for descriptor in task.descriptors(backlog=channel.backlog) if task else ():
            poll.register(descriptor, select.POLLIN)
        ended = False
        for descriptor, event in poll.poll(task.timeout_ms() if task else None):
            if descriptor == channel.fd:
                if event & select.POLLHUP:
                    raise FaultError("guest.host_gone", "the host closed the channel")
                if event & select.POLLIN:
                    for message in channel.receive():
                        agent.handle(message)
            elif task is not None and agent.task is task:
                ended = task.readable(descriptor) or ended
        if task is not None and agent.task is task and (task.tick() or ended):
            agent.finish()
        channel.flush()


def _programs() -> capability.Programs:
    """The static map; raises `FaultError` when the gold image was built with another one."""
    with open(f"{_HERE}/capability_map.json", "rb") as ours, open("/opt/cordon/capability_map.json", "rb") as image:  # noqa: PTH123 - pathlib costs 60 ms of boot
        text = ours.read()
        if image.read() != text:
            raise FaultError("guest.map_mismatch", "image and agent disk hold different capability maps")
    groups = {name: int(entry["gid"]) for name, entry in json.loads(text)["capabilities"].items()}
    return capability.Programs(capability.identities(groups), groups, os.stat("/").st_dev)  # noqa: PTH116


def _load(name: str) -> dict[str, Any]:
    with open(f"{_HERE}/{name}", "rb") as file:  # noqa: PTH123 - as above
        found: dict[str, Any] = json.load(file)
        return found


def _last_words(channel: port.Port, code: str, message: str) -> None:
    print(f"cordon-agent: {code}: {message}", file=sys.stderr, flush=True)  # noqa: T201 - the console is the log here
    try:
        channel.send(pb.FromGuest(fault=pb.Fault(code=code, message=message[:2000])))
        channel.flush_for(_LAST_WORDS_S)
    except OSError:
        pass
