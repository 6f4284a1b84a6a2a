"""Scenes of clients that talk to each other, and of what they share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from sensord.client import Client, Message, Row, Sending
from sensord.model.readings import Value
from sensord.wire.ops.messages import Groups, Send
from tests.conversation.asking import BOILER
from tests.conversation.cast import Cast, row_of
from tests.conversation.hearing import name_of, refused
from tests.kit.follower import Follower

__all__ = ["messages", "publishing_and_shared_state"]

HUMIDITY, WEATHER, COUNTER = "lab/humidity", "lab/weather", "state/rounds"

EDITS = 2

QUESTION: Value = {"text": "how are you?"}


async def messages(cast: Cast) -> None:
    """Say something to a group, to those who watch a topic, and to nobody."""
    show, client = cast.show, cast.operator.client
    inbox = client.messages()
    arriving = aiter(inbox)
    names = {
        row.fields["id"]: row.fields["name"]
        async for row in client.clients()
        if isinstance(row, Row)
    }

    async def told_of(sending: Sending) -> dict[str, str]:
        return {names.get(r.client, "?"): r.reason or r.status async for r in sending}

    async with show.promise("a message to a group reaches each, and its sender is told"):
        show.say("operator", "says how are you? to the operators")
        told = await told_of(client.send_to(QUESTION, group="operators"))
        assert told == {"page": "delivered", "mean service": "delivered"}
        show.say("operator", ", ".join(f"{who}: {what}" for who, what in told.items()))
        await cast.page.told("operator: how are you?")
    async with show.promise("the answer has its sender's true name"):
        message = await anext(arriving)
        assert (message.sender_name, message.body) == ("mean service", {"text": "well, thank you"})
        show.say("operator", said(message))
    async with show.promise("the page sends, and reads what becomes of it"):
        await client.ask(Groups(client.number(), join=("operators",)))
        await cast.page.do("document.querySelector('#text').value = 'lunch?'")
        await cast.page.do("document.querySelector('#send').click()")
        message = await anext(arriving)
        assert (message.sender_name, message.body) == ("page", {"text": "lunch?"})
        show.say("operator", said(message))
        next_message = asyncio.ensure_future(anext(arriving))  # which acknowledges this one
        await cast.page.told("the message to operator is delivered")
    async with show.promise("a message reaches all who watch a topic"):
        told = await told_of(client.send_to(QUESTION, watching=BOILER))
        assert told == {"page": "delivered", "mean service": "delivered"}
        assert (await next_message).sender_name == "mean service"
        await inbox.acknowledge(await next_message)
        show.say("operator", f"says it to all who watch {BOILER}: {', '.join(told)}")
        await cast.page.told("operator: how are you?")
        await client.ask(Groups(client.number(), leave=("operators",)))
    async with show.promise("a message to nobody is refused"):
        told = await told_of(client.send_to(QUESTION, client="nobody"))
        assert list(told.values()) == ["unknown"]
        show.say("operator", "says it to a client that is not there: refused, unknown")
    async with show.promise("a message that is sent again with its key is the same"):
        first, again = [
            await client.ask(Send(client.number(), "client", cast.rival.id, "once", "once", 0.0))
            for _ in range(2)
        ]
        assert first.message == again.message
        assert [first.is_repeated, again.is_repeated] == [False, True]
        assert [body async for body in bodies(cast.rival.client)] == ["once"]
        show.say("rival", "has a message once that was sent twice with one key")
    inbox.close()


def said(message: Message) -> str:
    return f"{message.sender_name} says {json.dumps(message.body)}"


async def bodies(client: Client) -> AsyncIterator[Value]:
    """Yield what waits for a client, up to what it sends itself afterwards."""
    async for _ in client.send_to("that is all", client=client.id, wait_s=0):
        pass
    inbox = client.messages()
    async for message in inbox:
        if message.body == "that is all":
            await inbox.acknowledge(message)
            break
        yield message.body


async def publishing_and_shared_state(cast: Cast) -> None:
    """Publish, edit at once, and acknowledge an alarm for everybody."""
    show, operator, rival = cast.show, cast.operator, cast.rival

    async with show.promise("a client publishes what the configuration opens"):
        await operator.client.publish(HUMIDITY, 41)
        await cast.page.shows(HUMIDITY, "41")
        show.say("page", f"shows {HUMIDITY} 41, which the operator has published")
        await operator.client.publish(WEATHER, "sunny")
        show.say("page", f"shows {WEATHER} {await cast.page.shows(WEATHER, 'sunny')}")
    async with show.promise("others cannot publish it meanwhile, and nobody what it is not"):
        error = await refused(rival.client.publish(HUMIDITY, 42))
        assert error.code == "held"
        show.say("rival", f"publishes it too: {error}")
        error = await refused(operator.client.publish(HUMIDITY, "wet"))
        assert error.code == "bad_request"
        show.say("operator", f"publishes wet: {error}")
    async with show.promise("what the service derives is a topic like any other"):
        derived = f"derived/{BOILER}"
        show.say("page", f"shows {derived} {await cast.page.shows(derived)}")
    async with show.promise("an edit of an old version is a conflict that shows the present"):
        old = await operator.state.put(COUNTER, 0)
        await operator.state.put(COUNTER, 0, old)
        error = await refused(rival.state.put(COUNTER, -1, old))
        assert error.code == "conflict"
        assert error.present is not None
        assert error.present["value"] == 0
        show.say("rival", f"puts {COUNTER}: {error}")
    async with show.promise("two who edit at once lose no update"):
        people = (operator, rival) * EDITS
        await asyncio.gather(*(person.state.update(COUNTER, one_more) for person in people))
        entry = await operator.state.get(COUNTER)
        assert entry is not None
        assert entry.value == 2 * EDITS
        show.say("operator", f"{COUNTER} is {entry.value} after {EDITS} edits of each at once")
    async with show.promise("an alarm that one acknowledges is acknowledged for all"):
        alarms = Follower(operator.client.subscribe("state/alarms/#", start="now"))
        await alarms.live()
        await cast.page.do(f"({row_of(BOILER)}).querySelector('button').click()")
        update = await alarms.update(lambda _: True)
        assert name_of(update, "by") == "page"
        show.say("operator", f"{update.topic} was acknowledged by the page")
        await cast.page.told(f"{BOILER} was acknowledged by page")


def one_more(value: Value) -> Value:
    assert isinstance(value, int)
    return value + 1
