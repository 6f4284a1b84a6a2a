"""Decode the data lines of electricity, gas, water and heat meters: ``1-0:1.8.1(001234.567*kWh)``.

Source: IEC 62056-21 (data sets of an address and values in parentheses), IEC 62056-61 (OBIS codes),
DSMR 5.0.2 P1 companion standard (times ``YYMMDDhhmmssX`` with S for summer time, M-Bus values).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from sensord.decode.base import BAD_TIME, Decoded, Fault, Sample, excerpt
from sensord.decode.source_time import TimeUnit, zone_fault
from sensord.decode.text import BAD_ENCODING, TextDecoder, TextOptions
from sensord.model.conversions import meaning
from sensord.model.readings import Metadata
from sensord.model.topics import topic_fault
from sensord.model.units import spelled_unit

__all__ = ["NO_DATA", "SEVERAL_GROUPS", "Config", "Decoder"]

NO_DATA = "no data set"
SEVERAL_GROUPS = "several meters with one code"
_NAME_THE_GROUP = 'write the whole code of each field, such as "0-1:24.2.1"'

_LINE = re.compile(r"(?:(\d+-\d+):)?([0-9A-Z]+(?:\.[0-9A-Z]+){1,2})(?:\*(\d+))?((?:\([^()]*\))+)")
_INDEX = re.compile(r"\[(\d)\]$")
_CONTINUED = re.compile(r"[\r\n]+\((?=[^()]*\)\s*$)", re.MULTILINE)
"""A line of a value alone continues the data set before, as gas does in DSMR 2 and 3."""
_VALUES = re.compile(r"\(([^()]*)\)")
_TIME = re.compile(r"(\d{12})([SW]?)")
_NUMBER_AND_UNIT = re.compile(r"([+-]?[0-9.,]+)\*([^*]+)")

_NOW = "255"
"""Group F of a current value; any other is the value at the end of an earlier billing period."""

_CLOCK = "1.0.0"
"""The telegram's own time, of the values that have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(TextOptions):
    """Which codes are wanted: ``fields`` gives each its name.

    A code may leave out its group A and B (``1.8.1`` is any ``1-0:1.8.1``). Without ``fields`` each
    code is a field. ``[0]`` behind a code picks one of several pairs of parentheses: a text, where
    it is no number. With a ``zone``, which times of meters are local in, a value has the time that
    its meter says; else that of its arrival.
    """

    fields: dict[str, str] = field(default_factory=dict)
    zone: str = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        for name, code in self.fields.items():
            if (fault := topic_fault(name)) is not None:
                yield "fields", f'"{name}": {fault}'
            if not _LINE.fullmatch(f"{_INDEX.sub('', code)}()"):
                yield "fields", f'"{code}" is no OBIS code, such as "1-0:1.8.1" or "1.8.1"'
        if len(set(self.fields.values())) < len(self.fields):
            yield "fields", "two fields name the same code"
        yield from zone_fault(self.zone, TimeUnit.ISO8601)


class Decoder(TextDecoder):
    """Turns a line, or a telegram of lines, into a sample for each code."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._values.reads_padded = True
        self._names: dict[str, list[tuple[str, int | None]]] = {}
        for name, code in config.fields.items():
            found = _INDEX.search(code)
            wanted = self._names.setdefault(_INDEX.sub("", code).removesuffix(f"*{_NOW}"), [])
            wanted.append((name, None if found is None else int(found[1])))
        self._zone = ZoneInfo(config.zone) if config.zone and config.zone != "local" else None
        self._has_zone = bool(config.zone)
        self._units: dict[str, str] = {}
        self._groups: dict[str, str | None] = {}
        """The group of a code without one: the first that was received."""
        self._clock_us: int | None = None

    def decode(self, message: bytes) -> Decoded:
        """Decode one line or telegram."""
        text = self._values.text(message)
        if text is None:
            return Decoded([], [Fault(BAD_ENCODING, excerpt(message))])
        samples: list[Sample] = []
        faults: list[Fault] = []
        lines = _CONTINUED.sub("(", text).splitlines()
        if len(lines) > 1:
            self._clock_us = None
        for line in lines:
            self._line(line.strip(" \x02\x03"), samples, faults)
        return Decoded(samples, faults)

    def metadata(self, field: str) -> Metadata | None:
        """Return the unit that the meter sent first with a field."""
        unit = self._units.get(field)
        return None if unit is None else Metadata(unit=unit)

    def _line(self, line: str, samples: list[Sample], faults: list[Fault]) -> None:
        match = _LINE.fullmatch(line)
        if match is None:
            if line.startswith("/"):
                self._clock_us = None  # another telegram begins
            # The identification, the end, an empty line: the frame around the data.
            if "(" in line:
                faults.append(Fault(NO_DATA, self.quoted(line)))
            return
        group, code, period, rest = match.groups()
        values = _VALUES.findall(rest)
        if code == _CLOCK and self._has_zone:
            self._clock_us = self._time(values[0], faults)
        if period is not None and period != _NOW:
            code = f"{code}*{period}"
        wanted = self._wanted(group, code, line, faults)
        if not wanted:
            return
        time_us = self._clock_us
        if len(values) > 1 and _TIME.fullmatch(values[0]):
            time_us = self._time(values[0], faults) if self._has_zone else None
        for name, index in wanted:
            if index is not None and index >= len(values):
                continue
            written = values[-1 if index is None else index].strip()
            if not written:
                continue
            if index is not None and _TIME.fullmatch(written):
                sample = Sample(name, written)
            else:
                sample = self._sample(name, written)
            samples.append(sample._replace(time_us=time_us))

    def _wanted(
        self, group: str | None, code: str, line: str, faults: list[Fault]
    ) -> list[tuple[str, int | None]]:
        """Return the fields that a code is, each with the pair of parentheses that it wants."""
        full = f"{group}:{code}" if group else code
        if not self._names:
            return [(full, None)]
        wanted = self._names.get(full, []) if group else []
        short = self._names.get(code, [])
        if short and self._groups.setdefault(code, group) != group:
            if not wanted:
                faults.append(Fault(SEVERAL_GROUPS, self.quoted(line), _NAME_THE_GROUP))
            return wanted
        return [*wanted, *short]

    def _sample(self, name: str, written: str) -> Sample:
        text = written if self._values.keeps_text else None
        found = _NUMBER_AND_UNIT.fullmatch(written)
        if found is not None and (value := self._values.number(found[1])) is not None:
            unit = found[2].strip()
            unit = spelled_unit(unit) or unit
            if meaning(unit):
                self._units.setdefault(name, unit)
            return Sample(name, value, text=text, unit=unit)
        return self._values.sample(name, written) or Sample(name, written)

    def _time(self, text: str, faults: list[Fault]) -> int | None:
        found = _TIME.fullmatch(text.strip())
        if found is None:
            return None
        try:
            local = datetime.strptime(found[1], "%y%m%d%H%M%S")  # noqa: DTZ007  # its zone follows
        except ValueError:
            faults.append(Fault(BAD_TIME, self.quoted(text)))
            return None
        # In the hour that comes twice, W is the second one.
        zoned = local.replace(fold=1 if found[2] == "W" else 0, tzinfo=self._zone)
        if found[2] and self._zone is not None and bool(zoned.dst()) != (found[2] == "S"):
            faults.append(Fault(BAD_TIME, self.quoted(text)))  # of two times one is an hour off
            return None
        return round(zoned.timestamp() * 1_000_000)
