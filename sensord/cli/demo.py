"""`sensord demo`: run the whole chain, without hardware or broker.

Two devices are really serial: this process holds the far ends of two pseudo-terminals and plays a
boiler controller (JSON lines) and a satellite receiver with a depth sounder (NMEA 0183). Others
are simulated. A built-in monitor subscribes and shows what arrives.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import math
import operator
import os
import shlex
import shutil
import sys
import tempfile
import time
import tty
from collections.abc import Callable, Iterator, Sequence

import uvloop

from sensord.app import App
from sensord.cli.lines import as_line
from sensord.cli.options import DEFAULT_URL, duration
from sensord.client import Client, Update
from sensord.config.load import parse
from sensord.decode import registry as decoders
from sensord.errors import SensordError
from sensord.host import journald as logs
from sensord.host.systemd import Notifier
from sensord.readers import registry as readers

__all__ = ["configure", "run"]

SHOWN = 16
"""Readings shown before the demo falls silent: a screen, with the text around them."""

CONFIG = """
[server]
listen = ["{listen}"]
# Where examples/README.md serves its page.
origins = ["http://127.0.0.1:8000", "http://localhost:8000"]

[journal]
folder = "{journal}"

[devices.boiler]
reader = "serial"
port = "{boiler}"
baud = 9600
topic = "plant/boiler/{{field}}"
description = "boiler controller, JSON lines on a serial line"
decoder = "json"
publish = {{ deadband = 0.05, max_period = "10s" }}
channels.temperature = {{ unit = "Cel", decimals = 2, range = [0, 120] }}
channels.pressure = {{ unit = "bar", decimals = 3, publish = {{ deadband = 0.005 }} }}
channels.burner = {{ type = "bool" }}

[devices.boat]
reader = "serial"
port = "{boat}"
baud = 4800
topic = "boat/{{field}}"
description = "satellite receiver and depth sounder, NMEA 0183"
decoder = "nmea0183"

[devices.weather]
reader = "simulated"
interval = "1s"
topic = "weather/{{field}}"
signals.wind_speed = {{ low = 2, high = 14, period = "40s", noise = 0.4, decimals = 1 }}
signals.humidity = {{ shape = "random_walk", low = 40, high = 90, decimals = 1 }}
channels.wind_speed = {{ unit = "m/s", decimals = 1 }}
channels.humidity = {{ unit = "%", decimals = 1 }}

[devices.heating]
reader = "simulated"
interval = "1s"
topic = "plant/heating/{{field}}"
signals.setpoint = {{ shape = "constant", low = 20, high = 30 }}
channels.setpoint = {{ unit = "Cel", decimals = 1 }}
writable.setpoint = {{ range = [5, 30] }}
actions.night = {{ sets = {{ setpoint = 16 }} }}

[alarms.hot]
topic = "plant/boiler/temperature"
above = 65
hysteresis = 2
priority = "high"
text = "open the bypass valve"

[clients.topics."derived/#"]
decimals = 2
"""


WIDEST = 100
"""Columns of the hints; on a narrower terminal the lines wrap."""

SUGGESTIONS = [
    ("tail", "", "everything, as it happens"),
    ("tail", "'plant/#' --json", "one JSON object a line, for programs"),
    ("devices", "", "the devices and their states"),
    ("history", "--interval 10s --from -5m", "the past, per interval"),
    ("alarms", "", "what waits; `sensord ack hot` acknowledges it"),
    ("set", "plant/heating/setpoint 22", "a command to a device"),
    ("lease", "hold heating", "keep others from setting it"),
    ("tail", "'$audit/#'", "which client did what"),
    ("clients", "--follow", "the connected clients"),
]
"""Command, its arguments, and what it shows."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    default = DEFAULT_URL.removeprefix("ws://")
    parser.add_argument("--listen", default=default, help="host:port (default: %(default)s)")
    parser.add_argument(
        "--for", dest="seconds", type=duration, metavar="TIME", help="stop after this, such as 10s"
    )


def run(options: argparse.Namespace) -> int:
    """Run until interrupted, or for the time given."""
    logs.setup("warning")
    with (
        _far_end() as (boiler, boiler_port),
        _far_end() as (boat, boat_port),
        tempfile.TemporaryDirectory(prefix="sensord-demo-") as journal,
    ):
        text = CONFIG.format(
            listen=options.listen, journal=journal, boiler=boiler_port, boat=boat_port
        )
        config = parse(text, "the demo's configuration", readers, decoders)
        app = App(config, Notifier(os.environ), is_each_address_needed=True)
        print(
            f"sensord demo: a boiler on {boiler_port}, a boat on {boat_port}, and simulated weather"
        )
        try:
            uvloop.run(_demonstrate(app, {boiler: _boiler, boat: _boat}, options.seconds))
        except ExceptionGroup as group:
            known, others = group.split(SensordError)
            if known is None or others is not None:
                raise
            raise known.exceptions[0] from None  # for people: a port that is taken, say
    return 0


