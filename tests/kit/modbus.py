"""Modbus units at the other end of a line or a connection, with the faults of real ones."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from sensord.readers.modbus.rtu import crc
from tests.kit.fakeport import FakePort

__all__ = ["Cable", "ModbusLine", "ModbusServer", "Slave"]

READ_BITS = (1, 2)
READ_WORDS = (3, 4)
READ_BYTES = 8
"""Of a request that reads, and of one that writes one thing, on a line."""


@dataclass
class Slave:
    """One unit: words and bits by their address; what has none is refused."""

    words: dict[int, int] = field(default_factory=dict)
    bits: dict[int, bool] = field(default_factory=dict)
    is_dead: bool = False
    busy: int = 0
    """How many requests it refuses as busy."""
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    """Function, address and count of each request that reads."""

    def answer(self, pdu: bytes) -> bytes | None:
        """Return the answer to a request, from its function on; None if there is none."""
        if self.is_dead:
            return None
        if self.busy:
            self.busy -= 1
            return bytes([pdu[0] | 0x80, 6])
        function, address, count = struct.unpack_from(">BHH", pdu)
        if function in READ_WORDS + READ_BITS:
            self.asked.append((function, address, count))
            return self._read(function, address, count)
        if function == 5:
            self.bits[address] = count == 0xFF00
            return pdu
        if address not in self.words:
            return bytes([function | 0x80, 2])
        if function == 6:
            self.words[address] = count
            return pdu
        for number in range(count):
            self.words[address + number] = struct.unpack_from(">H", pdu, 6 + 2 * number)[0]
        return pdu[:5]

    def _read(self, function: int, address: int, count: int) -> bytes:
        places = range(address, address + count)
        memory: dict[int, int] | dict[int, bool]
        memory = self.words if function in READ_WORDS else self.bits
        if any(place not in memory for place in places):
            return bytes([function | 0x80, 2])
        if function in READ_WORDS:
            data = struct.pack(f">{count}H", *(self.words[place] for place in places))
        else:
            packed = sum(self.bits[place] << number for number, place in enumerate(places))
            data = packed.to_bytes((count + 7) // 8, "little")
        return bytes([function, len(data)]) + data


Deliver = Callable[[bytes], None]


class ModbusLine(FakePort):
    """Several units on one serial line.

    ``deliver`` may be replaced: it gets each answer as a frame, and sends what a bad line makes of
    it. With ``echoes`` the gateway hears itself.
    """

    def __init__(self, path: Path, slaves: dict[int, Slave], *, baud: int | None = None) -> None:
        super().__init__(path)
        self.slaves = slaves
        self.echoes = False
        self.deliver: Deliver = self.send
        self._baud = baud
        self._got = b""

    def __enter__(self) -> Self:
        super().__enter__()
        self.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._master is not None:
            self.unplug()
        super().__exit__(kind, error, trace)

    def close(self) -> None:
        """Take the port away after the loop has ended."""
        super().__exit__(None, None, None)

    def listen(self) -> None:
        """Begin to listen: after each plug."""
        assert self._master is not None
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def unplug(self) -> None:
        assert self._master is not None
        with suppress(RuntimeError):  # the loop has ended
            asyncio.get_running_loop().remove_reader(self._master)
        super().unplug()

    def send(self, data: bytes) -> None:
        """Send bytes to the gateway, if it is still there."""
        if self._master is not None:
            self.feed(data, chunk=len(data) or 1)

    def _readable(self) -> None:
        assert self._master is not None
        with suppress(OSError):  # nobody has it open
            self._got += os.read(self._master, 4096)
        while (size := self._size()) and len(self._got) >= size:
            frame, self._got = self._got[:size], self._got[size:]
            assert crc(frame[:-2]) == frame[-2:], "the master sends whole frames"
            if self.echoes:
                self.send(frame)
            slave = self.slaves.get(frame[0])
            answer = None if slave is None else slave.answer(frame[1:-2])
            if answer is not None:
                body = frame[:1] + answer
                whole = body + crc(body)
                delay_s = (len(frame) + len(whole)) * 10 / self._baud if self._baud else 0.0
                asyncio.get_running_loop().call_later(delay_s, self._say, whole)

    def _say(self, whole: bytes) -> None:
        self.deliver(whole)

    def _size(self) -> int:
        if len(self._got) < READ_BYTES:
            return 0
        return 9 + self._got[6] if self._got[1] == 16 else READ_BYTES


class ModbusServer:
    """Several units behind a TCP port; ``delays`` has each unit's time to answer.

    With ``is_rtu`` it passes frames as a converter does that knows nothing of Modbus TCP.
    """

    def __init__(self, slaves: dict[int, Slave], *, is_rtu: bool = False) -> None:
        self.slaves = slaves
        self.delays: dict[int, float] = {}
        self.connections = 0
        self.port = 0
        self._is_rtu = is_rtu
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        """Listen, on a free port unless one is given."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and cut all connections."""
        self._server.close()
        tasks = list(self._open.values())
        for writer in self._open:
            writer.transport.abort()
        if tasks:
            await asyncio.wait(tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open[writer] = task
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await (self._one_rtu if self._is_rtu else self._one)(reader, writer)
        del self._open[writer]
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(7)
        number, _, length, unit = struct.unpack(">HHHB", head)
        pdu = await reader.readexactly(length - 1)
        slave = self.slaves.get(unit)
        answer = None if slave is None else slave.answer(pdu)
        if answer is not None:
            whole = struct.pack(">HHHB", number, 0, len(answer) + 1, unit) + answer
            delay_s = self.delays.get(unit, 0.0)
            asyncio.get_running_loop().call_later(delay_s, writer.write, whole)

    async def _one_rtu(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frame = await reader.readexactly(READ_BYTES)
        slave = self.slaves.get(frame[0])
        answer = None if slave is None else slave.answer(frame[1:-2])
        if answer is not None:
            body = frame[:1] + answer
            writer.write(body + crc(body))


class Cable:
    """Joins two ports: what goes into one comes out of the other."""

    def __init__(self, one: FakePort, other: FakePort) -> None:
        self._ends = (one, other)

    def __enter__(self) -> Self:
        for source, target in (self._ends, self._ends[::-1]):
            assert source._master is not None
            asyncio.get_running_loop().add_reader(source._master, self._carry, source, target)
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            assert end._master is not None
            asyncio.get_running_loop().remove_reader(end._master)

    @staticmethod
    def _carry(source: FakePort, target: FakePort) -> None:
        assert source._master is not None
        with suppress(OSError):  # nobody has it open
            data = os.read(source._master, 4096)
            target.feed(data, chunk=len(data))
