"""Recordings in gpsd's form, played through a serial line into the real daemon and compared.

gpsd's own tests (``test/daemon`` of its source) hold what receivers sent (``.log``) and, in between
the sentences, what gpsd understood (``.log.chk``). The files are not part of this repository. With
some at hand:

    .venv/bin/python -m tests.kit.gpsd FILE.log ... [--baud 4800]

A recording without a ``.chk`` is only played, and what became of its lines is counted.

A quantity is compared where gpsd answered: its newest sentence before the answer told it. What gpsd
adds of its own (a date mended by 1,024 weeks, a speed reckoned from positions, values of two
sentences merged) shows as a difference, with the sentence beside it.
"""

from __future__ import annotations

import argparse
import functools
import json
import operator
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from tests.kit.daemon import REPOSITORY, SENSORD, Daemon
from tests.kit.fakeport import FakePort

__all__ = ["Comparison", "Played", "compare", "play", "sentences_of"]

ROLLOVER = timedelta(weeks=1024)

METRES_A_SECOND_IN_A_KNOT = 1852 / 3600

CONFIG = """
[devices.gnss]
reader = "serial"
port = "{port}"
baud = {baud}
decoder = {{ type = "nmea0183", satellites = true }}
publish = {{ policy = "every" }}
"""

LAST = b"$IIXDR,G,1,,LAST*32\r\n"
"""Sent after the recording: when its value is there, so is everything before it."""

TOPICS = {
    "lat": "gnss/latitude",
    "lon": "gnss/longitude",
    "time": "gnss/time",
    "speed": "gnss/speed_over_ground",
    "track": "gnss/course_over_ground",
    "alt": "gnss/altitude",
    "pdop": "gnss/pdop",
    "vdop": "gnss/vdop",
    "nSat": "gnss/satellites_in_view/gps",
    "satellites": "gnss/satellites/gps",
}
"""By gpsd's name of the quantity."""

PRINTED = {"lat": 5.1e-10, "lon": 5.1e-10, "speed": 5.1e-4, "track": 5.1e-5, "alt": 5.1e-5}
"""Half of the last digit that gpsd prints."""


@dataclass(frozen=True)
class Played:
    """What came out of the daemon."""

    readings: list[dict[str, Any]]
    """The lines of ``sensord tail --json`` for the device, in order."""
    messages: int
    faults: dict[str, int]
    sent_bytes: int


def sentences_of(log: bytes) -> list[bytes]:
    """Return a recording's lines without comments."""
    return [line for line in log.splitlines() if line and not line.startswith(b"#")]


def play(lines: list[bytes], folder: Path, *, baud: int = 4800, paced: bool = True) -> Played:
    """Send lines through a pseudo-terminal into the daemon; return what ``tail`` shows of them."""
    data = b"".join(line + b"\r\n" for line in lines) + LAST
    with (
        FakePort(folder / "ttyUSB0") as port,
        Daemon(folder, CONFIG.format(port=port.path, baud=baud)) as daemon,
        _tail(daemon.url, "gnss/#", "$sys/devices/gnss") as told,
    ):
        _status(told, "up")
        sent = port.feed_all(data, baud if paced else None)
        readings = []
        for each in told:
            if each["topic"].startswith("gnss/"):
                readings.append(each)
            if each["topic"] == "gnss/xdr/LAST":
                break
        port.unplug()
        status = _status(told, "absent")
        port.plug()
    return Played(readings[:-1], status["messages"] - 1, status["faults"], sent - len(LAST))


