"""Read Modbus units over a serial line (RTU), RTU over TCP, or TCP.

Theory of operation. One request is in transit at a time. `Turns` decides whose turn it is; the
answer is searched in the input with the request as a guide. A unit that does not answer costs its
time-out a few times and is then only probed; the connection stays. Only when no unit answers any
more is the line suspected, and opened again.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from sensord.decode.base import Sample, excerpt
from sensord.device.backoff import LOCAL, REMOTE, Limits
from sensord.device.reader import Link, Order, Route
from sensord.errors import DeviceError
from sensord.readers.blocking import Ending, in_thread
from sensord.readers.line import Line, is_remote, open_line
from sensord.readers.modbus import rtu, tcp
from sensord.readers.modbus.groups import Block, parts
from sensord.readers.modbus.options import Config, Setting, UnitPlan
from sensord.readers.modbus.requests import Reply, Request, exception_name, read
from sensord.readers.modbus.scales import Scales
from sensord.readers.modbus.turns import Job, Turns
from sensord.readers.modbus.values import decode

__all__ = ["Reader"]

NO_ANSWER = "no answer"
GARBLED = "garbled answer"

ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3

SILENT_GAP_CHARACTERS = 3.5
LEAST_GAP_S = 0.00175
"""Between two frames. Source: MODBUS over Serial Line V1.02, section 2.5.1.1."""

_CHECK = "check unit number, baud rate, parity, wiring (A and B swapped?) and termination"


class _UnansweredError(Exception):
    """A request without an answer; the text is for people."""

    def __init__(self, reason: str, detail: str, cost_s: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail
        self.cost_s = cost_s


class Reader:
    """Reads the units of one connection."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._units = config.plans()
        self._blocks = {name: list(unit.blocks) for name, unit in self._units.items()}
        """As the units accept them: what one refused stays split."""
        self._session: _Session | None = None

    @property
    def limits(self) -> Limits:
        """How long to wait between attempts: briefly for a port of this machine."""
        return REMOTE if is_remote(self._config.where) else LOCAL

    async def run(self, link: Link) -> None:
        """Open the connection and read the units until it fails.

        Raises:
            DeviceError: The connection could not be opened, was lost, or no unit answers.
        """
        settings = self._config.settings()
        line = await in_thread(f"open:{settings.port}", lambda: open_line(settings), _discard)
        session = self._session = _Session(self._config, self._units, self._blocks, line, link)
        try:
            await session.run()
        finally:
            self._session = None
            session.is_over = True
            await line.close()

    async def write(self, order: Order) -> None:
        """Write a register between two requests, and read it back.

        Raises:
            DeviceError: The connection is not open, or the unit did not answer.
        """
        if self._session is None:
            raise DeviceError("not connected")
        await self._session.write(order)


def _discard(line: Line) -> None:
    line.discard()


