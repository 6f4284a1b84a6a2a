"""Decode messages that are one number: ``21.5``, or ``21.5 C`` where that is expected."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from sensord.decode.base import UNREAD, Decoded, Fault, Sample, excerpt, make_decoded, make_sample
from sensord.decode.text import (
    BAD_ENCODING,
    NOT_FINITE,
    UNPRINTABLE,
    TextDecoder,
    TextOptions,
    quantity,
)
from sensord.model.conversions import meaning
from sensord.model.readings import GOOD
from sensord.model.topics import topic_fault

__all__ = ["NOT_A_NUMBER", "Config", "Decoder"]

NOT_A_NUMBER = "not a number"

_INFINITY = float("inf")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config(TextOptions):
    """What the number is called and what else may be sent.

    ``units`` lists what may follow the number; another unit is a fault, for a device that was
    switched from Celsius to Fahrenheit must not go unnoticed. ``words`` says what words stand
    for, whatever their case: ``{ on = true, off = false }``.
    """

    field: str = "value"
    units: tuple[str, ...] = ()
    words: dict[str, bool] = dataclasses.field(default_factory=dict)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if (fault := topic_fault(self.field)) is not None:
            yield "field", fault
        if not all(unit.strip() for unit in self.units):
            yield "units", "a unit may not be empty"


class Decoder(TextDecoder):
    """Turns one message into one sample."""

    lists_units = True

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._field = config.field
        # The longest first: "mbar" ends with "bar".
        units = sorted((unit.strip() for unit in config.units), key=len, reverse=True)
        self._units = [(unit, unit if meaning(unit) else None) for unit in units]
        self._words = {word.strip().casefold(): value for word, value in config.words.items()}

    def decode(self, message: bytes) -> Decoded:
        """Decode one message."""
        text = self._values.text(message)
        if text is None:
            return Decoded([], [Fault(BAD_ENCODING, excerpt(message))])
        text = text.strip()
        if not text:
            return Decoded([], [])
        written = text if self._values.keeps_text else None
        if self._words and (word := self._words.get(text.casefold())) is not None:
            return Decoded([Sample(self._field, word, GOOD, None, written)], [])
        bare, unit = self._parted(text) if self._units else (text, None)
        value = self._values.number(bare)
        if value is None:
            return self._unread(text, message)
        if -_INFINITY < value < _INFINITY:
            sample = make_sample((self._field, value, GOOD, None, written, unit))
            return make_decoded(([sample], []))
        return Decoded([Sample(self._field, None, NOT_FINITE, None, written)], [])

    def _unread(self, text: str, message: bytes) -> Decoded:
        """Hand on what is no number: the channel may know it as a word for a missing value."""
        if text.isascii() and not text.isprintable():
            return Decoded([], [Fault(UNPRINTABLE, excerpt(message))])
        if self._units and quantity(text, decimal_comma=self.decimal_comma):
            # Another unit than those that are expected.
            sample = Sample(self._field, None, UNREAD)
            return Decoded([sample], [Fault(NOT_A_NUMBER, excerpt(message))])
        return Decoded([Sample(self._field, None, UNREAD, None, text)], [])

    def _parted(self, text: str) -> tuple[str, str | None]:
        """Return the text of the number, and the unit after it, where that is known to anybody."""
        for unit, code in self._units:
            if text.endswith(unit):
                return text.removesuffix(unit), code
        return text, None
