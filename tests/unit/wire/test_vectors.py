"""The server keeps to the test vectors that every client keeps to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from sensord.errors import ProtocolError
from sensord.model.readings import Position
from sensord.wire.frames import JSON, MSGPACK, Codec, DecodedFrame
from sensord.wire.ops import ANSWERS, Request, Result, read_answer, read_request, request_id
from sensord.wire.ops.messages import Send
from sensord.wire.ops.queries import Clients, Devices, Get, History, Topics
from sensord.wire.ops.services import Failure
from sensord.wire.ops.session import Bye, Cancel, Hello, Ping
from sensord.wire.ops.subscriptions import Channels, Subscribe, Unsubscribe, read_channel
from sensord.wire.places import Ago, Since, Start
from tests.kit.vectors import (
    CHANNELS,
    FRAMES,
    MESSAGES,
    REQUESTS,
    each,
    payload,
    record_of,
    same,
    told_channel,
)

# -- requests --------------------------------------------------------------------------------------


def told_request(request: Request[Result]) -> dict[str, Any]:
    """Write a typed request as the vectors do."""
    match request:
        case Hello():
            return {
                "op": "hello",
                "id": request.id,
                "client": request.client,
                "key": request.key,
                "groups": None if request.groups is None else list(request.groups),
                "ephemeral": request.is_ephemeral,
            }
        case Ping() | Bye():
            return {"op": type(request).__name__.lower(), "id": request.id}
        case Cancel():
            return {"op": "cancel", "id": request.id, "request": request.request}
        case Get() | Topics():
            return {
                "op": type(request).__name__.lower(),
                "id": request.id,
                "topics": list(request.topics),
                "follow": request.is_following,
            }
        case Devices() | Clients():
            return {
                "op": type(request).__name__.lower(),
                "id": request.id,
                "follow": request.is_following,
            }
        case History():
            return {
                "op": "history",
                "id": request.id,
                "topics": list(request.topics),
                "from": told_start(request.start),
                "to": None if request.stop is None else told_start(request.stop),
                "limit": request.limit,
                "interval": request.interval_s,
                "follow": request.is_following,
            }
        case Subscribe():
            return {
                "op": "subscribe",
                "id": request.id,
                "topics": list(request.topics),
                "from": told_start(request.start),
                "mode": request.options.mode,
                "period": request.options.period_s,
                "max_latency": request.options.max_latency_s,
                "deadband": request.options.deadband,
                "change": request.change,
            }
        case Unsubscribe():
            topics = None if request.topics is None else list(request.topics)
            return {
                "op": "unsubscribe",
                "id": request.id,
                "subscription": request.subscription,
                "topics": topics,
            }
        case Send():
            return {
                "op": "send",
                "id": request.id,
                "to": {request.kind: request.name},
                "body": request.body,
                "key": request.key,
                "wait": request.wait_s,
            }
        case _:
            return {"op": request.op, **dict(told_fields(request))}


RENAMED = {"start": "from", "stop": "to", "is_paused": "paused"}
RENAMED |= {"timeout_s": "timeout", "duration_s": "duration"}
"""Fields that have another name in the code than on the wire."""


def told_fields(request: Request[Result]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a request as the wire calls them."""
    for field in dataclasses.fields(request):
        value = getattr(request, field.name)
        if isinstance(value, tuple) and not isinstance(value, Position):
            value = list(value)
        elif isinstance(value, (Position, Since, Ago)):
            value = told_start(value)
        elif isinstance(value, Failure):
            value = value.write()
        yield RENAMED.get(field.name, field.name), value


def told_start(start: Start) -> dict[str, Any]:
    match start:
        case Position():
            return {"kind": "position", "epoch": start.epoch, "offset": start.offset}
        case Since():
            ago = {"ago": True} if start.is_ago else {}
            return {"kind": "since", "time_us": start.time_us, **ago}
        case Ago():
            return {"kind": "ago", "us": start.us}
        case _:
            return {"kind": start}


@each(REQUESTS["accepted"])
def test_a_request_means_what_its_vector_says(vector: dict[str, Any], codec: Codec) -> None:
    """In either encoding."""
    assert told_request(read_request(codec.decode(payload(vector, codec)))) == vector["request"]


@each(REQUESTS["refused"])
def test_a_bad_request_is_refused_as_its_vector_says(vector: dict[str, Any], codec: Codec) -> None:
    """With its code, its id and the name of the field."""
    answered: list[int | None] = []

    def receive() -> None:
        message = codec.decode(payload(vector, codec))
        answered.append(request_id(message))
        read_request(message)

    with pytest.raises(ProtocolError) as caught:
        receive()
    assert caught.value.code == vector["error"]
    assert (answered or [None]) == [vector["id"]]
    if "field" in vector:
        assert caught.value.message.startswith(f"{vector['field']}:")


