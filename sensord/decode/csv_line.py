"""Decode lines of separated columns: ``21.5,40,1013.2``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from sensord.decode.base import NOTHING, Decoded, Fault, Sample, excerpt, make_decoded
from sensord.decode.source_time import SourceTime, TimedOptions, zone_fault
from sensord.decode.text import BAD_ENCODING, UNPRINTABLE, TextDecoder
from sensord.decode.unit_fields import UnitFields, unit_fields_fault
from sensord.model.readings import Metadata
from sensord.model.topics import topic_fault

__all__ = ["BAD_QUOTING", "COLUMN_COUNT", "Config", "Decoder"]

COLUMN_COUNT = "wrong number of columns"
BAD_QUOTING = "bad quoting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(TimedOptions):
    """What the columns are.

    ``fields`` names them in order; an empty name skips a column. A ``separator`` of one space
    stands for any run of spaces and tabs. Lines that begin with ``comment`` are skipped, and with
    ``skip_header`` also those that hold no number in any named column. ``allow_extra`` ignores
    columns after the named ones. ``text_fields`` stay text even where they look like numbers.
    """

    fields: tuple[str, ...]
    separator: str = ","
    comment: str = ""
    skip_header: bool = False
    allow_extra: bool = False
    text_fields: tuple[str, ...] = ()

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        named = [field for field in self.fields if field]
        if not named:
            yield "fields", "name at least one column"
        if len(set(named)) < len(named):
            yield "fields", "each name may stand only once"
        for field in named:
            if (fault := topic_fault(field)) is not None:
                yield "fields", f'"{field}": {fault}'
        if len(self.separator) != 1 or self.separator in '"\r\n':
            yield "separator", "must be one character, and no quote or line end"
        if self.decimal_comma and self.separator == ",":
            yield "decimal_comma", "needs a separator other than the comma"
        for field in self.text_fields:
            if field not in named:
                yield "text_fields", f'"{field}" is not one of the fields'
        if self.time and self.time not in named:
            yield "time", f'"{self.time}" is not one of the fields'
        yield from zone_fault(self.zone, self.time_unit)
        yield from unit_fields_fault(self.unit_fields, self.fields)


class Decoder(TextDecoder):
    """Turns one line into a sample for each named column that is not empty."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, (*config.text_fields, config.time, *config.unit_fields.values()))
        self._time = config.time
        self._source = SourceTime(config.time_unit, config.zone)
        self._units = UnitFields(config.unit_fields) if config.unit_fields else None
        self._fields = config.fields
        self._separator = config.separator
        self._comment = config.comment
        self._skip_header = config.skip_header
        self._allow_extra = config.allow_extra

    def decode(self, message: bytes) -> Decoded:  # noqa: C901, PLR0912  # one way out each
        """Decode one line.

        A line with another number of columns is refused as a whole: one lost separator would put
        every later value under the wrong name.
        """
        text = self._values.text(message)
        if text is None:
            return Decoded([], [Fault(BAD_ENCODING, excerpt(message))])
        if not text or text.isspace():
            return Decoded([], [])
        if self._comment and text.startswith(self._comment):
            return Decoded([], [])
        columns = self._split(text)
        if columns is None:
            return Decoded([], [Fault(BAD_QUOTING, excerpt(message))])
        if self._skip_header and self._is_header(columns):
            return Decoded([], [])
        wanted = len(self._fields)
        if len(columns) != wanted and (len(columns) < wanted or not self._allow_extra):
            return Decoded([], [Fault(COLUMN_COUNT, excerpt(message))])
        samples: list[Sample] = []
        faults: list[Fault] = []
        values = self._values
        for field, raw in zip(self._fields, columns, strict=False):
            if not field:
                continue
            column = raw.strip()
            if not column:
                if values.keeps_text:
                    samples.append(Sample(field, None, NOTHING, None, ""))
                continue
            sample = values.sample(field, column)
            if sample is None:
                faults.append(Fault(UNPRINTABLE, excerpt(message)))
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

    def _split(self, text: str) -> list[str] | None:
        if self._separator == " ":
            return text.split()
        if '"' not in text:
            return text.split(self._separator)
        try:
            return next(csv.reader([text], delimiter=self._separator, skipinitialspace=True), [])
        except csv.Error:
            return None

    def _is_header(self, columns: list[str]) -> bool:
        return not any(
            field and self._values.number(column) is not None
            for field, column in zip(self._fields, columns, strict=False)
        )
