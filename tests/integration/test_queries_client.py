"""The Python client asks about the past and about what there is, across losses of connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest

from sensord.client import Again, Client, Complete, Gap, PhaseChange, Row, Summary, Update
from sensord.errors import ProtocolError
from sensord.model.readings import Position, ValueType
from tests.kit.loops import on_each_loop
from tests.kit.station import EPOCH, Station
from tests.unit.manual import ManualClock

T = TypeVar("T")

START = Position(EPOCH, 0)
YEAR_S = 31_622_400.0

each_encoding = pytest.mark.parametrize("encoding", ["msgpack", "json"])


async def some(items: AsyncIterator[T], number: int) -> list[T]:
    """Take so many items off an iterator that goes on."""
    return [await anext(items) for _ in range(number)]


def cut(client: Client) -> None:
    """Break the client's connection, with all that is on its way."""
    assert client._socket is not None
    client._socket.transport.abort()


def values(items: list[Any]) -> list[Any]:
    return [item.reading.value for item in items if isinstance(item, Update)]


@on_each_loop
@each_encoding
async def test_a_program_iterates_over_the_past(encoding: str) -> None:
    """It learns where another history would go on, and whether anything is left."""
    async with Station() as station, Client(station.url, encoding=encoding) as client:
        station.publish("plant/a", *(float(i) for i in range(10)))
        history = client.history("plant/#", start=START, stop=Position(EPOCH, 8))
        assert values([item async for item in history]) == [float(i) for i in range(8)]
        assert (history.is_complete, history.position) == (True, Position(EPOCH, 8))
        page = client.history("plant/#", start=history.position or START, limit=1)
        assert values([item async for item in page]) == [8.0]
        assert (page.is_complete, page.position) == (False, Position(EPOCH, 9))
        ago = client.history("plant/#", start="-1h", stop="-1m")
        assert [item async for item in ago] == []
        foreign = client.history("plant/#", start=Position("other", 3))
        first = await anext(aiter(foreign))
        assert isinstance(first, Gap)
        assert first.reason == "epoch_changed"


@on_each_loop
@each_encoding
async def test_a_program_iterates_over_summaries(encoding: str) -> None:
    """One for each channel and interval."""
    async with Station() as station, Client(station.url, encoding=encoding) as client:
        station.publish("plant/a", 1.0, 3.0, 2.0)
        station.publish(station.event("plant/door"), "open", "shut")
        found = client.summaries("plant/#", start=START, interval_s=YEAR_S)
        one, other = [item async for item in found]
        assert isinstance(one, Summary)
        assert isinstance(other, Summary)
        assert (one.topic, one.count, one.first, one.last) == ("plant/a", 3, 1.0, 2.0)
        assert (one.minimum, one.maximum, one.mean) == (1.0, 3.0, 2.0)
        assert (other.topic, other.first, other.last) == ("plant/door", "open", "shut")
        assert (other.minimum, other.maximum, other.mean) == (None, None, None)
        assert found.is_complete


@on_each_loop
async def test_leaving_an_iteration_cancels_the_request() -> None:
    """By a break, by an error, or by closing it; what is iterated to its end is over anyway."""
    async with Station() as station, Client(station.url) as client:
        station.publish("plant/a", *(float(i) for i in range(20_000)))
        (session,) = station.server._sessions
        async for item in client.history("plant/#", start=START):
            assert values([item]) == [0.0]
            break
        async for _ in client.summaries("plant/#", start=START, interval_s=YEAR_S, follow=True):
            break
        async with client.topics("plant/#", follow=True) as topics:
            assert await anext(aiter(topics)) == Row({"topic": "plant/a"})
        with pytest.raises(ZeroDivisionError):
            [1 / 0 async for _ in client.history("plant/#", start=START, follow=True)]
        unread = client.devices(follow=True)
        unread.close()
        # A generator that was left is closed in a task of its own.
        while session.ongoing:
            await client.ping()
        assert not client._inflows
        assert [item async for item in unread] == []


