"""Slow monitors: a hundred live ones, without and with a thousand stopped ones beside them.

The stopped ones are clients that subscribed and whose process was then suspended: their sockets
stay open, and nobody reads. It is measured once they are full. What they cost the daemon is its
growth while they fill, beside the mark that the configuration sets for each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.load import Load
from bench.processes import Sensord, rss_bytes
from bench.report import Options, Report, Unavailable, main, median
from bench.subscribers import Subscribers, Window, compiled, sensord, watch

__all__ = ["measure"]

GOAL = 1.2

OUTBOX_KIB = 128
RECEIVE_BUFFER = 4096
"""Of the stopped clients: so that they are full soon, not after megabytes in the kernel."""

RING = 16_384
"""A second or two: it is full before anything is compared."""

FULL_S = 60.0

LITTLE_BYTES_S = 256 * 1024
"""Who grows by less than this in a second does not grow because somebody fills."""


@dataclass(frozen=True, slots=True)
class Found:
    """One run."""

    without: Window
    beside: Window
    filling_p99_us: int
    grown_kib: float
    cpu_without: float
    cpu_beside: float
    is_full: bool


def run(load: Load, monitors: int, stopped: int, seconds: float, folder: Path) -> Found:
    """Measure without, fill the stopped ones, measure beside them."""
    program = compiled(folder)
    server = f'outbox = "{OUTBOX_KIB}KiB"\nlag_timeout = "10m"'
    config = f"[log]\nring = {RING}\n{load.config()}"
    with (
        Sensord(config, folder, server=server) as daemon,
        Subscribers(program, sensord(daemon.port), monitors) as live,
    ):
        time.sleep(RING / load.rate + min(1.0, seconds))
        without, cpu_without = watch(daemon.pid, live, seconds)
        endpoint = sensord(daemon.port, "load/#")
        before = rss_bytes(daemon.pid)
        with Subscribers(program, endpoint, stopped, receive_buffer=RECEIVE_BUFFER) as others:
            others.stop()
            live.mark()
            is_full = wait_until_full(daemon, min(1.0, seconds))
            filling = live.tell()
            beside, cpu_beside = watch(daemon.pid, live, seconds)
            grown = rss_bytes(daemon.pid) - before
    return Found(
        without,
        beside,
        filling.p99_us,
        grown / 1024 / stopped,
        cpu_without,
        cpu_beside,
        is_full,
    )


def wait_until_full(daemon: Sensord, interval_s: float) -> bool:
    """Return once the daemon does not grow any more; tell whether it came to that."""
    deadline = time.monotonic() + FULL_S
    last = 0
    quiet = 0
    while quiet < 3 and time.monotonic() < deadline:
        time.sleep(interval_s)
        now = rss_bytes(daemon.pid)
        quiet = quiet + 1 if now - last < LITTLE_BYTES_S * interval_s else 0
        last = now
    return quiet >= 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--monitors", type=int, default=100)
    parser.add_argument("--stopped", type=int, help="default 1000, brief 100")
    parser.add_argument("--rate", type=float, default=10_000.0)
    parser.add_argument("--seconds", type=float, help="length of each window (default 8, brief 1)")


def measure(report: Report, options: Options) -> None:
    """Measure without and with."""
    more = options.more
    seconds = more.seconds or (1.0 if options.brief else 8.0)
    stopped = more.stopped or (100 if options.brief else 1000)
    figure = f"live p99 beside {stopped:,} stopped monitors"
    with tempfile.TemporaryDirectory(prefix="sensord-bench-") as folder:
        try:
            compiled(Path(folder))
        except Unavailable as exc:
            report.missing(figure, "ms", exc)
            return
        load = Load(more.rate)
        found = [
            run(load, more.monitors, stopped, seconds, Path(folder)) for _ in range(options.repeats)
        ]
    for one in found:
        report.say(f"{one}")
    tell(report, found, figure)


def tell(report: Report, found: list[Found], figure: str) -> None:
    """Report medians."""
    p99 = median(one.beside.p99_us for one in found) / 1000
    p99_without = median(one.without.p99_us for one in found) / 1000
    report.add(
        figure,
        p99,
        "ms",
        goal=GOAL,
        peer="without them",
        peer_value=p99_without,
        ratio=median(one.beside.p99_us / one.without.p99_us for one in found),
        note="" if all(one.is_full for one in found) else "they were not full yet",
    )
    filling = median(one.filling_p99_us for one in found) / 1000
    report.add("live p99 while they fill", filling, "ms")
    report.add(
        "CPU beside them",
        100 * median(one.cpu_beside for one in found),
        "% of a core",
        peer="without them",
        peer_value=100 * median(one.cpu_without for one in found),
    )
    grown = median(one.grown_kib for one in found)
    note = f"{OUTBOX_KIB} KiB outbox, one frame and the session itself"
    report.add("daemon's growth per stopped monitor", grown, "KiB", goal=OUTBOX_KIB + 32, note=note)
    lost = sum(one.missing + one.doubled for run_ in found for one in (run_.without, run_.beside))
    report.add("readings lost or doubled by live monitors", lost, "readings", goal=0)


if __name__ == "__main__":
    sys.exit(main("slow", str(__doc__).splitlines()[0], measure, configure))