# -- messages --------------------------------------------------------------------------------------


@each(MESSAGES["messages"])
def test_a_message_is_written_and_read_as_its_vector_says(
    vector: dict[str, Any], codec: Codec
) -> None:
    """Byte for byte."""
    assert codec.message(vector["message"]) == payload(vector, codec)
    assert codec.decode(payload(vector, codec)) == vector["message"]


@each([v for v in MESSAGES["messages"] if v["message"]["op"] in ANSWERS])
def test_an_answer_that_is_read_is_written_alike(vector: dict[str, Any], codec: Codec) -> None:
    """One type reads and writes it; of a result, the type is the request's."""
    message = codec.decode(payload(vector, codec))
    assert isinstance(message, dict)
    answer = read_answer(message)
    assert answer is not None
    assert answer.write() == message


@each(REQUESTS["accepted"])
def test_a_request_that_is_written_is_read_alike(vector: dict[str, Any], codec: Codec) -> None:
    """What a client sends is what the server reads, to the last field."""
    request = read_request(codec.decode(payload(vector, codec)))
    assert read_request(codec.decode(codec.message(request.write()))) == request


@each(MESSAGES["announcements"])
def test_an_announcement_is_written_and_read_as_its_vector_says(
    vector: dict[str, Any], codec: Codec
) -> None:
    """Defaults are left out on the wire and filled in again."""
    message = codec.decode(payload(vector, codec))
    assert isinstance(message, dict)
    channels = [read_channel(told) for told in message["channels"]]
    assert [told_channel(channel) for channel in channels] == vector["channels"]
    assert codec.message(Channels(channels).write()) == payload(vector, codec)


@each(MESSAGES["refused_announcements"])
def test_an_announcement_that_is_none_is_refused(vector: dict[str, Any], codec: Codec) -> None:
    """As a fault of the server."""
    message = codec.decode(payload(vector, codec))
    assert isinstance(message, dict)
    with pytest.raises(ProtocolError, match="bad_message"):
        read_channel(message["channels"][0])


# -- frames ----------------------------------------------------------------------------------------


def read(data: bytes, codec: Codec) -> DecodedFrame:
    raw = codec.decode(data)
    assert isinstance(raw, list)
    return codec.read_frame(raw, lambda number: CHANNELS[number].metadata)


@each(FRAMES["frames"] + FRAMES["also_read"])
def test_a_frame_is_read_as_its_vector_says(vector: dict[str, Any], codec: Codec) -> None:
    """Every value to the bit."""
    frame = read(payload(vector, codec), codec)
    wanted = vector["frame"]
    assert (frame.stream, frame.cursor) == (wanted["stream"], wanted["cursor"])
    assert len(frame.readings) == len(wanted["readings"])
    for one, told in zip(frame.readings, wanted["readings"], strict=True):
        record = record_of(told)
        assert (one.channel, one.reported_us) == (record.channel.number, told["reported_us"])
        assert one.reading[0::2] == record.reading[0::2]
        assert one.reading.restates is record.reading.restates
        assert same(one.reading.value, record.reading.value)


@each(FRAMES["frames"])
def test_a_frame_is_written_as_its_vector_says(vector: dict[str, Any], codec: Codec) -> None:
    """Byte for byte."""
    frame = vector["frame"]
    records = [record_of(told) for told in frame["readings"]]
    assert codec.frame(frame["stream"], frame["cursor"], records) == payload(vector, codec)


@each(FRAMES["refused"])
def test_a_frame_that_is_none_is_refused(vector: dict[str, Any], codec: Codec) -> None:
    """Whether its bytes cannot be read or its parts are not right."""
    with pytest.raises(ProtocolError, match="bad_message"):
        read(payload(vector, codec), codec)


# -- all -------------------------------------------------------------------------------------------


def test_vectors_have_names_of_their_own() -> None:
    """So that a failure says which one it was."""
    for file in (REQUESTS, MESSAGES, FRAMES):
        for vectors in file.values():
            names = [vector.get("name", vector.get("topic")) for vector in vectors]
            assert len(names) == len(set(names))


def test_every_vector_that_can_be_is_in_both_encodings() -> None:
    """Only what one of them cannot say is missing there."""
    assert MSGPACK is not JSON
    lone = [v["name"] for v in FRAMES["frames"] if v["json"] is None or v["msgpack"] is None]
    assert not lone
