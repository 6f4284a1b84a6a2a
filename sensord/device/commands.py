"""The commands of one device: in order, one at a time, each confirmed as it is declared.

Theory of operation. Calls wait in a bounded queue. `run` removes them one by one, has the reader
send, and waits until the device's next output has confirmed it: a message with the declared answer,
or a state that reaches the value. Their deadlines are kept by the code that accepted them: a call
that ends there leaves the queue, or interrupts the reader. While a command is in progress the
intake passes here what it receives; at other times it costs nothing. When the device goes away, the
waiting calls fail, and the outcome of what was sent is unknown.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Protocol

from sensord.config.command_options import Command
from sensord.device.calls import LATE, Call, CallQueue, Outcome, Target
from sensord.errors import DeviceError, ProtocolError
from sensord.model.readings import Quality, Value

__all__ = ["Commands", "Order", "Writer"]


_YES = frozenset({"1", "true", "on", "yes"})


class Writer(Protocol):
    """A reader whose device accepts commands."""

    async def write(self, order: Order) -> None:
        """Send one command over the connection that the reader holds.

        Raises:
            DeviceError: There is no connection, or it broke.
        """
        ...


class Order:
    """One command on its way, as the reader sees it."""

    def __init__(self, command: Command, call: Call, begin: Callable[[], None]) -> None:
        self.field = command.field
        """The field that is set, or the action."""
        self.message: Any = command.how.message(command.raw(call.args))
        """What the reader's own ``Write`` made of it."""
        self.how: Any = command.how
        """The reader's own ``Write``."""
        self._call = call
        self._begin = begin
        self._answered = asyncio.Event()
        if command.answer is None:
            self._answered.set()
        call.when_over(lambda _: self._answered.set())

    def sending(self) -> None:
        """Note that the next byte is the command's: from here on it may have acted.

        Raises:
            DeviceError: It is too late: no one waits for it any more.
        """
        if self._call.outcome is not None:
            raise DeviceError("too late", "its time is over")
        self._call.acting()
        self._begin()

    async def answered(self) -> None:
        """Wait until the line may be used for something else.

        That is when the declared answer has come, or will come no more; at once if none is.
        """
        await self._answered.wait()

    def has_answer(self) -> None:
        """Note that the answer has come."""
        self._answered.set()

    def refused(self, why: str) -> None:
        """Record that the command was refused, and why."""
        self._call.failed("rejected", why, may_have_acted=False)


class _UnderWay:
    """The command that was sent, and what is still to confirm it."""

    def __init__(self, command: Command, call: Call, order: Order) -> None:
        self.command = command
        self.call = call
        self.order = order
        self.needs_answer = command.answer is not None
        self.needs_state = bool(command.state)
        self.value: Value = call.args.get("value") if command.is_set else None
        self.wanted = self.value if command.is_set else command.reaches

    def on_message(self, message: bytes) -> bool:
        """Check a message; return whether it is the answer."""
        command, text = self.command, message.decode("utf-8", "replace")
        if command.refusal is not None and command.refusal.search(text):
            self.order.refused(f"the device said: {text.strip()[:200]}")
            return True
        if not self.needs_answer or command.answer is None:
            return False
        found = command.answer.search(text)
        if found is None:
            return False
        written = found.groupdict().get("value")
        if written is not None:
            self.value = _confirmed_value(command, written, self.wanted)
        self.needs_answer = False
        self.order.has_answer()
        self.look()
        return True

    def on_value(self, topic: str, value: Value, quality: Quality) -> None:
        """Look at a state."""
        command = self.command
        if not self.needs_state or topic != command.state or quality.level:
            return
        if command.has_reached(value, self.wanted):
            self.value = value
            self.needs_state = False
            self.look()

    def look(self) -> None:
        """End it if nothing is left to be confirmed."""
        if not self.needs_answer and not self.needs_state:
            self.call.done(self.value)


def _confirmed_value(command: Command, text: str, asked: Value) -> Value:
    """Return the value in an answer, as the topic has it; of an action, a number if it is one."""
    if command.is_set and command.values:
        return asked if (meant := command.meaning_of(text)) is None else meant
    try:
        number: float | None = float(text)
    except ValueError:
        number = None
    if not command.is_set:
        return text if number is None or not math.isfinite(number) else number
    if isinstance(asked, str):
        return text
    if isinstance(asked, bool):
        return text.strip().lower() in _YES
    if number is None or not math.isfinite(number):
        return asked
    number = number * command.scale + command.offset
    if command.decimals is not None:
        number = round(number, command.decimals)
    return round(number) if isinstance(asked, int) else number


