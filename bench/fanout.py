"""Fan-out: one stream of readings to many monitors, beside nats-server and mosquitto.

Every server gets the same readings in the same pattern and has the same WebSocket subscribers. CPU
is that of the server's whole process: taking in, working, sending. A peer that cannot hold the load
is measured by what it did deliver.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.load import Load, Pattern
from bench.peers import Mosquitto, Nats, Peer, Publisher
from bench.processes import Program, Sensord, cpu_s
from bench.report import Options, Report, Unavailable, main, median
from bench.subscribers import Subscribers, Window, compiled, sensord

__all__ = ["Run", "measure", "run_peer", "run_sensord"]

WARM_UP_S = 1.5
DRAIN_S = 5.0

KEPT_UP = 0.9
"""A server that delivers less than this share of the load does not keep up with it."""

GOALS: dict[tuple[float, str], float] = {
    (10_000, "nats"): 0.2,
    (10_000, "mqtt"): 0.02,
    (1_000, "nats"): 0.6,
}
"""CPU per delivered reading, as a share of the peer's, for 100 monitors."""

GOAL_BYTES = 7.0
GOAL_P99_MS = 25.0

NAMES = {"nats": "nats-server", "mqtt": "mosquitto"}


@dataclass(frozen=True, slots=True)
class Run:
    """One server under one load.

    ``lost`` counts what did not come or came twice, over all monitors; None if it cannot be told.
    """

    us_a_reading: float
    bytes_a_reading: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    rate: float
    cpu_percent: float
    lost: int | None


def watch(server: Program, subscribers: Subscribers, monitors: int, seconds: float) -> Run:
    """Measure a server in its steady state."""
    time.sleep(min(WARM_UP_S, seconds))
    subscribers.mark()
    before, begun = cpu_s(server.pid), time.monotonic()
    time.sleep(seconds)
    used, elapsed = cpu_s(server.pid) - before, time.monotonic() - begun
    window = subscribers.tell()
    return summary(window, used, elapsed, monitors)


def summary(window: Window, used_s: float, elapsed_s: float, monitors: int) -> Run:
    """Work out the figures of a window."""
    readings = window.readings or 1
    return Run(
        us_a_reading=used_s * 1e6 / readings,
        bytes_a_reading=window.bytes / readings,
        p50_ms=window.p50_us / 1000,
        p99_ms=window.p99_us / 1000,
        max_ms=window.max_us / 1000,
        rate=window.readings / monitors / elapsed_s,
        cpu_percent=100 * used_s / elapsed_s,
        lost=None,
    )


def run_sensord(
    load: Load, monitors: int, seconds: float, folder: Path, *, records: bool = False
) -> Run:
    """Measure the real daemon with the simulated reader as its source."""
    with (
        Sensord(load.config(), folder, records=records) as daemon,
        Subscribers(compiled(folder), sensord(daemon.port), monitors) as subscribers,
    ):
        found = watch(daemon, subscribers, monitors, seconds)
        window = subscribers.tell()
        return replace(found, lost=window.missing + window.doubled)


def run_peer(peer: Peer, load: Load, monitors: int, seconds: float, folder: Path) -> Run:
    """Measure a peer to which a process of its own publishes."""
    with (
        peer,
        Subscribers(compiled(folder), peer.endpoint(), monitors) as subscribers,
        Publisher(peer, load) as publisher,
    ):
        found = watch(peer, subscribers, monitors, seconds)
        if found.rate < KEPT_UP * load.rate:
            return found  # it would need minutes to deliver what it holds, if it still holds it
        published = publisher.finish()
        if published is None:
            return found
        return replace(found, lost=_undelivered(subscribers, published, monitors))


def _undelivered(subscribers: Subscribers, published: int, monitors: int) -> int:
    deadline = time.monotonic() + DRAIN_S
    while True:
        window = subscribers.tell()
        missing = published * monitors - window.total
        if missing <= 0 or time.monotonic() > deadline:
            return abs(missing)
        time.sleep(0.2)


RECORDING = "sensord with its journal"

Server = Callable[[Load, int, float, Path], Run]

SERVERS: dict[str, Server] = {
    "sensord": run_sensord,
    RECORDING: functools.partial(run_sensord, records=True),
    "nats": lambda load, n, seconds, folder: run_peer(Nats(folder), load, n, seconds, folder),
    "mqtt": lambda load, n, seconds, folder: run_peer(Mosquitto(folder), load, n, seconds, folder),
}


def measure_load(
    report: Report, load: Load, monitors: int, seconds: float, repeats: int, folder: Path
) -> None:
    """Measure all servers in turn, several times."""
    runs: dict[str, list[Run]] = {}
    missing: dict[str, str] = {}
    for repeat in range(repeats):
        for name, server in SERVERS.items():
            if name in missing:
                continue
            try:
                found = server(load, monitors, seconds, folder)
            except Unavailable as exc:
                missing[name] = str(exc)
                continue
            runs.setdefault(name, []).append(found)
            report.say(f"{load.rate:g}/s x {monitors} {load.pattern} {repeat + 1}: {name} {found}")
    tell(report, load, monitors, runs, missing)


