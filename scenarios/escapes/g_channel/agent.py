"""A taken-over agent: runs inside the guest agent's own process, with its port, and breaks the channel's protocol.

`port`, `task_id` and `argv` are given. Each attack ends with a forged `Finished`: a host that lets the broken part pass
believes that the command completed.
"""

import os
import select
import struct
import time
import zlib

from executor.channel import channel_pb2 as pb
from executor.channel import frame

HEADER = struct.Struct("<IIII")
UNKNOWN = b"\xc2\x3e"
"""Field 1000, length-delimited: no message of the protocol has it."""


class Line:
    def __init__(self):
        os.set_blocking(port.fd, True)  # noqa: F821 - given
        self.sequence = port._sequence  # noqa: F821 - given

    def write(self, data):
        data = memoryview(data)
        while data:
            data = data[os.write(port.fd, data[: 32 * 1024]) :]  # noqa: F821 - given

    def send(self, body, *, magic=frame.MAGIC, crc=0, ahead=0, length=None, cut=0):
        """One frame, wrong in whatever is asked for."""
        self.sequence += 1
        number = self.sequence + ahead
        right = zlib.crc32(body, zlib.crc32(number.to_bytes(4, "little")))
        whole = HEADER.pack(magic, len(body) if length is None else length, right ^ crc, number) + body
        self.write(whole[: len(whole) - cut])


def message(**body):
    return pb.FromGuest(**body).SerializeToString()


TASK = task_id  # noqa: F821 - given
FINISHED = message(finished=pb.Finished(task_id=TASK, cause=pb.Finished.EXITED, exit_code=0, syscall=-1))


def said(text, task=None):
    return message(output=pb.Output(task_id=task or TASK, stream=1, data=text))


def unknown(size):
    """A field of no known number, `size` bytes long."""
    length = b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return UNKNOWN + length + bytes([size])


def honest(line):
    line.send(said(b"honest\n"))


def bad_magic(line):
    line.send(said(b"x"), magic=frame.MAGIC ^ 1)


def bad_crc(line):
    line.send(said(b"x"), crc=1)


def replayed(line):
    line.send(said(b"once\n"))
    line.sequence -= 1
    line.send(said(b"once\n"))


def future(line):
    line.send(said(b"x"), ahead=7)


def empty(line):
    line.send(b"")


def too_long(line):
    size = frame.MAX_PAYLOAD + 1 - 6
    line.send(unknown(size) + bytes(size))


def truncated(line):
    line.send(unknown(97) + bytes(97), cut=40)
    line.sequence -= 1
    line.send(unknown(21) + bytes(21))  # with its header the forty bytes that are missing


def unknown_message(line):
    line.send(unknown(3) + b"abc")


def undecodable(line):
    line.send(b"\xff" * 24)


def half_frame(line):
    line.send(FINISHED, cut=4)
    time.sleep(1000)


def wrong_state(line):
    line.send(message(pong=pb.Pong(nonce=1)))


def foreign_task(line):
    line.send(said(b"x", "task-of-another"))


def huge_number(line):
    line.send(message(sample=pb.Sample(task_id=TASK, at_ns=2**60)))


def unknown_cause(line):
    finished = bytes.fromhex("1063") + pb.Finished(task_id=TASK).SerializeToString()  # cause = 99
    end(line, b"\x3a" + bytes([len(finished)]) + finished)


def long_text(line):
    line.send(message(sample=pb.Sample(task_id="x" * 100_000, at_ns=1)))


def await_order(line, forged=FINISHED):
    """The forged end, and then what the host asks for next: the workspace's files."""
    line.send(forged)
    select.select([port.fd], [], [], 20)  # noqa: F821 - given
    os.read(port.fd, 65536)  # noqa: F821 - given


def end(line, forged=FINISHED):
    """What a host that believed everything gets: an end, and no files."""
    await_order(line, forged)
    line.send(message(collect_done=pb.CollectDone(files=0)))


def flood(line):
    """Five megabytes in frames that are whole, known and of no use to anybody."""
    filling = unknown(60_000) + bytes(60_000)
    for _ in range(85):
        line.send(message(sample=pb.Sample(task_id=TASK, at_ns=1)) + filling)


time.sleep(0.5)  # `Started` is on its way: what comes with it in one piece would end the task before it began
line = Line()
attack = globals()[argv[0].replace("-", "_")]  # noqa: F821 - given
attack(line)
if attack is not unknown_cause:
    end(line)
time.sleep(1000)
