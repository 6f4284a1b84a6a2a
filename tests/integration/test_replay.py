"""`sensord replay`: for monitors, the recording is a daemon."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from mcap.writer import Writer

import sensord.replay_app
import sensord.server.listener
from sensord.client import Client, Update
from sensord.log.journal import Batch
from sensord.model.readings import Channel, Metadata, Position, Quality, Reading, Record, ValueType
from sensord.playback import MAX, Options
from sensord.recordings import EVERYTHING, Selection, open_recording
from sensord.recordings.mcap_output import McapOutput
from sensord.replay_app import TOPICS
from tests.kit.daemon import sensord as run_sensord
from tests.kit.follower import Follower
from tests.kit.journal import (
    START_US,
    Row,
    channels,
    mixed_readings,
    open_writer,
    small_shape,
    walk_readings,
)
from tests.kit.loops import on_each_loop
from tests.kit.monitor import lazy_monitor
from tests.kit.replay import ReplayProcess, Served, rows_of

COUNT = 2000
UNENCODABLE = repr(2**64)
"""No monitor can be told an integer of more than 64 bits; a live device's is refused as well."""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal of all types and qualities, in several segments."""
    folder = tmp_path_factory.mktemp("journal")
    writer = open_writer(folder, small_shape(segment_bytes=16 * 1024))
    for i in range(0, COUNT, 50):
        start_us = START_US + i * 1000
        if i % 100:
            records = mixed_readings(50, first=i, start_us=start_us, seed=i)
        else:
            records = walk_readings(50, first=i, start_us=start_us, of=channels(5), rate=2000)
        writer.commit(records, start_us, i)
    writer.close(START_US, COUNT)
    return folder


