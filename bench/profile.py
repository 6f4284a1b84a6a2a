"""Profile: where the daemon's CPU time goes under the fan-out load, by what is done with it.

The daemon runs in `bench.sampled`, without its journal, whose work is done in other threads.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench.load import Load
from bench.processes import Sensord
from bench.report import Options, Report, Unavailable, main
from bench.subscribers import Subscribers, compiled, sensord

__all__ = ["measure"]

RATE = 9710.0
LATENCY_S = 0.0207
"""Neither the ticks of the source nor those of the groups may keep step with the kernel's clock.

The samples are taken at that clock's ticks; with 10,000 readings/s and 20 ms they would see the
same few moments of each tick.
"""


class Sampled(Sensord):
    """The daemon, sampled."""

    def __init__(self, config: str, folder: Path) -> None:
        super().__init__(config, folder)
        self.samples = folder / f"samples-{self.port}.json"
        self.run_module("bench.sampled", str(self.samples))


def sample(load: Load, monitors: int, seconds: float, folder: Path) -> dict[str, int]:
    """Return the samples of the daemon in its steady state, by what it did."""
    with (
        Sampled(load.config(), folder) as daemon,
        Subscribers(compiled(folder), sensord(daemon.port, max_latency=LATENCY_S), monitors),
    ):
        time.sleep(1.5)
        os.kill(daemon.pid, signal.SIGUSR1)
        time.sleep(seconds)
    found: dict[str, int] = json.loads(daemon.samples.read_text())
    return found


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--monitors", type=int, default=100)
    parser.add_argument("--pattern", choices=["burst", "spread"], default="burst")
    parser.add_argument("--seconds", type=float, help="of sampling (default 20, brief 3)")


def measure(report: Report, options: Options) -> None:
    """Profile the load that the options ask for."""
    more = options.more
    seconds = more.seconds or (3.0 if options.brief else 20.0)
    load = Load(more.rate, pattern=more.pattern)
    with tempfile.TemporaryDirectory(prefix="sensord-bench-") as folder:
        try:
            found = sample(load, more.monitors, seconds, Path(folder))
        except Unavailable as exc:
            report.missing("profile", "% of the daemon's CPU", exc)
            return
    total = sum(found.values()) or 1
    report.say(f"{total} samples")
    for part, count in sorted(found.items(), key=lambda item: -item[1]):
        report.add(part, 100 * count / total, "% of the daemon's CPU")


if __name__ == "__main__":
    sys.exit(main("profile", str(__doc__).splitlines()[0], measure, configure))
