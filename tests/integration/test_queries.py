"""Requests for the past and for what there is, over real sockets: `docs/protocol.md`, 3.2."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.model.readings import GOOD, Level, Metadata, Quality, Reading, ValueType
from tests.kit.loops import on_each_loop
from tests.kit.monitor import monitor
from tests.kit.station import EPOCH, Station

each_encoding = pytest.mark.parametrize("encoding", ["msgpack", "json"])

ALL: dict[str, Any] = {"topics": ["plant/#"], "from": {"epoch": EPOCH, "offset": 0}}


def at(offset: int) -> dict[str, Any]:
    return {"epoch": EPOCH, "offset": offset}


# -- history ---------------------------------------------------------------------------------------


@on_each_loop
@each_encoding
async def test_a_history_brings_the_readings_between_two_places(encoding: str) -> None:
    """Of the topics asked for, in order, and says where another one would go on."""
    async with Station() as station, monitor(station.url, encoding) as client:
        for i in range(5000):
            station.publish("plant/a", float(i))
            station.publish("other", -1.0)
        story = await client.story("history", **ALL | {"from": at(1000), "to": at(9000)})
        station.publish("plant/a", 5000.0)
        await client.until(lambda: story.is_ended)
        assert story.values == [float(i) for i in range(500, 4500)]
        assert story.phases == ["catching_up"]
        assert (story.end["cursor"], story.end["complete"]) == (9000, True)
        assert story.gaps == []


@on_each_loop
@each_encoding
async def test_a_history_ends_where_the_log_did_when_it_was_asked_for(encoding: str) -> None:
    """Unless it is told where: at a place, or a time."""
    async with Station() as station, monitor(station.url, encoding) as client:
        station.publish("plant/a", 1.5, 2.5)
        between_us = station.bus.now_us() + 1
        await client.ask("ping")  # which takes longer
        station.publish("plant/a", 3.5)
        past = {"topics": ["plant/#"], "from": "-1h"}
        now = await client.story("history", **past)
        station.publish("plant/a", 4.5)
        early = await client.story("history", **past, to={"time_us": between_us})
        late = await client.story("history", **ALL | {"from": {"time_us": between_us}})
        none = await client.story("history", **past, to="-1h")
        for story in (now, early, late, none):
            await client.until(lambda story=story: story.is_ended)  # type: ignore[misc]  # bound now
        assert now.values == [1.5, 2.5, 3.5]
        assert early.values == [1.5, 2.5]
        assert late.values == [3.5, 4.5]
        assert none.values == []
        assert all(story.end["complete"] for story in (now, early, late, none))


@on_each_loop
@each_encoding
async def test_a_limit_ends_a_history_and_the_next_one_goes_on(encoding: str) -> None:
    """Page by page, nothing is left out and nothing comes twice."""
    async with Station() as station, monitor(station.url, encoding) as client:
        station.publish("plant/a", *(float(i) for i in range(10_000)))
        pages, place = [], 0
        while True:
            story = await client.story("history", **ALL | {"from": at(place)}, limit=3000)
            await client.until(lambda story=story: story.is_ended)  # type: ignore[misc]  # bound now
            pages.append(story.values)
            place = story.end["cursor"]
            if story.end["complete"]:
                break
        assert [len(page) for page in pages] == [3000, 3000, 3000, 1000]
        assert [value for page in pages for value in page] == [float(i) for i in range(10_000)]


@on_each_loop
@each_encoding
async def test_what_a_history_cannot_have_is_named(encoding: str) -> None:
    """What has expired; a place in another log, or beyond the end of this one."""
    async with Station(ring=1) as station, monitor(station.url, encoding) as client:
        station.publish("plant/a", *(float(i) for i in range(5000)))
        first = station.log.first
        told = []
        for start in (at(10), {"time_us": 0}, {"epoch": "other", "offset": 7}, at(9999)):
            story = await client.story("history", **ALL | {"from": start})
            await client.until(lambda story=story: story.is_ended)  # type: ignore[misc]  # bound now
            [gap] = story.gaps
            told.append((gap["reason"], gap["from"], gap["to"], gap["count"], len(story.values)))
        held = 5000 - first
        assert told == [
            ("expired", 10, first, first - 10, held),
            ("expired", None, first, None, held),
            ("epoch_changed", None, None, None, held),
            ("ahead", None, None, None, 0),
        ]
        ends = await client.story("history", **ALL, to={"epoch": "other", "offset": 9})
        await client.until(lambda: ends.is_ended)
        assert [gap["reason"] for gap in ends.gaps] == ["epoch_changed"]
        assert ends.values == []
        part = await client.story("history", **ALL | {"from": at(10), "to": at(20)})
        await client.until(lambda: part.is_ended)
        [gap] = part.gaps
        assert (gap["from"], gap["to"], gap["count"]) == (10, 20, None)
        assert part.end["cursor"] == 20


@on_each_loop
@each_encoding
async def test_a_followed_answer_goes_on_as_a_subscription(encoding: str) -> None:
    """A history from its beginning on, last values from each channel's; until it is cancelled."""
    async with Station() as station, monitor(station.url, encoding) as client:
        station.publish("plant/a", 1.5, 2.5)
        station.publish("plant/b", 3.5)
        past = await client.story("history", **ALL, follow=True)
        last = await client.story("get", topics=["plant/#"], follow=True)
        for story in (past, last):
            await client.live(story)
        station.publish("plant/a", 4.5)
        await client.until(lambda: 4.5 in past.values and 4.5 in last.values)
        assert past.values == [1.5, 2.5, 3.5, 4.5]
        assert last.values == [2.5, 3.5, 4.5]
        await client.ask("cancel", request=client.number(past))
        await client.until(lambda: past.is_ended)
        station.publish("plant/a", 5.5)
        await client.until(lambda: 5.5 in last.values)
        assert 5.5 not in past.values


