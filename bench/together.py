"""Together: a thousand clients that are there and send each other messages, beside live monitors.

The live ones are watched before, and while a hundred messages a second are sent, kept until they
are acknowledged, and audited.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.load import Load
from bench.processes import Sensord, rss_bytes
from bench.report import Options, Report, Unavailable, main, median
from bench.subscribers import EVERYTHING, Subscribers, Window, compiled, sensord, watch

__all__ = ["measure"]

P99_MS = 25.0
"""What live monitors are promised under load."""


@dataclass(frozen=True, slots=True)
class Found:
    """One run."""

    before: Window
    meanwhile: Window
    wrong: int
    """Readings lost or doubled."""
    sent: int
    delivered: int
    had: int
    cpu_before: float
    cpu_meanwhile: float
    grown_bytes: int


def run(
    load: Load, monitors: int, clients: int, rate: float, seconds: float, folder: Path
) -> Found:
    """Measure before, and while they talk."""
    program = compiled(folder)
    with (
        Sensord(load.config(), folder, records=True) as daemon,
        Subscribers(program, sensord(daemon.port, "load/#"), monitors) as live,
        # It has all that is logged, so it can tell from the offsets that nothing is missing.
        Subscribers(program, sensord(daemon.port, *EVERYTHING), 1) as keeper,
    ):
        keeper.mark()
        time.sleep(min(1.0, seconds))
        before, cpu_before = watch(daemon.pid, live, seconds)
        memory = rss_bytes(daemon.pid)
        url = f"ws://127.0.0.1:{daemon.port}"
        command = [sys.executable, "-m", "bench.talkers", url, str(clients), str(rate)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as talkers:
            assert talkers.stdin is not None
            assert talkers.stdout is not None
            if talkers.stdout.readline() != "ready\n":
                raise Unavailable("the clients could not connect")
            meanwhile, cpu_meanwhile = watch(daemon.pid, live, seconds)
            grown = rss_bytes(daemon.pid) - memory
            talkers.stdin.close()
            told = json.loads(talkers.stdout.readline())
        kept = keeper.tell()
    return Found(
        before,
        meanwhile,
        kept.missing + kept.doubled,
        told["sent"],
        told["delivered"],
        told["had"],
        cpu_before,
        cpu_meanwhile,
        grown,
    )


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--monitors", type=int, default=100)
    parser.add_argument("--clients", type=int, help="default 1000, brief 50")
    parser.add_argument("--messages", type=float, default=100.0, help="a second")
    parser.add_argument("--rate", type=float, default=10_000.0, help="of the readings")
    parser.add_argument("--seconds", type=float, help="length of each window (default 10, brief 1)")


def measure(report: Report, options: Options) -> None:
    """Measure before and meanwhile."""
    more = options.more
    seconds = more.seconds or (1.0 if options.brief else 10.0)
    clients = more.clients or (50 if options.brief else 1000)
    figure = f"live p99 beside {clients:,} clients that talk"
    found = []
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory(prefix="sensord-bench-") as folder:
            try:
                compiled(Path(folder))
            except Unavailable as exc:
                report.missing(figure, "ms", exc)
                return
            load = Load(more.rate)
            found.append(run(load, more.monitors, clients, more.messages, seconds, Path(folder)))
            report.say(f"{found[-1]}")
    tell(report, found, figure, f"{more.messages:g} messages/s")


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
    before = median(one.cpu_before for one in found)
    meanwhile = median(one.cpu_meanwhile for one in found)
    report.add("CPU meanwhile", 100 * meanwhile, "% of a core")
    report.add("CPU before", 100 * before, "% of a core")
    grown = median(one.grown_bytes for one in found) / 2**20
    report.add("daemon's growth", grown, "MiB")
    sent, delivered = sum(one.sent for one in found), sum(one.delivered for one in found)
    report.add("messages sent", sent, "messages")
    report.add("messages not delivered", sent - delivered, "messages", goal=0)
    doubled = sum(one.had for one in found) - delivered
    report.add("messages had more than once", doubled, "messages", goal=0)
    wrong = sum(one.wrong for one in found)
    report.add("readings lost or doubled", wrong, "readings", goal=0)


if __name__ == "__main__":
    sys.exit(main("together", str(__doc__).splitlines()[0], measure, configure))
