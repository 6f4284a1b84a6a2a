"""`sensord record`: what a daemon sends, in a file that is whole whenever it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mcap.reader import make_reader

from sensord.client import Client
from sensord.log.memory import BLOCK
from sensord.recordings import Selection, open_recording
from tests.kit.daemon import REPOSITORY, SENSORD, Daemon, in_thread, on_uvloop, sensord
from tests.kit.follower import Follower
from tests.kit.journal import START_US, Row, channels, open_writer, oracle_rows, walk_readings
from tests.kit.replay import Served, rows_of
from tests.kit.station import Station

DEVICE = """
[devices.weather]
reader = "simulated"
interval = "5ms"
signals.wind = { high = 10, noise = 1 }
signals.rain = { high = 3, noise = 1 }
channels.wind = { unit = "m/s", decimals = 2 }
publish = { policy = "every" }
"""


def config(folder: Path) -> str:
    return f'[journal]\nfolder = "{folder}"\ncommit_interval = "100ms"\n{DEVICE}'


def plain(found: list[Row]) -> list[tuple[object, ...]]:
    return [(row.topic, row.metadata, row.time_us, row.value, row.quality) for row in found]


def check_whole(path: Path) -> list[Row]:
    """See that the `mcap` package reads the file too, CRCs and all; return the readings."""
    found = rows_of(path)
    assert [row[3] for row in oracle_rows(path)] == [row.topic for row in found]
    offsets = [row.offset for row in found]
    assert offsets == sorted(set(offsets))
    assert [row.log_us for row in found] == sorted(row.log_us for row in found)
    return found


def list_of(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@contextmanager
def recording(url: str, output: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [*SENSORD, "record", "--url", url, "-o", str(output), *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            if process.stderr is not None and not process.stderr.closed:
                print(process.stderr.read(), file=sys.stderr)  # noqa: T201  # pytest shows it


def until_said(process: subprocess.Popen[str], text: str) -> None:
    """Wait until the recorder says something."""
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"never said {text!r}")


def test_what_comes_is_in_the_file(tmp_path: Path) -> None:
    """The same as in the daemon's journal, one after the other, with the metadata."""
    output = tmp_path / "x.mcap"
    with Daemon(tmp_path, config(tmp_path / "journal")) as daemon:
        done = sensord("record", "weather/#", "--url", daemon.url, "-o", str(output), "--count=300")
        assert daemon.stop()[0] == 0
    assert done.returncode == 0, done.stderr
    said = rf"recording; .*\n{output}: 300 readings, .* continue at [0-9a-f]{{16}}:\d+\n$"
    assert re.match(said, done.stderr)
    found = check_whole(output)
    expected = rows_of(tmp_path / "journal", selection=Selection(["weather/#"]))
    begin = [row.time_us for row in expected].index(found[0].time_us)
    assert plain(found) == plain(expected[begin : begin + 300])
    # The wire tells no log times; those made up are near.
    for row, real in zip(found, expected[begin:], strict=False):
        assert abs(row.log_us - real.log_us) < 5_000_000
        assert row.log_us >= row.time_us
    assert not list(tmp_path.glob(".*"))


