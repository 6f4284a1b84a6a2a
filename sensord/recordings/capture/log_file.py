"""A text log as a capture: each line as it arrived, at the time in the file.

Theory of operation. The time is that of the line (a prefix, a column, a report's own), or the last
one that the device sent: NMEA's RMC and ZDA, or the decoder's source time. Lines before the first
such time get that one. A leap in the device's time is believed when the next one confirms it.
Without any time, lines come at the rate asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sensord.config.build import build
from sensord.config.schema import Faults
from sensord.config.tree import Device
from sensord.decode import registry as decoders
from sensord.decode.base import Sample
from sensord.decode.framing.lines import Config as Lines
from sensord.log.journal import Hole
from sensord.mcap.records import MAGIC
from sensord.model.readings import LATEST_US, Level
from sensord.model.times import time_us_of
from sensord.readers import registry as readers
from sensord.recordings import RecordingError, TextForm
from sensord.recordings.capture.arrivals import Arrival, Event, Piece
from sensord.recordings.capture.log_lines import (
    LogKind,
    is_fix,
    json_time,
    kind_of,
    parted,
    signalk,
)
from sensord.recordings.table_header import Header, header_of, split
from sensord.recordings.text_form import UndecidedError
from sensord.recordings.text_times import TimeColumn

__all__ = ["LogFile", "is_log"]

_LONGEST_BYTES = 1 << 20
_HEAD_LINES = 50
_DAY_US = 86_400 * 10**6
_SLACK_US = 2 * 10**6
NOT_READ = "line not read"

_EVERY = {"policy": "every"}
_NMEA: dict[str, Any] = {
    "reader": "serial",
    "port": "/dev/null",
    "topic": "nmea/{field}",
    "decoder": {"type": "nmea0183"},
    "publish": _EVERY,
}
_UNITS = {
    "lat": "deg",
    "lon": "deg",
    "altHAE": "m",
    "altMSL": "m",
    "track": "deg",
    "speed": "m/s",
    "climb": "m/s",
    "mode": "",
}
"""Source: gpsd_json(5), TPV. Without ``alt``, which is deprecated and means two things."""
_GPSD: dict[str, Any] = {
    "reader": "serial",
    "port": "/dev/null",
    "topic": "gpsd/{field}",
    "decoder": {"type": "json", "fields": {name: name for name in _UNITS}},
    "framing": {"max_bytes": "1MiB"},
    "publish": _EVERY,
    "channels": {name: {"type": "float", "unit": unit} for name, unit in _UNITS.items() if unit},
}


def is_log(path: Path, device: Device | None) -> bool:
    """Return whether a path leads to a log: any text for a device, else NMEA or a known log."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                return False
            file.seek(0)
            kind = kind_of(islice(_lines(file.readline), _HEAD_LINES))
    except OSError:
        return False
    return device is not None or kind not in {LogKind.TIMED, LogKind.LINES}


def _lines(readline: Callable[[int], bytes]) -> Iterator[bytes]:
    for line in iter(lambda: readline(_LONGEST_BYTES), b""):
        bare = line.strip(b"\r\n\0").removeprefix(b"\xef\xbb\xbf")
        if bare.strip() and not bare.startswith(b"#"):
            yield bare


