"""Decode messages that are one number: ``21.5``, or ``21.5 C`` where that is expected."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from sensord.decode.base import Decoded, Fault, Sample, excerpt
from sensord.decode.text import BAD_ENCODING, NOT_FINITE, TextOptions, TextValues
from sensord.model.readings import Metadata
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
        """Yield what the types cannot say."""
        if (fault := topic_fault(self.field)) is not None:
            yield "field", fault
        if not all(unit.strip() for unit in self.units):
            yield "units", "a unit may not be empty"


class Decoder:
    """Turns one message into one sample."""

    def __init__(self, config: Config) -> None:
        self._values = TextValues(config)
        self._field = config.field
        # The longest first: "mbar" ends with "bar".
        self._units = sorted((unit.strip() for unit in config.units), key=len, reverse=True)
        self._words = {word.strip().casefold(): value for word, value in config.words.items()}

    def decode(self, message: bytes) -> Decoded:
        """Decode one message."""
        text = self._values.text(message)
        if text is None:
            return Decoded([], [Fault(BAD_ENCODING, excerpt(message))])
        if self._words and (word := self._words.get(text.strip().casefold())) is not None:
            return Decoded([Sample(self._field, word)], [])
        value = self._values.number(self._without_unit(text))
        if value is None:
            return Decoded([], [Fault(NOT_A_NUMBER, excerpt(message))])
        if -_INFINITY < value < _INFINITY:
            return Decoded([Sample(self._field, value)], [])
        return Decoded([Sample(self._field, None, NOT_FINITE)], [])

    def metadata(self, field: str) -> Metadata | None:  # noqa: ARG002  # part of the protocol
        """Return None: a bare number says nothing of itself."""
        return None

    def _without_unit(self, text: str) -> str:
        stripped = text.strip()
        for unit in self._units:
            if stripped.endswith(unit):
                return stripped.removesuffix(unit)
        return stripped
