"""Scenes of a service that comes and goes, and of the command line."""

from __future__ import annotations

import asyncio
import shlex

import pytest

from sensord.client import CommandError, Part
from tests.conversation.asking import BOILER, SETPOINT
from tests.conversation.cast import Cast
from tests.conversation.hearing import map_of, refused
from tests.kit.daemon import in_thread, sensord
from tests.kit.follower import Follower

__all__ = ["command_line", "microservice"]


async def microservice(cast: Cast) -> None:
    """Call it, have it answer in parts, and have it go away in the middle."""
    show, operator, service = cast.show, cast.operator, cast.service

    async with show.promise("a call reaches the service, and its answer the caller"):
        mean = await operator.control.call("mean", {"topic": BOILER}, key="mean")
        cast.outcomes["mean"] = "done"
        assert isinstance(mean, float)
        show.say("operator", f"the mean of {BOILER} is {mean:.2f}")
    async with show.promise("a long answer comes in parts, then its end"):
        calling = operator.control.calling("mean", key="means")
        topics = []
        async for part in calling:
            assert isinstance(part.value, dict)
            topics.append(part.value["topic"])
            show.say("operator", f"part {part.number} of the answer: {part.value['topic']}")
        cast.outcomes["means"] = "done"
        assert calling.value == len(topics)
        assert {BOILER, SETPOINT} <= set(topics)
        show.say("operator", f"the answer: {calling.value} topics")
    async with show.promise("who calls a service that goes away is told that nobody knows"):
        services = Follower(operator.client.subscribe("$sys/services"))
        was = map_of(await services.update(lambda _: True))["mean"]
        calling = operator.control.calling("mean", {"pause": 60}, key="slow means")
        parts = aiter(calling)
        first = await anext(parts)
        assert isinstance(first, Part)
        show.say("operator", "has the first part of another answer")
        await service.kill()
        show.say("service", "is killed")
        await cast.page.told("mean service is away")
        assert [part async for part in parts] == []
        with pytest.raises(CommandError) as caught:
            _ = calling.value
        failure = caught.value
        cast.outcomes["slow means"] = failure.reason
        assert (failure.reason, failure.may_have_acted) == ("unknown", True)
        show.say("operator", f"is told: {failure}")
    async with show.promise("a name that nobody offers is not found"):
        await services.update(lambda update: "mean" not in map_of(update))
        error = await refused(operator.control.call("mean"))
        assert error.code == "not_found"
        show.say("operator", f"calls it again: {error}")
    async with show.promise("a service that is started again is the same client"):
        await service.come()
        assert service.id == was["id"]
        await cast.page.told("mean service is here")
        assert not [line for line in service.lines if "held" in line]
        derived = operator.client.subscribe(f"derived/{BOILER}", start="now")
        await Follower(derived).update(lambda _: True)
        operator.client.unsubscribe(derived)
        show.say("operator", f"derived/{BOILER} goes on")
    async with show.promise("what it asked for goes on with each ten seconds"):
        await service.printed(", mean ")


async def command_line(cast: Cast) -> None:
    """Do the same from a shell."""
    show = cast.show
    commands = [
        (("set", SETPOINT, "21.5"), "21.5"),
        (("send", "--group", "operators", '{"text": "how are you?"}'), "delivered"),
        (("clients",), "mean service"),
    ]
    for arguments, expected in commands:
        async with show.promise(f"sensord {arguments[0]} does what a client does"):
            run = asyncio.create_task(in_thread(sensord, *arguments, "--url", cast.daemon.url))
            show.say("shell", f"sensord {shlex.join(arguments)}")
            done = await run
            assert done.returncode == 0, done.stderr
            assert expected in done.stdout
            for line in done.stdout.splitlines():
                show.say("shell", f"  {line[:54].rstrip()}")
    async with show.promise("what came from the shell reaches the page"):
        await cast.page.told("how are you?")
