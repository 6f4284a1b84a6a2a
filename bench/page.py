"""The page: what the view of all values costs in a browser.

Headless Chromium shows 200 topics at 5 readings/s each, and then 10,000 topics. The time to the
first value counts from the navigation to the frame that shows it. Transferred bytes are those that
the browser counts, heads included: until the first value, and until all views and a chart have
been loaded. The renderer is the process that runs the page; what Chromium's own processes take is
beside it in a note.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import Sensord, cpu_s, find_program
from bench.report import Options, Report, Unavailable, main, median
from tests.kit.browser import Browser, Page

__all__ = ["measure"]

GOAL_FIRST_MS = 300.0
GOAL_TRANSFERRED_KB = 120.0
GOAL_RENDERER_PERCENT = 5.0
GOAL_HEAP_MB = 40.0

SIGNALS = 500
"""Of one simulated device."""

TOPICS, INTERVAL_S = 200, 0.2
MANY, MANY_INTERVAL_S = 10_000, 2.0

SETTLE_S = 5.0
START_S = 60.0

SHOWN = """
new MutationObserver((_, observer) => {
  if (!document.querySelector(".row .value")?.textContent.trim()) return;
  observer.disconnect();
  requestAnimationFrame(() => {
    const painted = new MessageChannel();
    painted.port1.onmessage = () => (window.firstShown = performance.now());
    painted.port2.postMessage(null);
  });
}).observe(document, { childList: true, subtree: true });
"""
"""Notes when the frame with the first value has been drawn."""

TRANSFERRED = (
    "[...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]"
    ".reduce((sum, one) => sum + one.transferSize, 0)"
)
LOADED = "performance.getEntriesByType('resource').map(({ name }) => name.split('/').at(-1))"


def devices(topics: int, interval_s: float) -> str:
    """Return a configuration with so many simulated topics."""
    lines = []
    for start in range(0, topics, SIGNALS):
        lines += [
            f"[devices.device{start}]",
            'reader = "simulated"',
            f"interval = {interval_s}",
            f'topic = "device{start}/{{field}}"',
            'publish = { policy = "every" }',
            *(
                f"signals.s{number} = {{ high = 100, period = {20 + number % 30}, decimals = 2 }}"
                for number in range(start, min(start + SIGNALS, topics))
            ),
        ]
    return "\n".join(lines)


def processes(folder: Path, kind: str = "") -> Iterator[int]:
    """Find the browser's processes by the folder of its profile."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue  # it has ended
            if str(folder) in command and kind in command:
                yield int(entry.name)


@contextmanager
def daemon_of(topics: int, interval_s: float, folder: Path) -> Iterator[Sensord]:
    """Run a daemon until the block ends; every topic has a value by then."""
    with Sensord(devices(topics, interval_s), folder) as daemon:
        deadline = time.monotonic() + START_S
        while daemon.offset() < 2 * topics and time.monotonic() < deadline:
            time.sleep(0.1)
        yield daemon


def load(page: Page, daemon: Sensord) -> None:
    """Open the page, as with an empty cache."""
    page.before_scripts(SHOWN)
    page.navigate(f"http://127.0.0.1:{daemon.port}/")


def first_value(page: Page) -> float:
    """Return the milliseconds until a value is on the screen."""
    return float(page.until("window.firstShown"))


def first_load(folder: Path) -> tuple[float, float, float]:
    """Return the milliseconds to the first value, and the kilobytes until then and in all."""
    with daemon_of(TOPICS, INTERVAL_S, folder) as daemon:
        profile = Path(tempfile.mkdtemp(dir=folder))
        with Browser(profile) as browser, browser.open("about:blank") as page:
            load(page, daemon)
            first, early = first_value(page), float(page.eval(TRANSFERRED))
            page.until(f"{LOADED}.includes('replay.js')")
            page.eval("location.hash = '#topic/device0%2Fs0'")
            page.until("document.querySelector('.chart canvas')")
            return first, early / 1000, float(page.eval(TRANSFERRED)) / 1000


def steady(topics: int, interval_s: float, seconds: float, folder: Path) -> tuple[float, ...]:
    """Return ms to the first value, CPU of renderer and others in %, heap in MB: first, last."""
    with daemon_of(topics, interval_s, folder) as daemon:
        profile = Path(tempfile.mkdtemp(dir=folder))
        with Browser(profile) as browser, browser.open("about:blank") as page:
            load(page, daemon)
            first = first_value(page)
            page.until(f"document.querySelector('.bar .soft').textContent === '{topics} topics'")
            time.sleep(min(SETTLE_S, seconds))
            heap = page.heap_bytes() / 1e6
            before = {pid: cpu_s(pid) for pid in processes(profile)}
            begun = time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - begun
            renderers = set(processes(profile, "--type=renderer"))
            used = {pid: cpu_s(pid) - before[pid] for pid in processes(profile) if pid in before}
            renderer = sum(spent for pid, spent in used.items() if pid in renderers)
            if page.errors:
                raise RuntimeError(f"the page has errors: {page.errors}")
            others = sum(used.values()) - renderer
            last = page.heap_bytes() / 1e6
            return first, 100 * renderer / took, 100 * others / took, heap, last


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--seconds", type=float, help="of watching (default 60, brief 2)")
    parser.add_argument("--many", type=int, help=f"topics (default {MANY}, brief 1000)")


def measure(report: Report, options: Options) -> None:
    """Measure all of it."""
    try:
        find_program("chromium", "install Debian's package chromium")
    except Unavailable as exc:
        report.missing("first value", "ms", exc)
        return
    seconds = options.more.seconds or (2.0 if options.brief else 60.0)
    many = options.more.many or (1000 if options.brief else MANY)
    folder = Path(tempfile.mkdtemp(prefix="sensord-bench-"))
    try:
        loads = [first_load(folder) for _ in range(options.repeats)]
        first, early, transferred = (median(values) for values in zip(*loads, strict=True))
        spread = f"{min(one[0] for one in loads):.0f} to {max(one[0] for one in loads):.0f} ms"
        report.add("first value", first, "ms", goal=GOAL_FIRST_MS, note=spread)
        note = f"{early:.0f} KB until the first value"
        report.add("transferred", transferred, "KB", goal=GOAL_TRANSFERRED_KB, note=note)
        _, renderer, others, heap, last = steady(TOPICS, INTERVAL_S, seconds, folder)
        note = f"{others:.1f} % in the browser's other processes; over {seconds:.0f} s"
        goal = GOAL_RENDERER_PERCENT
        report.add("renderer, 200 topics at 5/s", renderer, "% of a core", goal=goal, note=note)
        note = f"{last - heap:+.2f} MB over {seconds:.0f} s"
        report.add("heap, 200 topics at 5/s", last, "MB", goal=GOAL_HEAP_MB, note=note)
        first, renderer, others, heap, last = steady(many, MANY_INTERVAL_S, seconds, folder)
        note = f"each every {MANY_INTERVAL_S:g} s"
        report.add(f"first value, {many:,} topics", first, "ms", note=note)
        report.add(f"renderer, {many:,} topics", renderer, "% of a core", note=note)
        note = f"{last - heap:+.2f} MB over {seconds:.0f} s"
        report.add(f"heap, {many:,} topics", last, "MB", note=note)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main("page", str(__doc__).splitlines()[0], measure, configure))