class _Session:
    """One run over one open connection."""

    def __init__(
        self,
        config: Config,
        units: dict[str, UnitPlan],
        blocks: dict[str, list[Block]],
        line: Line,
        link: Link,
    ) -> None:
        self._config = config
        self._units = units
        self._blocks = blocks
        self._scales = {name: Scales(unit.scales) for name, unit in units.items()}
        self._link = link
        self._ending = Ending()
        self._turns = Turns(blocks, time.monotonic())
        self._turn = asyncio.Lock()
        """The sender holds it until the answer has come, or will not come."""
        self._wire: _RtuWire | _TcpWire
        self._wire = (_RtuWire if config.is_rtu else _TcpWire)(config, line, self._ending, link)
        self._line = line
        self._is_opened = False
        self._here: set[str] = set()
        """Units that have answered in this run."""
        self.is_over = False

    async def run(self) -> None:
        for device, name, metadata in self._config.described():
            self._link.describe(name, metadata, device=device)
        self._line.start(self._wire.data, self._ending.fail)
        while True:
            job = self._turns.next(time.monotonic())
            if isinstance(job, float):
                await self._ending.wait(timeout_s=max(0.0, job - time.monotonic()))
                continue
            async with self._turn:
                await self._read(job)

    async def _read(self, job: Job) -> None:
        """Read one block, and pass on what it holds."""
        unit = self._units[job.unit]
        request = read(unit.number, job.block.table, job.block.address, job.block.count)
        try:
            reply = await self._wire.ask(request, unit)
        except _UnansweredError as failure:
            self._failed(job, failure)
            return
        if not self._is_opened:
            self._is_opened = True
            self._link.opened(self._config.where)
        if self._turns.answered(job, time.monotonic()) or unit.name not in self._here:
            self._here.add(unit.name)
            self._link.availability(unit.name, is_there=True)
        if reply.exception:
            self._refused(job, reply.exception)
        else:
            self._pass_on(unit, job.block, reply)

    def _pass_on(self, unit: UnitPlan, block: Block, reply: Reply) -> None:
        samples = []
        for item in block.items:
            value, quality = decode(unit.forms[item.name], block.data_of(item, reply.data))
            samples.append(Sample(item.name, value, quality))
        self._link.samples(self._scales[unit.name].applied(samples), _route(unit))

    def _failed(self, job: Job, failure: _UnansweredError) -> None:
        unit = self._units[job.unit]
        now = time.monotonic()
        late_s = unit.timeout if self._config.is_rtu else 0.0
        detail = f"{unit.name} (unit {unit.number}, {job.block}): {failure.detail}"
        self._link.fault(failure.reason, detail, device=unit.name)
        if self._turns.unanswered(job, now, failure.cost_s, late_s=late_s):
            self._link.availability(unit.name, is_there=False)
        if self._turns.are_all_silent:
            raise DeviceError(failure.reason, f"{detail}; no unit answers; {_CHECK}")

    def _refused(self, job: Job, code: int) -> None:
        unit = self._units[job.unit]
        name, hint = exception_name(code)
        smaller = parts(job.block) if code in {ILLEGAL_ADDRESS, ILLEGAL_VALUE} else []
        if smaller:
            hint = "it is read in smaller requests from now on; declare what is readable"
            own = self._blocks[unit.name]
            own[:] = [block for block in own if block != job.block] + smaller
            self._turns.replace(job, smaller, time.monotonic())
        detail = f"{unit.name} (unit {unit.number}, {job.block}): {hint}"
        self._link.fault(name, detail, device=unit.name)

    async def write(self, order: Order) -> None:
        """Carry out a command, and show what the register holds then."""
        setting = order.message
        assert isinstance(setting, Setting)
        unit = self._units[setting.unit]
        async with self._turn:
            if self.is_over:
                raise DeviceError("not connected")
            spared_s = self._turns.spared_until(unit.name) - time.monotonic()
            if spared_s > 0:
                await self._ending.wait(timeout_s=spared_s)
            order.sending()
            try:
                reply = await self._wire.ask(setting.request, unit)
                if reply.exception:
                    name, hint = exception_name(reply.exception)
                    order.refused(f"{name}: {hint}")
                    return
                await self._read_back(unit, setting)
            except _UnansweredError as failure:
                raise DeviceError(failure.reason, f"{unit.name}: {failure.detail}") from failure
        await order.answered()

    async def _read_back(self, unit: UnitPlan, setting: Setting) -> None:
        item = unit.items[setting.field]
        block = Block(item.table, item.address, item.count, item.interval, (item,))
        reply = await self._wire.ask(read(unit.number, item.table, item.address, item.count), unit)
        if not reply.exception:
            self._pass_on(unit, block, reply)


def _route(unit: UnitPlan) -> Route:
    return Route(unit.name, depends_on=(unit.name,), device=unit.name)


@dataclass(slots=True)
class _Pending:
    """A request on its way over a line."""

    answer: rtu.RtuAnswer
    replied: asyncio.Future[Reply]


