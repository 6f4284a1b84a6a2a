"""Read a serial line: listen, or send requests and wait for the answers.

The line is a port of this machine or a terminal server's (``socket://``, ``rfc2217://``). What is
open but silent for longer than its stall time is taken for lost: USB adapters hang in that way, and
so do devices behind a terminal server that lost its serial side. The stall time follows from its
rhythm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from sensord.config.across import Place
from sensord.config.placeholders import fill
from sensord.config.schema import Duration, Path, Printable, Within
from sensord.device.backoff import LOCAL, REMOTE, Limits
from sensord.device.reader import Link, Order
from sensord.errors import DeviceError
from sensord.model.readings import Value
from sensord.readers.asker import Asker
from sensord.readers.blocking import Ending, in_thread
from sensord.readers.line import SCHEMES, Line, Parity, Settings, is_remote, open_line
from sensord.readers.requests import HIGHEST_BYTE, Poll, Request, unhex, with_framing
from sensord.readers.rhythm import SHORTEST_S, Rhythm

__all__ = ["Config", "Poll", "Reader", "Request", "Write"]

GREETING_S = 5.0
"""A line that accepts nothing for so long has a flow control that is wrong."""


LEAST_UP_S = 1.0
"""A run that was shorter, and in which nothing came, is not followed by another one at once."""

_CHECK = "check cable, baud rate and device"

ONE_LINE = "of two that read one line each gets a part; make one device of them"


@dataclass(frozen=True, slots=True)
class Config:
    """Options of the reader ``serial``."""

    SCOPED_BY: ClassVar[str] = "requests"

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
    requests: tuple[Request, ...] = ()
    on_open: str = ""
    on_open_hex: str = ""
    on_open_delay: Annotated[Duration, Within(0, 3600)] = 0.0

    def faults(self) -> Iterator[tuple[str | Path, str]]:
        """Yield a port that cannot be, or that has no such lines."""
        yield from self._request_faults()
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

    def _request_faults(self) -> Iterator[tuple[str | Path, str]]:
        if self.poll is not None and self.requests:
            yield "poll", "is one request; write it as one of the requests"
        if self.on_open and self.on_open_hex:
            yield "on_open_hex", "give either on_open or on_open_hex"
        if self.on_open_hex and unhex(self.on_open_hex) is None:
            yield "on_open_hex", 'expected pairs of hexadecimal digits, such as "01 03 00 2a"'
        if any(ord(character) > HIGHEST_BYTE for character in self.on_open):
            yield "on_open", r"each character is one byte, \u0000 to \u00FF"
        if self.on_open_delay and not (self.asked() or self.greeting()):
            yield "on_open_delay", "has nothing to delay: there is no on_open and no request"
        names: set[str] = set()
        for number, request in enumerate(self.requests):
            if request.name and request.name in names:
                yield ("requests", number, "name"), f'another request is called "{request.name}"'
            names.add(request.name)
            for step in request.steps:
                if step.baud is not None and self.port.startswith("socket://"):
                    text = "socket:// passes bytes alone; the terminal server sets the rate"
                    yield ("requests", number), text

    def framing_of_answers(self) -> Mapping[str, object]:
        """Return the device's framing where its answers end with something else than a line."""
        end = None if self.poll is None else self.poll.answer_end
        if not end or end.endswith("\n") or (self.poll is not None and self.poll.answer_bytes):
            return {}
        return {"prompt": end.rpartition("\n")[2]}

    def with_framing(self, table: Mapping[str, object]) -> Config:
        """Return a copy whose answers end as the device's framing does, unless set otherwise."""
        poll = None if self.poll is None else with_framing(self.poll, table)
        requests = tuple(
            replace(
                with_framing(one, table), then=tuple(with_framing(step, table) for step in one.then)
            )
            for one in self.requests
        )
        return replace(self, poll=poll, requests=requests)

    def asked(self) -> tuple[Request, ...]:
        """Return what is asked of the device."""
        return self.requests if self.poll is None else (self.poll.as_request(),)

    def greeting(self) -> bytes:
        """Return what is sent when the line has been opened."""
        return self.on_open.encode("latin-1") or unhex(self.on_open_hex) or b""

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
        self._is_over = False
        self._turn = asyncio.Lock()
        """The sender holds the line until the answer has come, or will not come."""
        self._asker = Asker(line, link, self._ending, config.settings(), self._turn)

    async def run(self) -> None:
        config = self._config
        self._link.opened(f"{config.port} at {config.baud}")
        self._line.start(self._data, self._ending.fail)
        await self._greet()
        if requests := config.asked():
            # Unanswered requests are a better sign than silence, so such a line has no stall time.
            await self._asker.run(requests, is_stream=config.poll is not None)
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
        self._asker.data(data)

    async def _greet(self) -> None:
        """Send what the device needs before it speaks, or before it understands."""
        config = self._config
        if config.on_open_delay:
            await self._ending.wait(timeout_s=config.on_open_delay)
        if greeting := config.greeting():
            try:
                async with self._turn, asyncio.timeout(GREETING_S):
                    await self._line.write(greeting)
                self._link.sent(greeting)
            except TimeoutError:
                self._link.fault("cannot send", f"{config.port}: on_open")

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

    async def write(self, order: Order) -> None:
        """Send a command and keep the line until it is answered."""
        async with self._turn:
            if self._is_over:
                # Its descriptor may be another file's by now.
                raise DeviceError("not connected")
            order.sending()
            try:
                await self._line.write(order.message)
                self._link.sent(order.message)
            except asyncio.CancelledError:
                # Half a command may have gone out, and what is sent next would become its end.
                detail = f"{self._config.port}: a command could not be sent to its end"
                self._ending.fail(DeviceError("cannot send", detail))
                raise
            await order.answered()
