"""Read a serial line: listen, or poll with a command and wait for the answer.

The line is a port of this machine or a terminal server's (``socket://``, ``rfc2217://``). What is
open but silent for longer than its stall time is taken for lost: USB adapters hang in that way, and
so do devices behind a terminal server that lost its serial side.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from sensord.config.across import Place
from sensord.config.placeholders import fill
from sensord.config.schema import Duration, Printable, Within
from sensord.device.backoff import LOCAL, REMOTE, Limits
from sensord.device.reader import Link, Order
from sensord.errors import DeviceError
from sensord.model.readings import Value
from sensord.readers.blocking import Ending, in_thread
from sensord.readers.line import SCHEMES, Line, Parity, Settings, is_remote, open_line
from sensord.readers.ticks import next_tick

__all__ = ["Answer", "Config", "Poll", "Reader", "Write"]

HIGHEST_BYTE = 0xFF


@dataclass(frozen=True, slots=True)
class Poll:
    r"""Ask the device again and again.

    ``command`` is sent as it stands (``"READ?\r\n"``), ``command_hex`` as bytes (``"01 03 2a"``).
    An answer is complete with ``answer_end``, or with ``answer_bytes`` bytes if that is not 0.
    After ``retries_before_reopen`` unanswered polls in a row the line is opened anew; 0: never.
    """

    command: str = ""
    command_hex: str = ""
    interval: Annotated[Duration, Within(0.001, 30 * 86_400.0)] = 1.0
    timeout: Annotated[Duration, Within(0.001, 3600)] = 0.5
    answer_end: str = "\n"
    answer_bytes: Annotated[int, Within(0, 65_536)] = 0
    retries_before_reopen: Annotated[int, Within(0, 1_000_000)] = 5

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if bool(self.command) == bool(self.command_hex):
            yield "", "needs either command or command_hex"
        if not self.command.isascii():
            yield "command", "holds characters that are not ASCII; write it as command_hex"
        for key, text in (("command", self.command), ("answer_end", self.answer_end)):
            if "\\r" in text or "\\n" in text:
                yield key, r'has a backslash in it; write it in double quotes, as in "READ?\r\n"'
        if self.command_hex and _unhex(self.command_hex) is None:
            yield "command_hex", 'expected pairs of hexadecimal digits, such as "01 03 00 2a"'
        if not self.answer_end.isascii() or not (self.answer_end or self.answer_bytes):
            yield "answer_end", "expected ASCII characters, such as a line's end"
        if self.timeout > self.interval:
            yield "timeout", "must be at most the interval: one poll at a time"

    def request(self) -> bytes:
        """Return the bytes to send."""
        return self.command.encode() or _unhex(self.command_hex) or b""


ONE_LINE = "of two that read one line each gets a part; make one device of them"


def _unhex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Config:
    """Options of the reader ``serial``."""

    port: Printable
    baud: Annotated[int, Within(50, 20_000_000)] = 9600
    bytesize: Literal[5, 6, 7, 8] = 8
    parity: Parity = "none"
    stopbits: Literal[1, 2] = 1
    rtscts: bool = False
    xonxoff: bool = False
    exclusive: bool = True
    stall: Annotated[Duration, Within(0, 30 * 86_400.0)] = 60.0
    poll: Poll | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a port that cannot be."""
        if "://" not in self.port:
            if not self.port.startswith("/"):
                yield "port", f'expected a path or a URL, such as "/dev/ttyUSB0", got "{self.port}"'
            return
        scheme = self.port.partition("://")[0]
        if scheme not in SCHEMES:
            listed = ", ".join(f"{one}://" for one in SCHEMES)
            yield "port", f"expected a path or one of {listed}"
        elif is_remote(self.port) and not _has_host_and_port(self.port):
            yield "port", f'expected "{scheme}://host:port"'

    def places(self) -> Iterator[Place]:
        """Yield the line: what two devices read, each gets half of."""
        if "://" not in self.port:
            yield Place("port", self.port, ONE_LINE)
        elif is_remote(self.port):
            scheme, _, rest = self.port.partition("://")
            name = f"{scheme}://{rest.lower()}"
            yield Place("port", name, ONE_LINE, is_shared=scheme == "socket")

    def settings(self) -> Settings:
        """Return what concerns the line alone."""
        return Settings(
            port=self.port,
            baud=self.baud,
            bytesize=self.bytesize,
            parity=self.parity,
            stopbits=self.stopbits,
            rtscts=self.rtscts,
            xonxoff=self.xonxoff,
            exclusive=self.exclusive,
        )


@dataclass(frozen=True, slots=True)
class Write:
    r"""How one command is sent: ``"SET {value:.1f}\r\n"``; each character is one byte."""

    send: str

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what cannot be sent."""
        if not self.send:
            yield "send", "may not be empty"
        if "\\r" in self.send or "\\n" in self.send:
            text = r'has a backslash in it; write it in double quotes, as in "SET {value}\r\n"'
            yield "send", text
        if any(ord(character) > HIGHEST_BYTE for character in self.send):
            yield "send", r"each character is one byte, \u0000 to \u00FF"

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the text with places."""
        yield "send", self.send

    def message(self, values: Mapping[str, Value]) -> bytes:
        """Return the bytes to send."""
        try:
            return fill(self.send, values).encode("latin-1")
        except UnicodeEncodeError as error:
            strange = error.object[error.start]
            raise ValueError(f"{strange!r} cannot be sent to this device") from error


def _has_host_and_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port is not None
    except ValueError:  # a port that is no number, or too large
        return False


