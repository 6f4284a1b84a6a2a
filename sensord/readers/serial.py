"""Read a serial line: listen, or poll with a command and wait for the answer.

The line is a port of this machine or a terminal server's (``socket://``, ``rfc2217://``). What is
open but silent for longer than its stall time is taken for lost: USB adapters hang in that way, and
so do devices behind a terminal server that lost its serial side. Its rhythm says how long that is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
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
from sensord.readers.rhythm import SHORTEST_S, Rhythm
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


LEAST_UP_S = 1.0
"""A run that was shorter, and in which nothing came, is not followed by another one at once."""

_CHECK = "check cable, baud rate and device"

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
    dtr: bool | None = None
    rts: bool | None = None
    stall: Annotated[Duration, Within(0, 30 * 86_400.0)] | None = None
    poll: Poll | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a port that cannot be, or that has no such lines."""
        if self.rts is not None and self.rtscts:
            yield "rts", "is the flow control's where rtscts = true"
        for key in ("dtr", "rts"):
            if getattr(self, key) is not None and self.port.startswith("socket://"):
                yield key, "socket:// passes bytes alone; the terminal server sets its lines"
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
            dtr=self.dtr,
            rts=self.rts,
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
        self._rhythm = Rhythm(config.stall, time.monotonic())
        self._is_reopened = False
        self._lowers_lines = False

    @property
    def limits(self) -> Limits:
        """How long to wait between attempts: briefly for a port of this machine."""
        return REMOTE if is_remote(self._config.port) else LOCAL

    async def run(self, link: Link) -> None:
        """Open the line and hand on its bytes until it fails.

        Raises:
            DeviceError: The line could not be opened, was lost, or is silent.
        """
        config = self._config
        settings = replace(
            config.settings(), keeps_input=self._is_reopened, lowers_lines=self._lowers_lines
        )
        self._is_reopened = False
        line = await in_thread(f"open:{config.port}", lambda: open_line(settings), _discard)
        session = self._session = _Session(config, line, link, self._rhythm)
        try:
            await session.run()
        finally:
            self._session = None
            session.stop()
            self._is_reopened = session.fell_silent
            # A board that lowered lines reset is reset only if opening again did not help.
            await line.close(gently=session.fell_silent and session.was_heard)
            self._lowers_lines |= line.was_altered

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

    def __init__(self, config: Config, line: Line, link: Link, rhythm: Rhythm) -> None:
        self._config = config
        self._line = line
        self._link = link
        self._ending = Ending()
        self._rhythm = rhythm
        self._began = time.monotonic()
        self._is_missed = False
        self._stall_timer: asyncio.TimerHandle | None = None
        self.was_heard = False
        """Whether anything came."""
        self.fell_silent = False
        """Whether it ended by silence."""
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
        elif self._rhythm.is_judged:
            self._rhythm.opened(self._began)
            self._watch_silence()
        await self._ending.reached()

    def stop(self) -> None:
        self._is_over = True
        if self._stall_timer is not None:
            self._stall_timer.cancel()

    def _data(self, data: bytes) -> None:
        self._rhythm.heard(time.monotonic())
        self.was_heard = True
        self._link.data(data)
        if self._answer is not None and self._answer.feed(data):
            assert self._answered is not None
            self._answer = None
            if not self._answered.done():
                self._answered.set_result(None)

    def _watch_silence(self) -> None:
        """Look when the line would be stalled, instead of moving a timer at every arrival."""
        rhythm, now_s = self._rhythm, time.monotonic()
        if rhythm.silence_s(now_s) >= rhythm.limit_s:
            self._line.look()
            if self._ending.is_reached():
                return
        left_s = rhythm.limit_s - rhythm.silence_s(now_s)
        if left_s <= 0:
            self._fail_silent(now_s)
            return
        if not rhythm.was_ever_heard:
            left_s = min(left_s, self._report_missing(now_s))
        self._stall_timer = asyncio.get_running_loop().call_later(left_s, self._watch_silence)

    def _report_missing(self, now_s: float) -> float:
        """Report once that a line has not spoken at all; return when to look for that again."""
        left_s = self._began + SHORTEST_S - now_s
        if left_s > 0:
            return left_s
        if not self._is_missed:
            self._is_missed = True
            detail = f"{self._config.port}: no byte in {SHORTEST_S:g} s; {_CHECK}"
            self._link.fault("nothing received", detail)
        return SHORTEST_S

    def _fail_silent(self, now_s: float) -> None:
        """End the run; where silence is rare the port is opened again at once."""
        rhythm = self._rhythm
        usual = f"it speaks every {rhythm.period_s:.0f} s; " if rhythm.period_s else ""
        hint = f"{usual}{_CHECK}, or set stall = 0 if it is quiet by nature"
        detail = f"{self._config.port}: no byte in {rhythm.limit_s:g} s; {hint}"
        self.fell_silent = True
        rhythm.fell_silent()
        at_once = self.was_heard or now_s - self._began >= LEAST_UP_S
        self._ending.fail(DeviceError("silent", detail, at_once=at_once))

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