def test_the_past_is_recorded_up_to_now(tmp_path: Path) -> None:
    """And then it ends by itself; another recording goes on where it ended."""
    first, second = tmp_path / "1.mcap", tmp_path / "2.mcap"
    with Daemon(tmp_path, config(tmp_path / "journal")) as daemon:
        common = ("record", "weather/#", "--url", daemon.url)
        done = sensord(*common, "-o", str(tmp_path / "0.mcap"), "--for", "300ms")
        assert done.returncode == 0, done.stderr
        done = sensord(*common, "-o", str(first), "--from", "-1h", "--to", "now")
        assert done.returncode == 0, done.stderr
        found = re.search(r"continue at (\S+)", done.stderr)
        assert found is not None
        done = sensord(*common, "-o", str(second), "--from", found[1], "--count", "200")
        assert done.returncode == 0, done.stderr
        assert daemon.stop()[0] == 0
    both = plain(check_whole(first)) + plain(check_whole(second))
    expected = plain(rows_of(tmp_path / "journal", selection=Selection(["weather/#"])))
    assert len(both) > 250
    assert both == expected[: len(both)]
    with first.open("rb") as file:
        notes = {note.name: note.metadata for note in make_reader(file).iter_metadata()}
    assert notes["sensord.record"]["topics"] == '["weather/#"]'
    assert notes["sensord.record"]["position"] == found[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@on_uvloop()
async def test_an_interrupt_leaves_a_whole_file(tmp_path: Path, number: signal.Signals) -> None:
    """With what had come by then, and status 0: it is how a recording is ended."""
    output = tmp_path / "x.mcap"
    with (
        Daemon(tmp_path, DEVICE) as daemon,
        recording(daemon.url, output, "weather/#") as process,
    ):
        await in_thread(until_said, process, "recording")
        async with Client(daemon.url, name="test") as client:
            readings = Follower(client.subscribe("weather/#", start="now"))
            await readings.count(50)
        process.send_signal(number)
        _, said = await in_thread(process.communicate)
    assert process.returncode == 0
    assert f"{output}: {len(check_whole(output))} readings, " in said
    assert {path.name for path in list_of(tmp_path)} == {"x.mcap", "config.toml"}


def test_a_restart_of_the_daemon_costs_nothing(tmp_path: Path) -> None:
    """The recorder comes back and resumes: every reading that the journal has is in the file."""
    output = tmp_path / "x.mcap"
    quick = config(tmp_path / "journal").replace('"5ms"', '"1ms"')
    with Daemon(tmp_path, quick) as daemon:
        # Three seconds: the restart falls into them.
        with recording(daemon.url, output, "weather/#", "--count", "6000") as process:
            until_said(process, "recording")
            assert daemon.stop()[0] == 0
            daemon.start()
            _, said = process.communicate()
        assert daemon.stop()[0] == 0
    assert process.returncode == 0, said
    assert "connected again\n" in said
    found = check_whole(output)
    expected = rows_of(tmp_path / "journal", selection=Selection(["weather/#"]))
    begin = [row.time_us for row in expected].index(found[0].time_us)
    assert plain(found) == plain(expected[begin : begin + 6000])


def test_what_is_missing_is_named_in_the_file_and_at_the_end(tmp_path: Path) -> None:
    """A daemon without a journal forgets when it restarts: status 1, and a hole in the file."""
    output = tmp_path / "x.mcap"
    with (
        Daemon(tmp_path, DEVICE.replace('"5ms"', '"1ms"')) as daemon,
        recording(daemon.url, output, "weather/#", "--count", "6000") as process,
    ):
        until_said(process, "recording")
        daemon.stop()
        daemon.start()
        _, said = process.communicate()
    assert process.returncode == 1
    assert "disconnected: " in said
    assert "connected again\n" in said
    assert "gap: readings missing: epoch_changed\n" in said
    assert ", 1 gaps, " in said
    (hole,) = open_recording(output).contents().holes
    assert hole.reason == "readings missing, epoch_changed"
    assert len(check_whole(output)) == 6000
    told = sensord("info", str(output))
    assert re.search(r"holes     1\n +before offset \d+: readings missing, epoch_ch", told.stdout)


@on_uvloop()
async def test_a_position_before_the_oldest_reading_is_a_gap(tmp_path: Path) -> None:
    """With the number of those that are gone, as far as the daemon knows."""
    output = tmp_path / "x.mcap"
    async with Station(ring=2 * BLOCK) as station:
        # Offset 0 and 4 of each 5 are of another topic.
        for value in range(BLOCK):
            station.publish("other", value)
            station.publish("a", value, value, value, value)
        first = station.log.first
        station.log.renew_epoch("00112233aabbccdd")
        options = ("--url", station.url, "-o", str(output), "--from", f"{station.log.epoch}:0")
        done = await in_thread(sensord, "record", "a", *options, "--count", "10")
    assert done.returncode == 1
    missing = first * 4 // 5
    assert f"gap: {missing} readings missing: expired (a {missing})\n" in done.stderr
    (hole,) = open_recording(output).contents().holes
    assert (hole.first, hole.end) == (0, first)
    assert hole.reason == f"{missing} readings missing, expired"


def test_what_cannot_be_recorded_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """No daemon, no folder, a name that is taken, a filter that is none."""
    (tmp_path / "old.mcap").write_text("old")
    new = str(tmp_path / "x.mcap")
    asked = [
        ((new, "--url", "ws://127.0.0.1:1"), 5, "cannot connect to ws://127.0.0.1:1"),
        ((str(tmp_path / "old.mcap"),), 1, "already exists; choose another name, or give --force"),
        ((str(tmp_path / "new.csv"),), 1, "convert it to new.csv with sensord export"),
        ((new, "a/#/b"), 2, "# may only be the last level"),
        ((new, "--from", "noon"), 2, "expected snapshot, now"),
        ((new, "--count", "0"), 2, "expected a number, 1 or more"),
    ]
    for (output, *arguments), status, text in asked:
        done = sensord("record", "-o", output, *arguments)
        assert done.returncode == status, done.stderr
        assert text in done.stderr
    with Daemon(tmp_path, DEVICE) as daemon:
        common = ("record", "--url", daemon.url, "-o")
        done = sensord(*common, new, "--to", "noon")
        assert (done.returncode, "--to noon: expected now" in done.stderr) == (2, True)
        done = sensord(*common, str(tmp_path / "no" / "x.mcap"), "--count", "1")
        assert (done.returncode, "No such file or directory" in done.stderr) == (1, True)
    assert {path.name for path in tmp_path.iterdir()} == {"old.mcap", "config.toml"}


@on_uvloop(100.0)
async def test_a_full_disk_ends_it_early_with_a_whole_file(tmp_path: Path) -> None:
    """What fitted is there, and the status says that it is not all."""
    output = tmp_path / "x.mcap"
    writer = open_writer(tmp_path / "journal")
    writer.commit(walk_readings(12_000, of=channels(5)), START_US, 0)
    writer.close(START_US, 1)
    limit = 256 * 1024
    limited = f"ulimit -f {limit // 1024}; exec {' '.join(SENSORD)} record --from 2023-01-01"
    async with Served([tmp_path / "journal"]) as served:
        command = f"{limited} --url {served.url} -o {output} --count 12000"
        done = await in_thread(_run, command)
    assert done.returncode == 1
    assert "ends early: cannot write: File too large" in done.stderr
    found = check_whole(output)
    assert len(found) > 1000
    assert output.stat().st_size <= limit
    # What is said is what is in the file, and another recording goes on without a hole.
    told = re.search(r": (\d+) readings, .* continue at [0-9a-f]{16}:(\d+)\n", done.stderr)
    assert told is not None
    assert int(told[1]) == len(found)
    assert int(told[2]) <= found[-1].offset + 1
    with output.open("rb") as file:
        notes = [note.metadata for note in make_reader(file).iter_metadata()]
    assert [note["position"].endswith(f":{told[2]}") for note in notes if "url" in note] == [True]


def _run(command: str) -> subprocess.CompletedProcess[str]:
    bash = ["/bin/bash", "-c", command]
    return subprocess.run(
        bash, capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=100
    )


def test_last_values_stand_in_front_if_they_are_asked_for(tmp_path: Path) -> None:
    """Then a replay has all topics from its start."""
    output = tmp_path / "x.mcap"
    with Daemon(tmp_path, DEVICE) as daemon:
        done = sensord(
            "record", "--url", daemon.url, "-o", str(output), "--from", "snapshot", "--count", "50"
        )
    assert done.returncode == 0, done.stderr
    found = check_whole(output)
    assert {row.topic for row in found[:3]} == {
        "weather/wind", "weather/rain", "$sys/devices/weather"
    }  # fmt: skip