def tell(
    report: Report,
    load: Load,
    monitors: int,
    runs: dict[str, list[Run]],
    missing: dict[str, str],
) -> None:
    """Report medians; ratios are medians of the ratios within one repeat."""
    where = f"{load.rate:g}/s x {monitors} {load.pattern}"
    if "sensord" not in runs:
        report.missing(where, "", missing["sensord"])
        return
    ours = runs["sensord"]
    cpu = median(run.us_a_reading for run in ours)
    for name, label in NAMES.items():
        figure = f"{where}: CPU per delivered reading"
        if name in missing:
            report.missing(figure, "µs", missing[name], peer=label)
            continue
        theirs = runs[name]
        report.add(
            figure,
            cpu,
            "µs",
            goal=GOALS.get((load.rate, name)) if monitors == 100 else None,
            peer=label,
            peer_value=median(run.us_a_reading for run in theirs),
            ratio=_ratio(ours, theirs),
            note=_held(theirs, load),
        )
    plain: list[tuple[str, str, Callable[[Run], float], float | None]] = [
        ("CPU of the server", "% of a core", lambda run: run.cpu_percent, None),
        ("bytes per delivered reading", "bytes", lambda run: run.bytes_a_reading, GOAL_BYTES),
        ("latency p50", "ms", lambda run: run.p50_ms, None),
        ("latency p99", "ms", lambda run: run.p99_ms, GOAL_P99_MS),
        ("latency worst", "ms", lambda run: run.max_ms, None),
    ]
    for what, unit, pick, goal in plain:
        others = "; ".join(
            f"{NAMES[name]} {median(map(pick, found)):.3g}"
            for name, found in runs.items()
            if name in NAMES
        )
        report.add(f"{where}: {what}", median(map(pick, ours)), unit, goal=goal, note=others)
    recording = runs[RECORDING]
    value = median(run.us_a_reading for run in recording)
    report.add(f"{where}: CPU per delivered reading, recording", value, "µs", note="journal on")
    lost = max(run.lost or 0 for run in ours + recording)
    others = "; ".join(
        f"{NAMES[name]} {_told(found)}" for name, found in runs.items() if name in NAMES
    )
    report.add(f"{where}: readings lost or doubled", lost, "readings", goal=0, note=others)
    rate = median(run.rate for run in ours)
    report.add(f"{where}: readings/s to each monitor", rate, "1/s")


def _ratio(ours: list[Run], theirs: list[Run]) -> float | None:
    """Return the median of the ratios, each of one repeat.

    None where a window was too short for the kernel to have counted any of a peer's time.
    """
    pairs = zip(ours, theirs, strict=True)
    found = [a.us_a_reading / b.us_a_reading for a, b in pairs if b.us_a_reading]
    return median(found) if len(found) == len(ours) else None


def _held(runs: list[Run], load: Load) -> str:
    share = median(run.rate for run in runs) / load.rate
    return "" if share > KEPT_UP else f"it delivered {share:.0%} of the load"


def _told(runs: list[Run]) -> str:
    worst = max((run.lost for run in runs if run.lost is not None), default=None)
    return "did not keep up" if worst is None else f"{worst}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--rate", type=float, help="readings per second (both 10000 and 1000)")
    parser.add_argument("--monitors", type=int, help="default 100, brief 20")
    parser.add_argument("--seconds", type=float, help="length of each window (default 6, brief 1)")
    parser.add_argument("--topics", type=int, default=200)
    parser.add_argument(
        "--pattern",
        choices=["burst", "spread"],
        help="when readings come (default both, brief burst)",
    )


def measure(report: Report, options: Options) -> None:
    """Measure what the options ask for."""
    more = options.more
    seconds = more.seconds or (1.0 if options.brief else 6.0)
    monitors = more.monitors or (20 if options.brief else 100)
    rates = [more.rate] if more.rate else [10_000.0, 1_000.0]
    patterns: list[Pattern] = ["burst"] if options.brief else ["burst", "spread"]
    if more.pattern:
        patterns = [more.pattern]
    with tempfile.TemporaryDirectory(prefix="sensord-bench-") as folder:
        try:
            compiled(Path(folder))
        except Unavailable as exc:
            report.missing("fan-out", "µs", exc)
            return
        for rate in rates:
            for pattern in patterns:
                load = Load(rate, more.topics, pattern)
                measure_load(report, load, monitors, seconds, options.repeats, Path(folder))


if __name__ == "__main__":
    sys.exit(main("fanout", str(__doc__).splitlines()[0], measure, configure))
