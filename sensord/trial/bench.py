"""Feed a configured device with bytes or messages, and see what comes out. Pure.

The framer, decoder, routes and intake are those of the daemon; only the reader is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from sensord.bus import Bus
from sensord.config.build import build
from sensord.config.load import parse
from sensord.config.schema import Faults
from sensord.config.tree import Device
from sensord.decode import registry as decoders
from sensord.decode.base import Fault
from sensord.decode.framing import framer_of
from sensord.device.intake import DEVICE, Intake, Route
from sensord.errors import SensordError
from sensord.log import Log
from sensord.model.readings import Quality, Value
from sensord.profiles import Profile, merged
from sensord.readers import registry as readers
from sensord.readers.file import Config as Files
from sensord.readers.file import captures_of
from sensord.readers.modbus import Config as Modbus
from sensord.readers.modbus.exchanges import samples_in
from sensord.readers.mqtt_options import Config as Mqtt
from sensord.readers.mqtt_routes import Router

__all__ = ["NAME", "Bench", "Outcome", "TrialError", "device_of", "device_of_text"]

NAME = "sample"
"""What the device is called in a trial."""

RING = 100_000

START_US = 1_796_083_200_000_000
"""2026-12-01: the clock of a trial begins here, and stands."""

MISSING_KEYS: Mapping[str, Mapping[str, Any]] = {
    "serial": {"port": "/dev/null"},
    "modbus": {"port": "/dev/null"},
    "mqtt": {"host": "127.0.0.1"},
}
"""What a user adds to a profile."""


class TrialError(SensordError):
    """A trial cannot be made; the text says what to do."""


class Outcome(NamedTuple):
    """A reading that came out."""

    topic: str
    value: Value
    unit: str
    quality: Quality
    time_us: int | None
    """The source time, None if it is that of the arrival."""


class _Clock:
    def wall_us(self) -> int:
        return START_US

    def monotonic_us(self) -> int:
        return 0


def device_of(profile: Profile) -> Device:
    """Return the device that a profile and a port make.

    Raises:
        TrialError: The profile has faults; all are named.
    """
    own = MISSING_KEYS.get(str(profile.device.get("reader")), {})
    faults = Faults()
    raw = {"devices": {NAME: merged(profile.device, own)}}
    config = build(raw, faults, readers, decoders)
    if config is None:
        named = [f"{'.'.join(map(str, at[2:]))}: {text}" for at, text in faults.found]
        raise TrialError(f"{profile.name}: " + "; ".join(named))
    return config.devices[0]


def device_of_text(text: str) -> Device:
    """Return the device of a table in TOML, without its header.

    Raises:
        ConfigError: It has faults.
    """
    return parse(f"[devices.{NAME}]\n{text}", NAME, readers, decoders).devices[0]


class Bench:
    """One device on trial."""

    def __init__(self, device: Device) -> None:
        self.faults: Counter[str] = Counter()
        self.named: list[Fault] = []
        """The faults with what they quote."""
        self._log = Log("trial", RING)
        self._bus = Bus(self._log, _Clock())
        self._device = device
        found = decoders.find(device.decoder) if device.decoder else None
        decoder = None if found is None else found.create(device.decoder_config)
        framer = framer_of(device.framing)
        self._intake = Intake(device, framer, decoder, self._bus, self._fault)
        options = device.reader_config
        self._router = Router(options) if isinstance(options, Mqtt) else None

    def stream(self, data: bytes) -> None:
        """Feed a piece of a serial stream; of Modbus, requests with their answers."""
        options = self._device.reader_config
        if not isinstance(options, Modbus):
            self._intake.data(data, 0, START_US)
            return
        for name, field, metadata in options.described():
            self._intake.describe(field, metadata, name)
        for name, unit in options.plans().items():
            for samples in samples_in(unit, data):
                self._intake.samples(Route(name, device=name), samples, 0, START_US)

    def message(self, topic: str, payload: bytes) -> None:
        """Feed a message of a broker.

        Raises:
            TrialError: No filter selects it.
        """
        if self._router is None:
            raise TrialError("messages are for devices of the reader mqtt")
        for availability in self._router.availabilities(topic):
            is_there = availability.is_there(payload)
            if is_there is not None:
                self._intake.availability(topic, 0, START_US, is_there=is_there)
        route = self._router.route(topic)
        if route is None:
            if not self._router.availabilities(topic):
                raise TrialError(f"no filter of the device selects {topic}")
            return
        if not self._router.is_absence(topic, payload):
            self._intake.message(route, payload, 0, START_US)

    def file(self, path: str, content: bytes) -> None:
        """Feed the content of a file.

        Raises:
            TrialError: The device reads no such file.
        """
        options = self._device.reader_config
        captures = captures_of(options.path, path) if isinstance(options, Files) else ()
        if not isinstance(options, Files) or not (captures or options.path == path):
            raise TrialError(f"the device reads no file {path}")
        route = Route(path, captures=captures, depends_on=(path,))
        self._intake.message(route, content, 0, START_US)

    def answer(self, data: bytes) -> None:
        """Feed one whole message, such as the answer to a request."""
        self._intake.message(DEVICE, data, 0, START_US)

    def outcomes(self) -> list[Outcome]:
        """Return all that was published so far, in order."""
        records = [record for part in self._log.read(0, self._log.tail) for record in part]
        return [
            Outcome(
                one.channel.topic,
                one.reading.value,
                one.channel.metadata.unit,
                one.reading.quality,
                None if one.reading.time_us == START_US else one.reading.time_us,
            )
            for one in records
        ]

    def _fault(self, fault: Fault) -> None:
        self.faults[fault.reason] += 1
        self.named.append(fault)
