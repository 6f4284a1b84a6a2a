"""Catching up: fifty monitors read an hour back at once, beside fifty live ones.

The journal holds a million readings of the last hours before the daemon starts, a hundred a second.
The live ones are watched before and meanwhile: a shared machine slows both, so the ratio counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.load import Load
from bench.processes import Sensord, cpu_s, rss_bytes
from bench.report import Options, Report, Unavailable, main, median
from bench.subscribers import Subscribers, Window, compiled, sensord, watch
from sensord.log.journal import Options as Journal
from sensord.log.journal import Writer
from tests.kit.journal import walk_readings

__all__ = ["measure"]

P99_MS = 25.0
"""What live monitors are promised under load."""

RECORDED_RATE = 100
HOUR_S = 3600
LONGEST_S = 600.0
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    """One run."""

    before: Window
    meanwhile: Window
    caught_up: Window
    took_s: float
    cpu_s: float
    cpu_live_share: float
    grown_bytes: int


def record(folder: Path, count: int) -> float:
    """Fill a journal up to now; return when its first reading was logged."""
    now_us = time.time_ns() // 1000
    start_us = now_us - count * 1_000_000 // RECORDED_RATE
    records = walk_readings(count, start_us=start_us, rate=RECORDED_RATE)
    # The walk's steps are random: move it so that it ends now.
    late_us = now_us - records[-1].log_us
    records = [r._replace(log_us=r.log_us + late_us) for r in records]
    writer = Writer(Journal(folder=str(folder), min_free=0))
    writer.open(records[0].log_us, 0)
    for i in range(0, count, 4000):
        part = records[i : i + 4000]
        writer.commit(part, part[-1].log_us, part[-1].log_us - records[0].log_us)
    writer.close(now_us, now_us - records[0].log_us)
    return records[0].log_us / 1e6


def run(
    load: Load, monitors: int, count: int, back_s: float, seconds: float, folder: Path
) -> Found:
    """Measure before, and while they catch up."""
    program = compiled(folder)
    daemon = Sensord(load.config(), folder, records=True)
    record(daemon.journal, count)
    with daemon, Subscribers(program, sensord(daemon.port), monitors) as live:
        time.sleep(min(1.0, seconds))
        before, share = watch(daemon.pid, live, seconds)
        since_us = time.time_ns() // 1000 - int(back_s * 1e6)
        endpoint = sensord(daemon.port, **{"from": {"time_us": since_us}})
        memory, spent_s, begun = rss_bytes(daemon.pid), cpu_s(daemon.pid), time.monotonic()
        live.mark()
        with Subscribers(program, endpoint, monitors) as others:
            window = others.tell()
            # All that was there when they began; what comes meanwhile comes live.
            while window.total_least < 0.98 * back_s * RECORDED_RATE:
                if time.monotonic() - begun > LONGEST_S:
                    raise TimeoutError(f"they have not caught up: {window}")
                time.sleep(LOOK_S)
                window = others.tell()
            took_s = time.monotonic() - begun
            meanwhile = live.tell()
            spent_s, grown = cpu_s(daemon.pid) - spent_s, rss_bytes(daemon.pid) - memory
    return Found(before, meanwhile, window, took_s, spent_s, share, grown)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--monitors", type=int, default=50)
    parser.add_argument("--rate", type=float, default=1000.0, help="of the live readings")
    parser.add_argument("--count", type=int, help="readings recorded (default 1,000,000)")
    parser.add_argument("--seconds", type=float, help="watched before (default 10, brief 1)")


def measure(report: Report, options: Options) -> None:
    """Measure before and meanwhile."""
    more = options.more
    count = more.count or (50_000 if options.brief else 1_000_000)
    back_s = min(HOUR_S, 0.8 * count / RECORDED_RATE)
    seconds = more.seconds or (1.0 if options.brief else 10.0)
    figure = f"live p99 beside {more.monitors} monitors that catch up"
    load, found = Load(more.rate), []
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory(prefix="sensord-bench-") as folder:
            try:
                compiled(Path(folder))
            except Unavailable as exc:
                report.missing(figure, "ms", exc)
                return
            found.append(run(load, more.monitors, count, back_s, seconds, Path(folder)))
            report.say(f"{found[-1]}")
    tell(report, found, figure, f"{count:,} readings recorded, {back_s / 60:.0f} min back")


def tell(report: Report, found: list[Found], figure: str, note: str) -> None:
    """Report medians."""
    report.add(
        figure,
        median(one.meanwhile.p99_us for one in found) / 1000,
        "ms",
        goal=P99_MS,
        note=note,
    )
    report.add("live p99 before", median(one.before.p99_us for one in found) / 1000, "ms")
    report.add(
        "the longest that a live reading took meanwhile",
        median(one.meanwhile.max_us for one in found) / 1000,
        "ms",
    )
    report.add("until all had caught up", median(one.took_s for one in found), "s")
    spent = median(
        (one.cpu_s - one.cpu_live_share * one.took_s) / one.caught_up.total * 1e6 for one in found
    )
    report.add("CPU for each reading caught up with", spent, "µs", note="without the live load's")
    grown = median(one.grown_bytes for one in found) / 2**20
    report.add("daemon's growth", grown, "MiB")
    windows = [w for one in found for w in (one.before, one.meanwhile, one.caught_up)]
    lost = sum(window.missing + window.doubled for window in windows)
    report.add("readings lost or doubled", lost, "readings", goal=0)


if __name__ == "__main__":
    sys.exit(main("catch_up", str(__doc__).splitlines()[0], measure, configure, repeats=1))
