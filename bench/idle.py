"""Idle: what the daemon takes when little or nothing happens.

Memory, CPU with twenty devices at 1 Hz and nobody watching, the time to start, and what a connected
monitor that receives nothing costs. The journal is on, as it is by default.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.load import Load
from bench.processes import Sensord, cpu_s, rss_bytes, wait_until_listening
from bench.report import Options, Report, Unavailable, main, median
from bench.subscribers import Subscribers, compiled, sensord

__all__ = ["measure"]

GOAL_RSS_MIB = 45.0
GOAL_CPU_PERCENT = 1.0
GOAL_START_S = 0.6
GOAL_HELP_S = 0.2
GOAL_MONITOR_KIB = 20.0

DEVICES = 20

DEVICE = """
[devices.device{}]
reader = "simulated"
interval = 1.0
publish = {{ policy = "every" }}
[devices.device{}.signals.value]
noise = 0.1
"""

MISSING = """
[devices.port{0}]
reader = "serial"
port = "/dev/sensord-bench-{0}"
decoder = "json"
[devices.broker{0}]
reader = "mqtt"
host = "127.0.0.1"
port = 1
decoder = "json"
topics = [{{ filter = "a{0}/#", topic = "a{0}/{{source}}/{{field}}" }}]
[devices.bus{0}]
reader = "modbus"
host = "127.0.0.1"
port_number = 1
units.a{0} = {{ unit = 1, registers = {{ v = {{ address = 0 }} }} }}
[devices.file{0}]
reader = "file"
path = "/sensord-bench/{0}"
decoder = "number"
"""
"""Four devices that are not there: a port, a broker, a bus behind an address, a file."""

SETTLE_S = 2.0

RING = 65_536
"""The default."""
BRIEF_RING = 8192
FILL_RATE = 20_000.0


def devices() -> str:
    """Return a configuration with twenty simulated devices at 1 Hz."""
    return "".join(DEVICE.format(i, i) for i in range(DEVICES))


def missing() -> str:
    """Return a configuration with twenty devices that are not there."""
    return "".join(MISSING.format(i) for i in range(DEVICES // 4)).replace("port_number", "port")


def start(folder: Path) -> float:
    """Return the seconds from the command to the first connection."""
    daemon = Sensord(devices(), folder, records=True)
    begun = time.monotonic()
    daemon.start()
    try:
        wait_until_listening(daemon.port, daemon)
        return time.monotonic() - begun
    finally:
        daemon.__exit__(None, None, None)


def show_help() -> float:
    """Return the seconds that ``sensord --help`` takes."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "sensord", "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def bare_interpreter() -> float:
    """Return the seconds that the interpreter takes to do nothing."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", ""], check=True)
    return time.monotonic() - begun


def at_rest(seconds: float, folder: Path, config: str) -> tuple[float, float]:
    """Return resident MiB, and CPU as percents of a core."""
    with Sensord(config, folder, records=True) as daemon:
        time.sleep(min(SETTLE_S, seconds))
        before, begun = cpu_s(daemon.pid), time.monotonic()
        time.sleep(seconds)
        share = (cpu_s(daemon.pid) - before) / (time.monotonic() - begun)
        return rss_bytes(daemon.pid) / 2**20, 100 * share


def ring_full(readings: int, folder: Path) -> float:
    """Return resident MiB once the log's ring in memory is full."""
    with Sensord(f"[log]\nring = {readings}\n{Load(FILL_RATE).config()}", folder) as daemon:
        deadline = time.monotonic() + 60.0
        while daemon.offset() < 1.2 * readings and time.monotonic() < deadline:
            time.sleep(0.2)
        return rss_bytes(daemon.pid) / 2**20


def monitors(count: int, settle_s: float, folder: Path) -> float:
    """Return the KiB that each of many idle monitors costs the daemon."""
    with Sensord(devices(), folder, records=True) as daemon:
        program = compiled(folder)
        endpoint = sensord(daemon.port, "nothing/here")
        # What is loaded and allocated only once, with the first monitors, is none of theirs.
        with Subscribers(program, endpoint, 10):
            time.sleep(settle_s / 4)
        before = rss_bytes(daemon.pid)
        with Subscribers(program, endpoint, count) as connected:
            time.sleep(settle_s)
            if (alive := connected.tell().alive) != count:
                raise RuntimeError(f"only {alive} of {count} are connected")
            return (rss_bytes(daemon.pid) - before) / 1024 / count


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--monitors", type=int, help="idle monitors (default 4000, brief 200)")
    parser.add_argument("--seconds", type=float, help="of idling (default 15, brief 2)")


def measure(report: Report, options: Options) -> None:
    """Measure all of it."""
    brief, repeats = options.brief, options.repeats
    seconds = options.more.seconds or (2.0 if brief else 15.0)
    count = options.more.monitors or (200 if brief else 4000)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    many = repeats if brief else 5 * repeats
    with tempfile.TemporaryDirectory(prefix="sensord-bench-") as name:
        folder = Path(name)
        bare = median(bare_interpreter() for _ in range(many))
        note = f"of which the bare interpreter {bare:.3f}"
        started = median(start(folder) for _ in range(many))
        report.add("start to listening", started, "s", goal=GOAL_START_S, note=note)
        helped = median(show_help() for _ in range(many))
        report.add("sensord --help", helped, "s", goal=GOAL_HELP_S, note=note)
        found = [at_rest(seconds, folder, devices()) for _ in range(repeats)]
        memory, cpu = (median(values) for values in zip(*found, strict=True))
        report.add("memory, idle", memory, "MiB", goal=GOAL_RSS_MIB, note="RSS, journal on")
        note = f"{DEVICES} devices at 1 Hz, no monitor, journal on"
        report.add("CPU, idle", cpu, "% of a core", goal=GOAL_CPU_PERCENT, note=note)
        cpu = median(at_rest(seconds, folder, missing())[1] for _ in range(repeats))
        note = f"{DEVICES} missing devices: ports, brokers, buses, files, in the first seconds"
        report.add("CPU, devices missing", cpu, "% of a core", goal=GOAL_CPU_PERCENT, note=note)
        ring = BRIEF_RING if brief else RING
        full = median(ring_full(ring, folder) for _ in range(repeats))
        note = f"{ring:,} readings in memory, 200 channels"
        report.add("memory, ring full", full, "MiB", note=note)
        figure = f"memory per idle monitor, {count:,} connected"
        if count + 100 > hard:
            report.missing(figure, "KiB", f"only {hard} descriptors are allowed (ulimit -Hn)")
            return
        try:
            value = median(monitors(count, min(SETTLE_S, seconds), folder) for _ in range(repeats))
        except Unavailable as exc:
            report.missing(figure, "KiB", exc)
            return
        report.add(figure, value, "KiB", goal=GOAL_MONITOR_KIB)


if __name__ == "__main__":
    sys.exit(main("idle", str(__doc__).splitlines()[0], measure, configure))
