"""Monitors made by hand: they speak `docs/protocol.md` without any of sensord's own code.

`Monitor` reads as fast as it can, through the plain `websockets` client. `LazyMonitor` reads only
when it is asked to, from a socket with a small buffer: that is what a slow client looks like.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

__all__ = ["Closed", "LazyMonitor", "Monitor", "Seen", "Story", "lazy_monitor", "monitor"]

WRAPPED = 1
"""The extension type of a wrapped value: section 5."""


class Closed(Exception):  # noqa: N818  # it is news, not a fault
    """The server ended the connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Seen(NamedTuple):
    """A reading as it arrived."""

    topic: str
    reported_us: int
    value: Any
    level: int = 0
    reason: str = ""
    age_us: int | None = None


@dataclass
class Story:
    """What one request brought, in order."""

    told: list[Any] = field(default_factory=list)
    """Phases as texts, gaps as maps, readings as `Seen`."""
    cursor: int | None = None
    phase: str = ""
    is_ended: bool = False
    end: dict[str, Any] = field(default_factory=dict)
    """The message that ended it."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of summaries and listings."""
    complete_after: int | None = None
    """How many rows had come when they were said to be complete."""

    @property
    def readings(self) -> list[Seen]:
        return [one for one in self.told if isinstance(one, Seen)]

    @property
    def values(self) -> list[Any]:
        return [one.value for one in self.readings]

    @property
    def phases(self) -> list[str]:
        return [one for one in self.told if isinstance(one, str)]

    @property
    def gaps(self) -> list[dict[str, Any]]:
        return [one for one in self.told if isinstance(one, dict)]

    @property
    def lost(self) -> Counter[str]:
        """The readings named in gaps, by topic."""
        total: Counter[str] = Counter()
        for gap in self.gaps:
            total.update(gap["lost"])
        return total


