"""The reader `replay`: recordings as devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.client import Client
from sensord.config.schema import Faults, structure
from sensord.errors import DeviceError
from sensord.model.readings import Metadata
from sensord.readers.replay import Config, Reader
from tests.kit.daemon import Daemon, on_uvloop
from tests.kit.follower import Follower
from tests.kit.journal import START_US, channels, open_writer, small_shape, walk_readings
from tests.kit.link import RecordingLink
from tests.kit.loops import on_each_loop
from tests.kit.replay import rows_of
from tests.kit.running import running

COUNT = 600
FAST = 1000.0


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return half a second of five channels, in several segments."""
    folder = tmp_path_factory.mktemp("journal")
    writer = open_writer(folder, small_shape(segment_bytes=4096, chunk_bytes=1024))
    records = walk_readings(COUNT, of=channels(5))
    for i in range(0, COUNT, 50):
        writer.commit(records[i : i + 50], START_US, i)
    writer.close(START_US, COUNT)
    return folder


def samples_of(link: RecordingLink) -> list[tuple[str, str, int | None]]:
    found = [sample for batch in link.batches for sample in batch]
    return [(sample.field, repr(sample.value), sample.time_us) for sample in found]


@on_each_loop
async def test_every_reading_is_a_sample_of_now(journal: Path) -> None:
    """In order, under the topic it had, with its metadata told before."""
    config = Config((str(journal),), speed=FAST)
    async with running(Reader(config)) as link:
        await link.until(lambda link: sum(map(len, link.batches)) == COUNT)
    expected = rows_of(journal)
    assert samples_of(link) == [(row.topic, row.value, None) for row in expected]
    assert link.described == {row.topic: row.metadata for row in expected}
    assert isinstance(next(iter(link.described.values())), Metadata)
    assert not link.faults


@on_each_loop
async def test_in_a_loop_original_times_go_on_rising(journal: Path) -> None:
    """A round later by the length of the round."""
    config = Config((str(journal),), speed=FAST, loop=True, original_times=True)
    async with running(Reader(config)) as link:
        await link.until(lambda link: sum(map(len, link.batches)) >= 2 * COUNT)
    expected = rows_of(journal)
    samples = samples_of(link)
    assert [time_us for _, _, time_us in samples[:COUNT]] == [row.time_us for row in expected]
    moved = {
        (later[2] or 0) - (earlier[2] or 0)
        for earlier, later in zip(samples[:COUNT], samples[COUNT : 2 * COUNT], strict=True)
    }
    length_us = max(row.log_us for row in expected) - expected[0].log_us
    assert moved == {length_us + 1_000_000}


@on_each_loop
async def test_a_hole_is_a_fault_and_a_missing_file_takes_it_down(journal: Path) -> None:
    """Both with what is missing."""
    segments = segments_of(journal)
    count = COUNT - len(rows_of(Path(segments[1])))
    config = Config((segments[0], *segments[2:]), speed=FAST, filters=("plant/#",))
    async with running(Reader(config)) as link:
        await link.until(lambda link: link.faults and sum(map(len, link.batches)) >= count)
    (fault,) = link.faults
    assert fault[0] == "hole in the recording"
    assert "in none of the files given" in fault[1]
    for name in ("/nowhere.mcap", __file__):
        with pytest.raises(DeviceError, match="cannot read the recording"):
            await Reader(Config((name,))).run(RecordingLink())


def segments_of(journal: Path) -> list[str]:
    segments = [str(path) for path in sorted(journal.glob("*.mcap"))]
    assert len(segments) > 2
    return segments


@on_uvloop()
async def test_a_daemon_has_it_as_a_device(journal: Path, tmp_path: Path) -> None:
    """With unit and decimals of the recording, under topics of the configuration."""
    text = f"""
[devices.past]
reader = "replay"
files = ["{journal}"]
speed = 100
loop = true
topic = "again/{{field}}"
publish = {{ policy = "every" }}
channels."*value1" = {{ unit = "K" }}
"""
    with Daemon(tmp_path, text) as daemon:
        async with Client(daemon.url, name="test") as client:
            heard = Follower(client.subscribe("again/#"))
            await heard.count(50)
    units = {u.topic.rpartition("/")[2]: u.channel.metadata.unit for u in heard.updates}
    assert units == {f"value{i}": "K" if i == 1 else "Cel" for i in range(5)}
    assert all(u.channel.metadata.decimals == 2 for u in heard.updates)
    assert all(u.channel.metadata.device == "past" for u in heard.updates)


def test_options_that_cannot_be_are_refused() -> None:
    """Each with its key."""
    found = Faults()
    structure(Config, {"files": [], "speed": 0.0, "filters": ["a/#/b"]}, (), found)
    assert {path[0] for path, _ in found.found} == {"files", "speed", "filters"}
    assert not list(Config(("/x",)).faults())