@contextlib.contextmanager
def _far_end() -> Iterator[tuple[int, str]]:
    """Make a serial line; yield the descriptor of the device's end and the path of ours."""
    device, ours = os.openpty()
    try:
        tty.setraw(ours)
        os.set_blocking(device, False)
        yield device, os.ttyname(ours)
    finally:
        # Ours stayed open to keep the line up until sensord opens it.
        os.close(device)
        os.close(ours)


Speaker = Callable[[float], bytes]
"""Returns what a device sends at a time."""


async def _demonstrate(app: App, devices: dict[int, Speaker], seconds: float | None) -> None:
    listening: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_speak(device, speaker), name=f"demo:{device}")
            for device, speaker in devices.items()
        ]
        tasks.append(group.create_task(_show(listening, app), name="demo:monitor"))
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, app.stop)
        try:
            await app.run(listening.set_result)
        finally:
            for task in tasks:
                task.cancel()


async def _speak(device: int, speaker: Speaker) -> None:
    while True:
        # The line is full and unread: its bytes are lost, as on a wire.
        with contextlib.suppress(BlockingIOError):
            os.write(device, speaker(time.time()))
        await asyncio.sleep(0.5)


async def _show(listening: asyncio.Future[list[str]], app: App) -> None:
    """Run the monitor; stop the demo when nobody reads its output."""
    try:
        await _watch(listening)
    except BrokenPipeError:
        app.stop()


async def _watch(listening: asyncio.Future[list[str]]) -> None:
    """Subscribe over the WebSocket and show what arrives."""
    address = (await listening)[0]
    print(f"the page: http://{address}/")
    print(f"listening on ws://{address}; this is what a monitor sees:\n")
    async with Client(f"ws://{address}", name="demo monitor") as client:
        shown = 0
        async for item in client.subscribe("#"):
            if isinstance(item, Update):
                print("  " + (as_line(item) or ""))
                shown += 1
                if shown == SHOWN:
                    break
    url = "" if f"ws://{address}" == DEFAULT_URL else f" --url ws://{address}"
    suggestions = _columns(
        [(f"{_command()} {name} {rest}".rstrip() + url, what) for name, rest, what in SUGGESTIONS]
    )
    print(
        f"""
... and so on; the stream continues. Try in another terminal:

{suggestions}
  curl http://{address}/api/readings

A web page and a Node service that do the same: examples/README.md.
Ctrl-C stops the demo. Next: config.toml, a commented example for your own devices.""",
        flush=True,
    )


def _command() -> str:
    """Return the shortest command line that runs this program from here."""
    given = sys.argv[0]
    found = shutil.which("sensord")
    if found is not None and os.path.realpath(found) == os.path.realpath(given):
        return "sensord"
    near = os.path.relpath(given)
    return shlex.quote(near if len(near) < len(given) else given)


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    """Write commands beside what they show, or below it where that would be too wide."""
    width = max(len(command) for command, _ in rows) + 2
    if width + max(len(what) for _, what in rows) + 2 <= WIDEST:
        return "\n".join(f"  {command:<{width}}{what}" for command, what in rows)
    return "\n".join(f"  # {what}\n  {command}" for command, what in rows)


def _boiler(now: float) -> bytes:
    swing = math.sin(now / 20)
    sample = {
        "temperature": round(61.5 + 6 * swing + 0.1 * math.sin(now * 3), 2),
        "pressure": round(1.52 + 0.04 * swing, 3),
        "burner": swing < 0,
    }
    return json.dumps(sample).encode() + b"\r\n"


def _boat(now: float) -> bytes:
    clock = time.gmtime(now)
    at, on = time.strftime("%H%M%S.00", clock), time.strftime("%d%m%y", clock)
    latitude = 2706.12 + 3 * math.sin(now / 900)
    longitude = 1523.40 + 3 * math.cos(now / 900)
    depth = 8.4 + 1.5 * math.sin(now / 30)
    return b"".join(
        _sentence(body)
        for body in (
            f"GPRMC,{at},A,{latitude:.3f},N,0{longitude:.3f},E,5.8,{now / 9 % 360:.1f},{on},,,A",
            f"SDDPT,{depth:.1f},0.3",
        )
    )


def _sentence(body: str) -> bytes:
    checksum = functools.reduce(operator.xor, body.encode())
    return f"${body}*{checksum:02X}\r\n".encode()
