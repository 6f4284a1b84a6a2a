"""A capture's file: whole or not there, and MCAP to everybody."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from mcap.reader import make_reader

from sensord.device.intake import Route
from sensord.recordings import RecordingError, open_recording
from sensord.recordings.capture import (
    Arrival,
    CaptureFile,
    CaptureOutput,
    Event,
    Message,
    Piece,
    is_capture,
    open_any,
)
from sensord.recordings.capture.link import Capturing
from tests.kit.capture import table_of, write_capture
from tests.unit.manual import ManualClock

TABLE = table_of('reader = "serial"\nport = "/dev/ttyUSB0"\ndecoder = "number"\n')
ARRIVALS = [
    Arrival(1_000_000, 900_000, Event("up", "", "port")),
    Arrival(2_000_000, 3_000_000, Piece(b'{"value":\x00\xff}')),
    Arrival(2_500_000, 2_500_000, Message(Route("a/b"), b"")),
    *(Arrival(3_000_000 + i, 3_000_000 + i, Piece(b"%d\n" % i * 50)) for i in range(3000)),
]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    """Times, bytes, routes, the device and its table."""
    path = write_capture(tmp_path / "x.mcap", TABLE, ARRIVALS)
    file = CaptureFile(path)
    assert list(file.arrivals()) == ARRIVALS
    assert (file.device, file.table, file.is_whole) == ("dev", TABLE, True)
    assert list(tmp_path.iterdir()) == [path]


def test_the_mcap_package_reads_it(tmp_path: Path) -> None:
    """By the index, in order, with every CRC."""
    path = write_capture(tmp_path / "x.mcap", TABLE, ARRIVALS)
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        messages = [(channel, message) for _, channel, message in reader.iter_messages()]
        notes = {note.name: note.metadata for note in reader.iter_metadata()}
    found = [(c.topic, m.log_time, m.publish_time, m.data) for c, m in messages]
    assert len(found) == len(ARRIVALS)
    assert found[1] == ("dev", 2_000_000_000, 3_000_000_000, b'{"value":\x00\xff}')
    assert found[2][0] == "dev/a/b"
    assert notes["sensord"] == {"format": "1", "capture": "1", "device": "dev"}
    assert json.loads(notes["sensord.device"]["table"]) == TABLE


def test_one_that_is_not_completed_leaves_nothing(tmp_path: Path) -> None:
    """Neither under its name nor under another."""
    with CaptureOutput(tmp_path / "x", "dev", TABLE) as output:
        for arrival in ARRIVALS:
            output.add(arrival)
        output.flush()
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_it_is_told_from_a_recording(tmp_path: Path) -> None:
    """Which says so, instead of showing nothing."""
    path = write_capture(tmp_path / "x.mcap", TABLE, ARRIVALS)
    assert is_capture(path)
    with pytest.raises(RecordingError, match="holds no readings, but what a device sent"):
        open_recording(path)
    assert open_any(path).contents().what.startswith("raw capture of dev")
    for other in (b"", b"hello", b"\x89MCAP0\r\n"):
        path.write_bytes(other)
        assert not is_capture(path)
    assert not is_capture(tmp_path)
    assert not is_capture(tmp_path / "missing")


def test_one_without_its_device_is_refused(tmp_path: Path) -> None:
    """Nobody would know how to decode it."""
    path = write_capture(tmp_path / "x.mcap", TABLE, [])
    data = path.read_bytes()
    path.write_bytes(data.replace(b"sensord.device", b"sensord.devise"))
    with pytest.raises(RecordingError, match="is a capture without its device"):
        CaptureFile(path)
    path.write_bytes(data.replace(b'"serial"', b'"seri\\x"'))
    with pytest.raises(RecordingError, match="its device is damaged"):
        CaptureFile(path)


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file of this process be larger, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 300, 40_000])
def test_a_full_disk_costs_what_does_not_fit(tmp_path: Path, room: int) -> None:
    """Whether the next chunk finds no room, or the footer only: what is sealed is whole."""
    path, random = tmp_path / "x.mcap", Random(1)
    with CaptureOutput(path, "dev", TABLE) as output:
        for i in range(40):
            output.add(Arrival(i, i, Piece(random.randbytes(10_000))))
        output.flush()
        (part,) = tmp_path.iterdir()
        for i in range(40, 50):
            output.add(Arrival(i, i, Piece(random.randbytes(5000))))
        with limited(part.stat().st_size + room):
            with pytest.raises(OSError, match="File too large"):
                output.complete()
            output.salvage()
    file = CaptureFile(path)
    found = list(file.arrivals())
    assert file.is_whole
    # One chunk of 27 is given back where the footer has no room behind the last.
    assert len(found) == (40 if room == 40_000 else 27)
    with path.open("rb") as lines:
        messages = list(make_reader(lines, validate_crcs=True).iter_messages())
    assert len(messages) == len(found)


def test_what_the_disk_refuses_is_no_fault_of_the_device(tmp_path: Path) -> None:
    """Its reader goes on; whoever captures is told."""
    told: list[str] = []
    with CaptureOutput(tmp_path / "x.mcap", "dev", TABLE) as output:
        capturing = Capturing(output, ManualClock(), lambda: told.append("changed"))
        capturing.up("port")
        capturing.data(b"1\n")
        with limited(10):
            for _ in range(3):
                capturing.data(bytes(200_000))
        assert str(capturing.failure) == "cannot write: File too large"
        capturing.down("unplugged", "gone", 1.0)
        capturing.end()
        assert output.count < 6
        output.salvage()
    assert len(told) == 7
    assert CaptureFile(tmp_path / "x.mcap").device == "dev"
