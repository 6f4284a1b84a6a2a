"""Decode lines by a regular expression with named groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sensord.decode.base import NOTHING, Decoded, Fault, Sample, excerpt
from sensord.decode.regex_cost import TooManyWaysError, longest_line
from sensord.decode.source_time import SourceTime, TimedOptions, zone_fault
from sensord.decode.text import BAD_ENCODING, UNPRINTABLE, TextDecoder
from sensord.decode.unit_fields import UnitFields, unit_fields_fault
from sensord.model.readings import Metadata

__all__ = ["NO_MATCH", "TOO_LONG", "Config", "Decoder", "Pattern", "pattern_fault"]

NO_MATCH = "no match"
TOO_LONG = "too long for the pattern"

LEAST = 32
"""A pattern that is in time only with shorter lines than this is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(TimedOptions):
    """The pattern; each named group is a field.

    It is searched for: begin it with ``^`` and end it with ``$`` to describe the whole line.
    A pattern that could take very long on some line is refused, or looks at lines up to a length
    only. ``text_fields`` stay text even where they look like numbers.
    """

    pattern: str
    text_fields: tuple[str, ...] = ()
    skip_unmatched: bool = False
    """Whether a line that does not match is ignored and not a fault."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if message := pattern_fault(self.pattern):
            yield "pattern", message
        try:
            groups = re.compile(self.pattern).groupindex
        except (re.error, OverflowError, RecursionError):
            return
        if not groups:
            yield "pattern", "must name a group, as in (?P<temperature>[-0-9.]+)"
        for field in self.text_fields:
            if field not in groups:
                yield "text_fields", f'"{field}" is not a group of the pattern'
        if self.time and self.time not in groups:
            yield "time", f'"{self.time}" is not a group of the pattern'
        yield from zone_fault(self.zone, self.time_unit)
        yield from unit_fields_fault(self.unit_fields, groups)


_NESTED = (
    "repeats what can itself be matched in several ways, as in (a+)+: some line would take for"
    " ever; repeat something of which there is one way, as in (?:[^,]*,)*"
)
_AMBIGUOUS = (
    "has too many repetitions that may also take what follows them, as in .*, with a comma: some"
    " line would take very long; write [^,]*, instead, and begin with ^"
)


def pattern_fault(pattern: str) -> str | None:
    """Return why a regular expression is invalid or too slow, or None if it can be used."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    try:
        return _AMBIGUOUS if longest_line(pattern) < LEAST else None
    except TooManyWaysError:
        return _NESTED


class Pattern:
    """A regular expression that skips texts on which it could be very slow."""

    def __init__(self, pattern: str) -> None:
        self._search = re.compile(pattern).search
        self.longest = longest_line(pattern)

    def search(self, text: str) -> re.Match[str] | None:
        """Return the first match; None without one, or if the text is too long."""
        return self._search(text) if len(text) <= self.longest else None


class Decoder(TextDecoder):
    """Turns one line into a sample for each named group that matched something."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, (*config.text_fields, config.time, *config.unit_fields.values()))
        self._values.reads_padded = True
        self._time = config.time
        self._source = SourceTime(config.time_unit, config.zone)
        self._units = UnitFields(config.unit_fields) if config.unit_fields else None
        self._pattern = Pattern(config.pattern)
        self._skips_unmatched = config.skip_unmatched

    def decode(self, message: bytes) -> Decoded:
        """Decode one line."""
        text = self._values.text(message)
        if text is None:
            return Decoded([], [Fault(BAD_ENCODING, excerpt(message))])
        if not text or text.isspace():
            return Decoded([], [])
        if len(text) > self._pattern.longest:
            return Decoded([], [Fault(TOO_LONG, excerpt(message))])
        match = self._pattern.search(text)
        if match is None:
            return Decoded([], [] if self._skips_unmatched else [Fault(NO_MATCH, excerpt(message))])
        samples: list[Sample] = []
        faults: list[Fault] = []
        for field, raw in match.groupdict("").items():
            value = raw.strip()
            if not value:
                if self._values.keeps_text and match[field] is not None:
                    samples.append(Sample(field, None, NOTHING, None, ""))
                continue
            sample = self._values.sample(field, value)
            if sample is None:
                faults.append(Fault(UNPRINTABLE, excerpt(message)))
            else:
                samples.append(sample)
        decoded = Decoded(samples, faults)
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