class Commands:
    """What clients may have one device do."""

    def __init__(
        self,
        device: str,
        commands: tuple[Command, ...],
        listen: Callable[[bool], None],
        *,
        most_waiting: int,
    ) -> None:
        """``listen`` is called with whether to pass the device's output here."""
        self.device = device
        self.commands = commands
        self._listen = listen
        self._most_waiting = most_waiting
        self._by_name = {(one.is_set, one.name): one for one in commands}
        self._woken = asyncio.Event()
        self.queue = CallQueue(self._woken.set)
        self._current: _UnderWay | None = None
        self._is_up = False
        self._why_down = "it was not there yet"

    def targets(self) -> Iterator[tuple[Command, Target]]:
        """Yield each command with what calls it."""
        for command in self.commands:
            yield command, _Target(self, command)

    # -- what the device sends ---------------------------------------------------------------------

    def up(self) -> None:
        """Mark the device as up."""
        self._is_up = True

    def down(self, why: str) -> None:
        """Mark the device as down: nothing that waits is sent later, unexpectedly."""
        self._is_up, self._why_down = False, why
        if self._current is not None:
            self._break_off(self._current.call)
        self.queue.fail("unavailable", self.absence)

    def on_message(self, message: bytes) -> bool:
        """Check a message of the device; return whether it is an answer to a command."""
        return self._current is not None and self._current.on_message(message)

    def on_value(self, topic: str, value: Value, quality: Quality) -> None:
        """Look at a value of one of its topics."""
        if self._current is not None:
            self._current.on_value(topic, value, quality)

    def recalled(self, topic: str, value: Value, quality: Quality) -> None:
        """Do nothing: what a broker kept confirms nothing."""

    # -- calls -------------------------------------------------------------------------------------

    @property
    def absence(self) -> str:
        """Why the device cannot be commanded now, for people."""
        return f"{self.device} is down: {self._why_down}"

    def check_room(self) -> None:
        """Refuse what could not be sent.

        Raises:
            ProtocolError: The device is down, or too much waits for it.
        """
        if not self._is_up:
            raise ProtocolError("unavailable", self.absence)
        if len(self.queue) >= self._most_waiting:
            text = f"{self._most_waiting} commands wait for {self.device}; wait for one of them"
            raise ProtocolError("too_many", text)

    async def run(self, writer: Writer) -> NoReturn:
        """Make the commands one by one, for as long as the reader runs."""
        while True:
            while (call := self.queue.next()) is None:
                self._woken.clear()
                await self._woken.wait()
            await self._make(writer, self._by_name[call.what == "set", call.name], call)

    async def _make(self, writer: Writer, command: Command, call: Call) -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        order = Order(command, call, lambda: self._listen(True))  # noqa: FBT003  # as documented
        self._current = under_way = _UnderWay(command, call, order)

        def ended(outcome: Outcome) -> None:
            over.set()
            if outcome.reason in LATE:
                limit.reschedule(loop.time())  # a writer that hangs is interrupted

        try:
            async with asyncio.timeout(None) as limit:
                call.when_over(ended)
                await writer.write(order)
                under_way.look()
                await over.wait()
        except TimeoutError:
            pass
        except DeviceError as exc:
            self._why_down = str(exc)
            self._break_off(call)
        except asyncio.CancelledError:
            self._why_down = "the connection ended"
            self._break_off(call)
            raise
        finally:
            self._listen(False)  # noqa: FBT003  # as documented
            self._current = None

    def _break_off(self, call: Call) -> None:
        """End a call whose connection is no more."""
        if call.is_acting:
            text = f"it was sent, and then {self.device} went away ({self._why_down})"
            call.failed("unknown", f"{text}; look at it before you try again")
        else:
            call.failed("unavailable", self.absence)


class _Target:
    """One command, as it is called."""

    def __init__(self, commands: Commands, command: Command) -> None:
        self._commands = commands
        self._command = command
        self.timeout_s = command.timeout_s
        self.queue = commands.queue
        """That of its device, of which one thing at a time is asked."""

    def check(self, args: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return the arguments, typed and with defaults."""
        command = self._command
        checked: dict[str, Value] = {}
        unknown = sorted(set(args) - set(command.arguments))
        if unknown:
            known = ", ".join(command.arguments)
            wanted = f"known are {known}" if known else "it takes none"
            raise ProtocolError("bad_request", f"{unknown[0]}: no such argument; {wanted}")
        for name, argument in command.arguments.items():
            value = args.get(name, argument.default)
            if name not in args and argument.default is None:
                raise ProtocolError("bad_request", f"{name}: is missing")
            if fault := argument.fault(value):
                raise ProtocolError("bad_request", f"{name}: {fault}")
            checked[name] = argument.typed(value)
        value = checked.get("value")
        if command.is_set and command.decimals is not None and isinstance(value, float):
            checked["value"] = round(value, command.decimals)
        try:
            command.how.message(command.raw(checked))
        except ValueError as exc:
            raise ProtocolError("bad_request", str(exc)) from exc
        self._commands.check_room()
        return checked
