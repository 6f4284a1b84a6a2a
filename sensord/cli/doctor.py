"""`sensord doctor`: look at each device of a configuration, from the port to the values."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import grp
import logging
import os
import secrets
import socket
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import uvloop

from sensord.bus import Bus
from sensord.cli.check import read
from sensord.cli.lines import plain_value
from sensord.cli.options import duration
from sensord.cli.ports import BY_ID, stable_paths
from sensord.config.tree import Device as DeviceConfig
from sensord.decode import registry as decoders
from sensord.decode.base import Sample
from sensord.decode.framing import framer_of
from sensord.device.device import Device
from sensord.device.reader import Link
from sensord.device.route import DEVICE, Route
from sensord.device.supervisor import supervise
from sensord.log import Log
from sensord.model.clocks import SystemClock
from sensord.model.readings import Metadata, Value
from sensord.readers import registry as readers

__all__ = ["configure", "port_findings", "run"]

RAW_BYTES = 64
"""How much of what came is shown."""

RING = 4096
VALUES = 12

HELP = """\
Opens each device itself: a port that a running daemon holds is only looked at.
Exit status: 0 if every device gave readings and no faults, else 1.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = HELP
    add = parser.add_argument
    add("config", nargs="?", type=Path, default=Path("config.toml"), help="the configuration")
    add("--device", help="look at this device only")
    add("--for", dest="lasting", type=duration, default=5.0, help="listen for so long, such as 5s")


def run(options: argparse.Namespace) -> int:
    """Look at the devices one after the other; return the exit status."""
    logging.disable(logging.CRITICAL)  # what the reader logs is shown here
    devices = [one for one in read(options.config).devices if options.device in {None, one.name}]
    well = [uvloop.run(_look(device, options.lasting)) for device in devices]
    if not devices:
        print("no such device is configured")
    return 0 if well and all(well) else 1


class _Ear(Link):
    """A link that keeps the first bytes, and passes everything on to a device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.raw = b""
        self.bytes = 0

    def _hear(self, data: bytes) -> None:
        self.bytes += len(data)
        self.raw = (self.raw + data)[:RAW_BYTES]

    def opened(self, detail: str) -> None:
        self._device.opened(detail)

    def data(self, data: bytes) -> None:
        self._hear(data)
        self._device.data(data)

    def message(self, route: Route, payload: bytes) -> None:
        self._hear(payload)
        self._device.message(route, payload)

    def samples(self, samples: Iterable[Sample], route: Route = DEVICE) -> None:
        self._device.samples(samples, route)

    def availability(self, name: str, *, is_there: bool) -> None:
        self._device.availability(name, is_there=is_there)

    def describe(self, field: str, metadata: Metadata, *, device: str = "") -> None:
        self._device.describe(field, metadata, device=device)

    def received(self, data: bytes, source: str = "") -> None:
        del source
        self._hear(data)

    def sent(self, data: bytes, source: str = "") -> None:
        """Do nothing: only the device's input counts."""

    def when_kept(self, act: Callable[[], None]) -> None:
        act()

    def position(self) -> Value:
        return None

    def reached(self, position: Value) -> None:
        """Do nothing: nothing is recorded."""

    def fault(self, reason: str, detail: str, *, device: str = "") -> None:
        self._device.fault(reason, detail, device=device)


async def _look(config: DeviceConfig, lasting_s: float) -> bool:
    print(f"{config.name}: {config.reader}{f' as {config.decoder}' if config.decoder else ''}")
    loop, clock = asyncio.get_running_loop(), SystemClock()
    is_held = False
    for text, is_bad in _before(config.reader_config):
        print(f"    {text}")
        is_held = is_held or is_bad
    if is_held:
        return False
    bus = Bus(Log(secrets.token_hex(8), RING), clock)
    found = decoders.find(config.decoder) if config.decoder else None
    decoder = None if found is None else found.create(config.decoder_config)
    device = Device(config, framer_of(config.framing), decoder, bus, clock, loop)
    kind = readers.find(config.reader)
    assert kind is not None, "checked with the configuration"
    reader, ear = kind.create(_apart(config.reader_config)), _Ear(device)
    task = asyncio.create_task(supervise(config.name, reader, ear, device))
    await asyncio.wait([task], timeout=lasting_s)
    statistics = device.statistics()
    task.cancel()
    await asyncio.wait([task])
    device.close()
    print(f"    {statistics.state.value}: {statistics.detail}")
    if ear.bytes:
        print(f"    {ear.bytes} bytes came, beginning with {ear.raw!r}")
    _show_values(bus)
    for reason, count in statistics.faults.items():
        print(f"    fault: {reason}, {count} times")
    for advice in _advice(statistics.connects, ear.bytes, statistics.samples, statistics.faults):
        print(f"    -> {advice}")
    return bool(statistics.samples) and not statistics.faults