class Answer:
    """Tells when the answer to a poll is complete, however its bytes are cut."""

    __slots__ = ("_end", "_size", "_tail", "received")

    def __init__(self, end: bytes, size: int) -> None:
        self._end = end
        self._size = size
        self._tail = b""
        self.received = 0

    def feed(self, data: bytes) -> bool:
        """Take the next bytes and tell whether the answer is complete with them."""
        self.received += len(data)
        if self._size:
            return self.received >= self._size
        found = self._end in self._tail + data
        self._tail = (self._tail + data)[-len(self._end) :]
        return found


class Reader:
    """Reads one serial line."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session: _Session | None = None

    @property
    def limits(self) -> Limits:
        """How long to wait between attempts: briefly for a port of this machine."""
        return REMOTE if is_remote(self._config.port) else LOCAL

    async def run(self, link: Link) -> None:
        """Open the line and hand on its bytes until it fails.

        Raises:
            DeviceError: The line could not be opened, was lost, or is silent.
        """
        config, settings = self._config, self._config.settings()
        line = await in_thread(f"open:{config.port}", lambda: open_line(settings), _discard)
        session = self._session = _Session(config, line, link)
        try:
            await session.run()
        finally:
            self._session = None
            session.stop()
            await line.close()

    async def write(self, order: Order) -> None:
        """Send one command, between two polls if there are any.

        Raises:
            DeviceError: The line is not open, or was lost.
        """
        if self._session is None:
            raise DeviceError("not connected")
        await self._session.write(order)


def _discard(line: Line) -> None:
    line.discard()


class _Session:
    """One run over one open line.

    The clock is `time.monotonic`, which is what both event loops count their timers by; asking it
    costs a fifth of asking uvloop, and it is asked at every arrival.
    """

    def __init__(self, config: Config, line: Line, link: Link) -> None:
        self._config = config
        self._line = line
        self._link = link
        self._ending = Ending()
        self._heard_at = time.monotonic()
        self._stall_timer: asyncio.TimerHandle | None = None
        self._answer: Answer | None = None
        self._answered: asyncio.Future[None] | None = None
        self._is_over = False
        self._turn = asyncio.Lock()
        """Whoever sends has the line for itself until the answer has come, or will not come."""

    async def run(self) -> None:
        config = self._config
        self._link.opened(f"{config.port} at {config.baud}")
        self._line.start(self._data, self._ending.fail)
        if config.poll is not None:
            # Unanswered polls tell more than silence, so a polled line has no stall time.
            await self._poll(config.poll)
        elif config.stall:
            self._watch_silence()
        await self._ending.reached()

    def stop(self) -> None:
        self._is_over = True
        if self._stall_timer is not None:
            self._stall_timer.cancel()

    def _data(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        self._link.data(data)
        if self._answer is not None and self._answer.feed(data):
            assert self._answered is not None
            self._answer = None
            if not self._answered.done():
                self._answered.set_result(None)

    def _watch_silence(self) -> None:
        """Look when the line would be stalled, instead of moving a timer at every arrival."""
        left_s = self._heard_at + self._config.stall - time.monotonic()
        if left_s <= 0:
            hint = "check cable, baud rate and device, or set stall = 0 if it is quiet by nature"
            detail = f"{self._config.port}: no byte in {self._config.stall:g} s; {hint}"
            self._ending.fail(DeviceError("silent", detail))
            return
        loop = asyncio.get_running_loop()
        self._stall_timer = loop.call_later(left_s, self._watch_silence)

    async def _poll(self, poll: Poll) -> None:
        """Ask at every tick, one poll at a time; ends only by raising."""
        request = poll.request()
        unanswered = 0
        due = time.monotonic()
        while True:
            async with self._turn:
                fault = await self._ask(request, poll)
            unanswered = unanswered + 1 if fault else 0
            if fault:
                detail = f"{self._config.port}: waited {poll.timeout:g} s"
                self._link.fault(fault, detail)
                if unanswered == poll.retries_before_reopen:
                    raise DeviceError(fault, f"{detail}, {unanswered} times in a row")
            due, _ = next_tick(due, poll.interval, time.monotonic())
            await self._ending.wait(timeout_s=due - time.monotonic())

    async def write(self, order: Order) -> None:
        """Send a command and keep the line until it is answered."""
        async with self._turn:
            if self._is_over:
                # Its descriptor may be another file's by now.
                raise DeviceError("not connected")
            order.sending()
            try:
                await self._line.write(order.message)
            except asyncio.CancelledError:
                # Half a command may have gone out, and what is sent next would become its end.
                detail = f"{self._config.port}: a command could not be sent to its end"
                self._ending.fail(DeviceError("cannot send", detail))
                raise
            await order.answered()

    async def _ask(self, request: bytes, poll: Poll) -> str:
        """Send one poll and wait for its answer; return what went wrong, or nothing.

        An answer that comes late is handed on like any other bytes. If it comes after the next
        poll was sent it counts as that one's: without the device's protocol nobody can tell.
        """
        self._answered = asyncio.get_running_loop().create_future()
        self._answer = answer = Answer(poll.answer_end.encode(), poll.answer_bytes)
        deadline = time.monotonic() + poll.timeout
        try:
            async with asyncio.timeout(poll.timeout):
                await self._line.write(request)
        except TimeoutError:
            return "cannot send"
        if await self._ending.wait(until=self._answered, timeout_s=deadline - time.monotonic()):
            return ""
        self._answer = None
        return "incomplete answer" if answer.received else "no answer"
