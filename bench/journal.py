"""The journal: what recording costs in CPU, in bytes and on the device, and how fast it reads.

Readings are those of a plant with 200 topics and two decimals. *Lines*: devices send lines of four
values, which share a source time. *Single*: every reading has a time of its own, which is the worst
that can come. Commits are one for each second of the readings' own time, as fast as the disk goes.

CPU figures are the least of the repeats: whatever else the machine does only adds to them.

Device bytes are the sectors that an ext4 file system in an image file wrote to its loop device,
its own journal included; that needs root and a loop device. Without, the journal's own count of
pages stands in, which lacks what the file system adds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import Options as Asked
from bench.report import Report, main
from sensord.log.journal import Batch, Hole, Options, Reader, Writer
from sensord.log.journal.shape import Shape
from sensord.model.readings import Record
from tests.kit.journal import walk_readings

__all__ = ["measure"]

MILLION = 1_000_000
RATES = {1000: 55.0, 100: 85.0, 10: 480.0}
"""Readings a second, and the goal for device bytes a reading."""
SALVAGE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Kind:
    """A way in which readings come."""

    name: str
    line: int


LINES, SINGLE = Kind("lines", 4), Kind("single", 1)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what the benchmark calls itself with, in a mount namespace of its own."""
    parser.add_argument("--device-folder", help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=0, help=argparse.SUPPRESS)


def measure(report: Report, asked: Asked) -> None:
    """Measure everything."""
    if asked.more.device_folder:
        folder = Path(asked.more.device_folder)
        report.add("device", _device_bytes(folder, asked.more.rate, asked.more.seconds), "B")
        return
    count = MILLION // 10 if asked.brief else MILLION
    with tempfile.TemporaryDirectory() as made:
        for kind in (LINES, SINGLE):
            report.say(f"writing {count} readings, {kind.name}")
            records = walk_readings(count, line=kind.line)
            folder = Path(made) / kind.name
            _write_figures(report, asked, folder, records, kind)
            if kind is SINGLE:
                _read_figures(report, asked, folder, records)
            del records
        _salvage_figure(report, asked, Path(made) / "salvage")
    _device_figures(report, asked)


# -- writing ------------------------------------------------------------------------------------


def _write(writer: Writer, records: Sequence[Record], rate: int) -> float:
    """Commit ``rate`` readings at a time; return the CPU seconds."""
    start_us = records[0].log_us
    began = time.process_time()
    for i in range(0, len(records), rate):
        part = records[i : i + rate]
        now_us = part[-1].log_us
        writer.commit(part, now_us, now_us - start_us)
    return time.process_time() - began


def _write_figures(
    report: Report, asked: Asked, folder: Path, records: list[Record], kind: Kind
) -> None:
    spent = []
    for _ in range(asked.repeats):
        shutil.rmtree(folder, ignore_errors=True)
        writer = Writer(Options(folder=str(folder), min_free=0))
        writer.open(records[0].log_us, 0)
        spent.append(_write(writer, records, 1000) / len(records) * 1e6)
        end_us = records[-1].log_us
        writer.close(end_us, end_us - records[0].log_us)
    at_rest = sum(path.stat().st_size for path in folder.glob("*.mcap")) / len(records)
    note = f"{kind.name}; kernel included"
    report.add("record a reading, 1000/s, CPU", min(spent), "µs", goal=2.0, note=note)
    report.add("a reading at rest", at_rest, "B", goal=33.0, note=kind.name)


# -- reading ------------------------------------------------------------------------------------


def _cpu_ms(act: Callable[[], int], expected: int, repeats: int) -> float:
    spent = []
    for _ in range(repeats):
        began = time.process_time()
        found = act()
        spent.append((time.process_time() - began) * 1e3)
        assert found == expected, (found, expected)
    return min(spent)


def _count(items: Iterator[Batch | Hole]) -> int:
    return sum(len(item) for item in items if isinstance(item, Batch))


