#!/usr/bin/env python3
"""Imitate a small sensor board: print a line of JSON a second, as the Pico in the README does.

Needs nothing but Python. Without ``--port`` the lines go to stdout; with it to a serial port, such
as an adapter that is wired to the gateway's, or one end of a pair of pseudo-terminals:

    socat -d pty,raw,echo=0,link=/tmp/bench pty,raw,echo=0,link=/tmp/bench-sensor &
    python3 hardware/example_sensor.py --port /tmp/bench-sensor

sensord then reads ``port = "/tmp/bench"``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import termios
import time
import tty
from collections.abc import Iterator
from itertools import count

DAY_S = 120
"""A day of this sensor is two minutes, so that its curve is seen while one waits."""


def readings(period_s: float) -> Iterator[dict[str, float]]:
    """Yield what the sensor measures: a warm day, and damp where it is cold."""
    for n in count():
        phase = math.sin(math.tau * n * period_s / DAY_S)
        yield {
            "temperature": round(21 + 4 * phase, 2),
            "humidity": round(48 - 9 * phase, 1),
            "uptime": round(n * period_s, 3),
        }


def line(reading: dict[str, float], *, torn: bool) -> bytes:
    """Write a reading as the board does; a torn line lost its end, as on a loose plug."""
    whole = json.dumps(reading, separators=(",", ":")).encode()
    return (whole[: len(whole) // 2] if torn else whole) + b"\n"


def open_port(path: str, baud: int) -> int:
    """Open a serial port for raw bytes at ``baud``, 8N1, without handshake."""
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        sys.exit(f"example_sensor: {baud} is not a standard baud rate")
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        if os.isatty(fd):
            tty.setraw(fd)
            mode = termios.tcgetattr(fd)
            mode[2] = (mode[2] | termios.CLOCAL | termios.CREAD) & ~termios.CRTSCTS
            mode[4] = mode[5] = speed
            termios.tcsetattr(fd, termios.TCSANOW, mode)
    except (OSError, termios.error) as error:
        sys.exit(f"example_sensor: cannot open {path}: {error.args[-1]}")
    return fd


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Imitate a sensor that prints lines of JSON.")
    parser.add_argument("--port", help="serial port to write to (default: stdout)")
    parser.add_argument("--baud", type=int, default=115200, help="baud rate (default: 115200)")
    parser.add_argument("--period", type=float, default=1.0, help="seconds a line (default: 1)")
    parser.add_argument("--count", type=int, help="stop after so many lines (default: never)")
    parser.add_argument("--torn", type=int, default=0, help="cut every TORNth line short")
    chosen = parser.parse_args()
    if chosen.period <= 0:
        parser.error("--period must be more than 0")
    return chosen


def main() -> None:
    """Send a line a period until told to stop, or until nobody is there any more."""
    chosen = arguments()
    fd = sys.stdout.fileno() if chosen.port is None else open_port(chosen.port, chosen.baud)
    start = time.monotonic()
    for n, reading in enumerate(readings(chosen.period), start=1):
        data = line(reading, torn=chosen.torn > 0 and n % chosen.torn == 0)
        try:
            while data:
                data = data[os.write(fd, data) :]
        except BrokenPipeError:
            return  # the reader of our stdout has seen enough
        except OSError as error:
            sys.exit(f"example_sensor: {chosen.port or 'stdout'} went away: {error.strerror}")
        if n == chosen.count:
            return
        # Counted from the start, so that the lines do not drift.
        time.sleep(max(0.0, start + n * chosen.period - time.monotonic()))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
