"""Every number that a client sends is bounded where it becomes typed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.errors import ProtocolError
from sensord.model.readings import LATEST_US
from sensord.wire.frames import EXACT, JSON, MSGPACK
from sensord.wire.ops import REQUESTS, read_request
from sensord.wire.ops.base import Request, Result
from sensord.wire.ops.state import Publish
from sensord.wire.places import Ago

VECTORS = Path(__file__).parents[2] / "vectors" / "requests.json"
MESSAGES = [json.loads(one["json"]) for one in json.loads(VECTORS.read_text())["accepted"]]

NUMERIC = ["after", "call", "change", "count", "deadband", "duration", "interval", "limit"]
NUMERIC += ["max_latency", "message", "period", "replay", "request", "speed", "subscription"]
NUMERIC += ["time_us", "timeout", "version", "wait"]
"""Fields that hold a number in some request."""

EXTREMES = [
    sign * (base + off)
    for base in (0, 2**31, 2**32, EXACT, 2**63, 2**64, 10**30, 10**400)
    for off in (-1, 0, 1)
    for sign in (-1, 1)
]
numbers = st.sampled_from([*EXTREMES, -0.0, 1e-320, 1e308, -1e308, float("inf"), float("nan")])
numbers |= st.integers() | st.floats()


def places(message: dict[str, Any]) -> list[tuple[str, ...]]:
    """List where in a message a number may stand."""
    nested = [
        (field, name)
        for field, found in message.items()
        if isinstance(found, dict) and field in {"from", "to"}
        for name in ("offset", "time_us")
    ]
    return [("id",), *((field,) for field in NUMERIC), *nested]


def integers(found: object) -> Iterator[int]:
    """Yield the integers in a typed request, except those in values."""
    if dataclasses.is_dataclass(found):
        for field in dataclasses.fields(found):
            if field.name not in {"value", "args", "body"}:
                yield from integers(getattr(found, field.name))
    elif isinstance(found, tuple):
        for one in found:
            yield from integers(one)
    elif isinstance(found, int):
        yield found


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Make a good message extreme in one to three places."""
    message: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(MESSAGES))))
    if "from" in message and draw(st.booleans()):
        message["from"] = draw(st.sampled_from([{"epoch": "e", "offset": 0}, {"time_us": 0}]))
    for place in draw(st.lists(st.sampled_from(places(message)), min_size=1, max_size=3)):
        inside = message
        for field in place[:-1]:
            inside = inside[field]
        inside[place[-1]] = draw(numbers)
    return message


def accepted(message: dict[str, Any]) -> Request[Result] | None:
    """Return the typed request, or None for one that is refused with a reason."""
    try:
        return read_request(message)
    except ProtocolError as error:
        if error.code != "bad_request" or not error.message:
            raise
    return None


def test_the_messages_are_of_every_kind() -> None:
    """The property below leaves out no request."""
    assert {message["op"] for message in MESSAGES} == set(REQUESTS)


@given(messages())
def test_an_extreme_number_is_refused_or_exact_in_every_client(message: dict[str, Any]) -> None:
    """No request that is accepted has an integer beyond 2^53, or a number that is not finite."""
    request = accepted(message)
    if request is None:
        return
    assert all(-EXACT < one < EXACT for one in integers(request))
    for name in (field.name for field in dataclasses.fields(request)):
        found = getattr(request, name)
        assert not isinstance(found, float) or -1e300 <= found <= 1e300
    # What is answered with any of it can be packed.
    told = {"op": "result", "id": request.id, "all": list(integers(request))}
    assert MSGPACK.decode(MSGPACK.message(told)) == JSON.decode(JSON.message(told)) == told


@pytest.mark.parametrize("time_us", [-1, -(2**63) + 1, 2**53, 2**63 - 1, 2**63])
def test_a_time_that_cannot_be_recorded_is_refused_and_the_bounds_are_said(time_us: int) -> None:
    """A reading of before 1970 or after 2255 would be recorded as another one."""
    message = {"op": "publish", "id": 1, "topic": "a", "value": 1, "time_us": time_us}
    with pytest.raises(ProtocolError, match=f"time_us.*0 to {LATEST_US}"):
        read_request(message)


def test_the_last_time_is_accepted() -> None:
    """The bounds belong to what is allowed."""
    for time_us in (0, LATEST_US):
        message = {"op": "publish", "id": 1, "topic": "a", "value": 1, "time_us": time_us}
        request = read_request(message)
        assert isinstance(request, Publish)
        assert request.time_us == time_us


def test_so_long_ago_that_there_was_no_1970_means_everything() -> None:
    """Three million years ago lies within no calendar."""
    message = {"op": "history", "id": 1, "topics": ["#"], "from": "-999999999d"}
    start = read_request(message).start  # type: ignore[attr-defined]  # it is a history
    assert isinstance(start, Ago)
    assert start.at_us(1_700_000_000_000_000) == 0