# -- summaries -------------------------------------------------------------------------------------


@on_each_loop
@each_encoding
async def test_summaries_say_what_each_interval_comes_to(encoding: str) -> None:
    """Of numbers and of other values; what is bad or restates an older value does not count."""
    async with Station() as station, monitor(station.url, encoding) as client:
        number = station.bus.channel("plant/a", Metadata(decimals=1))
        whole = station.state("plant/count", ValueType.INT)
        label = station.state("plant/label", ValueType.STRING)
        now_us = station.bus.now_us()
        for value in (3.5, 1.5, 4.0):
            station.bus.publish(number, Reading(now_us, value))
        station.bus.publish(number, Reading(now_us, None, Quality(Level.BAD, "not_finite")))
        station.bus.publish(number, Reading(now_us, 9.0, Quality(Level.BAD, "stale")))
        station.bus.publish(number, Reading(now_us, 9.0, GOOD, restates=True))
        station.bus.publish(number, Reading(now_us, 2.0, Quality(Level.UNCERTAIN, "no_fix")))
        station.publish(whole, 2**60, 2**60 + 2)
        station.publish(label, "open", "shut")
        station.publish("other", 1.5)
        story = await client.story("history", **ALL, interval=31_622_400)
        await client.until(lambda: story.is_ended)
        start_us = now_us // 31_622_400_000_000 * 31_622_400_000_000
        rows = {client.channels[row.pop("channel")]["topic"]: row for row in story.rows}
        told = {"time_us": start_us}
        assert rows == {
            "plant/a": told
            | {"count": 4, "first": 3.5, "last": 2.0, "min": 1.5, "max": 4.0, "mean": 2.75},
            "plant/count": told
            | {"count": 2, "first": 2**60, "last": 2**60 + 2}
            | {"min": 2**60, "max": 2**60 + 2, "mean": float(2**60)},
            "plant/label": told | {"count": 2, "first": "open", "last": "shut"},
        }
        assert (story.end["cursor"], story.end["complete"]) == (station.log.tail, True)


@on_each_loop
@each_encoding
async def test_many_rows_come_in_parts(encoding: str) -> None:
    """Only the last part of an interval says where another history would go on."""
    async with Station() as station, monitor(station.url, encoding) as client:
        for i in range(600):
            station.publish(f"plant/{i}", float(i))
        parts: list[Any] = []
        take = client.take

        def taken(payload: bytes) -> None:
            before = len(story.rows) if story else 0
            take(payload)
            if story and len(story.rows) > before:
                parts.append((len(story.rows) - before, story.cursor))

        story = None
        client.take = taken  # type: ignore[method-assign]  # to see each message
        story = await client.story("history", **ALL, interval=31_622_400)
        await client.until(lambda: story.is_ended)
        assert sorted(row["first"] for row in story.rows) == [float(i) for i in range(600)]
        assert parts == [(256, None), (256, None), (88, 600)]


@on_each_loop
@each_encoding
async def test_followed_summaries_come_when_their_interval_is_complete(encoding: str) -> None:
    """Each reading is counted in one row, whenever it was published."""
    async with Station() as station, monitor(station.url, encoding) as client:
        station.publish("plant/a", *(float(i) for i in range(100)))
        story = await client.story("history", **ALL, interval=0.1, follow=True)
        await client.until(lambda: story.complete_after is not None)
        for i in range(100, 200):
            station.publish("plant/a", float(i))
            await client.ask("ping")  # while time passes
        await client.until(lambda: sum(row["count"] for row in story.rows) == 200)
        station.publish("plant/new", 200.0)
        await client.until(lambda: story.rows[-1]["first"] == 200.0)
        rows = story.rows[:-1]
        times = [row["time_us"] for row in rows]
        assert times == sorted(set(times))
        assert all(time_us % 100_000 == 0 for time_us in times)
        flat = [value for row in rows for value in (row["first"], row["last"])]
        assert flat == sorted(flat)
        assert (flat[0], flat[-1]) == (0.0, 199.0)
        assert all(row["last"] - row["first"] == row["count"] - 1 for row in rows)
        assert story.cursor == station.log.tail
        await client.ask("cancel", request=client.number(story))
        await client.until(lambda: story.is_ended)


