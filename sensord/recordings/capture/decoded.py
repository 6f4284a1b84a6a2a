"""A capture as a recording: the output of the live intake, on the capture's own times.

Theory of operation. One pass through the file has a bus and an intake of its own, with a clock set
to the arrival that is being processed. Before each arrival the timers due by then run, at their own
times, as in the daemon. So the readings depend on the file alone, and two passes give the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sensord.bus import Bus
from sensord.config.build import build
from sensord.config.schema import Faults
from sensord.config.tree import Device
from sensord.decode import registry as decoders
from sensord.decode.base import Fault
from sensord.decode.framing import framer_of
from sensord.device.intake import Intake
from sensord.log import Log
from sensord.log.journal import Batch, Hole
from sensord.log.memory import BLOCK
from sensord.mcap.channels import Described
from sensord.model.readings import Channel, Level, Quality, Reason, Record
from sensord.readers import registry as readers
from sensord.recordings import Contents, RecordingError, Selection, Span
from sensord.recordings.capture.arrivals import Arrival, Event, Message, Piece, Values, What
from sensord.recordings.capture.file import CaptureFile
from sensord.recordings.capture.log_file import LogFile
from sensord.recordings.columns import batch_of
from sensord.recordings.contents import topics_of

__all__ = ["Capture"]

_DISCONNECTED = Quality(Level.BAD, Reason.DISCONNECTED)
_NAMED = 5
"""Faults of a log that are named with their lines; the others are counted."""
_BATCH = 1024
"""Readings that are handed on together."""


class Capture:
    """A capture, decoded by the configuration in it, or by another."""

    def __init__(
        self, path: Path, device: Device | None = None, log: LogFile | None = None
    ) -> None:
        """Read what it is of; ``log`` is a text log in the place of a capture's file.

        Raises:
            RecordingError: It cannot be read, or its configuration has faults.
        """
        self.path = path
        self._file: CaptureFile | LogFile
        if log is not None:
            self._file, self.device = log, log.device
        else:
            self._file = file = CaptureFile(path)
            self.device = device or _configured(file)
        self._seen: _Seen | None = None

    def span(self) -> Span:
        """Return where its readings begin and end; they are of no log."""
        seen = self._look()
        return Span("", 0, seen.readings, seen.start_us, seen.end_us)

    def contents(self) -> Contents:
        """Describe its content."""
        seen, device = self._look(), self.device
        decoder = f", {device.decoder}" if device.decoder else ""
        what = f"raw capture of {device.name} ({device.reader}{decoder})"
        if isinstance(self._file, LogFile):
            what = self._file.kind.value + ("" if self._file.is_ours else f" of {device.name}")
        found = Contents(what, self.span(), self.path.stat().st_size)
        found.topics = topics_of(seen.counts)
        found.holes = list(seen.holes)
        if isinstance(self._file, CaptureFile):
            found.notes = [f"{seen.bytes} bytes of the device in {seen.arrivals} arrivals"]
        found.notes += self.notes()
        return found

    def notes(self) -> list[str]:
        """Report how much of it could not be decoded, and whether the end is missing."""
        seen = self._look()
        notes = list(seen.named)
        notes += [f"{count} times {reason}" for reason, count in sorted(seen.faults.items())]
        if not seen.is_whole:
            notes.append("it has no footer: it is being written, or was cut off")
        return notes

    def faults(self) -> Counter[str]:
        """Return the decoding faults, with their counts."""
        return Counter(self._look().faults)

    def damaged(self) -> int:
        """Count the lines of a log that could not be read; a capture has none."""
        return self._look().faults.total() if isinstance(self._file, LogFile) else 0

    def scan(self, selection: Selection) -> Iterator[Batch | Hole]:
        """Decode it; offsets count its readings from 0."""
        left = (1 << 64) if selection.limit is None else selection.limit
        records: list[Record] = []
        for item in _Run(self.device).readings(self._file):
            if isinstance(item, Hole):
                if records:
                    yield batch_of(records)
                    records = []
                yield item
                continue
            if left <= 0 or (selection.stop is not None and item.offset >= selection.stop):
                break
            if not _is_wanted(selection, item):
                continue
            records.append(item)
            left -= 1
            if len(records) >= _BATCH:
                yield batch_of(records)
                records = []
        if records:
            yield batch_of(records)

    def _look(self) -> _Seen:
        if self._seen is None:
            run, seen = _Run(self.device), _Seen()
            for item in run.readings(self._file):
                seen.note(item)
            seen.arrivals, seen.bytes = run.arrivals, run.bytes
            seen.faults, seen.named = run.faults, run.named
            seen.is_whole = self._file.is_whole
            self._seen = seen
        return self._seen


class _Seen:
    """What was learned on one way through."""

    def __init__(self) -> None:
        self.readings = self.arrivals = self.bytes = 0
        self.start_us = self.end_us = 0
        self.counts: Counter[Described] = Counter()
        self.faults: Counter[str] = Counter()
        self.named: list[str] = []
        self.holes: list[Hole] = []
        self.is_whole = False

    def note(self, item: Record | Hole) -> None:
        if isinstance(item, Hole):
            self.holes.append(item)
            return
        self.start_us = min(self.start_us, item.log_us) if self.readings else item.log_us
        self.end_us = max(self.end_us, item.log_us)
        self.readings += 1
        self.counts[Described(item.channel.topic, item.channel.metadata)] += 1


def _configured(file: CaptureFile) -> Device:
    faults = Faults()
    config = build({"devices": {file.device: file.table}}, faults, readers, decoders)
    if config is None:
        path, message = faults.found[0]
        where = ".".join(map(str, path[2:]))
        raise RecordingError(file.path, f"its configuration cannot be used: {where}: {message}")
    return config.devices[0]


def _is_wanted(asked: Selection, record: Record) -> bool:
    return (
        (asked.start is None or record.offset >= asked.start)
        and (asked.since_us is None or record.log_us >= asked.since_us)
        and (asked.until_us is None or record.log_us < asked.until_us)
        and asked.wants(record.channel.topic)
    )


class _Clock:
    """A clock that shows the time it was set to."""

    def __init__(self) -> None:
        self.at_us = self.now_us = 0

    def wall_us(self) -> int:
        return self.now_us

    def monotonic_us(self) -> int:
        return self.at_us


class _Run:
    """One way through a capture; it is the sink of its own bus."""

    def __init__(self, device: Device) -> None:
        self.arrivals = self.bytes = 0
        self.faults: Counter[str] = Counter()
        self.named: list[str] = []
        """The first faults of a log, each with its line."""
        self._log: LogFile | None = None
        self._clock = _Clock()
        bus = Bus(Log("", BLOCK), self._clock)
        bus.attach(["#"], self)
        decoder = None
        if device.decoder:
            found = decoders.find(device.decoder)
            assert found is not None, "checked with the configuration"
            decoder = found.create(device.decoder_config)
        self._intake = Intake(device, framer_of(device.framing), decoder, bus, self._fault)
        described = getattr(device.reader_config, "described", None)
        for behind, field, metadata in described() if described else ():
            self._intake.describe(field, metadata, behind)
        self._records: list[Record] = []

    def readings(self, file: CaptureFile | LogFile) -> Iterator[Record | Hole]:
        """Process all arrivals; yield what is published."""
        offset = 0
        if isinstance(file, LogFile):
            self._log = file
            self._intake.times.is_clock_set = file.is_clock_set
        for item in file.arrivals():
            if isinstance(item, Hole):
                self._intake.reset()
                yield replace(item, first=offset, count=0)
                continue
            self._take(item)
            records, self._records = self._records, []
            yield from records
            offset += len(records)

    def selected(self, channel: Channel) -> None:
        """Ignore a new channel."""

    def push(self, record: Record) -> None:
        """Accept a published record."""
        self._records.append(record)

    def _fault(self, fault: Fault) -> None:
        self._note(fault.reason, fault.excerpt.decode("latin-1"))

    def _note(self, reason: str, shown: str) -> None:
        self.faults[reason] += 1
        if self._log is not None and len(self.named) < _NAMED:
            self.named.append(f"{self._log.place}: {reason}: {shown!r}")

    def _take(self, arrival: Arrival) -> None:
        self.arrivals += 1
        clock = self._clock
        before_at_us, before_wall_us = clock.at_us, clock.now_us
        while (due_us := self._intake.due_us) is not None and due_us <= arrival.at_us:
            clock.at_us = due_us
            clock.now_us = before_wall_us + due_us - before_at_us
            self._intake.tick(due_us)
        clock.at_us, clock.now_us = arrival.at_us, arrival.wall_us
        self._hand_on(arrival.what, arrival.at_us, arrival.wall_us)

    def _hand_on(self, what: What, at_us: int, wall_us: int) -> None:
        intake = self._intake
        match what:
            case Piece(data):
                self.bytes += len(data)
                intake.data(data, at_us, wall_us)
            case Message(route, payload):
                self.bytes += len(payload)
                intake.message(route, payload, at_us, wall_us)
            case Values(samples, route):
                intake.samples(route, samples, at_us, wall_us)
            case Event("up"):
                intake.reset()
            case Event("down"):
                intake.spoil(at_us, _DISCONNECTED)
            case Event("online" | "offline" as kind, name):
                intake.availability(name, at_us, wall_us, is_there=kind == "online")
            case Event("fault", reason, detail):
                self._note(reason, detail)
            case Event():
                pass  # the end: what was due by then has been published