class LogFile:
    """The lines of one log, read from its beginning."""

    is_whole = True

    def __init__(self, path: Path, device: Device | None, form: TextForm) -> None:
        """Find where the times are.

        Raises:
            RecordingError: It has no times, or ambiguous ones.
        """
        self.path = path
        self.place = ""
        """The place of the current arrival."""
        self.is_clock_set = True
        """Whether its times are those of a clock, not made up."""
        self._form = form
        self.kind = self._kind()
        self.is_ours = device is None
        self.device = device or _device(_GPSD if self.kind is LogKind.GPSPIPE else _NMEA)
        self._header: Header | None = None
        self._header_line = 0
        self._times = TimeColumn(form.time_format, form.zone)
        self._first_us: int | None = None
        try:
            self._survey()
        except UndecidedError as error:
            raise RecordingError(path, str(error)) from error

    def _kind(self) -> LogKind:
        lines = (line for _, line in self._numbered() if not line.startswith(b"#"))
        return kind_of(islice(lines, _HEAD_LINES))

    def _survey(self) -> None:
        if self.kind is LogKind.LINES:
            self._find_header()
        is_timed = False
        for _, line in self._numbered():
            if (found := self._timed(line)) is not None:
                self._times.see(found[0])
                is_timed = True
        self._times.settle()
        if is_timed:
            return
        own = self._own_times()
        for _, line in self._numbered():
            if (time_us := own(line)) is not None:
                self._first_us = time_us
                return
        if self._form.rate is None:
            raise UndecidedError(
                "its lines have no times; say --rate N for so many lines a second,"
                " and --begin TIME for when they begin"
            )
        self.is_clock_set = self._form.begin_us is not None

    def _find_header(self) -> None:
        for number, line in self._numbered():
            try:
                header = header_of(line.decode(self._form.encoding or "utf-8"), self._form)
            except ValueError:
                return
            if header.times:
                self._header, self._header_line = header, number
                zone = self._form.zone or header.zone
                self._times = TimeColumn(header.time_format, zone)
            return

    def _numbered(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(iter(lambda: file.readline(_LONGEST_BYTES), b""), 1):
                    bare = line.strip(b"\r\n\0").removeprefix(b"\xef\xbb\xbf")
                    if bare.strip():
                        yield number, bare
        except OSError as error:
            raise RecordingError(self.path, f"cannot be read: {error.strerror}") from error

    def _timed(self, line: bytes) -> tuple[str, bytes] | None:
        """Return the time in a line and the rest for the decoder, or None."""
        if self._header is not None:
            try:
                fields = split(line.decode("latin-1"), self._header.separator)
                text = " ".join(fields[place].strip() for place in self._header.times)
            except (ValueError, IndexError):
                return None
            return text, line
        match self.kind:
            case LogKind.SIGNALK:
                found = signalk(line)
                return None if found is None or found[1] != b"N" else (found[0], found[2])
            case LogKind.TIMED_NMEA | LogKind.TIMED:
                return parted(line)
            case LogKind.GPSPIPE:
                time = json_time(line)
                return None if time is None else (time, line)
            case _:
                return None

    def arrivals(self) -> Iterator[Arrival | Hole]:
        """Yield each line as it arrived.

        Raises:
            RecordingError: It cannot be read.
        """
        at_us = 0
        framing = self.device.framing
        end = framing.terminator.encode("latin-1") if isinstance(framing, Lines) else b"\n"
        for time_us, what in self._events():
            if time_us - at_us > _DAY_US and at_us and self.is_clock_set:
                yield Arrival(at_us, at_us, Event("down"))
            at_us = max(at_us, time_us)
            if isinstance(what, bytes):
                yield Arrival(at_us, time_us, Piece(what + end))
            else:
                yield Arrival(at_us, time_us, what)

    def _events(self) -> Iterator[tuple[int, bytes | Event]]:
        """Yield each line and its time; of one that is damaged, why."""
        last_us = self._first_us or 0
        own = self._own_times() if self._first_us is not None else None
        count = 0
        for number, line in self._numbered():
            self.place = f"line {number}"
            if number == self._header_line or self._is_comment(line):
                continue
            if own is not None:
                last_us = own(line) or last_us
                yield last_us, line
                continue
            timed = self._timed(line)
            if timed is not None:
                try:
                    last_us = self._times.read(timed[0])
                except ValueError as error:
                    yield last_us, Event("fault", NOT_READ, str(error))
                    continue
                if not (self.kind is LogKind.GPSPIPE and self.is_ours and not is_fix(line)):
                    yield last_us, timed[1]
            elif self.kind in {LogKind.NMEA, LogKind.LINES} and self._header is None:
                last_us = self._at_rate(count)
                yield last_us, line
            elif self.kind is not LogKind.GPSPIPE or not line.startswith(b"{"):
                yield last_us, Event("fault", NOT_READ, _EXPECTED.get(self.kind, "expected a time"))
            elif not self.is_ours:
                yield last_us, line  # a report without a time: at that of the one before
            count += 1

    def _is_comment(self, line: bytes) -> bool:
        """Return whether a line is a logger's comment: no sentence begins so."""
        return line.startswith(b"#") and self.device.decoder == "nmea0183"

    def _at_rate(self, count: int) -> int:
        assert self._form.rate is not None, "checked by the survey"
        return min((self._form.begin_us or 0) + int(count * 1e6 / self._form.rate), LATEST_US)

    def _own_times(self) -> Callable[[bytes], int | None]:
        """Return the function that reads the device's own time from a line, if lines have one."""
        found = decoders.find(self.device.decoder) if self.device.decoder else None
        if found is None:
            return lambda _: None
        decoder = found.create(self.device.decoder_config)
        is_nmea = self.device.decoder == "nmea0183"
        belief = _Belief()

        def time_of(line: bytes) -> int | None:
            times = [
                _said_us(sample) if is_nmea else sample.time_us
                for sample in decoder.decode(line).samples
            ]
            return belief.of(time for time in times if time is not None)

        return time_of


def _said_us(sample: Sample) -> int | None:
    """Return the time that a sample of NMEA is, or None if it is another or not good."""
    value = sample.value
    is_good = sample.quality.level is Level.GOOD and isinstance(value, str)
    if not is_good or sample.field.rpartition("/")[2] != "time":
        return None
    return time_us_of(str(value), None)


class _Belief:
    """Believes a time that leaps when the next one confirms it."""

    def __init__(self) -> None:
        self._last_us: int | None = None
        self._leap_us: int | None = None

    def of(self, times: Iterable[int]) -> int | None:
        for time_us in times:
            if not 0 <= time_us <= LATEST_US:
                continue
            last, leap = self._last_us, self._leap_us
            is_near = last is None or last - _SLACK_US <= time_us <= last + _DAY_US
            if is_near or (leap is not None and abs(time_us - leap) <= _DAY_US):
                self._last_us, self._leap_us = time_us, None
            else:
                self._leap_us = time_us
        return self._last_us


_EXPECTED = {
    LogKind.SIGNALK: "expected ms;N;sentence",
    LogKind.GPSPIPE: "expected a report of gpspipe in JSON",
}


def _device(table: dict[str, Any]) -> Device:
    faults = Faults()
    config = build({"devices": {"log": table}}, faults, readers, decoders)
    assert config is not None, faults.found
    return config.devices[0]
