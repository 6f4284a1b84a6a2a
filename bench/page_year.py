"""The page: how soon the chart of a year is drawn.

A journal holds a year of readings, one a minute of each topic. The time is that from the choice of
the range to the frame with the chart, on a page that is open; the daemon has just started.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.page import load
from bench.processes import Sensord, find_program
from bench.report import Options, Report, Unavailable, main
from sensord.log.journal import Options as Shape
from sensord.log.journal import Writer
from tests.kit.browser import Browser
from tests.kit.journal import channels, walk_readings

__all__ = ["measure"]

GOAL_MS = 1000.0
DAY_S = 86_400
MINUTES = 1440
AT_ONCE = 100_000

OPENED = """
(async () => {
  const begun = performance.now();
  location.hash = "#topic/" + encodeURIComponent(%s) + "~365d";
  while (!document.querySelector(".chart canvas")) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - begun;
})()
"""


def fill(folder: Path, topics: int, days: int) -> str:
    """Write so many days into a journal; return a topic."""
    of = channels(topics)
    rate = topics / 60 * 1.01  # their times are random; none is to be in the future
    begin_us = at_us = int((time.time() - days * DAY_S) * 1e6)
    writer = Writer(Shape(folder=str(folder), min_free=0, max_age=400.0 * DAY_S))
    writer.open(begin_us, 0)
    count, whole = 0, topics * days * MINUTES
    while count < whole:
        part = min(AT_ONCE, whole - count)
        records = walk_readings(
            part, first=count, start_us=at_us, rate=rate, of=of, line=topics, seed=count
        )
        for i in range(0, part, 1000):
            some = records[i : i + 1000]
            writer.commit(some, some[-1].log_us, some[-1].log_us - begin_us)
        at_us, count = records[-1].log_us, count + part
    writer.close(at_us, at_us - begin_us)
    return of[0].topic


def opened(topics: int, days: int, repeats: int, folder: Path) -> list[float]:
    """Return the milliseconds that it took each time."""
    found = []
    daemon = Sensord('max_age = "400d"', folder, records=True)
    topic = fill(daemon.journal, topics, days)
    for _ in range(repeats):
        with daemon:
            profile = Path(tempfile.mkdtemp(dir=folder))
            with Browser(profile) as browser, browser.open("about:blank") as page:
                load(page, daemon)
                page.until("document.querySelector('#link').dataset.state === 'up'")
                page.until(
                    "performance.getEntriesByType('resource')"
                    ".some(({ name }) => name.endsWith('topic.js'))"
                )
                found.append(float(page.eval(OPENED % json.dumps(topic))))
                if page.errors:
                    raise RuntimeError(f"the page has errors: {page.errors}")
    return found


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--topics", type=int, help="recorded beside each other (default 10)")


def measure(report: Report, options: Options) -> None:
    """Measure one topic alone, and one of several."""
    try:
        find_program("chromium", "install Debian's package chromium")
    except Unavailable as exc:
        report.missing("a year of one topic", "ms", exc)
        return
    days = 20 if options.brief else 365
    for topics in (1, options.more.topics or 10):
        folder = Path(tempfile.mkdtemp(prefix="sensord-bench-"))
        try:
            found = opened(topics, days, options.repeats, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        note = f"{topics * days * MINUTES:,} readings of {topics} topics; {min(found):.0f} at best"
        report.add(
            f"{days} days of one topic of {topics}", max(found), "ms", goal=GOAL_MS, note=note
        )


if __name__ == "__main__":
    sys.exit(main("page_year", str(__doc__).splitlines()[0], measure, configure))
