"""`sensord capture`: store what a device sends, byte for byte, to decode it later."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import re
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

import uvloop

from sensord.cli.check import device_of
from sensord.cli.info import size_text
from sensord.cli.options import duration
from sensord.cli.progress import REFRESH_S, Progress
from sensord.cli.record import must_be_new
from sensord.config.tree import Device
from sensord.device.reader import Reader
from sensord.device.supervisor import supervise
from sensord.errors import SensordError
from sensord.host import journald as logs
from sensord.model.clocks import SystemClock
from sensord.readers import registry as readers
from sensord.recordings.capture import CaptureOutput
from sensord.recordings.capture.link import Capturing

__all__ = ["configure", "run"]

FLUSH_S = 10.0
"""The most that a killed capture loses; its file can still be replayed."""

_BYTES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("device", metavar="DEVICE", help="the device's name in the configuration")
    add("-o", "--output", type=Path, required=True, metavar="FILE", help="the MCAP file to write")
    add(
        "--config",
        type=Path,
        default=Path("config.toml"),
        metavar="FILE",
        help="the configuration (default: %(default)s)",
    )
    add("--for", dest="lasting", type=duration, metavar="TIME", help="stop after this, such as 10m")
    add("--bytes", dest="size", type=_size, metavar="SIZE", help="stop after this, such as 1MiB")


def _size(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d*)(KiB|MiB|GiB)?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text}: expected a size such as 64KiB or 1MiB")
    return int(found[1]) * _BYTES[found[2] or ""]


def run(options: argparse.Namespace) -> int:
    """Capture until interrupted, or until there is enough; return 1 if nothing came."""
    logs.setup("error")  # `_Report` shows what happens to the device
    device = device_of(options.config, options.device)
    must_be_new(options.output)
    table = tomllib.loads(options.config.read_text(encoding="utf-8"))["devices"][device.name]
    return uvloop.run(_capture(options, device, table))


def _reader(device: Device) -> Reader:
    found = readers.find(device.reader)
    assert found is not None, "checked with the configuration"
    config: Any = device.reader_config
    if apart := getattr(config, "apart", None):
        config = apart()  # a client that removes nothing from the source
    if getattr(config, "client_id", ""):
        # The broker would take this one for the daemon, and end the daemon's connection.
        config = dataclasses.replace(config, client_id="", session_expiry=0.0)
    return found.create(config)


async def _capture(options: argparse.Namespace, device: Device, table: dict[str, Any]) -> int:
    loop = asyncio.get_running_loop()
    interrupted, changed = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    reader = _reader(device)
    try:
        with CaptureOutput(options.output, device.name, table) as output:
            capturing = Capturing(output, SystemClock(), changed.set)
            supervised = supervise(device.name, reader, capturing, capturing)
            reading = asyncio.create_task(supervised, name=f"reader:{device.name}")
            report = _Report(device.name)
            try:
                await _until_enough(options, capturing, report, (interrupted, changed))
            finally:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
                report.progress.wipe()
            capturing.end()
            failure = capturing.failure
            try:
                output.complete()
            except OSError as error:
                failure = failure or SensordError(f"cannot write: {error.strerror or error}")
                output.salvage()
    except OSError as error:
        raise SensordError(f"cannot write {options.output}: {error.strerror or error}") from error
    size = size_text(options.output.stat().st_size)
    came = f"{capturing.bytes} bytes in {capturing.count} arrivals"
    print(f"{options.output}: {came}, {size}", file=sys.stderr)
    if failure is not None:
        raise SensordError(f"{options.output} ends early: {failure}")
    return 0 if capturing.runs else 1


async def _until_enough(
    options: argparse.Namespace,
    capturing: Capturing,
    report: _Report,
    events: tuple[asyncio.Event, asyncio.Event],
) -> None:
    loop = asyncio.get_running_loop()
    interrupted, changed = events
    end = None if options.lasting is None else loop.time() + options.lasting
    flushed = loop.time()
    stopping = asyncio.ensure_future(interrupted.wait())
    try:
        while not stopping.done() and capturing.failure is None:
            report.update(capturing)
            left_s = FLUSH_S if end is None else end - loop.time()
            if left_s <= 0 or (options.size is not None and capturing.bytes >= options.size):
                return
            changing = asyncio.ensure_future(changed.wait())
            await asyncio.wait(
                (stopping, changing),
                timeout=min(left_s, REFRESH_S if report.progress.is_terminal else FLUSH_S),
                return_when=asyncio.FIRST_COMPLETED,
            )
            changing.cancel()
            changed.clear()
            if loop.time() - flushed > FLUSH_S:
                flushed = loop.time()
                capturing.flush()
    finally:
        stopping.cancel()


class _Report:
    """Reports the device's state and the bytes received on stderr."""

    def __init__(self, device: str) -> None:
        self.progress = Progress()
        self._device = device
        self._state = "connecting"

    def update(self, capturing: Capturing) -> None:
        """Report what changed."""
        if capturing.state != self._state:
            self._state = capturing.state
            self.progress.print(f"{self._device} is {self._state}")
        if self.progress.is_due:
            came = f"{capturing.bytes} bytes in {capturing.count} arrivals"
            self.progress.show(f"{came}; press Ctrl-C to complete the file")
