"""A monitor of everything that keeps account by offset: what came, and what was named as missing.

``python -m tests.kit.account URL FILE`` follows a daemon through whatever happens to it and to the
link. A line on stdin is the offset up to which it shall follow; then it writes the account.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from sensord.model.readings import Metadata
from sensord.wire.frames import MSGPACK
from sensord.wire.ops.subscriptions import read_channel

__all__ = ["EVERYTHING", "Account"]

EVERYTHING = ["#", "$sys/#", "$audit/#"]
"""With everything subscribed a cursor advances by what came, and by gaps."""

AGAIN_S = 0.05

Row = tuple[str, int, str]
"""Topic, time and value of a reading."""


class Account:
    """The account of one monitor."""

    def __init__(self) -> None:
        self.epoch = ""
        self.offset = 0
        """Everything before was received, or named in a gap."""
        self.seen: dict[int, Row] = {}
        self.gaps: list[tuple[int, int]] = []
        self.stop: int | None = None
        """The offset where it ends."""
        self.sessions = 0
        self._channels: dict[int, tuple[str, Metadata]] = {}

    async def follow(self, url: str) -> None:
        """Resume, and keep the account until the connection ends."""
        protocols = [Subprotocol(MSGPACK.subprotocol)]
        try:
            async with connect(f"{url}/v1", subprotocols=protocols, max_size=None) as socket:
                await socket.send(MSGPACK.message({"op": "hello", "id": 1, "client": "trial"}))
                result = MSGPACK.decode(await _bytes(socket.recv()))
                assert isinstance(result, dict)
                assert self.epoch in {"", result["epoch"]}, "the epoch stays"
                self.epoch = result["epoch"]
                self.sessions += 1
                start = {"epoch": self.epoch, "offset": self.offset}
                subscribe = {"op": "subscribe", "id": 2, "topics": EVERYTHING, "from": start}
                await socket.send(MSGPACK.message(subscribe))
                async for payload in socket:
                    assert isinstance(payload, bytes)
                    self._receive(MSGPACK.decode(payload))
                    if self.is_complete:
                        return
        except (ConnectionClosed, InvalidHandshake, EOFError, OSError):
            pass  # killed or cut, at whatever moment

    @property
    def is_complete(self) -> bool:
        """Whether it has got as far as it shall."""
        return self.stop is not None and self.offset >= self.stop

    def _receive(self, message: Any) -> None:
        if isinstance(message, list):
            frame = MSGPACK.read_frame(message, lambda number: self._channels[number][1])
            assert frame.cursor is not None
            first = frame.cursor - len(frame.readings)
            assert first == self.offset, "nothing is missing without a name, nothing comes twice"
            for offset, one in enumerate(frame.readings, first):
                value = one.reading.value
                self.seen[offset] = (self._channels[one.channel][0], one.reported_us, repr(value))
            self.offset = frame.cursor
        elif message["op"] == "channels":
            for fields in message["channels"]:
                channel = read_channel(fields)
                self._channels[channel.number] = (channel.topic, channel.metadata)
        elif message["op"] == "gap":
            assert message["reason"] == "missing", message
            assert message["from"] == self.offset
            self.gaps.append((message["from"], message["to"]))
            self.offset = message["to"]
        else:
            assert message["op"] in {"result", "stream"}, message

    def write(self, path: Path) -> None:
        """Write it into a file."""
        rows = [(offset, *row) for offset, row in self.seen.items()]
        fields = {"epoch": self.epoch, "offset": self.offset, "gaps": self.gaps, "rows": rows}
        path.write_text(json.dumps(fields | {"sessions": self.sessions}))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read one that was written into a file."""
        fields, account = json.loads(path.read_text()), cls()
        account.epoch, account.offset = fields["epoch"], fields["offset"]
        account.sessions = fields["sessions"]
        account.gaps = [(start, stop) for start, stop in fields["gaps"]]
        account.seen = {offset: (topic, us, value) for offset, topic, us, value in fields["rows"]}
        return account


async def _bytes(coming: Any) -> bytes:
    payload = await coming
    assert isinstance(payload, bytes)
    return payload


async def _main(url: str, path: Path) -> None:
    account, ordered = Account(), asyncio.Event()

    def order() -> None:
        account.stop = int(sys.stdin.readline())
        asyncio.get_running_loop().remove_reader(sys.stdin)
        ordered.set()

    asyncio.get_running_loop().add_reader(sys.stdin, order)
    stopping = asyncio.ensure_future(ordered.wait())
    while not account.is_complete:
        following = asyncio.ensure_future(account.follow(url))
        await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not following.done() and account.stop is not None and account.offset >= account.stop:
            following.cancel()
            await asyncio.wait({following})
            break
        await following  # a broken promise ends it
        await asyncio.sleep(AGAIN_S)
    account.write(path)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], Path(sys.argv[2])))
