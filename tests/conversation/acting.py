"""Scenes of commands to devices, and of who alone may give them."""

from __future__ import annotations

import asyncio

from sensord.client import Client
from sensord.client.errors import LostError
from sensord.model.readings import Value
from sensord.wire.ops.acting import Pending, Set
from tests.conversation.asking import SETPOINT
from tests.conversation.cast import Cast
from tests.conversation.hearing import failed, map_of, name_of, refused
from tests.kit.follower import Follower

__all__ = ["POSITION", "commands", "control", "insist"]

POSITION, FAN = "plant/valve/position", "plant/fan/speed"

TIMER_US = 2_000
"""A timer counts milliseconds, so what is due may be done one of them before its time."""


async def insist(client: Client, topic: str, value: Value, key: str) -> Pending:
    """Set a topic, again after each lost connection until there is an answer."""
    while True:
        try:
            return await client.ask(Set(client.number(), topic, value, key, 60.0))
        except LostError:
            continue


async def commands(cast: Cast) -> None:
    """Have devices do something: done, refused, repeated, and nobody knows."""
    show, operator, valve = cast.show, cast.operator, cast.valve

    async with show.promise("a command is done with the value that the device confirms"):
        cast.outcomes["warm"] = "done"
        value = await operator.control.set(SETPOINT, 22, key="warm")
        assert value == 22
        show.say("operator", f"sets {SETPOINT} to 22: done, it is {value}")
        show.say("page", f"shows {SETPOINT} {await cast.page.shows(SETPOINT, '22')}")
    async with show.promise("a value out of range is refused with the range"):
        error = await refused(operator.control.set(SETPOINT, 99))
        assert error.code == "bad_request"
        assert "from 5 to 30" in error.message
        show.say("operator", f"sets it to 99: {error}")
    async with show.promise("a command that is asked for again with its key acts once"):
        asked = await insist(operator.client, POSITION, 40, "open")
        assert asked.is_repeated is False
        await valve.lines_are(1)
        show.say("valve", f"hears {valve.lines[0]}")
        cast.cutter.cut("reset")
        show.say("operator", "loses the connection before the outcome, and asks again")
        again = await insist(operator.client, POSITION, 40, "open")
        assert again.is_repeated is True
        await cast.page.told("operator is here")
        show.say("operator", "is told that it is repeated")
        outcome = asyncio.ensure_future(operator.control.set(POSITION, 40, key="open"))
        valve.feed(b"OK\n")
        assert await outcome == 40
        cast.outcomes["open"] = "done"
        assert valve.lines == ["POSITION 40"]
        show.say("operator", "the valve says OK: done, and it heard that once")
    async with show.promise("of a device that does not answer nobody knows, and it is said"):
        failure = await failed(operator.control.set(FAN, 3, key="blow"))
        cast.outcomes["blow"] = failure.reason
        assert (failure.reason, failure.may_have_acted) == ("unconfirmed", True)
        show.say("operator", f"sets {FAN} to 3: {failure}")


async def control(cast: Cast) -> None:
    """Hold a device, a valve for two seconds, and shared state."""
    show, operator, rival = cast.show, cast.operator, cast.rival
    leases = Follower(rival.client.subscribe("$sys/leases/#", start="now"))
    await leases.live()

    async with show.promise("all can read who holds a device"):
        await operator.control.take("heating")
        update = await leases.update(lambda update: update.topic == "$sys/leases/heating")
        assert name_of(update, "holder") == "operator"
        show.say("operator", "takes the heating")
        show.say("rival", f"{update.topic}: {map_of(update)['why']} by {name_of(update, 'holder')}")
    async with show.promise("what one holds others cannot set, and are told who holds it"):
        error = await refused(rival.control.set(SETPOINT, 9))
        assert error.code == "held"
        assert "operator" in error.message
        show.say("rival", f"sets {SETPOINT} to 9: {error}")
    async with show.promise("what was given back is free"):
        await operator.control.give_back("heating")
        show.say("operator", "gives it back")
        cast.outcomes["cool"] = "done"
        assert await rival.control.set(SETPOINT, 19, key="cool") == 19
        show.say("rival", "sets it to 19: done")
    async with show.promise("a lease that is not renewed expires, and not before"):
        lease = await operator.control.take("valve", duration_s=2)
        show.say("operator", "takes the valve for two seconds")
        assert (await refused(rival.control.take("valve"))).code == "held"
        expired = await leases.update(lambda update: map_of(update)["why"] == "expired")
        assert expired.reading.time_us >= lease.until_us - TIMER_US
        show.say("rival", f"{expired.topic}: expired")
        await rival.control.take("valve")
        show.say("rival", "takes the valve")
        await rival.control.give_back("valve")
    async with show.promise("shared state can be held too"):
        await operator.control.take("state/shift")
        show.say("operator", "takes state/shift")
        error = await refused(rival.state.put("state/shift", "mine"))
        assert error.code == "held"
        show.say("rival", f"puts it: {error}")
        await operator.state.put("state/shift", "early")
        await operator.control.give_back("state/shift")
        await rival.state.put("state/shift", "late")
        show.say("rival", "puts it when it was given back")
