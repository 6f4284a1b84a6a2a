"""What confirms a command, and what its answer says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sensord.config.command_options import Argument, Command
from sensord.decode.regex import Pattern
from sensord.device.calls import Call, Outcome, What
from sensord.device.commands import Commands, Order
from sensord.errors import DeviceError
from sensord.model.readings import GOOD, Level, Quality, Value, ValueType
from sensord.sharing.identity import Identity
from tests.kit.loops import on_each_loop


class How:
    """Sends what it is given."""

    def texts(self) -> Any:
        yield from ()

    def message(self, values: Any) -> object:
        return values


class Writer:
    """A device that says something as soon as a command is out."""

    def __init__(self, commands: Commands, *said: bytes | tuple[str, Value, Quality]) -> None:
        self._commands = commands
        self._said = said

    async def write(self, order: Order) -> None:
        order.sending()
        for one in self._said:
            if isinstance(one, bytes):
                self._commands.on_message(one)
            else:
                self._commands.on_value(*one)


async def ended(value: Value, *said: bytes | tuple[str, Value, Quality], **more: Any) -> Outcome:
    """Make one command and return how it ended."""
    loop = asyncio.get_running_loop()
    arguments = {"value": Argument(more.pop("type", ValueType.FLOAT))}
    is_set = more.pop("is_set", True)
    command = Command("t", "f", is_set, arguments, How(), **more)
    listening: list[bool] = []
    commands = Commands("oven", (command,), listening.append, most_waiting=4)
    commands.up()
    ((_, target),) = commands.targets()
    what: What = "set" if is_set else "call"
    args, deadline = target.check({"value": value}), loop.time() + 0.05
    call = Call("t", args, Identity("a1"), "k", deadline, what=what)
    target.queue.add(call)
    target.queue.ready(call)
    running = asyncio.ensure_future(commands.run(Writer(commands, *said)))
    over: asyncio.Future[Outcome] = loop.create_future()
    call.when_over(over.set_result)
    loop.call_at(call.deadline, call.expire)
    outcome = await over
    running.cancel()
    await asyncio.wait([running])
    assert listening == [True, False], "it looks only while a command is under way"
    return outcome


ANSWER: dict[str, Any] = {"answer": Pattern("^OK(?: (?P<value>.*))?$"), "refusal": Pattern("^ERR")}
STATE = {"state": "t"}


@pytest.mark.parametrize(
    ("value", "said", "more", "confirmed"),
    [
        (2.0, [b"hello", b"OK"], ANSWER, 2.0),
        (2.0, [b"OK 2.25"], ANSWER, 2.25),
        (2.0, [b"OK 25"], ANSWER | {"scale": 0.1, "decimals": 1}, 2.5),
        (2.0, [b"OK fine"], ANSWER, 2.0),
        (2.0, [b"OK nan"], ANSWER, 2.0),
        (2, [b"OK 3.0"], ANSWER | {"type": ValueType.INT}, 3),
        (True, [b"OK off"], ANSWER | {"type": ValueType.BOOL}, False),
        ("a", [b"OK 7"], ANSWER | {"type": ValueType.STRING}, "7"),
        (2.0, [("t", 1.0, GOOD), ("t", 2.0, GOOD)], STATE, 2.0),
        (2.0, [("u", 2.0, GOOD), ("t", 2.0 + 1e-12, GOOD)], STATE, 2.0 + 1e-12),
        (2.0, [("t", 1.5, GOOD)], STATE | {"tolerance": 0.5}, 1.5),
        (2.0, [b"OK 9", ("t", 2.0, GOOD)], ANSWER | STATE, 2.0),
        (2.0, [("t", 2.0, GOOD), b"OK 9"], ANSWER | STATE, 9.0),
        (2.0, [], {}, 2.0),
        (2.0, [b"OK 7"], ANSWER | {"is_set": False}, 7.0),
        (2.0, [b"OK in a minute"], ANSWER | {"is_set": False}, "in a minute"),
        (2.0, [("t", "up", GOOD)], STATE | {"is_set": False, "reaches": "up"}, "up"),
    ],
)
@on_each_loop
async def test_it_is_done_when_it_is_confirmed(
    value: Value, said: list[Any], more: dict[str, Any], confirmed: Value
) -> None:
    """With the value that the device says, as the topic has it."""
    outcome = await ended(value, *said, **more)
    assert outcome.is_done, outcome
    assert outcome.value == confirmed
    assert type(outcome.value) is type(confirmed)


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ([b"KO"], ANSWER),
        ([b"OK 2"], ANSWER | STATE),
        ([("t", 2.0, GOOD)], ANSWER | STATE),
        ([("t", 2.1, GOOD)], STATE),
        ([("t", 2.0, Quality(Level.BAD, "stale"))], STATE),
        ([("t", None, GOOD)], STATE),
        ([b"OK"], STATE),
    ],
)
@on_each_loop
async def test_half_a_confirmation_is_none(said: list[Any], more: dict[str, Any]) -> None:
    """Nor is a state that cannot be trusted."""
    outcome = await ended(2.0, *said, **more)
    assert (outcome.reason, outcome.may_have_acted) == ("unconfirmed", True)


@on_each_loop
async def test_a_refusal_comes_before_an_answer() -> None:
    """Also where both patterns would fit."""
    more = {"answer": Pattern("."), "refusal": Pattern("^ERR")}
    outcome = await ended(2.0, b"ERR 5", **more)
    assert (outcome.reason, outcome.message) == ("rejected", "the device said: ERR 5")


@on_each_loop
async def test_a_writer_that_is_not_connected_sent_nothing() -> None:
    """And one that fails after the first byte may have acted."""
    for begins, reason in ((False, "unavailable"), (True, "unknown")):

        class Broken:
            async def write(self, order: Order, begins: bool = begins) -> None:
                if begins:
                    order.sending()
                raise DeviceError("unplugged")

        command = Command("t", "f", True, {"value": Argument()}, How(), **ANSWER)
        commands = Commands("oven", (command,), lambda _: None, most_waiting=4)
        commands.up()
        ((_, target),) = commands.targets()
        deadline = asyncio.get_running_loop().time() + 10
        call = Call("t", target.check({"value": 1}), Identity("a1"), "k", deadline, what="set")
        target.queue.add(call)
        target.queue.ready(call)
        over = asyncio.Event()
        call.when_over(lambda _: over.set())  # noqa: B023  # awaited in this turn
        running = asyncio.ensure_future(commands.run(Broken()))
        await over.wait()
        running.cancel()
        assert call.outcome is not None
        assert call.outcome.reason == reason
        assert call.outcome.may_have_acted is begins


@on_each_loop
async def test_a_writer_that_hangs_is_interrupted_at_the_deadline() -> None:
    """The next command is made, though the device never took the first."""
    begun, interrupted = asyncio.Event(), asyncio.Event()

    class Hanging:
        calls = 0

        async def write(self, order: Order) -> None:
            self.calls += 1
            order.sending()
            if self.calls == 1:
                try:
                    begun.set()
                    await asyncio.Event().wait()
                finally:
                    interrupted.set()

    command = Command("t", "f", True, {"value": Argument()}, How())
    commands = Commands("oven", (command,), lambda _: None, most_waiting=4)
    commands.up()
    ((_, target),) = commands.targets()
    first, second = (
        Call("t", target.check({"value": n}), Identity("a1"), str(n), 0.0, what="set")
        for n in range(2)
    )
    running = asyncio.ensure_future(commands.run(Hanging()))
    for call in (first, second):
        target.queue.add(call)
        target.queue.ready(call)
    await begun.wait()
    first.expire()
    await interrupted.wait()
    over: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    second.when_over(over.set_result)
    assert await over == Outcome(1)
    running.cancel()
    assert first.outcome is not None
    assert (first.outcome.reason, first.outcome.may_have_acted) == ("unconfirmed", True)