@on_each_loop
async def test_a_history_goes_on_after_the_connection_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it was, and no further than was asked for then."""
    monkeypatch.setattr("sensord.server.packets.FRAME_READINGS", 100)
    monkeypatch.setattr("sensord.client.queries.PAGE", 20_000)
    async with Station() as station, Client(station.url) as client:
        station.publish("plant/a", *(float(i) for i in range(20_000)))
        history = client.history("plant/#", start="-1h", stop="-0s")
        limited = client.history("plant/#", start=START, limit=15_000)
        reading, other = aiter(history), aiter(limited)
        first, second = await some(reading, 1), await some(other, 1)
        cut(client)
        station.publish("plant/a", -1.0)
        seen = values(first + [item async for item in reading])
        assert seen == [float(i) for i in range(20_000)]
        assert history.is_complete
        assert values(second + [item async for item in other]) == seen[:15_000]
        assert limited.is_complete is False
        assert station.server.statistics().sessions_total == 2


@on_each_loop
async def test_a_followed_history_goes_from_its_pages_to_what_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a hole and without a double, also where the connection is lost."""
    monkeypatch.setattr("sensord.client.queries.PAGE", 7)
    monkeypatch.setattr("sensord.client.queries.LOW", 3)
    async with Station() as station, Client(station.url) as client:
        station.publish("plant/a", *(float(i) for i in range(100)))
        seen: list[Any] = []
        is_live = False
        async for item in client.history("plant/#", start=START, follow=True):
            if isinstance(item, Update):
                seen.append(item.reading.value)
            is_live = is_live or item == PhaseChange("live")
            if len(seen) in {30, 180, 310}:
                cut(client)
            if len(seen) == 330:
                break
            if station.log.tail < 300 or (is_live and station.log.tail < 330):
                station.publish("plant/a", *(float(station.log.tail + i) for i in range(2)))
        assert seen == [float(i) for i in range(330)]


@on_each_loop
async def test_followed_summaries_go_on_after_the_connection_was_lost() -> None:
    """Each reading is counted in one interval."""
    async with Station() as station, Client(station.url) as client:
        station.publish("plant/a", *(float(i) for i in range(10)))
        found = aiter(client.summaries("plant/#", start=START, interval_s=0.1, follow=True))
        sums: list[Summary] = []

        async def counted(number: int) -> None:
            while sum(one.count for one in sums) < number:
                item = await anext(found)
                assert isinstance(item, Summary | Complete)
                if isinstance(item, Summary):
                    sums.append(item)

        await counted(10)
        station.publish("plant/a", 10.0)
        await station.restart()
        station.publish("plant/a", 11.0)
        await counted(12)
        ends = [value for one in sums for value in (one.first, one.last)]
        assert ends == sorted(ends, key=float)  # type: ignore[arg-type]  # floats
        assert (ends[0], ends[-1]) == (0.0, 11.0)


@on_each_loop
async def test_an_interval_that_is_not_over_is_told_once_and_whole() -> None:
    """The pages of the past end inside of it, and what is followed goes on."""
    async with Station() as station, Client(station.url) as client:
        clock = ManualClock()
        station.bus._clock = clock
        station.publish("plant/a", 1.0)
        clock.move(200_000)
        station.publish("plant/a", 2.0)
        found = aiter(client.summaries("plant/#", start=START, interval_s=0.2, follow=True))
        first, complete = await some(found, 2)
        assert isinstance(first, Summary)
        assert (first.count, complete) == (1, Complete())
        station.publish("plant/a", 3.0)
        clock.move(200_000)
        station.publish("plant/a", 4.0)
        (second,) = await some(found, 1)
        assert isinstance(second, Summary)
        assert (second.time_us - first.time_us, second.count) == (200_000, 2)
        assert (second.first, second.last) == (2.0, 3.0)


@on_each_loop
async def test_a_followed_listing_is_asked_anew_after_the_connection_was_lost() -> None:
    """The program gets a fresh, whole answer, and is told so."""
    async with Station() as station, Client(station.url) as client:
        boiler = station.state("$sys/devices/boiler", ValueType.JSON)
        station.publish(boiler, {"state": "up"}, time_us=1)
        rows = aiter(client.devices(follow=True))
        up = Row({"device": "boiler", "time_us": 1, "state": "up"})
        assert await some(rows, 2) == [up, Complete()]
        station.publish(boiler, {"state": "down"}, time_us=2)
        down = Row({"device": "boiler", "time_us": 2, "state": "down"})
        assert await some(rows, 1) == [down]
        await station.restart()
        assert await some(rows, 3) == [Again(), down, Complete()]
        assert [row async for row in client.devices()] == [down]


@on_each_loop
async def test_who_is_there_includes_oneself() -> None:
    """With the name that one gave."""
    async with Station() as station, Client(station.url, name="me") as client:
        assert [row async for row in client.clients()] == []  # this station tells nobody
        everything = client.history("plant/#", start=START, follow=True)
        assert await anext(aiter(everything)) == PhaseChange("live")


@on_each_loop
async def test_what_is_asked_wrongly_is_raised() -> None:
    """By the iteration, as the server said it."""
    async with Station() as station, Client(station.url) as client:
        with pytest.raises(ProtocolError, match="interval"):
            [_ async for _ in client.summaries("a", start=START, interval_s=0.0)]
        with pytest.raises(ProtocolError, match="from: "):
            [_ async for _ in client.history("a", start="snapshot")]
        with pytest.raises(ValueError, match="no end"):
            client.history("a", start=START, stop="-1m", follow=True)
        assert await asyncio.wait_for(client.ping(), 5)