def _show_values(bus: Bus) -> None:
    channels = [one for one in bus.select(["#"]) if not one.topic.startswith("$")]
    for channel in channels[:VALUES]:
        record = bus.last(channel)
        if record is not None:
            value = plain_value(record.reading.value, channel.metadata.decimals)
            quality = record.reading.quality
            mark = f"  ({quality.level.name.lower()}: {quality.reason})" if quality.level else ""
            print(f"    {channel.topic} = {value} {channel.metadata.unit}{mark}".rstrip())
    if len(channels) > VALUES:
        print(f"    and {len(channels) - VALUES} more channels")


def _advice(connects: int, count: int, samples: int, faults: Any) -> Iterator[str]:  # noqa: ANN401  # a mapping
    if not connects:
        yield "it could not be opened: mend what the line above names"
    elif not count and not samples:
        yield "nothing came: check wiring, baud rate, filters; or listen longer with --for 60s"
    elif not samples and faults:
        yield "bytes came, but none could be decoded: check baud rate, framing and decoder"


def _apart(config: Any) -> Any:  # noqa: ANN401  # options of any reader
    """Return a reader's options for a second client of the same broker."""
    if apart := getattr(config, "apart", None):
        return apart()
    other = {"client_id": f"doctor-{secrets.token_hex(4)}", "session_expiry": 0.0, "will": None}
    names = {one.name for one in dataclasses.fields(config)}
    changed = {name: value for name, value in other.items() if name in names}
    return dataclasses.replace(config, **changed)


def _before(config: object) -> Iterator[tuple[str, bool]]:
    """Yield what can be found out without opening, and whether it must not be opened."""
    port, host = getattr(config, "port", None), getattr(config, "host", None)
    if isinstance(port, str) and "://" not in port and port:
        yield from port_findings(Path(port))
    if isinstance(host, str) and host:
        try:
            found = {str(one[4][0]) for one in socket.getaddrinfo(host, None)}
            yield f"{host} is {', '.join(sorted(found))}", False
        except OSError as exc:
            yield f"{host} has no address: {exc.strerror}; check the name", True


def port_findings(path: Path, processes: Path = Path("/proc")) -> Iterator[tuple[str, bool]]:
    """Yield what a port's path shows, and whether it cannot be opened."""
    try:
        mode = path.stat()
    except OSError as exc:
        yield f"{path}: {exc.strerror}; sensord ports lists those that are there", True
        return
    if not stat.S_ISCHR(mode.st_mode):
        yield f"{path}: is no serial port", True
        return
    stable = stable_paths(BY_ID).get(str(path.resolve()))
    if stable is not None and str(path) != stable:
        yield f"{path}: better name it {stable}, which survives replugging", False
    if not os.access(path, os.R_OK | os.W_OK):
        yield f"{path}: no permission; add the user to the group {_group(mode.st_gid)}", True
        return
    holders = list(_holders(path.resolve(), processes))
    if holders:
        yield f"{path}: held by process {', '.join(holders)}; stop it to have a look", True
    else:
        yield f"{path}: is there, may be opened, and nobody holds it", False


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _holders(path: Path, processes: Path) -> Iterator[str]:
    """Yield the processes that have a file open, as far as they may be looked at."""
    for folder in processes.glob("[0-9]*/fd"):
        try:
            if any(os.path.realpath(one) == str(path) for one in folder.iterdir()):
                name = (folder.parent / "comm").read_text().strip()
                yield f"{folder.parent.name} ({name})"
        except OSError:
            continue
