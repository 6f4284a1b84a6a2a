"""Decode the text of a field as a message of its own: bytes within JSON, a frame within a line.

Shape: the outer decoder's message, one or more of whose fields are texts for inner decoders, such
as the hexadecimal digits in what a Ruuvi gateway publishes, or the base64 of a LoRaWAN payload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from sensord.decode.base import (
    Dated,
    Decoded,
    Fault,
    Sample,
    Selective,
    Writer,
    Zoned,
    excerpt,
)
from sensord.decode.sub_decoder import SubDecoder
from sensord.model.readings import Metadata

__all__ = ["NO_TEXT", "Config", "Decoder", "Inner"]

NO_TEXT = "no text to decode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner(SubDecoder):
    """The decoder of a field, and what precedes the names of its fields."""

    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The outer decoder, and an inner one for each field that holds a message."""

    outer: SubDecoder
    inner: dict[str, Inner] = field(default_factory=dict)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if not self.inner:
            yield "inner", 'is missing; say for example inner = { data = { decoder = "binary" } }'


class Decoder:
    """Passes the texts of some fields on to decoders of their own."""

    def __init__(self, config: Config) -> None:
        self._outer = config.outer.create()
        self._inner = {name: (one.prefix, one.create()) for name, one in config.inner.items()}
        self._keeps_text = False
        self.passed_over: Counter[str] = Counter()
        self.encoding = "utf-8"
        self.decimal_comma = False
        for able in self._able():
            if isinstance(able, Selective):
                able.passed_over = self.passed_over
        # Digits are a number to the outer decoder, and bytes to the inner one.
        outer: object = self._outer
        if isinstance(outer, Writer):
            outer.keep_text()
            self.encoding = outer.encoding

    def keep_text(self) -> None:
        """Add to each sample how its value was written."""
        self._keeps_text = True
        for able in self._able():
            if isinstance(able, Writer):
                able.keep_text()

    def decode(self, message: bytes) -> Decoded:
        """Decode one message, and what its fields hold."""
        found, faults = self._outer.decode(message)
        faults = [*faults]
        samples: list[Sample] = []
        for sample in found:
            inner = self._inner.get(sample.field)
            if inner is None:
                samples.append(sample if self._keeps_text else sample._replace(text=None))
                continue
            if sample.value is None:
                continue  # the device left it empty
            text = sample.value if sample.text is None else sample.text
            if not isinstance(text, str):
                faults.append(Fault(NO_TEXT, excerpt(message)))
                continue
            prefix, decoder = inner
            decoded = decoder.decode(text.encode(self.encoding, "surrogateescape"))
            faults += decoded.faults
            samples += (
                one._replace(
                    field=prefix + one.field,
                    time_us=sample.time_us if one.time_us is None else one.time_us,
                )
                for one in decoded.samples
            )
        return Decoded(samples, faults)

    def mend_dates(self, samples: list[Sample], wall_us: int) -> list[Sample]:
        """Return samples with dates put right by those decoders that can."""
        for able in self._able():
            if isinstance(able, Dated):
                samples = able.mend_dates(samples, wall_us)
        return samples

    @property
    def is_zone_known(self) -> bool:
        """Whether the source times of the last message named their zone."""
        return all(able.is_zone_known for able in self._able() if isinstance(able, Zoned))

    def metadata(self, field: str) -> Metadata | None:
        """Return the metadata of the first inner decoder that knows a field, or the outer's."""
        for prefix, decoder in self._inner.values():
            if field.startswith(prefix):
                found = decoder.metadata(field.removeprefix(prefix))
                if found is not None:
                    return found
        return self._outer.metadata(field)

    def _able(self) -> Iterator[object]:
        yield self._outer
        for _, decoder in self._inner.values():
            yield decoder
