"""Scenes of what is asked, and of who is there."""

from __future__ import annotations

import asyncio

from sensord.client import Complete, PhaseChange, Row, Summary, Update
from tests.conversation.cast import Cast
from tests.conversation.hearing import Rows, map_of
from tests.kit.follower import Follower

__all__ = ["audit_of_an_act", "presence", "requests_that_go_on"]

BOILER = "plant/boiler/temperature"
SETPOINT = "plant/heating/setpoint"


async def requests_that_go_on(cast: Cast) -> None:
    """Follow the past, the topics and the clients; the page and the service come meanwhile."""
    show, client = cast.show, cast.operator.client
    topics, clients = client.topics("derived/#", follow=True), client.clients(follow=True)
    there, derived = Rows(clients), Rows(topics)

    async with show.promise("a history goes on live without a hole"):
        followed: list[Update] = []
        start_us = await client.ping() - 60_000_000
        past: int | None = None
        async for item in client.history(BOILER, start=start_us, follow=True):
            if isinstance(item, Update):
                followed.append(item)
            if item == PhaseChange("live"):
                past = len(followed)
            if past is not None and len(followed) >= past + 5:
                break
        told = [i async for i in client.history(BOILER, start=start_us) if isinstance(i, Update)]
        assert [u.reading for u in told][: len(followed)] == [u.reading for u in followed]
        show.say("operator", f"follows {BOILER}: {past} readings of the past, then live")
    async with show.promise("summaries come as their intervals complete"):
        rows = client.summaries(BOILER, interval_s=0.5, start="-1s", follow=True)
        is_complete = False
        async for part in rows:
            is_complete = is_complete or isinstance(part, Complete)
            if is_complete and isinstance(part, Summary):
                show.say("operator", f"half a second is over: {part.count}, mean {part.mean:.2f}")
                break
    async with show.promise("devices are listed with how they fare"):
        devices = [row.fields async for row in client.devices() if isinstance(row, Row)]
        assert {row["device"] for row in devices} == {"boiler", "heating", "fan", "valve"}
        show.say("operator", ", ".join(f"{row['device']} is {row['state']}" for row in devices))

    async with show.promise("who comes arrives on the same stream"):
        await cast.open_page()
        row = await there.until(lambda row: row["name"] == "page")
        show.say("operator", f"{row['name']} is {row['state']}")
    async with show.promise("a page alone is told so"):
        await cast.page.do("document.querySelector('#text').value = 'anybody?'")
        await cast.page.do("document.querySelector('#send').click()")
        await cast.page.told("nobody else is here")
    async with show.promise("a new topic arrives on the same stream"):
        await cast.service.come()
        row = await there.until(lambda row: row["name"] == "mean service")
        await cast.page.told("mean service is here")
        show.say("operator", f"{row['name']} is {row['state']}")
        row = await derived.until(lambda row: row["topic"] == f"derived/{BOILER}")
        show.say("operator", f"a new topic: {row['topic']}, of the {row['device']}")
    async with show.promise("what is cancelled has ended"):
        await there.cancel()
        await derived.cancel()
        assert topics.is_over
        assert clients.is_over
        show.say("operator", "cancels both, by their ids")


async def audit_of_an_act(cast: Cast) -> None:
    """Follow the audit like any reading, and see who did what."""
    show = cast.show
    async with show.promise("an act is in the audit with who, before, after and result"):
        following = Follower(cast.operator.client.subscribe("$audit/set", start="now"))
        await following.live()
        await cast.rival.control.set(SETPOINT, 24, key="warmer")
        cast.outcomes["warmer"] = "done"
        results: list[str] = []
        while results != ["pending", "done"]:
            event = map_of(await following.update(lambda _: True))
            assert (event["who"]["id"], event["key"]) == (cast.rival.id, "warmer")
            results.append(event["result"])
            text = f"{event['subject']} {event['before']} -> {event['after']}: {event['result']}"
            show.say("operator", f"sees in the audit: {text} ({event['who']['name']})")
            assert (event["before"], event["after"]) == (19, 24)


async def presence(cast: Cast) -> None:
    """See who is there, and that one who comes back has lost nothing."""
    show, rival, client = cast.show, cast.rival, cast.operator.client
    there = Rows(client.clients(follow=True))

    async with show.promise("all see who is there, since when, and what they watch and may do"):
        row = await there.until(lambda row: row["name"] == "page" and "+/#" in row["watches"])
        assert row["state"] == "here"
        assert row["since_us"] < await client.ping()
        assert "write" in row["permissions"]
        watches, may = " and ".join(row["watches"]), ", ".join(row["permissions"])
        show.say("operator", f"{row['name']} at {row['address']} watches {watches}; may {may}")
    async with show.promise("one who is away is away, and is sent messages all the same"):
        before = rival.id
        await rival.leave()
        row = await there.until(lambda row: row["id"] == before and row["state"] == "away")
        await cast.page.told("rival is away")
        show.say("operator", "sends the rival a message")
        sending = aiter(client.send_to("see you", client=before))
        receipt = await anext(sending)
        assert receipt.status == "away"
        show.say("operator", "the message is kept: the rival is away")
    async with show.promise("who comes back within the grace time is the same client"):
        await rival.come()
        assert rival.id == before
        await there.until(lambda row: row["id"] == before and row["state"] == "here")
        show.say("rival", f"is back, as {before}, which it was")
        await cast.page.told("rival is here")
    async with show.promise("it gets what was kept for it, and the sender is told"):
        inbox = rival.client.messages()
        message = await anext(aiter(inbox))
        assert (message.body, message.sender_id) == ("see you", cast.operator.id)
        show.say("rival", f"{message.sender_name} says {message.body}")
        _, receipt = await asyncio.gather(inbox.acknowledge(message), anext(sending))
        assert receipt.status == "delivered"
        inbox.close()
        show.say("operator", "the message was delivered")
    await there.cancel()