@pytest.fixture(scope="module")
def sources(journal: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Return the same readings in every form that can be replayed."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("x.csv", "x.jsonl", "x.mcap"):
        done = run_sensord("export", str(journal), "-o", str(folder / name))
        assert done.returncode == 0, done.stderr
    return {
        "journal": [journal],
        "segments": sorted(journal.glob("*.mcap"), reverse=True),
        "mcap": [folder / "x.mcap"],
        "csv": [folder / "x.csv"],
        "jsonl": [folder / "x.jsonl"],
    }


def told(update: Update) -> tuple[str, int, str, Quality, bool]:
    reading = update.reading
    return (
        update.topic,
        reading.time_us,
        repr(reading.value),
        reading.quality,
        reading.restates,
    )


def recorded(row: Row) -> tuple[str, int, str, Quality, bool]:
    return row.topic, row.time_us, row.value, row.quality, row.restates


async def hear(url: str, count: int, *topics: str, start: str | int = 0) -> Follower:
    async with Client(url, name="test") as client:
        follower = Follower(client.subscribe(*(topics or ("#",)), start=start))
        await follower.count(count)
        return follower


# -- for a monitor it is a daemon ----------------------------------------------------------------


@pytest.mark.parametrize("form", ["journal", "segments", "mcap"])
@on_each_loop
async def test_a_monitor_gets_what_was_recorded(sources: dict[str, list[Path]], form: str) -> None:
    """Every reading in order with value, time, quality and metadata, from the journal's files."""
    expected = rows_of(*sources[form])
    async with Served(sources[form]) as served:
        heard = await hear(served.url, COUNT)
    pairs = [
        (told(update), recorded(row))
        for update, row in zip(heard.updates, expected, strict=True)
        if row.value != UNENCODABLE
    ]
    assert [pair[0] for pair in pairs] == [pair[1] for pair in pairs]
    metadata = {update.topic: update.channel.metadata for update in heard.updates}
    assert metadata == {row.topic: row.metadata for row in expected}
    assert not heard.gaps


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@on_each_loop
async def test_a_monitor_gets_what_was_exported_as_text(
    sources: dict[str, list[Path]], form: str
) -> None:
    """With the units, and types that the values tell."""
    expected = rows_of(*sources[form])
    async with Served(sources[form]) as served:
        heard = await hear(served.url, COUNT)
    plain = [told(update) for update in heard.updates if update.topic.startswith("plant")]
    assert plain == [recorded(row) for row in expected if row.topic.startswith("plant")]
    types = {u.topic: u.channel.metadata.type for u in heard.updates}
    assert {types[f"mixed/{kind}"] for kind in ("bool", "string")} == {"bool", "string"}
    assert types["mixed/int"] is ValueType.INT
    units = {u.channel.metadata.unit for u in heard.updates if u.topic.startswith("plant")}
    assert units == {"Cel"}


@on_each_loop
async def test_a_file_of_others_is_served(tmp_path: Path) -> None:
    """What JSON messages say; a topic that cannot be one is left out, and so is a bad value."""
    path = tmp_path / "other.mcap"
    writer = Writer(str(path))
    writer.start()
    schema = writer.register_schema("x", "jsonschema", b'{"type":"object"}')
    ids = [writer.register_channel(topic, "json", schema) for topic in ("/a/b", "c//d", "e")]
    for i in range(30):
        payload = json.dumps({"value": i} if i % 2 else {"x": i}).encode()
        writer.add_message(ids[i % 3], i * 1000, payload, i * 1000, i)
    writer.add_message(ids[2], 30_000, b"1e999", 30_000, 30)
    writer.finish()  # type: ignore[no-untyped-call]  # the package's
    async with Served([path]) as served:
        heard = await hear(served.url, 21)
    assert [u.topic for u in heard.updates] == ["a/b", "e"] * 10 + ["e"]
    assert heard.values[:4] == [{"x": 0}, {"x": 2}, 3, 5]
    assert heard.updates[-1].reading.quality.reason == "not_finite"


@on_each_loop
async def test_minutes_are_counted_back_in_recorded_time(journal: Path) -> None:
    """A monitor that asks for the last second gets the last one that was replayed."""
    expected = [row for row in rows_of(journal) if row.value != UNENCODABLE]
    async with Served([journal]) as served:
        await hear(served.url, COUNT)
        since_us = expected[-1].log_us - 500_000
        count = sum(row.log_us >= since_us for row in rows_of(journal))
        heard = await hear(served.url, count, start="-0.5s")
    assert told(heard.updates[-1]) == recorded(expected[-1])
    assert 0 < count < COUNT


@on_each_loop
async def test_a_monitor_that_was_away_resumes(journal: Path) -> None:
    """By its position, without a hole and without a double."""
    async with Served([journal]) as served, Client(served.url, name="test") as client:
        whole = Follower(client.subscribe("#", start=0))
        await whole.count(COUNT)
        position = Position(client.server.epoch, COUNT // 2)
        rest = Follower(client.subscribe("#", start=position))
        await rest.live()
    expected = [told(update) for update in whole.updates]
    count = len(rest.updates)
    assert COUNT // 2 <= count < COUNT
    assert [told(update) for update in rest.updates] == expected[-count:]
    assert not rest.gaps


@on_each_loop
async def test_what_was_replayed_can_be_replayed_in_private(journal: Path) -> None:
    """On a stream of the monitor's own, by recorded times, while the replay stands at its end."""
    expected = rows_of(journal)
    begin_us, end_us = expected[COUNT // 4].log_us, expected[COUNT // 2].log_us
    wanted = [row for row in expected if begin_us <= row.log_us < end_us]
    async with Served([journal]) as served, Client(served.url, name="test") as client:
        whole = Follower(client.subscribe("#", start=0))
        await whole.count(COUNT)
        again = Follower(client.replay("#", start=begin_us, stop=end_us, speed=1000.0))
        await again.count(len(wanted))
    assert [u.reading.time_us for u in again.updates] == [row.time_us for row in wanted]


# -- options -------------------------------------------------------------------------------------


@on_each_loop
async def test_in_a_loop_offsets_times_and_epoch_never_go_back(journal: Path) -> None:
    """And the readings are the same in each round."""
    options = Options(speed=MAX, is_looping=True, selection=Selection(["plant/#"]))
    count = len(rows_of(journal, selection=options.selection))
    async with Served([journal], options) as served, Client(served.url) as client:
        subscription = client.subscribe("#", start=0)
        heard = Follower(subscription)
        positions = []
        for rounds in range(1, 4):
            await heard.count(rounds * count)
            positions.append(subscription.position)
        (status,) = await client.get("$sys/replay")
    assert not heard.gaps
    assert len({position.epoch for position in positions if position}) == 1
    offsets = [position.offset for position in positions if position]
    assert offsets == sorted(offsets)
    values = heard.values
    assert values[:count] == values[count : 2 * count] == values[2 * count : 3 * count]
    times = [update.reported_us for update in heard.updates]
    assert max(times[:count]) < min(times[count : 2 * count])
    assert isinstance(status.reading.value, dict)
    assert status.reading.value["loop"] is True


@on_each_loop
async def test_shifted_times_are_those_of_now(journal: Path) -> None:
    """With the distances that were recorded."""
    selection = Selection(["plant/#"])
    began_us = time.time_ns() // 1000
    options = Options(speed=MAX, is_shifted=True, selection=selection)
    expected = rows_of(journal, selection=selection)
    async with Served([journal], options) as served:
        heard = await hear(served.url, len(expected))
    moved = {
        update.reading.time_us - row.time_us
        for update, row in zip(heard.updates, expected, strict=True)
    }
    (shift_us,) = moved
    assert began_us <= expected[0].log_us + shift_us <= time.time_ns() // 1000


@on_each_loop
async def test_what_the_recorded_daemon_told_of_itself_stays_out(tmp_path: Path) -> None:
    """But how its devices fared is a part of the story; what else is asked for comes too."""
    writer = open_writer(tmp_path)
    names = ["$sys/devices/boiler", "$sys/journal", "$sys/replay", "$sys/sessions/1", "a"]
    of = [Channel(i, name, Metadata(ValueType.JSON)) for i, name in enumerate(names)]
    records = [
        Record(i, START_US + i, channel, Reading(START_US + i, {"old": i}))
        for i, channel in enumerate(of)
    ]
    writer.commit(records, START_US, 0)
    writer.close(START_US, 1)
    for filters, expected in (
        (TOPICS, {"$sys/devices/boiler", "a"}),
        (("$sys/#",), {"$sys/devices/boiler", "$sys/journal"}),
    ):
        options = Options(speed=MAX, selection=Selection(filters))
        async with Served([tmp_path], options) as served, Client(served.url) as client:
            heard = Follower(client.subscribe("#", "$sys/#", start=0))
            await heard.until(lambda item: isinstance(item, Update) and _state(item) == "ended")
        old = {u.topic for u in heard.updates if "old" in dict(u.reading.value)}  # type: ignore[arg-type]  # all are
        assert old == expected


def _state(update: Update) -> object:
    value = update.reading.value
    return value.get("state") if isinstance(value, dict) else None


@on_each_loop
async def test_a_slow_monitor_loses_nothing_at_full_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay waits for it, though the recording has far more than memory holds."""
    monkeypatch.setattr(sensord.replay_app, "RING", 8192)
    monkeypatch.setattr(sensord.replay_app, "BURST", 2048)
    monkeypatch.setattr(sensord.replay_app, "LOOK_S", 0.05)
    monkeypatch.setattr(sensord.server.listener, "SWEEP_S", 0.02)
    count = 40_000
    big = [
        record._replace(reading=record.reading._replace(value="x" * 50))
        for record in walk_readings(count, of=[Channel(0, "a", Metadata(ValueType.STRING))])
    ]
    path = tmp_path / "big.mcap"
    writer = open_writer(tmp_path / "journal")
    writer.commit(big, START_US, 0)
    writer.close(START_US, 1)
    with McapOutput(path, "") as output:
        for item in open_recording(tmp_path / "journal").scan(EVERYTHING):
            assert isinstance(item, Batch)
            output.add(item)
        output.complete()
    async with (
        Served([path]) as served,
        lazy_monitor(served.url, receive_buffer_bytes=16 * 1024) as slow,
        Client(served.url) as other,
    ):
        heard = await slow.subscribe("a", start={"time_us": 0})
        # It does not read, so the server's bytes pile up until it notes a laggard.
        sessions = Follower(other.subscribe("$sys/sessions/+"))
        await sessions.update(lambda update: _state(update) == "lagging")
        await slow.until(lambda: len(heard.told) > count and len(heard.readings) == count)
    assert not heard.gaps
    assert [seen.reported_us for seen in heard.readings] == [r.reading.time_us for r in big]


# -- what it tells -------------------------------------------------------------------------------


@on_each_loop
async def test_at_the_end_the_last_values_stay(journal: Path) -> None:
    """And ``$sys/replay`` says how it went."""
    expected = rows_of(journal)
    async with Served([journal]) as served, Client(served.url) as client:
        status = Follower(client.subscribe("$sys/replay"))
        ended = await status.update(lambda update: _state(update) == "ended")
        last = {update.topic: told(update) for update in await client.get("#")}
    assert last == {row.topic: recorded(row) for row in expected if row.value != UNENCODABLE}
    value: Any = ended.reading.value
    assert value["readings"] == COUNT
    assert value["offset"] == expected[-1].offset
    assert value["time_us"] == expected[-1].log_us
    assert value["files"] == [str(journal)] == [value["file"]]
    assert (value["rounds"], value["holes"], value["speed"]) == (1, 0, "max")


@on_each_loop
async def test_holes_are_counted_where_monitors_can_see_them(
    sources: dict[str, list[Path]],
) -> None:
    """A segment that is missing is one."""
    segments = sorted(sources["segments"])
    async with Served([segments[0], *segments[2:]]) as served, Client(served.url) as client:
        status = Follower(client.subscribe("$sys/replay"))
        ended = await status.update(lambda update: _state(update) == "ended")
    value: Any = ended.reading.value
    missing = len(rows_of(segments[1]))
    assert (value["holes"], value["lost"], value["readings"]) == (1, missing, COUNT - missing)


# -- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(journal: Path, number: signal.Signals) -> None:
    """And then goes with status 0."""
    with ReplayProcess(str(journal), "--speed", "max", "--topic", "plant/#") as replay:
        count = len(rows_of(journal, selection=Selection(["plant/#"])))
        arguments = ("tail", "--url", replay.url, "#", "--from", "2023-01-01", "--json")
        done = run_sensord(*arguments, "--count", str(count))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert replay.interrupt(number) == 0
    expected = rows_of(journal, selection=Selection(["plant/#"]))
    assert [line["time_us"] for line in lines] == [row.time_us for row in expected]
    assert f"replaying {journal}: 2023-11-14T22:13:20" in "".join(replay.told)


def test_with_exit_it_ends_with_the_recording(journal: Path) -> None:
    """Having waited as long as the recording and its speed say."""
    times_us = [row.log_us for row in rows_of(journal)]
    begin_us = max(times_us) - 400_000
    count = sum(time_us >= begin_us for time_us in times_us)
    began = time.monotonic()
    with ReplayProcess(str(journal), "--from=-0.4s", "--speed", "4", "--exit") as replay:
        assert replay.wait() == 0
    assert time.monotonic() - began > 0.09
    assert f"the replay has ended readings={count}\n" in "".join(replay.told)


def test_files_of_others_are_served(tmp_path: Path) -> None:
    """What is damaged in them is named, and makes the exit status 1."""
    table, log = tmp_path / "x.csv", tmp_path / "x.log"
    table.write_bytes(b"\xef\xbb\xbfDatum;Zeit;T (C)\r\n30.11.2026;20:00:00;7,5\r\n")
    log.write_text("1796069931000;N;$INMTW,17.9,C*1B\n1796069932000;N;$INMTW,18.0,C*1D\n")
    options = ("--exit", "--speed", "max", "--listen", "127.0.0.1:0", "--zone", "UTC")
    done = run_sensord("replay", str(table), str(log), *options)
    assert done.returncode == 0, done.stderr
    assert "replaying" in done.stderr
    with log.open("a") as file:
        file.write("1796069933000;N;$INMTW,99.0,C*1D\n")
    done = run_sensord("replay", str(log), *options)
    assert done.returncode == 1
    assert "line 3: wrong checksum" in done.stderr


def test_a_hole_is_told_in_the_log_and_a_broken_file_fails(
    sources: dict[str, list[Path]], tmp_path: Path
) -> None:
    """With what is missing, and the line that is no reading."""
    first, _, *others = map(str, sorted(sources["segments"]))
    with ReplayProcess(first, *others, "--speed", "max", "--exit") as replay:
        assert replay.wait() == 0
    assert 'reason="in none of the files given"' in "".join(replay.told)
    text = sources["csv"][0].read_text()
    broken = tmp_path / "broken.csv"
    broken.write_text(text + "1,2,3\n")
    done = run_sensord("replay", str(broken), "--exit", "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "broken.csv: line " in done.stderr


def test_what_is_asked_for_wrongly_is_said(journal: Path) -> None:
    """In one line, before anything is served."""
    there = str(journal)
    asked = [
        ((there, "--loop", "--exit"), 2, "--loop never ends"),
        ((there, "--listen", "0.0.0.0:8765"), 2, "give --insecure if everybody"),
        ((there, "--listen", "nowhere"), 2, "expected"),
        ((there, "--speed", "fast"), 2, "expected a number such as 2 or 0.5, or max"),
        ((there, "--speed", "0"), 2, "expected a number"),
        ((there, "--topic", "a/#/b"), 2, "# may only be the last level"),
        ((there, "--from", "noon"), 2, "noon: expected an offset"),
        (("/nowhere",), 1, "cannot be opened"),
    ]
    for arguments, status, text in asked:
        done = run_sensord("replay", *arguments)
        assert done.returncode == status, done.stderr
        assert text in done.stderr