def _read_figures(report: Report, asked: Asked, folder: Path, records: list[Record]) -> None:
    """Read what was written; every query has a reader of its own, so no table is at hand."""
    count = len(records)
    topic = records[0].channel.topic
    of_topic = sum(record.channel.topic == topic for record in records)
    since_us, until_us = records[count // 2].log_us, records[count // 2 + count // 100].log_us
    in_window = sum(since_us <= record.log_us < until_us for record in records)
    start = count * 2 // 3
    queries: list[tuple[str, float, int, Callable[[], int]]] = [
        (
            "one topic of 200",
            100.0,
            of_topic,
            lambda: _count(Reader(folder).scan(topics=[topic])),
        ),
        (
            "a 1 % window",
            15.0,
            in_window,
            lambda: _count(Reader(folder).scan(since_us=since_us, until_us=until_us)),
        ),
        (
            "resume to the first 1000 records",
            20.0,
            1000,
            lambda: sum(
                len(item.records())
                for item in Reader(folder).scan(start, limit=1000)
                if isinstance(item, Batch)
            ),
        ),
    ]
    for name, goal, expected, act in queries:
        spent = _cpu_ms(act, expected, asked.repeats)
        report.add(f"{name} out of {count}, CPU", spent, "ms", goal=goal)
    spent = _cpu_ms(lambda: _count(Reader(folder).scan()), count, asked.repeats)
    note = f"{count / spent / 1e3:.2f} M readings/s; values decoded, in columns"
    report.add("full scan, a reading", spent / count * 1e3, "µs", goal=1 / 1.5, note=note)
    spent = _cpu_ms(lambda: _count_records(folder), count, asked.repeats)
    report.add("full scan to records, a reading", spent / count * 1e3, "µs")


def _count_records(folder: Path) -> int:
    items = Reader(folder).scan()
    return sum(len(item.records()) for item in items if isinstance(item, Batch))


# -- starting -----------------------------------------------------------------------------------


def _salvage_figure(report: Report, asked: Asked, folder: Path) -> None:
    """Start on an open segment that a kill left."""
    size = SALVAGE_BYTES // 8 if asked.brief else SALVAGE_BYTES
    options = Options(folder=str(folder), min_free=0, segment_bytes=1 << 30, max_bytes=1 << 33)
    records = walk_readings(size // 33)
    writer = Writer(options, shape=Shape.of(options))
    writer.open(records[0].log_us, 0)
    _write(writer, records, 4000)
    writer.abandon()
    (left,) = folder.glob("*.open")
    left_bytes = left.stat().st_size
    kept = folder.with_suffix(".kept")
    shutil.copytree(folder, kept)
    spent = []
    for _ in range(asked.repeats):
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        writer = Writer(options)
        began = time.perf_counter()
        recovery = writer.open(records[-1].log_us, 0)
        spent.append(time.perf_counter() - began)
        writer.abandon()
        assert recovery.recovered == len(records)
    note = f"an open segment of {left_bytes >> 20} MiB, {len(records)} readings, sealed anew"
    report.add("start after a kill", min(spent) * 1e3, "ms", goal=200.0, note=note)


# -- the device ---------------------------------------------------------------------------------


def _device_figures(report: Report, asked: Asked) -> None:
    for rate, goal in RATES.items():
        seconds = max(60_000 // rate, 300) // (20 if asked.brief else 1)
        figure = f"device bytes a reading at {rate}/s"
        report.say(figure)
        try:
            value, note = _device_in_image(rate, seconds), "sectors of an ext4 loop device"
        except (OSError, subprocess.SubprocessError):
            with tempfile.TemporaryDirectory() as folder:
                value = _device_bytes(Path(folder), rate, seconds, own_count=True)
            note = "pages by own count, file system not included: no root or no loop device"
        report.add(figure, value, "B", goal=goal, note=f"{note}; single")


def _device_in_image(rate: int, seconds: int) -> float:
    """Run in a mount namespace of our own, in which an image is mounted.

    Raises:
        OSError, subprocess.SubprocessError: That is not possible here.
    """
    with tempfile.TemporaryDirectory() as made:
        image, folder = Path(made) / "image", Path(made) / "mounted"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
        command = [sys.executable, "-m", "bench.journal", "--json", "--device-folder", str(folder)]
        command += ["--rate", str(rate), "--seconds", str(seconds)]
        script = 'mount -o loop "$0" "$1" || exit 1; folder=$1; shift; "$@"; umount "$folder"'
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, str(image), str(folder), *command],
            check=True,
            capture_output=True,
            text=True,
        )
        return float(json.loads(done.stdout.splitlines()[0])["value"])


def _device_bytes(folder: Path, rate: int, seconds: int, *, own_count: bool = False) -> float:
    """Record for so many seconds and return the bytes written for each reading."""
    records = walk_readings(rate * seconds + 1000, rate=rate)
    writer = Writer(Options(folder=str(folder / "journal"), min_free=0))
    writer.open(records[0].log_us, 0)
    # The ring's making and the channels' definitions are paid once, not by the reading.
    _write(writer, records[:1000], 1000)

    def written() -> int:
        return writer.statistics().written_bytes if own_count else _sectors(folder) * 512

    os.sync()
    before = written()
    _write(writer, records[1000:], rate)
    os.sync()
    value = (written() - before) / (rate * seconds)
    writer.abandon()
    return value


def _sectors(folder: Path) -> int:
    """Return the sectors that were written to the device that a folder is on."""
    device = folder.stat().st_dev
    path = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    return int(path.read_text().split()[6])


if __name__ == "__main__":
    sys.exit(main("journal", __doc__ or "", measure, configure))
