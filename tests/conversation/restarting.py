"""The last scenes: the server is killed in the middle of everything; and what the audit says."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from typing import Any

from sensord.client import Gap, Update
from tests.conversation.acting import POSITION, insist
from tests.conversation.asking import BOILER, SETPOINT
from tests.conversation.cast import Cast
from tests.conversation.hearing import failed, map_of, refused
from tests.conversation.together import bodies
from tests.kit.daemon import in_thread
from tests.kit.follower import Follower

__all__ = ["audit_of_all", "killed_in_the_middle"]

HANDOVER = "state/handover"


async def killed_in_the_middle(cast: Cast) -> None:
    """Kill the server in the middle of a command, a lease and a message."""
    show, operator, rival, valve = cast.show, cast.operator, cast.rival, cast.valve
    page_id = "document.querySelector('#state').innerText.match(/connected as (.*)/)[1]"

    async def ids() -> tuple[str, ...]:
        return operator.id, rival.id, cast.service.id, await cast.page.until(page_id)

    before = await ids()
    restarted_us = math.inf
    boiler = Follower(operator.client.subscribe(BOILER, start="now"))
    await boiler.live()
    # It is read all the time, for an unread one holds up its connection.
    going_on = asyncio.create_task(
        boiler.update(lambda update: update.reading.time_us > restarted_us)
    )

    async with show.promise("a lease, a message and a command are accepted"):
        version = await operator.state.put(HANDOVER, "kept")
        await operator.control.take("valve")
        show.say("operator", f"holds the valve, and has put {HANDOVER}")
        await rival.leave()
        sending = aiter(operator.client.send_to("it was down", client=rival.id))
        assert (await anext(sending)).status == "away"
        show.say("operator", "sends the rival, who is away, a message")
        heard = len(valve.lines)
        moving = asyncio.ensure_future(operator.control.set(POSITION, 70, key="more", timeout_s=60))
        await valve.lines_are(heard + 1)
        show.say("valve", f"hears {valve.lines[-1]}, and says nothing")
    show.say("server", "is killed (kill -9)")
    await in_thread(cast.daemon.kill)

    async with show.promise("the service and the page say that the connection is over"):
        assert await cast.service.ended() == 1
        await cast.page.until("document.querySelector('#state').innerText.includes('is over')")
        show.say("page", "the connection is over; reload")
    await in_thread(cast.daemon.start)
    show.say("server", "is there again")
    async with show.promise("everybody is the client that it was"):
        await rival.come()
        await asyncio.gather(cast.service.come(), cast.page.reload())
        restarted_us = await operator.client.ping()
        assert await ids() == before
        show.say("operator", "all four are back, and who they were")
    async with show.promise("the command is told unknown, and is not made again"):
        failure = await failed(moving)
        cast.outcomes["more"] = failure.reason
        assert (failure.reason, failure.may_have_acted) == ("unknown", True)
        show.say("operator", f"is told of the valve: {failure}")
        assert (await insist(operator.client, POSITION, 70, "more")).is_repeated is True
        assert len(valve.lines) == heard + 1
        show.say("operator", "asks again with the same key: repeated, and the valve heard it once")
    async with show.promise("the lease is still held"):
        error = await refused(rival.control.set(POSITION, 0))
        assert error.code == "held"
        show.say("rival", f"sets the valve: {error}")
        await operator.control.give_back("valve")
    async with show.promise("the message is delivered once, and its sender told"):
        assert [body async for body in bodies(rival.client)] == ["it was down"]
        show.say("rival", "operator says it was down")
        while (await anext(sending)).status != "delivered":
            pass
        show.say("operator", "the message was delivered")
    async with show.promise("shared state is what it was"):
        entry = await operator.state.get(HANDOVER)
        assert entry is not None
        assert (entry.version, entry.value) == (version, "kept")
        show.say("operator", f"{HANDOVER} is {entry.value}, of the same version")
    async with show.promise("readings go on, and those that are lost are named"):
        await going_on
        gaps = boiler.gaps
        assert {gap.reason for gap in gaps} <= {"missing"}
        lost = ", ".join(f"{gap.count or 'some'} readings are {gap.reason}" for gap in gaps)
        show.say("operator", f"{BOILER} goes on: {lost or 'no reading is lost'}")


async def audit_of_all(cast: Cast) -> None:
    """Read who did what, and compare it with what everybody was told."""
    show = cast.show
    acts: list[tuple[str, dict[str, Any]]] = []
    lines: list[str] = []
    came_and_went = gaps = 0
    async with show.promise("the whole audit can be read as a history"):
        async for item in cast.operator.client.history("$audit/#", start="-10m"):
            if isinstance(item, Gap):
                gaps += 1
                lines.append(f"({item.count or 'some'} events are {item.reason}: {item.detail})")
            elif isinstance(item, Update) and item.topic == "$audit/presence":
                came_and_went += 1
            elif isinstance(item, Update):
                acts.append((item.topic.removeprefix("$audit/"), map_of(item)))
                lines.append(line_of(*acts[-1]))
        for line, same in itertools.groupby(lines):
            count = len(list(same))
            show.say("audit", f"{line}, {count} times" if count > 1 else line)
        show.say("audit", f"and {came_and_went} times somebody came or went")
    commands = [told for act, told in acts if act in {"set", "call"}]
    async with show.promise("the audit has one outcome of each command: what its caller was told"):
        ended = [
            (told["key"], told.get("detail", told["result"]))
            for told in commands
            if told["result"] in {"done", "failed"}
        ]
        assert max(Counter(key for key, _ in ended).values()) == 1
        found = dict(ended)
        assert {key: found.get(key) for key in cast.outcomes} == cast.outcomes
    async with show.promise("what the kill took from the audit is named"):
        begun = {told["key"] for told in commands if told["result"] == "pending"}
        assert gaps or begun >= set(cast.outcomes)
    async with show.promise("the audit has what was refused"):
        assert f"set {SETPOINT} held (rival)" in lines


def line_of(act: str, told: dict[str, Any]) -> str:
    """Write an event of the audit in a line."""
    line = f"{act} {told['subject']} {told['result']} ({told['who']['name']})"
    return f"{line}: {told['detail']}" if told["result"] == "failed" else line
