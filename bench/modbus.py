"""Modbus: answers on a bad line, and what a dead unit costs the others.

Answers are found among stray bytes, echoes and late answers of others, ten thousand of each, beside
pymodbus's framer on the same bytes. Eight units at 9600 baud are read before and after one of them
dies, through a pseudo-terminal that is paced like the line.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import uvloop
from pymodbus import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from bench.report import Options, Report, main
from sensord.readers.modbus import Config, Reader
from sensord.readers.modbus.options import Register, Unit
from sensord.readers.modbus.requests import Request, Table, read
from sensord.readers.modbus.rtu import RtuAnswer, crc, frame
from tests.kit.link import RecordingLink
from tests.kit.modbus import ModbusLine, Slave
from tests.kit.running import running

__all__ = ["measure"]

UNITS = 8
DEAD = 3


class Heard(NamedTuple):
    """A request, what is heard after it, in the pieces that it comes in, and the right data."""

    request: Request
    pieces: list[bytes]
    data: bytes


def answer_to(request: Request, data: bytes) -> bytes:
    """Return the frame in which a unit answers a read."""
    body = bytes([request.unit, request.function, len(data)]) + data
    return body + crc(body)


def asked(chance: random.Random) -> tuple[Request, bytes]:
    """Return a request and what its unit holds."""
    table = chance.choice([Table.HOLDING, Table.INPUT])
    count = chance.randint(1, 40)
    request = read(chance.randint(1, 247), table, chance.randrange(0x10000 - count), count)
    return request, chance.randbytes(2 * count)


def stray(chance: random.Random) -> bytes:
    """Return 1 to 8 bytes of noise."""
    return chance.randbytes(chance.randint(1, 8))


def behind_noise(chance: random.Random) -> Heard:
    """Noise comes right before the answer."""
    request, data = asked(chance)
    return Heard(request, [stray(chance) + answer_to(request, data)], data)


def noise_in_the_gap(chance: random.Random) -> Heard:
    """Noise comes in the silence between request and answer, at a time of its own."""
    request, data = asked(chance)
    return Heard(request, [stray(chance), stray(chance), answer_to(request, data)], data)


def behind_an_echo(chance: random.Random) -> Heard:
    """The adapter hears what it sends, and noise after it."""
    request, data = asked(chance)
    return Heard(request, [frame(request), stray(chance) + answer_to(request, data)], data)


def behind_another(chance: random.Random) -> Heard:
    """The late answer of another unit, or of another function, comes first."""
    request, data = asked(chance)
    other, others = asked(chance)
    if other.unit == request.unit:
        other = Request(other.unit % 247 + 1, other.function, other.body, other.size)
    if chance.random() < 0.5:
        function = 7 - request.function
        other = Request(request.unit, function, request.body, request.size)
        others = chance.randbytes(request.size)
    return Heard(request, [answer_to(other, others), answer_to(request, data)], data)


KINDS: dict[str, Callable[[random.Random], Heard]] = {
    "1 to 8 stray bytes before the answer": behind_noise,
    "stray bytes in the gap": noise_in_the_gap,
    "echo, then stray bytes": behind_an_echo,
    "late answer of another unit or function": behind_another,
}


def ours(heard: Heard) -> bytes | None:
    """Return what sensord finds."""
    answer = RtuAnswer(heard.request)
    for piece in heard.pieces:
        reply = answer.feed(piece)
        if reply is not None:
            return reply.data
    return None


def theirs(heard: Heard) -> bytes | None:
    """Return what pymodbus's framer finds, fed as its client feeds it."""
    framer = FramerRTU(DecodePDU(is_server=False))
    held = b""
    for piece in heard.pieces:
        held += piece
        try:
            used, pdu = framer.handleFrame(held, heard.request.unit, 0)
        except (ModbusException, IndexError, ValueError):
            return None
        held = held[used:]
        if pdu is not None:
            if pdu.function_code != heard.request.function:
                return b""  # the client gets it, and it is another one's
            return b"".join(word.to_bytes(2, "big") for word in pdu.registers)
    return None


def compared(kind: Callable[[random.Random], Heard], count: int) -> tuple[int, int, int, int]:
    """Return how many answers each did not find, and how many of its findings are wrong."""
    chance = random.Random(1)
    lost = [0, 0]
    wrong = [0, 0]
    for _ in range(count):
        heard = kind(chance)
        for who, find in enumerate((ours, theirs)):
            data = find(heard)
            lost[who] += data != heard.data
            wrong[who] += data is not None and data != heard.data
    return lost[0], lost[1], wrong[0], wrong[1]


async def rates(seconds: float) -> tuple[float, float, float]:
    """Return the requests a second to the living units before, right after and long after."""
    registers = {f"r{at}": Register(at) for at in range(20)}
    units = {f"u{n}": Unit(n, registers, interval=0.01, timeout=0.3) for n in range(1, UNITS + 1)}
    slaves = {n: Slave({at: at for at in range(20)}) for n in range(1, UNITS + 1)}
    others = [slave for number, slave in slaves.items() if number != DEAD]

    async def rate(link: RecordingLink) -> float:
        before, began = sum(len(one.asked) for one in others), time.monotonic()
        await asyncio.sleep(seconds)
        link.batches.clear()
        link.routes.clear()
        return (sum(len(one.asked) for one in others) - before) / (time.monotonic() - began)

    with (
        tempfile.TemporaryDirectory() as folder,
        ModbusLine(Path(folder) / "tty", slaves, baud=9600) as line,
    ):
        async with running(Reader(Config(units, port=str(line.path)))) as link:
            await link.until(lambda link: len(link.batches) > UNITS)
            before = await rate(link)
            slaves[DEAD].is_dead = True
            at_once = await rate(link)
            later = await rate(link)
    return before, at_once, later


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--count", type=int, help="answers of each kind; default 10000, brief 500")
    parser.add_argument("--seconds", type=float, help="of each rate; default 15, brief 1")


def measure(report: Report, options: Options) -> None:
    """Measure all of it."""
    count = options.more.count or (500 if options.brief else 10_000)
    for name, kind in KINDS.items():
        lost, their_lost, wrong, their_wrong = compared(kind, count)
        note = f"of {count:,}"
        report.add(
            f"{name}: not found",
            lost,
            "answers",
            goal=count // 1000,
            peer="pymodbus",
            peer_value=their_lost,
            note=note,
        )
        report.add(
            f"{name}: wrong",
            wrong,
            "answers",
            goal=0,
            peer="pymodbus",
            peer_value=their_wrong,
            note=note,
        )
    seconds = options.more.seconds or (1 if options.brief else 15)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before, at_once, later = runner.run(rates(seconds))
    where = f"seven of {UNITS} units at 9600 baud"
    report.add(f"{where}: all alive", before, "requests/s")
    for name, value in (("right after one died", at_once), ("later", later)):
        lost_share = max(0.0, 100 * (1 - value / before))
        report.add(f"{where}: {name}", value, "requests/s")
        report.add(f"{where}: {name}, lost", lost_share, "%", goal=5)


if __name__ == "__main__":
    sys.exit(main("modbus", str(__doc__).splitlines()[0], measure, configure))
