"""Requests become typed or are refused; what the server tells of a channel is read back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.errors import ProtocolError
from sensord.model.readings import Channel, Kind, Metadata, Position, ValueType
from sensord.wire.ops import Request, Result, read_request, request_id
from sensord.wire.ops.queries import Get
from sensord.wire.ops.session import Error, Hello, Ping
from sensord.wire.ops.subscriptions import (
    Options,
    Subscribe,
    Unsubscribe,
    read_channel,
    write_channel,
)
from sensord.wire.places import Ago, Since, Start


def refused(message: object) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        read_request(message)
    return caught.value


def subscribe(**fields: Any) -> Request[Result]:
    return read_request({"op": "subscribe", "id": 1, "topics": ["a"], **fields})


def options(**fields: Any) -> Options:
    request = subscribe(**fields)
    assert isinstance(request, Subscribe)
    return request.options


# -- requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        ({"op": "hello", "id": 0}, Hello(0)),
        ({"op": "hello", "id": 1, "client": "me", "token": "x"}, Hello(1, "me", token="x")),
        ({"op": "ping", "id": 2**53 - 1}, Ping(2**53 - 1)),
        ({"op": "get", "id": 3, "topics": ["b", "a", "b"]}, Get(3, ("a", "b"))),
        ({"op": "subscribe", "id": 4, "topics": ["#"]}, Subscribe(4, ("#",))),
        (
            {"op": "subscribe", "id": 5, "topics": ["#"], "change": 4},
            Subscribe(5, ("#",), change=4),
        ),
        ({"op": "unsubscribe", "id": 6, "subscription": 4}, Unsubscribe(6, 4)),
        (
            {"op": "unsubscribe", "id": 7, "subscription": 4, "topics": ["#"]},
            Unsubscribe(7, 4, ("#",)),
        ),
        (
            {"op": "unsubscribe", "id": 8, "subscription": 4, "topics": None},
            Unsubscribe(8, 4),
        ),
    ],
)
def test_requests_become_typed(message: object, request_: Request[Result]) -> None:
    """With what is left out at its default."""
    assert read_request(message) == request_


def test_fields_that_are_not_known_are_ignored() -> None:
    """A newer client may send them."""
    assert read_request({"op": "ping", "id": 1, "colour": "blue", "op2": []}) == Ping(1)


@pytest.mark.parametrize("message", [None, 1, "ping", [], {}, {"id": 1}, {"op": 1, "id": 1}])
def test_what_is_no_map_with_an_op_is_a_bad_message(message: object) -> None:
    """Whatever else it is."""
    assert refused(message).code == "bad_message"


def test_an_op_that_is_not_known_is_told_the_nearest_one() -> None:
    """Even without an id; a long one that is near to none is cut."""
    assert 'did you mean "subscribe"?' in refused({"op": "subscrib"}).message
    caught = refused({"op": "x" * 100})
    assert caught.code == "unknown_op"
    assert "section 3.2" in caught.message
    assert len(caught.message) < 150


@pytest.mark.parametrize("number", [None, -1, 2**53, 1.0, "1", True, [1]])
def test_a_request_needs_an_id_that_every_language_can_hold(number: object) -> None:
    """An integer from 0 to 2^53-1; else the error has none either."""
    message = {"op": "ping", "id": number}
    assert request_id(message) is None
    caught = refused(message)
    assert caught.code == "bad_request"
    assert caught.message.startswith("id:")


@pytest.mark.parametrize("message", [None, [], "a", {}])
def test_what_has_no_id_has_none(message: object) -> None:
    """Nothing raises."""
    assert request_id(message) is None


def test_the_id_of_a_bad_request_is_known() -> None:
    """So that its error can be answered to it."""
    assert request_id({"op": "nonsense", "id": 7}) == 7


@pytest.mark.parametrize("client", [1, None, "x" * 81, ["a"]])
def test_a_clients_name_is_a_short_text(client: object) -> None:
    """What operators read stays readable."""
    assert refused({"op": "hello", "id": 1, "client": client}).message.startswith("client:")


def test_a_clients_name_cannot_write_into_the_log() -> None:
    """Line breaks and other controls are taken out."""
    assert read_request({"op": "hello", "id": 1, "client": "a\nb\x1b[2J"}) == Hello(1, "ab[2J")


@pytest.mark.parametrize(
    "topics",
    [None, "a", [], ["a"] * 65, [1], [None], ["a", ["b"]], {"a": 1}, ["a//b"], ["#/a"], ["\ud800"]],
)
@pytest.mark.parametrize("op", ["subscribe", "get"])
def test_topics_are_one_to_64_filters(op: str, topics: object) -> None:
    """Each well formed."""
    caught = refused({"op": op, "id": 1, "topics": topics})
    assert caught.code == "bad_request"
    assert caught.message.startswith("topics:")


def test_64_filters_are_allowed() -> None:
    """In any order; what is repeated says nothing more."""
    topics = [f"a/{i}" for i in range(64)]
    request = read_request({"op": "get", "id": 1, "topics": topics})
    assert isinstance(request, Get)
    assert request.topics == tuple(sorted(topics))


@pytest.mark.parametrize(
    ("told", "start"),
    [
        (None, "snapshot"),
        ("snapshot", "snapshot"),
        ("now", "now"),
        ({"epoch": "e", "offset": 0}, Position("e", 0)),
        ({"epoch": "", "offset": 2**53 - 1}, Position("", 2**53 - 1)),
        ({"epoch": "e", "offset": 1, "more": 2}, Position("e", 1)),
        ({"time_us": 0}, Since(0)),
        ({"time_us": -1}, Since(-1)),
        ("-10s", Ago(10_000_000)),
        ("-0.5s", Ago(500_000)),
        ("-10m", Ago(600_000_000)),
        ("-2h", Ago(7_200_000_000)),
        ("-1.5d", Ago(129_600_000_000)),
    ],
)
def test_a_subscription_says_where_it_begins(told: object, start: Start) -> None:
    """With last values, now, at a position, at a time, or some time ago."""
    request = subscribe(**{"from": told})
    assert isinstance(request, Subscribe)
    assert request.start == start
    assert type(request.start) is type(start)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "later",
        "10m",
        "-10",
        "-10w",
        "--1s",
        "-1e3s",
        "-1234567890s",
        "-10m ",
        0,
        True,
        [],
        {},
        {"epoch": "e"},
        {"offset": 1},
        {"epoch": 1, "offset": 1},
        {"epoch": "e", "offset": -1},
        {"epoch": "e", "offset": 2**53},
        {"epoch": "e", "offset": 1.0},
        {"epoch": "e", "offset": True},
        {"time_us": "now"},
        {"time_us": 2**53},
        {"time_us": 1.5},
        {"time_us": False},
    ],
)
def test_any_other_beginning_is_refused(told: object) -> None:
    """And the known ones are named."""
    caught = refused({"op": "subscribe", "id": 1, "topics": ["a"], "from": told})
    assert caught.code == "bad_request"
    assert caught.message.startswith('from: send "snapshot", "now", "-10m"')


def test_a_changed_subscription_has_no_beginning() -> None:
    """It goes on from where it is."""
    message = {"op": "subscribe", "id": 2, "topics": ["a"], "change": 1}
    assert refused({**message, "from": "now"}).message.startswith("from:")
    assert refused({**message, "from": None}).message.startswith("from:")
    assert refused({**message, "change": "1"}).message.startswith("change:")
    assert refused({**message, "change": True}).message.startswith("change:")


def test_options_have_the_defaults_of_the_document() -> None:
    """Everything, as it comes, with little delay."""
    assert options() == Options("every", 0.0, 0.02, 0.0)


def test_options_are_taken_as_numbers() -> None:
    """Integers will do, and equal options are equal however they were written."""
    told = options(mode="latest", period=1, max_latency=1, deadband=2)
    assert told == Options("latest", 1.0, 1.0, 2.0)
    assert all(type(value) is float for value in (told.period_s, told.deadband))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "newest"),
        ("mode", None),
        ("mode", ["every"]),
        ("period", -0.1),
        ("period", 3600.1),
        ("period", "1s"),
        ("period", True),
        ("period", None),
        ("period", float("inf")),
        ("period", float("nan")),
        ("max_latency", 0),
        ("max_latency", 0.0009),
        ("max_latency", 60.1),
        ("deadband", -1),
        ("deadband", 10**400),
        ("deadband", float("nan")),
        ("subscription", None),
    ],
)
def test_options_out_of_their_range_are_refused(field: str, value: object) -> None:
    """The field is named."""
    op = "unsubscribe" if field == "subscription" else "subscribe"
    caught = refused({"op": op, "id": 1, "topics": ["a"], field: value})
    assert caught.code == "bad_request"
    assert caught.message.startswith(f"{field}:")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("period", 0),
        ("period", 3600),
        ("max_latency", 0.001),
        ("max_latency", 60),
        ("deadband", 0),
        ("deadband", 1e300),
    ],
)
def test_the_ends_of_a_range_are_in_it(field: str, value: float) -> None:
    """As documented."""
    subscribe(**{field: value})


@pytest.mark.parametrize("subscription", [None, "1", 1.0, True])
def test_unsubscribe_names_a_subscription(subscription: object) -> None:
    """By the id of its request."""
    caught = refused({"op": "unsubscribe", "id": 1, "subscription": subscription})
    assert caught.message.startswith("subscription:")


wire_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["hello", "subscribe", "unsubscribe", "get", "ping", "-1s", "a/#"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
FIELDS = "op id topics from mode period max_latency deadband change subscription client"
fields = st.sampled_from(FIELDS.split())


@given(wire_values | st.dictionaries(fields, wire_values))
def test_any_message_is_a_request_or_a_protocol_error(message: object) -> None:
    """Nothing that a client sends raises anything else."""
    codes = {"bad_message", "bad_request", "unknown_op"}
    answer: Request[Result] | str
    try:
        answer = read_request(message)
    except ProtocolError as caught:
        answer = caught.code
    assert answer in codes if isinstance(answer, str) else answer.id == request_id(message)


# -- answers ---------------------------------------------------------------------------------------


def test_an_error_is_a_map_with_what_went_wrong() -> None:
    """Its id is null where the request had none."""
    assert Error(None, "bad_message", "send a map").write() == {
        "op": "error",
        "id": None,
        "code": "bad_message",
        "message": "send a map",
    }


def test_a_channel_is_told_without_its_defaults() -> None:
    """Most channels are a number, a topic and little else."""
    assert write_channel(Channel(7, "a/b", Metadata())) == {"channel": 7, "topic": "a/b"}


def test_all_that_is_not_default_is_told() -> None:
    """Decimals of 0 are not none."""
    metadata = Metadata(ValueType.INT, "m/s", 0, Kind.EVENT, "how fast", "mast")
    assert write_channel(Channel(0, "a", metadata)) == {
        "channel": 0,
        "topic": "a",
        "type": "int",
        "kind": "event",
        "decimals": 0,
        "unit": "m/s",
        "description": "how fast",
        "device": "mast",
    }


metadatas = st.builds(
    Metadata,
    type=st.sampled_from(ValueType),
    unit=st.text(max_size=5),
    decimals=st.none() | st.integers(0, 15),
    kind=st.sampled_from(Kind),
    description=st.text(max_size=5),
    device=st.text(max_size=5),
)


@given(st.integers(0, 2**40), st.text(max_size=10), metadatas)
def test_reading_an_announcement_undoes_making_it(
    number: int, topic: str, metadata: Metadata
) -> None:
    """Whatever is known of a channel arrives."""
    told = read_channel(write_channel(Channel(number, topic, metadata)))
    assert (told.number, told.topic, told.metadata) == (number, topic, metadata)
    assert type(told.metadata.type) is ValueType
    assert type(told.metadata.kind) is Kind


def test_an_announcement_of_a_newer_server_may_say_more() -> None:
    """What a client does not know it ignores."""
    told = read_channel({"channel": 1, "topic": "a", "colour": "blue"})
    assert told.metadata == Metadata()


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"channel": 1},
        {"topic": "a"},
        {"channel": "1", "topic": "a"},
        {"channel": True, "topic": "a"},
        {"channel": 1, "topic": None},
        {"channel": 1, "topic": "a", "type": "double"},
        {"channel": 1, "topic": "a", "type": ["float"]},
        {"channel": 1, "topic": "a", "kind": "sample"},
        {"channel": 1, "topic": "a", "unit": 5},
        {"channel": 1, "topic": "a", "description": None},
        {"channel": 1, "topic": "a", "decimals": "2"},
        {"channel": 1, "topic": "a", "decimals": 2.0},
        {"channel": 1, "topic": "a", "decimals": -1},
        {"channel": 1, "topic": "a", "decimals": 10**9},
        [],
        "channel",
        None,
    ],
)
def test_what_is_no_announcement_is_refused(told: Any) -> None:
    """Before anything is made of it."""
    with pytest.raises(ProtocolError) as caught:
        read_channel(told)
    assert caught.value.code == "bad_message"
