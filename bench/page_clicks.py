"""The page: how soon it answers a click or a key, on a processor that is slowed four times.

The time is the browser's own, from the event to the frame after it (its Event Timing); it notes
nothing shorter than 16 ms and rounds to 8 ms. The clicks go to every view, pin a topic and open a
chart, with 200 topics at 5 readings/s; the keys search 10,000 topics.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from bench.page import INTERVAL_S, MANY, MANY_INTERVAL_S, TOPICS, daemon_of, first_value, load
from bench.processes import find_program
from bench.report import Options, Report, Unavailable, main, median
from tests.kit.browser import Browser, Page

__all__ = ["measure"]

GOAL_MS = 100.0
SLOWED = 4.0
SHORTEST_MS = 16.0

TARGETS = (
    ".row button",
    "[href='#devices']",
    "[href='#alarms']",
    "[href='#now']",
    ".row a",
    "[aria-label='Range'] button:nth-of-type(2)",
    "[href='#people']",
    "[href='#now']",
)

WATCH = """
window.answers = [];
new PerformanceObserver((list) => {
  for (const { name, duration } of list.getEntries())
    if (["click", "keydown", "input"].includes(name)) answers.push([name, duration]);
}).observe({ type: "event", durationThreshold: 16 });
"""
PLACE = (
    "(({ left, top, width, height }) => [left + width / 2, top + height / 2])"
    "(document.querySelector(%s).getBoundingClientRect())"
)
NEXT_FRAMES = (
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame("
    "() => setTimeout(done, 100))))"
)


def noted(page: Page) -> list[float]:
    """Return the times that were noted since the last call, or the shortest that is noted."""
    page.eval(NEXT_FRAMES)
    found = [float(duration) for _, duration in page.eval("answers.splice(0)")]
    return [max(found, default=SHORTEST_MS)]


def clicks(rounds: int, folder: Path) -> list[float]:
    """Click through the page."""
    with daemon_of(TOPICS, INTERVAL_S, folder) as daemon:
        profile = Path(tempfile.mkdtemp(dir=folder))
        with Browser(profile) as browser, browser.open("about:blank") as page:
            page.before_scripts(WATCH)
            load(page, daemon)
            first_value(page)
            page.slow(SLOWED)
            found: list[float] = []
            for _ in range(rounds):
                for target in TARGETS:
                    page.until(f"document.querySelector({json.dumps(target)})")
                    page.click(*page.eval(PLACE % json.dumps(target)))
                    found += noted(page)
            if page.errors:
                raise RuntimeError(f"the page has errors: {page.errors}")
            return found


def keys(topics: int, slowed: float, folder: Path) -> list[float]:
    """Search many topics, letter by letter."""
    with daemon_of(topics, MANY_INTERVAL_S, folder) as daemon:
        profile = Path(tempfile.mkdtemp(dir=folder))
        with Browser(profile) as browser, browser.open("about:blank") as page:
            page.before_scripts(WATCH)
            load(page, daemon)
            first_value(page)
            page.until(f"document.querySelector('.bar .soft').textContent === '{topics} topics'")
            page.slow(slowed)
            page.eval("document.querySelector('input[type=search]').focus()")
            found: list[float] = []
            for letter in "device0/s12":
                page.type(letter)
                found += noted(page)
            if page.errors:
                raise RuntimeError(f"the page has errors: {page.errors}")
            return found


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--many", type=int, help=f"topics (default {MANY}, brief 1000)")


def measure(report: Report, options: Options) -> None:
    """Measure clicks and keys."""
    try:
        find_program("chromium", "install Debian's package chromium")
    except Unavailable as exc:
        report.missing("a click", "ms", exc)
        return
    many = options.more.many or (1000 if options.brief else MANY)
    folder = Path(tempfile.mkdtemp(prefix="sensord-bench-"))
    try:
        found = clicks(1 if options.brief else 3, folder)
        note = f"{len(found)} clicks, processor slowed {SLOWED:g} times; median {median(found):.0f}"
        report.add(
            "the slowest click, 200 topics at 5/s", max(found), "ms", goal=GOAL_MS, note=note
        )
        for slowed in (1.0, SLOWED):
            found = keys(many, slowed, folder)
            note = f"{len(found)} keys; median {median(found):.0f}"
            if slowed > 1:
                note += f"; processor slowed {slowed:g} times"
            report.add(f"the slowest key of a search, {many:,} topics", max(found), "ms", note=note)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main("page_clicks", str(__doc__).splitlines()[0], measure, configure))
