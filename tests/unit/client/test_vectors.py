"""The Python client keeps to the test vectors: what the server sends means what they say."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.client.conversation import (
    Called,
    Complete,
    Conversation,
    Decided,
    Ended,
    Event,
    Gap,
    Items,
    Message,
    Part,
    PhaseChange,
    Receipt,
    Refused,
    Row,
    Succeeded,
    Summary,
    Update,
)
from sensord.errors import ProtocolError
from sensord.model.readings import (
    GOOD,
    Channel,
    Level,
    Metadata,
    Position,
    Quality,
    Reading,
    Record,
)
from sensord.model.sights import Sight, What
from sensord.wire.frames import Codec
from sensord.wire.frames import Message as WireMessage
from sensord.wire.ops import Result
from sensord.wire.ops.acting import Outcome
from sensord.wire.ops.session import Hello, Welcome
from sensord.wire.ops.subscriptions import Opened, Subscribe, read_channel
from tests.kit.vectors import (
    CHANNELS,
    FRAMES,
    MESSAGES,
    each,
    payload,
    record_of,
    same,
    told_channel,
)

EPOCH = "m3x9"
WELCOME = Welcome(1, "sensord/0", "s1", "a1", "a1.0", EPOCH, 0, 0, {})
REQUEST = 7

SUMMARISED = {number: Channel(number, f"plant/{number}", Metadata()) for number in (7, 8, 9)}
"""The channels of the intervals among the vectors."""


def greeted(codec: Codec) -> Conversation:
    """Begin a conversation: hello was answered."""
    conversation = Conversation(codec)
    conversation.asked(Hello(1))
    conversation.received(codec.message(WELCOME.write()))
    return conversation


def opened(conversation: Conversation, codec: Codec, stream: int) -> None:
    """Let a subscription be answered."""
    conversation.asked(Subscribe(REQUEST, ("#",)))
    conversation.received(codec.message(Opened(REQUEST, stream).write()))


def position(offset: int | None) -> Position | None:
    return None if offset is None else Position(EPOCH, offset)


# -- control messages ------------------------------------------------------------------------------


@each(MESSAGES["messages"])
def test_a_message_means_what_its_vector_says(vector: dict[str, Any], codec: Codec) -> None:
    """An answer, a refusal, a change of phase, a gap or an end, of the request that it names."""
    conversation = greeted(codec)
    conversation._channels.update(SUMMARISED)
    event = conversation.received(payload(vector, codec))
    check(event, vector["message"])
    assert conversation.epoch == EPOCH


def check(event: Event | None, message: WireMessage) -> None:
    """Compare what the client made of a message with what the document says of it."""
    match message["op"]:
        case "result":
            assert event == Succeeded(message["id"], Result(message["id"]))
        case "error":
            assert isinstance(event, Refused)
            assert event.request == message["id"]
            assert (event.error.code, event.error.message) == (message["code"], message["message"])
        case "stream":
            change = PhaseChange(message["phase"])
            assert event == Items(message["id"], [change], position(message["cursor"]))
        case "gap":
            reason, start, stop = message["reason"], message["from"], message["to"]
            detail = message.get("detail", "")
            gap = Gap(reason, start, stop, message["count"], message["lost"], detail)
            assert event == Items(message["id"], [gap], position(message["to"]))
        case "outcome":
            assert event == Decided(message["id"], Outcome.read(message))
        case "end":
            wanted = Ended(message["id"], position(message.get("cursor")), message.get("complete"))
            assert event == wanted
        case "summary":
            rows = [summary_of(row) for row in message["rows"]]
            assert event == Items(message["id"], rows, position(message["cursor"]))
        case "rows":
            assert event == Items(message["id"], [Row(row) for row in message["rows"]], None)
        case "complete":
            resume = position(message.get("cursor"))
            assert event == Items(message["id"], [Complete()], resume)
        case _:
            check_of_clients(event, message)


def check_of_clients(event: Event | None, message: WireMessage) -> None:
    """Do the same for what clients have to do with each other."""
    match message["op"]:
        case "request":
            who = message["from"]
            asked = Called(
                message["call"], message["args"], who["id"], who["name"], message["timeout"]
            )
            assert event == Items(message["id"], [asked], None)
        case "part":
            part = Part(message["number"], message["value"])
            assert event == Items(message["id"], [part], None)
        case "message":
            who = message["from"]
            received = Message(
                message["message"],
                who["id"],
                who["name"],
                message["to"],
                message["time_us"],
                message["body"],
            )
            assert event == Items(message["id"], [received], None)
        case "receipt":
            told = [
                Receipt(one["client"], one["status"], one.get("reason", ""))
                for one in message["receipts"]
            ]
            assert event == Items(message["id"], told, None)
        case "sights":
            seen = [sight_of(one) for one in message["sights"]]
            assert event == Items(message["id"], seen, None)
        case other:
            raise AssertionError(other)


def sight_of(told: dict[str, Any]) -> Sight:
    """Return what a map in ``sights`` means."""
    data = bytes.fromhex(told.get("hex", ""))
    is_value, what = told["what"] == "value", What(told["what"])
    quality = Quality(Level(told.get("level", 0)), told.get("reason", "")) if is_value else GOOD
    return Sight(
        told["time_us"],
        what,
        data,
        told.get("bytes", len(data)),
        told.get("source", ""),
        told.get("retained", False),
        told.get("topic", ""),
        told.get("unit", ""),
        told.get("value"),
        quality,
        "" if is_value else told.get("reason", ""),
        told.get("detail", ""),
        told.get("count", 0),
    )


def summary_of(row: dict[str, Any]) -> Summary:
    channel = SUMMARISED[row["channel"]]
    bounds = [row.get("min"), row.get("max"), row.get("mean")]
    return Summary(channel, row["time_us"], row["count"], row["first"], row["last"], *bounds)


@each(MESSAGES["announcements"])
def test_an_announced_channel_is_known_with_its_metadata(
    vector: dict[str, Any], codec: Codec
) -> None:
    """It is the channel of the readings that come under its number."""
    conversation = greeted(codec)
    opened(conversation, codec, 12)
    assert conversation.received(payload(vector, codec)) is None
    for told in vector["channels"]:
        record = Record(0, 1, read_channel(told), Reading(1, None))
        event = conversation.received(codec.frame(12, None, [record]))
        assert isinstance(event, Items)
        [update] = event.items
        assert isinstance(update, Update)
        assert told_channel(update.channel) == told


@each(MESSAGES["refused_announcements"])
def test_an_announcement_that_is_none_is_refused(vector: dict[str, Any], codec: Codec) -> None:
    """As a fault of the server."""
    with pytest.raises(ProtocolError, match="bad_message"):
        greeted(codec).received(payload(vector, codec))


# -- frames ----------------------------------------------------------------------------------------


def following(codec: Codec, stream: int, phase: str) -> Conversation:
    """Return a conversation in which a request has this stream, and the channels are known."""
    conversation = greeted(codec)
    for message in (
        {"op": "result", "id": REQUEST, "stream": 0},
        {"op": "stream", "id": REQUEST, "stream": stream, "phase": phase, "cursor": None},
        {"op": "channels", "channels": FRAMES["channels"]},
    ):
        conversation.received(codec.message(message))
    return conversation


@pytest.mark.parametrize("phase", ["snapshot", "live"])
@each(FRAMES["frames"] + FRAMES["also_read"])
def test_a_frame_brings_the_readings_that_its_vector_says(
    vector: dict[str, Any], codec: Codec, phase: str
) -> None:
    """Every value to the bit; those of a snapshot are known as last values."""
    wanted = vector["frame"]
    event = following(codec, wanted["stream"], phase).received(payload(vector, codec))
    assert isinstance(event, Items)
    assert (event.request, event.resume) == (REQUEST, position(wanted["cursor"]))
    assert len(event.items) == len(wanted["readings"])
    for item, told in zip(event.items, wanted["readings"], strict=True):
        assert isinstance(item, Update)
        record = record_of(told)
        value = item.reading.value
        assert told_channel(item.channel) == told_channel(record.channel)
        assert item.reading._replace(value=None) == record.reading._replace(value=None)
        assert same(value, record.reading.value)
        assert item.reported_us == told["reported_us"]
        assert item.is_last_value is (phase == "snapshot")
        assert (item.reading.quality is GOOD) is (told["level"] == 0)


@each(FRAMES["frames"])
def test_a_frame_of_a_stream_that_ended_brings_nothing(
    vector: dict[str, Any], codec: Codec
) -> None:
    """It was on its way when the stream was ended."""
    conversation = following(codec, vector["frame"]["stream"] + 1, "live")
    assert conversation.received(payload(vector, codec)) is None


@each(FRAMES["refused"])
def test_a_frame_that_is_none_is_refused(vector: dict[str, Any], codec: Codec) -> None:
    """As a fault of the server, and the conversation is as it was."""
    conversation = following(codec, 3, "live")
    with pytest.raises(ProtocolError, match="bad_message"):
        conversation.received(payload(vector, codec))
    record = Record(0, 5, CHANNELS[1], Reading(5, 1.5))
    event = conversation.received(codec.frame(3, 10, [record]))
    assert isinstance(event, Items)
    assert event.resume == position(10)
