"""The page: how soon the chart of a year is drawn.

A journal holds a year of readings, one a minute. The times are those from the choice
of the range to the frame with the chart, and until the chart has grown to its end, on a page that
is open; the daemon has just started.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.page import load
from bench.processes import Sensord, find_program
from bench.report import Options, Report, Unavailable, main, median
from sensord.log.journal import Options as Shape
from sensord.log.journal import Writer
from tests.kit.browser import Browser
from tests.kit.journal import channels, walk_readings

__all__ = ["measure"]

GOAL_MS = 1000.0
DAY_S = 86_400
MINUTES = 1440
HOUR = 60

OPENED = """
(async () => {
  const begun = performance.now();
  location.hash = "#topic/" + encodeURIComponent(%s) + "~365d";
  while (!document.querySelector(".chart canvas")) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  const first = performance.now();
  const chart = document.querySelector(".chart");
  while (chart.ariaBusy === "true") await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return [first - begun, performance.now() - begun];
})()
"""


def fill(folder: Path, days: int) -> str:
    """Write a reading a minute into a journal, with a segment an hour; return the topic."""
    of = channels(1)
    begin_us = int((time.time() - days * DAY_S) * 1e6)
    # Their times are random; none is to be in the future.
    rate = 1.01 / 60
    records = walk_readings(days * MINUTES, start_us=begin_us, rate=rate, of=of)
    writer = Writer(Shape(folder=str(folder), min_free=0, max_age=400.0 * DAY_S))
    writer.open(begin_us, 0)
    for i in range(0, len(records), HOUR):
        some = records[i : i + HOUR]
        writer.commit(some, some[-1].log_us, some[-1].log_us - begin_us)
    end_us = records[-1].log_us
    writer.close(end_us, end_us - begin_us)
    return of[0].topic


def opened(days: int, repeats: int, folder: Path) -> list[tuple[float, float]]:
    """Return the milliseconds until a part was drawn, and until all was, each time."""
    found = []
    daemon = Sensord('max_age = "400d"', folder, records=True)
    topic = fill(daemon.journal, days)
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
                first, whole = page.eval(OPENED % json.dumps(topic))
                found.append((float(first), float(whole)))
                if page.errors:
                    raise RuntimeError(f"the page has errors: {page.errors}")
    return found


def measure(report: Report, options: Options) -> None:
    """Measure it."""
    try:
        find_program("chromium", "install Debian's package chromium")
    except Unavailable as exc:
        report.missing("a year of one topic", "ms", exc)
        return
    days = 20 if options.brief else 365
    folder = Path(tempfile.mkdtemp(prefix="sensord-bench-"))
    try:
        found = opened(days, options.repeats, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    first, whole = (sorted(times) for times in zip(*found, strict=True))
    note = f"{days * MINUTES:,} readings; {first[0]:.0f} to {first[-1]:.0f} ms"
    report.add(f"{days} days of one topic", median(first), "ms", goal=GOAL_MS, note=note)
    note = f"{whole[0]:.0f} to {whole[-1]:.0f} ms"
    report.add(f"{days} days of one topic, to its end", median(whole), "ms", note=note)


if __name__ == "__main__":
    sys.exit(main("page_year", str(__doc__).splitlines()[0], measure))
