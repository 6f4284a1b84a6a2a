"""Decode lines of pairs: ``temp=21.5;hum=40``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sensord.decode.base import NOTHING, Decoded, Fault, Sample, excerpt, make_decoded
from sensord.decode.naming import field_level
from sensord.decode.source_time import SourceTime, TimedOptions, zone_fault
from sensord.decode.text import (
    BAD_ENCODING,
    TOO_MANY_VALUES,
    UNPRINTABLE,
    TextDecoder,
)
from sensord.decode.unit_fields import UnitFields, unit_fields_fault
from sensord.model.readings import Metadata
from sensord.model.topics import topic_fault

__all__ = ["BAD_PAIR", "Config", "Decoder"]

BAD_PAIR = "bad pair"

MAX_PAIRS = 256
"""More than any device sends in a line; bounds the channels that one message can open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(TimedOptions):
    """How pairs are written, and which are wanted.

    A ``separator`` of one space stands for any run of spaces and tabs. ``fields`` says for each
    field which of the device's keys it is; without it every key is a field. ``text_fields`` stay
    text even where they look like numbers. ``allow_bare`` passes over pieces without ``assign``.
    """

    separator: str = ";"
    assign: str = "="
    fields: dict[str, str] = field(default_factory=dict)
    text_fields: tuple[str, ...] = ()
    allow_bare: bool = False

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if not self.separator:
            yield "separator", "may not be empty"
        if not self.assign:
            yield "assign", "may not be empty"
        elif self.assign == self.separator or (self.separator == " " and not self.assign.strip()):
            yield "assign", "must differ from the separator"
        if self.decimal_comma and "," in {self.separator, self.assign}:
            yield "decimal_comma", "needs another separator than the comma"
        for name in self.fields:
            if (fault := topic_fault(name)) is not None:
                yield "fields", f'"{name}": {fault}'
        if len(set(self.fields.values())) < len(self.fields):
            yield "fields", "two fields name the same key"
        for name in self.text_fields:
            if self.fields and name not in self.fields:
                yield "text_fields", f'"{name}" is not one of the fields'
        if self.fields and self.time and self.time not in self.fields:
            yield "time", f'"{self.time}" is not one of the fields'
        yield from zone_fault(self.zone, self.time_unit)
        yield from unit_fields_fault(self.unit_fields, self.fields)


class Decoder(TextDecoder):
    """Turns one line into a sample for each pair; a bad pair does not spoil the others."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, (*config.text_fields, config.time, *config.unit_fields.values()))
        self._time = config.time
        self._source = SourceTime(config.time_unit, config.zone)
        self._units = UnitFields(config.unit_fields) if config.unit_fields else None
        self._allow_bare = config.allow_bare
        # str.split() without a separator splits at runs of whitespace.
        self._separator = None if config.separator == " " else config.separator
        self._assign = config.assign
        self._names = {key: name for name, key in config.fields.items()}

    def decode(self, message: bytes) -> Decoded:
        """Decode one line."""
        text = self._values.text(message)
        if text is None:
            return Decoded([], [Fault(BAD_ENCODING, excerpt(message))])
        pairs = text.split(self._separator)
        samples: list[Sample] = []
        faults: list[Fault] = []
        if len(pairs) > MAX_PAIRS:
            faults.append(Fault(TOO_MANY_VALUES, excerpt(message)))
            del pairs[MAX_PAIRS:]
        values, names, assign = self._values, self._names, self._assign
        for pair in pairs:
            key, assigned, raw = pair.partition(assign)
            key, value = key.strip(), raw.strip()
            if not assigned or not key:
                # A blank pair is what a trailing separator leaves.
                if pair.strip() and (assigned or not self._allow_bare):
                    faults.append(Fault(BAD_PAIR, self.quoted(pair)))
                continue
            name = names.get(key) if names else field_level(key)
            if name is None:
                continue
            if not value:
                if values.keeps_text:
                    samples.append(Sample(name, None, NOTHING, None, ""))
                continue
            sample = values.sample(name, value)
            if sample is None:
                faults.append(Fault(UNPRINTABLE, self.quoted(pair)))
            else:
                samples.append(sample)
        decoded = make_decoded((samples, faults))
        if self._units is not None:
            decoded = self._units.applied(decoded)
        return self._source.applied(decoded, self._time, message) if self._time else decoded

    def metadata(self, field: str) -> Metadata | None:
        """Return the unit that came with a field, if any."""
        return None if self._units is None else self._units.metadata(field)

    @property
    def is_zone_known(self) -> bool:
        """Whether the last source time named its zone; else it was read as UTC."""
        return self._source.is_zone_known
