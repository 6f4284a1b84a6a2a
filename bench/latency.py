"""Latency on a quiet system: one reading, one monitor, from its source time to the client.

``simulated`` counts from the time that the reading carries, which it gets when the source has it.
``serial`` counts from before a line is written to a serial line (a pty), so it has the line, the
reader and the decoder in it; the device sends the time as its value.
"""

from __future__ import annotations

import argparse
import os
import pty
import random
import sys
import tempfile
import time
import tty
from collections.abc import Callable
from pathlib import Path

from bench.processes import Sensord
from bench.report import Options, Report, Unavailable, main, median
from bench.subscribers import Subscribers, Window, compiled, sensord

__all__ = ["measure"]

GOAL_P50_MS = 1.0
GOAL_P99_MS = 5.0

INTERVAL_S = 0.05
"""Longer than the default ``max_latency``: each reading finds its group quiet."""

SIMULATED = f"""
[devices.load]
reader = "simulated"
interval = {INTERVAL_S}
publish = {{ policy = "every" }}
[devices.load.signals.value]
high = 100.0
decimals = 2
"""

SERIAL = """
[devices.load]
reader = "serial"
port = "{}"
decoder = "number"
publish = {{ policy = "every" }}
"""


def simulated(seconds: float, folder: Path) -> Window:
    """Measure from the simulated reader's source time."""
    with (
        Sensord(SIMULATED, folder) as daemon,
        Subscribers(compiled(folder), sensord(daemon.port, "load/#"), 1) as monitor,
    ):
        time.sleep(min(0.5, seconds))
        monitor.mark()
        time.sleep(seconds)
        return monitor.tell()


def serial(seconds: float, folder: Path) -> Window:
    """Measure from the device's side of a serial line."""
    device, port = pty.openpty()
    tty.setraw(port)
    name = os.ttyname(port)
    chance = random.Random(1)
    with (
        Sensord(SERIAL.format(name), folder) as daemon,
        Subscribers(compiled(folder), sensord(daemon.port, "load/#"), 1, stamp="value") as monitor,
    ):
        time.sleep(min(0.5, seconds))
        monitor.mark()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            os.write(device, b"%d\n" % (time.time_ns() // 1000))
            time.sleep(INTERVAL_S * chance.uniform(0.8, 1.2))
        found = monitor.tell()
    os.close(device)
    os.close(port)
    return found


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--seconds", type=float, help="length of each window (default 10, brief 2)")


def measure(report: Report, options: Options) -> None:
    """Measure both."""
    seconds = options.more.seconds or (2.0 if options.brief else 10.0)
    with tempfile.TemporaryDirectory(prefix="sensord-bench-") as folder:
        try:
            compiled(Path(folder))
        except Unavailable as exc:
            report.missing("quiet: source to client", "ms", exc)
            return
        for name, run in (("simulated", simulated), ("serial", serial)):
            found = [run(seconds, Path(folder)) for _ in range(options.repeats)]
            note = f"{sum(one.readings for one in found)} readings"
            plain: list[tuple[str, Callable[[Window], int], float | None]] = [
                ("p50", lambda one: one.p50_us, GOAL_P50_MS),
                ("p99", lambda one: one.p99_us, GOAL_P99_MS),
                ("worst", lambda one: one.max_us, None),
            ]
            for what, pick, goal in plain:
                value = median(map(pick, found)) / 1000
                figure = f"quiet, {name}: source to client {what}"
                report.add(figure, value, "ms", goal=goal, note=note)


if __name__ == "__main__":
    sys.exit(main("latency", str(__doc__).splitlines()[0], measure, configure))