@contextmanager
def _tail(url: str, *topics: str) -> Iterator[Iterator[dict[str, Any]]]:
    command = [*SENSORD, "tail", *topics, "--json", "--url", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        try:
            yield (json.loads(line) for line in process.stdout)
        finally:
            process.kill()


def _status(told: Iterator[dict[str, Any]], state: str) -> dict[str, Any]:
    for each in told:
        if each["topic"].startswith("$sys/") and each["value"]["state"] == state:
            status: dict[str, Any] = each["value"]
            return status
    raise AssertionError("tail has ended")


class Difference(NamedTuple):
    """Where the two do not say the same."""

    quantity: str
    sentence: str
    ours: object
    theirs: object


@dataclass
class Comparison:
    """How two implementations understood one recording; counts are by gpsd's name."""

    compared: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    """To the last digit that gpsd prints."""
    within: Counter[str] = field(default_factory=Counter)
    """Not to the last digit, but within the resolution of the sentence; for a time: whole rollovers
    of the receiver's week, which gpsd mends and we do not."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """Ours, of which gpsd says nothing before the next sentence tells the quantity anew."""
    differences: list[Difference] = field(default_factory=list)


def compare(lines: list[bytes], check: bytes, readings: list[dict[str, Any]]) -> Comparison:
    """Compare readings with gpsd's answers to the same lines."""
    result = Comparison()
    ours: dict[str, list[Any]] = defaultdict(list)
    for reading in readings:
        if "restated_us" not in reading:
            ours[reading["topic"]].append(reading["value"])
    known, at = set(lines), Counter[str]()
    pending: dict[str, tuple[str, float, Any]] = {}
    for line in check.splitlines():
        if line in known:
            for quantity, resolution in _told_by(line).items():
                if quantity in pending:
                    result.unanswered[quantity] += 1
                at[quantity] += 1
                values = ours[TOPICS[quantity]]
                assert at[quantity] <= len(values), f"no {quantity} of {line!r}"
                value = values[at[quantity] - 1]
                pending[quantity] = (line.decode("latin-1"), resolution, value)
        elif line.startswith(b"{"):
            answer = json.loads(line)
            for quantity in sorted(set(answer) & set(pending)):
                _judge(result, quantity, pending.pop(quantity), answer[quantity])
    result.unanswered.update(pending.keys())
    for quantity, topic in TOPICS.items():
        assert at[quantity] == len(ours[topic]), f"{topic} was told more often than sent"
    return result


def _judge(result: Comparison, name: str, ours: tuple[str, float, Any], theirs: Any) -> None:
    sentence, resolution, value = ours
    result.compared[name] += 1
    if name == "time":
        later = datetime.fromisoformat(theirs) - datetime.fromisoformat(value)
        is_equal = not later
        is_within = not later % ROLLOVER
    elif name == "satellites":
        is_equal = is_within = [_satellite(each) for each in value] == [
            tuple(each[name] for name in ("PRN", "el", "az", "ss")) for each in theirs
        ]
    else:
        if name == "speed":
            value *= METRES_A_SECOND_IN_A_KNOT
        off = abs(value - theirs)
        is_equal, is_within = off <= PRINTED.get(name, 0.0), off <= resolution
    if is_equal:
        result.equal[name] += 1
    elif is_within:
        result.within[name] += 1
    else:
        result.differences.append(Difference(name, sentence, value, theirs))


def _satellite(told: dict[str, int]) -> tuple[int, ...]:
    """Return what gpsd tells of a satellite: zero where the receiver says nothing."""
    return (told["id"], *(told.get(name, 0) for name in ("elevation", "azimuth", "snr")))


_KNOT = METRES_A_SECOND_IN_A_KNOT

_PLACES: dict[str, tuple[tuple[str, int, float], ...]] = {
    "RMC": (("lat", 3, 1 / 60), ("lon", 5, 1 / 60), ("speed", 7, _KNOT), ("track", 8, 1)),
    "GGA": (("lat", 2, 1 / 60), ("lon", 4, 1 / 60), ("alt", 9, 1)),
    "GLL": (("lat", 1, 1 / 60), ("lon", 3, 1 / 60)),
    "VTG": (("track", 1, 1), ("speed", 5, _KNOT)),
    "GSA": (("pdop", 15, 1), ("vdop", 17, 1)),
}
"""By sentence: quantity, number of its field, and the unit of that in gpsd's."""

_DATES = {"RMC": 9, "ZDA": 4}
"""By sentence: the number of the field with its date, or the year of it."""


def _told_by(line: bytes) -> dict[str, float]:
    """Return which quantities a whole sentence tells, and how finely; read by itself, not by us."""
    if not line.startswith(b"$") or not _is_whole(line):
        return {}
    fields = line[1:].partition(b"*")[0].decode("latin-1").split(",")
    found: dict[str, float] = {}
    for name, number, unit in _PLACES.get(fields[0][2:], ()):
        if number < len(fields) and fields[number]:
            found[name] = unit * 10.0 ** -len(fields[number].partition(".")[2])
    formatter = fields[0][2:]
    if formatter in _DATES and fields[1] and fields[_DATES[formatter]]:
        found["time"] = 0
    if formatter == "GSV":
        _, total, part, in_view, *_ = fields
        if part == "1" and in_view:
            found["nSat"] = 0
        if part == total and part:
            found["satellites"] = 0
    return found


def _is_whole(line: bytes) -> bool:
    body, star, checksum = line[1:].partition(b"*")
    return not star or int(checksum[:2], 16) == functools.reduce(operator.xor, body, 0)


def main() -> int:
    """Play each recording and compare it with its answers; return the exit status."""
    parser = argparse.ArgumentParser(description="Compare the daemon's readings with gpsd's.")
    parser.add_argument("logs", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--baud", type=int, default=4800, help="default: %(default)s")
    options = parser.parse_args()
    for log in options.logs:
        lines = sentences_of(log.read_bytes())
        with tempfile.TemporaryDirectory() as folder:
            played = play(lines, Path(folder), baud=options.baud)
        print(  # noqa: T201  # what it is for
            f"{log.name}: {len(lines)} lines, {played.sent_bytes} bytes at {options.baud} baud;"
            f" {played.messages} messages, {len(played.readings)} readings, faults {played.faults}"
        )
        check = log.with_name(f"{log.name}.chk")
        if check.exists():
            _print(compare(lines, check.read_bytes(), played.readings))
    return 0


def _print(result: Comparison) -> None:
    for name in filter(result.compared.get, TOPICS):
        different = [each for each in result.differences if each.quantity == name]
        print(  # noqa: T201  # what it is for
            f"  {name}: {result.compared[name]} compared, {result.equal[name]} equal,"
            f" {result.within[name]} {'rolled over' if name == 'time' else 'within resolution'},"
            f" {len(different)} different; {result.unanswered[name]} unanswered"
        )
        for each in different:
            print(f"    {each.sentence}: ours {each.ours}, gpsd {each.theirs}")  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