class _RtuWire:
    """Requests over a line whose frames have a CRC."""

    def __init__(self, config: Config, line: Line, ending: Ending, link: Link) -> None:
        self._line = line
        self._ending = ending
        self._link = link
        bits = 1 + 8 + (config.parity != "none") + config.stopbits
        self._character_s = bits / config.baud
        self._gap_s = max(LEAST_GAP_S, SILENT_GAP_CHARACTERS * self._character_s, config.pause)
        self._echoes = False
        self._pending: _Pending | None = None
        self._late: tuple[str, rtu.RtuAnswer] | None = None
        self._was_late = False
        self._last_at = 0.0

    def data(self, data: bytes) -> None:
        """Look for the answer in what came."""
        self._last_at = time.monotonic()
        self._link.received(data)
        if self._late is not None and self._late[1].feed(data) is not None:
            name = self._late[0]
            self._late, self._was_late = None, True
            detail = f"{name}: came after its timeout; raise timeout"
            self._link.fault("late answer", detail, device=name)
        pending = self._pending
        if pending is None or pending.replied.done():
            return
        reply = pending.answer.feed(data)
        if reply is not None:
            pending.replied.set_result(reply)

    async def ask(self, request: Request, unit: UnitPlan) -> Reply:
        """Send a request and wait for its answer.

        Raises:
            _UnansweredError: None came, or one through which nothing can be understood.
        """
        if self._late is not None and self._late[0] == unit.name:
            self._late = None
        while (left_s := self._last_at + self._gap_s - time.monotonic()) > 0:
            await self._ending.wait(timeout_s=left_s)
        began = time.monotonic()
        message = rtu.frame(request)
        answer = rtu.RtuAnswer(request, echoes=self._echoes)
        characters = 2 * len(message) + answer.most_bytes
        replied: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending = _Pending(answer, replied)
        self._was_late = False
        try:
            timeout_s = unit.timeout + characters * self._character_s
            self._link.sent(message, unit.name)
            reply = await _exchanged(self._line, message, replied, self._ending, timeout_s)
        finally:
            self._pending = None
        cost_s = time.monotonic() - began
        if reply is None:
            self._late = (unit.name, rtu.RtuAnswer(request, echoes=self._echoes))
            raise _missed(answer, unit.timeout, cost_s)
        if request.size:
            self._echoes = answer.was_echoed
        if answer.stray and not self._was_late:
            detail = f"{unit.name}: {len(answer.stray)} before its answer: {_hex(answer.stray)}"
            detail += "; check termination and biasing"
            self._link.fault("stray bytes", detail, device=unit.name)
        return _of_unit(reply, cost_s)


class _TcpWire:
    """Requests over a connection whose frames are numbered."""

    def __init__(self, config: Config, line: Line, ending: Ending, link: Link) -> None:
        self._where = config.where
        self._pause_s = config.pause
        self._line = line
        self._ending = ending
        self._link = link
        self._stream = tcp.TcpStream()
        self._number = 0
        self._answer: tcp.TcpAnswer | None = None
        self._replied: asyncio.Future[Reply] | None = None

    def data(self, data: bytes) -> None:
        """Look for the answer in what came."""
        self._link.received(data)
        for number, unit, pdu in self._stream.feed(data):
            if self._answer is None or self._replied is None or self._replied.done():
                continue
            reply = self._answer.reply(number, unit, pdu)
            if reply is not None:
                self._replied.set_result(reply)
        if self._stream.is_lost:
            detail = f"{self._where}: what came is not Modbus TCP; is it RTU over TCP?"
            raise DeviceError("not Modbus TCP", detail)

    async def ask(self, request: Request, unit: UnitPlan) -> Reply:
        """Send a request and wait for its answer.

        Raises:
            _UnansweredError: None came.
        """
        if self._pause_s:
            await self._ending.wait(timeout_s=self._pause_s)
        began = time.monotonic()
        self._number = self._number % 0xFFFF + 1
        answer = self._answer = tcp.TcpAnswer(request, self._number)
        replied: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replied = replied
        message = tcp.frame(request, self._number)
        self._link.sent(message, unit.name)
        reply = await _exchanged(self._line, message, replied, self._ending, unit.timeout)
        cost_s = time.monotonic() - began
        if reply is None:
            reason = GARBLED if answer.strange else NO_ANSWER
            raise _UnansweredError(reason, f"waited {unit.timeout:g} s", cost_s)
        return _of_unit(reply, cost_s)


async def _exchanged(
    line: Line, message: bytes, replied: asyncio.Future[Reply], ending: Ending, timeout_s: float
) -> Reply | None:
    """Send a message and wait for its reply; return None if none comes in time."""
    deadline = time.monotonic() + timeout_s
    try:
        async with asyncio.timeout(timeout_s):
            await line.write(message)
    except TimeoutError:
        return None
    left_s = max(0.0, deadline - time.monotonic())
    is_there = await ending.wait(until=replied, timeout_s=left_s)
    return replied.result() if is_there else None


def _of_unit(reply: Reply, cost_s: float) -> Reply:
    """Return a reply of the unit itself, and not of a gateway that does not reach it."""
    if reply.is_of_unit:
        return reply
    name, hint = exception_name(reply.exception)
    raise _UnansweredError(name, hint, cost_s)


def _missed(answer: rtu.RtuAnswer, waited_s: float, cost_s: float) -> _UnansweredError:
    if answer.stray:
        detail = f"no frame in {len(answer.stray)} bytes: {_hex(answer.stray)}"
        return _UnansweredError(GARBLED, detail, cost_s)
    heard = ", only the request came back" if answer.was_echoed else ""
    return _UnansweredError(NO_ANSWER, f"waited {waited_s:g} s{heard}", cost_s)


def _hex(data: bytes) -> str:
    return excerpt(data)[:24].hex(" ")
