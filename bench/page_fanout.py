"""The page: what ten open pages cost the daemon and its other monitors.

A hundred monitors get 10,000 readings/s of 200 topics; then ten pages show all values beside them.
Monitors, pages and daemon share the machine, so the browser's own work is part of the delay.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.fanout import GOAL_P99_MS, Run, watch
from bench.load import Load
from bench.processes import Sensord, find_program
from bench.report import Options, Report, Unavailable, main
from bench.subscribers import Subscribers, compiled, sensord
from tests.kit.browser import Browser

__all__ = ["measure"]

MONITORS = 100
PAGES = 10
RATE = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--rate", type=float, help=f"readings a second (default {RATE})")
    parser.add_argument("--monitors", type=int, help=f"besides the pages (default {MONITORS})")
    parser.add_argument("--pages", type=int, help=f"that are open (default {PAGES})")
    parser.add_argument("--seconds", type=float, help="of watching (default 10, brief 2)")


def measure(report: Report, options: Options) -> None:
    """Measure without the pages, and with them."""
    more = options.more
    pages = more.pages or PAGES
    monitors = more.monitors or MONITORS
    seconds = more.seconds or (2.0 if options.brief else 10.0)
    folder = Path(tempfile.mkdtemp(prefix="sensord-bench-"))
    try:
        find_program("chromium", "install Debian's package chromium")
        with (
            Sensord(Load(more.rate or RATE).config(), folder) as daemon,
            Subscribers(compiled(folder), sensord(daemon.port), monitors) as subscribers,
            ExitStack() as stack,
        ):
            add(report, watch(daemon, subscribers, monitors, seconds), "no page")
            profile = Path(tempfile.mkdtemp(dir=folder))
            browser = stack.enter_context(Browser(profile))
            opened = [
                stack.enter_context(browser.open(f"http://127.0.0.1:{daemon.port}/"))
                for _ in range(pages)
            ]
            for page in opened:
                page.until("document.querySelectorAll('.row .value').length > 5")
            time.sleep(min(seconds, 3.0))  # their views are loaded
            add(report, watch(daemon, subscribers, monitors, seconds), f"{pages} pages")
            window = subscribers.tell()
            report.add("readings lost or doubled", window.missing + window.doubled, "", goal=0)
    except Unavailable as exc:
        report.missing("beside pages", "ms", exc)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def add(report: Report, run: Run, name: str) -> None:
    """Report one run."""
    goal, note = GOAL_P99_MS, f"{run.cpu_percent:.0f} % of a core; p50 {run.p50_ms:.1f} ms"
    report.add(f"{name}: latency p99", run.p99_ms, "ms", goal=goal, note=note)
    report.add(f"{name}: CPU per delivered reading", run.us_a_reading, "µs")


if __name__ == "__main__":
    sys.exit(main("page_fanout", str(__doc__).splitlines()[0], measure, configure))
