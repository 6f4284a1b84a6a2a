"""Growth: how the daemon's cost grows with readings, topics, groups and monitors.

One thing grows at a time, from 10,000 readings/s on 200 topics in bursts, to 100 monitors that
share one group. The cost is the CPU of the whole daemon, the making of the readings included. For
what waiting saves, ``max_latency`` grows too, with readings that come at any time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bench.load import Load, Pattern
from bench.processes import Sensord, cpu_s
from bench.report import Options, Report, Unavailable, main, median
from bench.subscribers import EVERYTHING, Subscribers, compiled, sensord

__all__ = ["measure"]

WARM_UP_S = 1.5

MANY_GROUPS = "nothing/here/@@@@"
"""Selects nothing; who asks for another of these is in another group."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is grown."""

    readings: int = 10_000
    topics: int = 200
    groups: int = 1
    monitors: int = 100
    max_latency_ms: int = 20
    pattern: Pattern = "burst"


BASE = Setting()

SWEEPS: dict[str, list[Setting]] = {
    "readings": [replace(BASE, readings=n) for n in (100, 1_000, 5_000, 10_000, 20_000)],
    "topics": [replace(BASE, topics=n) for n in (10, 200, 2_000, 10_000)],
    "groups": [replace(BASE, groups=n) for n in (1, 10, 50, 100)],
    "max_latency_ms": [
        replace(BASE, pattern="spread", max_latency_ms=n) for n in (1, 5, 10, 20, 50, 100)
    ],
    "monitors": [replace(BASE, monitors=n) for n in (0, 1, 10, 100, 300, 1_000)],
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one setting costs."""

    percent: float
    us_a_reading: float
    p99_ms: float
    wrong: int


def cost(setting: Setting, seconds: float, folder: Path) -> Cost:
    """Measure one setting."""
    load = Load(setting.readings, setting.topics, setting.pattern)
    with Sensord(load.config(), folder) as daemon:
        if not setting.monitors:
            time.sleep(min(WARM_UP_S, seconds))
            return Cost(*used(daemon, seconds), 0.0, 0)
        max_latency = setting.max_latency_ms / 1000
        endpoint = sensord(daemon.port, *EVERYTHING, MANY_GROUPS, max_latency=max_latency)
        with Subscribers(
            compiled(folder), endpoint, setting.monitors, groups=setting.groups
        ) as monitors:
            time.sleep(min(WARM_UP_S, seconds))
            monitors.mark()
            percent, us_a_reading = used(daemon, seconds)
            window = monitors.tell()
    wrong = window.missing + window.doubled
    return Cost(percent, us_a_reading, window.p99_us / 1000, wrong)


def used(daemon: Sensord, seconds: float) -> tuple[float, float]:
    """Return the CPU in percents of a core, and in µs a reading that was published."""
    offset, before, begun = daemon.offset(), cpu_s(daemon.pid), time.monotonic()
    time.sleep(seconds)
    used_s, elapsed_s = cpu_s(daemon.pid) - before, time.monotonic() - begun
    return 100 * used_s / elapsed_s, used_s * 1e6 / max(1, daemon.offset() - offset)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("what", nargs="*", help=f"of {', '.join(SWEEPS)} (default all)")
    parser.add_argument("--seconds", type=float, help="length of each window (default 4, brief 1)")


def measure(report: Report, options: Options) -> None:
    """Grow one thing after the other."""
    seconds = options.more.seconds or (1.0 if options.brief else 4.0)
    with tempfile.TemporaryDirectory(prefix="sensord-bench-") as folder:
        try:
            compiled(Path(folder))
        except Unavailable as exc:
            report.missing("growth", "% of a core", exc)
            return
        for what in options.more.what or SWEEPS:
            for setting in SWEEPS[what][:: 2 if options.brief else 1]:
                found = [cost(setting, seconds, Path(folder)) for _ in range(options.repeats)]
                tell(report, what, setting, found)


def tell(report: Report, what: str, setting: Setting, found: list[Cost]) -> None:
    """Report one setting."""
    us_a_reading = median(one.us_a_reading for one in found)
    p99_ms = median(one.p99_ms for one in found)
    note = f"{us_a_reading:.2f} µs a reading"
    if setting.monitors:
        note += f", p99 {p99_ms:.1f} ms"
    if wrong := sum(one.wrong for one in found):
        note += f", {wrong} readings lost or doubled"
    figure = f"{getattr(setting, what):,} {what}"
    report.add(figure, median(one.percent for one in found), "% of a core", note=note)


if __name__ == "__main__":
    sys.exit(main("growth", str(__doc__).splitlines()[0], measure, configure))