class _Monitor:
    """What both have in common: requests, and what becomes of the server's messages."""

    def __init__(self, encoding: str) -> None:
        self.is_text = encoding == "json"
        self.channels: dict[int, dict[str, Any]] = {}
        self.answers: dict[int | None, dict[str, Any]] = {}
        """Results and errors by the id of their request; the newest where ids come again."""
        self.errors: list[dict[str, Any]] = []
        self._stories: dict[int, Story] = {}
        self._requests: dict[int, int] = {}
        self._ids = itertools.count(1)

    # -- asking ------------------------------------------------------------------------------------

    async def send(self, message: object) -> None:
        """Send any object in the encoding of the subprotocol."""
        packed = json.dumps(message).encode() if self.is_text else msgpack.packb(message)
        await self.send_bytes(packed, is_text=self.is_text)

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Send a request and read on until it is answered, by a result or an error."""
        number = fields.pop("id", None)
        if number is None:
            number = next(self._ids)
        self.answers.pop(number, None)
        await self.send({"op": op, "id": number, **fields})
        await self.until(lambda: number in self.answers)
        return self.answers[number]

    async def hello(self, client: str = "by hand") -> dict[str, Any]:
        answer = await self.ask("hello", client=client)
        assert answer["op"] == "result", answer
        return answer

    async def subscribe(self, *topics: str, start: Any = None, **options: Any) -> Story:
        """Open a subscription; its result has come when this returns."""
        if start is not None:
            options["from"] = start
        return await self.story("subscribe", topics=list(topics), **options)

    async def story(self, op: str, **fields: Any) -> Story:
        """Send a request that opens a stream; its result has come when this returns."""
        answer = await self.ask(op, **fields)
        assert answer["op"] == "result", answer
        return self._stories.setdefault(answer["id"], Story())

    def story_of(self, number: int) -> Story:
        """Return what a request has brought."""
        return self._stories.setdefault(number, Story())

    def number(self, story: Story) -> int:
        """Return the id of the request that opened a story."""
        return next(number for number, known in self._stories.items() if known is story)

    async def live(self, story: Story) -> None:
        """Read until the subscription is at the tail."""
        await self.until(lambda: story.phase == "live")

    async def until(self, condition: Callable[[], object]) -> None:
        """Read until ``condition`` holds.

        Raises:
            Closed: The server ended the connection first.
        """
        while not condition():
            self.take(await self.receive())

    async def closed(self) -> Closed:
        """Read until the server ends the connection; say how."""
        try:
            while True:
                self.take(await self.receive())
        except Closed as closed:
            return closed

    # -- what comes back ---------------------------------------------------------------------------

    def take(self, payload: bytes) -> None:
        """Take one message of the server."""
        message = json.loads(payload) if self.is_text else msgpack.unpackb(payload)
        if isinstance(message, list):
            self._frame(*message)
            return
        match message["op"]:
            case "channels":
                for told in message["channels"]:
                    # A number never changes its meaning.
                    assert self.channels.setdefault(told["channel"], told) == told
            case "result" | "error":
                self.answers[message["id"]] = message
                if message["op"] == "error":
                    self.errors.append(message)
                if "stream" in message:
                    self._requests[message["stream"]] = message["id"]
                    self._stories[message["id"]] = Story()
            case "stream":
                story = self._stories[message["id"]]
                self._requests[message["stream"]] = message["id"]
                story.phase = message["phase"]
                story.told.append(message["phase"])
                self._reach(story, message["cursor"])
            case "gap":
                story = self._stories[message["id"]]
                story.told.append(message)
                self._reach(story, message["to"])
            case "summary" | "rows":
                story = self._stories.setdefault(message["id"], Story())
                story.rows += message["rows"]
                story.cursor = message.get("cursor") or story.cursor
            case "complete":
                story = self._stories.setdefault(message["id"], Story())
                story.complete_after = len(story.rows)
            case "end":
                story = self._stories.setdefault(message["id"], Story())
                story.is_ended, story.end = True, message
            case other:
                raise AssertionError(f"there is no op {other}")

    def _frame(self, stream: int, cursor: int | None, reported_us: int, flat: list[Any]) -> None:
        story = self._stories[self._requests[stream]]
        for number, dt, raw in zip(*[iter(flat)] * 3, strict=True):
            reported_us += dt
            channel = self.channels[number]
            story.told.append(Seen(channel["topic"], reported_us, *self._value(channel, raw)))
        self._reach(story, cursor)

    def _reach(self, story: Story, cursor: int | None) -> None:
        if cursor is not None:
            assert cursor >= (story.cursor or 0), "a cursor went back"
            story.cursor = cursor

    def _value(self, channel: dict[str, Any], raw: Any) -> tuple[Any, ...]:
        if isinstance(raw, msgpack.ExtType):
            assert raw.code == WRAPPED
            level, reason, value, *age = msgpack.unpackb(raw.data)
            return (value, level, reason, *age)
        if isinstance(raw, dict) and self.is_text:
            if "j" in raw:
                return (raw["j"],)
            return (raw.get("v"), raw.get("q", 0), raw.get("r", ""), raw.get("age"))
        is_scaled = type(raw) is int and not self.is_text
        if is_scaled and channel.get("type", "float") == "float":
            return (raw / 10 ** channel.get("decimals", 0),)
        return (raw,)

    # -- the socket --------------------------------------------------------------------------------

    async def send_bytes(self, payload: bytes, *, is_text: bool) -> None:
        """Send one message of any content."""
        raise NotImplementedError

    async def receive(self) -> bytes:
        """Wait for one message.

        Raises:
            Closed: The server ended the connection.
        """
        raise NotImplementedError


class Monitor(_Monitor):
    """Reads as fast as it can."""

    def __init__(self, encoding: str, connection: ClientConnection) -> None:
        super().__init__(encoding)
        self.connection = connection

    async def send_bytes(self, payload: bytes, *, is_text: bool) -> None:
        await self.connection.send(payload, text=is_text)

    async def receive(self) -> bytes:
        try:
            return await self.connection.recv(decode=False)
        except ConnectionClosed as exc:
            close = exc.rcvd
            raise Closed(close.code if close else 1006, close.reason if close else "") from exc


@asynccontextmanager
async def monitor(
    url: str, encoding: str = "msgpack", *, says_hello: bool = True
) -> AsyncIterator[Monitor]:
    """Connect; say hello, unless that is not wanted."""
    async with connect(
        url,
        subprotocols=[Subprotocol(f"sensord.v1.{encoding}")],
        compression=None,
        max_size=None,
        proxy=None,
    ) as connection:
        connected = Monitor(encoding, connection)
        if says_hello:
            await connected.hello()
        yield connected


class LazyMonitor(_Monitor):
    """Reads only when it is asked to; between, the server's bytes pile up at the server."""

    def __init__(self, encoding: str, receive_buffer_bytes: int) -> None:
        super().__init__(encoding)
        self._socket = socket.socket()
        self._socket.setblocking(False)
        # Before connecting: the window that the kernel announces comes from it.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._arrived: deque[bytes] = deque()
        self._parts: list[bytes] = []
        self._ws: ClientProtocol | None = None

    async def connect(self, url: str) -> Self:
        uri = parse_uri(url)
        encoding = "json" if self.is_text else "msgpack"
        self._ws = ClientProtocol(
            uri, subprotocols=[Subprotocol(f"sensord.v1.{encoding}")], max_size=None
        )
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, (uri.host, uri.port))
        self._ws.send_request(self._ws.connect())
        await self._flush()
        while self._ws.state.name == "CONNECTING":
            await self._read()
        return self

    def close(self) -> None:
        """Cut the connection."""
        self._socket.close()

    async def send_bytes(self, payload: bytes, *, is_text: bool) -> None:
        assert self._ws is not None
        (self._ws.send_text if is_text else self._ws.send_binary)(payload)
        await self._flush()

    async def receive(self) -> bytes:
        while not self._arrived:
            await self._read()
        return self._arrived.popleft()

    async def read_some(self, size: int) -> bool:
        """Take at most ``size`` bytes off the socket; tell whether there were any."""
        try:
            data = self._socket.recv(size)
        except BlockingIOError:
            return False
        await self._handle(data)
        while self._arrived:
            self.take(self._arrived.popleft())
        return True

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            data = await loop.sock_recv(self._socket, 65_536)
        except ConnectionError:
            data = b""
        await self._handle(data)

    async def _handle(self, data: bytes) -> None:
        assert self._ws is not None
        if data:
            self._ws.receive_data(data)
        else:
            self._ws.receive_eof()
        for event in self._ws.events_received():
            if isinstance(event, Response):
                assert event.status_code == 101, event
            elif isinstance(event, Frame):
                self._frame_arrived(event)
        if not data or self._ws.close_rcvd is not None:
            close = self._ws.close_rcvd
            raise Closed(close.code if close else 1006, close.reason if close else "")
        await self._flush()

    def _frame_arrived(self, frame: Frame) -> None:
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            self._parts.append(bytes(frame.data))
            if frame.fin:
                self._arrived.append(b"".join(self._parts))
                self._parts.clear()

    async def _flush(self) -> None:
        assert self._ws is not None
        for data in self._ws.data_to_send():
            if data:
                await asyncio.get_running_loop().sock_sendall(self._socket, data)


@asynccontextmanager
async def lazy_monitor(
    url: str, encoding: str = "msgpack", *, receive_buffer_bytes: int = 4096
) -> AsyncIterator[LazyMonitor]:
    """Connect and say hello."""
    connected = LazyMonitor(encoding, receive_buffer_bytes)
    try:
        await connected.connect(url)
        await connected.hello("lazy")
        yield connected
    finally:
        connected.close()