# -- what there is ---------------------------------------------------------------------------------


@on_each_loop
@each_encoding
async def test_topics_come_with_their_metadata_and_new_ones_are_told(encoding: str) -> None:
    """Each once, as it is now; by filter."""
    async with Station() as station, monitor(station.url, encoding) as client:
        for i in range(600):
            station.state(f"plant/{i}")
        station.bus.channel("plant/0", Metadata(unit="Cel", decimals=1, description="warm"))
        station.state("other")
        once = await client.story("topics", topics=["plant/#"])
        story = await client.story("topics", topics=["plant/#", "plant/+"], follow=True)
        await client.until(lambda: once.is_ended and story.complete_after is not None)
        told = {row["topic"]: row for row in once.rows}
        assert len(told) == len(once.rows) == 600
        assert told["plant/0"] == {
            "topic": "plant/0",
            "unit": "Cel",
            "decimals": 1,
            "description": "warm",
        }
        assert told["plant/1"] == {"topic": "plant/1"}
        assert story.rows == once.rows
        station.publish("plant/new/a", 1.5)
        station.publish("plant/0", 1.5)
        station.bus.channel("plant/0", Metadata(unit="K"))
        await client.until(lambda: len(story.rows) == 602)
        assert story.rows[600:] == [{"topic": "plant/new/a"}, {"topic": "plant/0", "unit": "K"}]
        everything = await client.story("topics")
        await client.until(lambda: everything.is_ended)
        assert len(everything.rows) == 602


@on_each_loop
@each_encoding
async def test_devices_come_with_how_they_fare(encoding: str) -> None:
    """And again when that changes."""
    async with Station() as station, monitor(station.url, encoding) as client:
        boiler = station.state("$sys/devices/boiler", ValueType.JSON)
        station.state("$sys/devices/silent", ValueType.JSON)
        station.publish(boiler, {"state": "up", "detail": "COM1"}, time_us=5)
        story = await client.story("devices", follow=True)
        once = await client.story("devices")
        await client.until(lambda: story.complete_after == 1 and once.is_ended)
        first = {"device": "boiler", "time_us": 5, "state": "up", "detail": "COM1"}
        assert story.rows == once.rows == [first]
        station.publish(boiler, {"state": "down", "detail": "gone"}, time_us=6)
        station.publish("$sys/devices/pump/x", 1.5)
        pump = station.state("$sys/devices/pump", ValueType.JSON)
        station.publish(pump, {"state": "up"}, time_us=7)
        await client.until(lambda: len(story.rows) == 3)
        assert story.rows[1:] == [
            {"device": "boiler", "time_us": 6, "state": "down", "detail": "gone"},
            {"device": "pump", "time_us": 7, "state": "up"},
        ]


@on_each_loop
@each_encoding
async def test_clients_come_and_who_leaves_is_told(encoding: str) -> None:
    """Also if another has taken the place meanwhile; who is gone is not listed."""
    async with Station() as station, monitor(station.url, encoding) as client:
        place = station.state("$sys/clients/1", ValueType.JSON)
        other = station.state("$sys/clients/2", ValueType.JSON)
        station.publish(place, {"id": "a", "state": "here"})
        station.publish(other, {"id": "z", "state": "gone"})
        story = await client.story("clients", follow=True)
        await client.until(lambda: story.complete_after is not None)
        assert story.rows == [{"id": "a", "state": "here"}]
        station.publish(place, {"id": "a", "state": "away"}, {"id": "a", "state": "gone"})
        station.publish(place, {"id": "b", "state": "here"})
        await client.until(lambda: len(story.rows) == 3)
        assert story.rows[1:] == [{"id": "a", "state": "gone"}, {"id": "b", "state": "here"}]


# -- side by side ----------------------------------------------------------------------------------


@on_each_loop
async def test_requests_of_one_session_are_served_side_by_side() -> None:
    """A large answer is on its way while small ones come and go."""
    async with Station() as station, monitor(station.url) as client:
        station.publish("plant/a", *(float(i) for i in range(60_000)))
        story = await client.story("history", **ALL)
        small = 0
        while not story.is_ended:
            got = await client.story("get", topics=["plant/#"])
            await client.until(lambda got=got: got.is_ended)  # type: ignore[misc]  # bound now
            assert got.values == [59_999.0]
            small += not story.is_ended
        assert small >= 2
        assert story.values == [float(i) for i in range(60_000)]
