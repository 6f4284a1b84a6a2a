"""Floods: live monitors, without and with clients beside them that cost as much as they can.

Requests of last values with hundreds of filters, pages that nobody reads, a thousand subscriptions
each with an option of its own, and replays at full speed. While they go on, the live monitors'
latency is watched, `/healthz` is asked, and the daemon's memory is looked at.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench.flooders import FLOODS
from bench.load import Load
from bench.processes import Sensord, rss_bytes
from bench.report import Options, Report, Unavailable, main, median
from bench.subscribers import Subscribers, Window, compiled, sensord, watch

__all__ = ["measure"]

P99_MS = 25.0
"""What live monitors are promised under load."""

WIDE = """
[devices.wide]
reader = "simulated"
interval = 3600.0
copies = 10000
max_channels = 10000
publish = { policy = "every" }
[devices.wide.signals.value]
low = 0
high = 9
"""
"""Ten thousand topics that hardly ever change."""

WIDE_FLOODS = {"filters", "pages", "unread"}

SETTLE_S = 3.0
"""So long after its beginning a flood is measured."""

HEALTH_EVERY_S = 0.1
"""Between an answer and the next question."""


@dataclass(frozen=True, slots=True)
class Found:
    """One run."""

    before: Window
    meanwhile: Window
    health_ms: float
    """The longest answer to `/healthz`."""
    grown_bytes: int
    cpu_before: float
    cpu_meanwhile: float
    counts: dict[str, int]


class Watcher(threading.Thread):
    """Asks `/healthz` again and again, and looks at the memory."""

    def __init__(self, daemon: Sensord) -> None:
        super().__init__(name="watcher", daemon=True)
        self._daemon = daemon
        self.worst_s = 0.0
        self.most_bytes = 0
        self.over = threading.Event()

    def run(self) -> None:
        """Watch until it is over."""
        while not self.over.wait(HEALTH_EVERY_S):
            begun = time.monotonic()
            url = f"http://127.0.0.1:{self._daemon.port}/healthz"
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    answer.read()
            except OSError:
                self.worst_s = max(self.worst_s, 10.0)
            self.worst_s = max(self.worst_s, time.monotonic() - begun)
            self.most_bytes = max(self.most_bytes, rss_bytes(self._daemon.pid))


def run(name: str, load: Load, monitors: int, seconds: float, folder: Path) -> Found:
    """Measure before a flood, and in it."""
    config = load.config() + (WIDE if name in WIDE_FLOODS else "")
    with (
        Sensord(config, folder, records=True) as daemon,
        Subscribers(compiled(folder), sensord(daemon.port), monitors) as live,
    ):
        time.sleep(min(SETTLE_S, seconds))
        before, cpu_before = watch(daemon.pid, live, seconds)
        memory = rss_bytes(daemon.pid)
        command = [sys.executable, "-m", "bench.flooders", name, str(daemon.port)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as flood:
            assert flood.stdin is not None
            assert flood.stdout is not None
            flood.stdout.readline()
            watcher = Watcher(daemon)
            watcher.start()
            time.sleep(min(SETTLE_S, seconds))
            meanwhile, cpu_meanwhile = watch(daemon.pid, live, seconds)
            watcher.over.set()
            watcher.join()
            flood.stdin.close()
            counts = json.loads(flood.stdout.readline())
    grown = watcher.most_bytes - memory
    return Found(
        before, meanwhile, watcher.worst_s * 1000, grown, cpu_before, cpu_meanwhile, counts
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--monitors", type=int, help="default 100, brief 20")
    parser.add_argument("--rate", type=float, default=10_000.0)
    parser.add_argument("--flood", choices=[*FLOODS], action="append", help="default all")
    parser.add_argument("--seconds", type=float, help="length of each window (default 8, brief 1)")


def measure(report: Report, options: Options) -> None:
    """Measure each flood."""
    more = options.more
    seconds = more.seconds or (1.0 if options.brief else 8.0)
    monitors = more.monitors or (20 if options.brief else 100)
    for name in more.flood or FLOODS:
        found = []
        for _ in range(options.repeats):
            with tempfile.TemporaryDirectory(prefix="sensord-bench-") as folder:
                try:
                    compiled(Path(folder))
                except Unavailable as exc:
                    report.missing(f"{name}: live p99", "ms", exc)
                    return
                found.append(run(name, Load(more.rate), monitors, seconds, Path(folder)))
                report.say(f"{name}: {found[-1]}")
        tell(report, name, found, monitors)


def tell(report: Report, name: str, found: list[Found], monitors: int) -> None:
    """Report medians."""
    p99 = median(one.meanwhile.p99_us for one in found) / 1000
    report.add(
        f"{name}: live p99",
        p99,
        "ms",
        goal=P99_MS,
        peer="without the flood",
        peer_value=median(one.before.p99_us for one in found) / 1000,
    )
    p50 = median(one.meanwhile.p50_us for one in found) / 1000
    before = median(one.before.p50_us for one in found) / 1000
    report.add(f"{name}: live p50", p50, "ms", peer="without the flood", peer_value=before)
    report.add(f"{name}: slowest /healthz", max(one.health_ms for one in found), "ms")
    grown = max(one.grown_bytes for one in found) / 2**20
    report.add(f"{name}: daemon's growth", grown, "MiB")
    report.add(
        f"{name}: CPU",
        100 * median(one.cpu_meanwhile for one in found),
        "% of a core",
        peer="without the flood",
        peer_value=100 * median(one.cpu_before for one in found),
    )
    rate = median(one.meanwhile.readings / monitors / one.meanwhile.seconds for one in found)
    report.add(f"{name}: readings/s to each live monitor", rate, "1/s")
    lost = sum(w.missing + w.doubled for one in found for w in (one.before, one.meanwhile))
    report.add(f"{name}: readings lost or doubled by live monitors", lost, "readings", goal=0)


if __name__ == "__main__":
    sys.exit(main("floods", str(__doc__).splitlines()[0], measure, configure))
