"""Pass each message to the decoder selected by its beginning: frames beside lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sensord.decode import base
from sensord.decode.base import Decoded, Fault, Sample, Selective, Writer, Zoned, excerpt
from sensord.decode.framing.frames import hex_bytes
from sensord.decode.sub_decoder import SubDecoder
from sensord.model.readings import Metadata

__all__ = ["NO_CHOICE", "Choice", "Config", "Decoder"]

NO_CHOICE = "no decoder for this message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(SubDecoder):
    """A decoder, and the text or the bytes that its messages begin with; neither is any message."""

    starts: str = ""
    starts_hex: str = ""

    @property
    def start(self) -> bytes:
        """The bytes that a message begins with."""
        return hex_bytes(self.starts_hex) or self.starts.encode()

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if hex_bytes(self.starts_hex) is None:
            yield "starts_hex", 'expected bytes in hexadecimal digits, such as "B5 62"'
        if self.starts and self.starts_hex:
            yield "starts_hex", "give starts or starts_hex, not both"
        yield from SubDecoder.faults(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The decoders, in the order in which they are tried."""

    choices: tuple[Choice, ...]
    ignore_unknown: bool = False

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if not self.choices:
            yield "choices", "at least one is needed"


class Decoder:
    """Decodes each message by the first choice whose beginning it has."""

    def __init__(self, config: Config) -> None:
        self._choices = [(one.start, one.create()) for one in config.choices]
        self._ignores_unknown = config.ignore_unknown
        self._last: base.Decoder | None = None
        self.passed_over: Counter[str] = Counter()
        self.encoding = "utf-8"
        self.decimal_comma = False
        for able in self._able():
            if isinstance(able, Selective):
                able.passed_over = self.passed_over

    def keep_text(self) -> None:
        """Add to each sample how its value was written."""
        for able in self._able():
            if isinstance(able, Writer):
                able.keep_text()

    def decode(self, message: bytes) -> Decoded:
        """Decode one message."""
        for start, decoder in self._choices:
            if message.startswith(start):
                self._last = decoder
                return decoder.decode(message)
        faults = [] if self._ignores_unknown else [Fault(NO_CHOICE, excerpt(message))]
        return Decoded([], faults)

    def mend_dates(self, samples: list[Sample], wall_us: int) -> list[Sample]:
        """Return samples with dates put right by those decoders that can."""
        for able in self._able():
            if isinstance(able, base.Dated):
                samples = able.mend_dates(samples, wall_us)
        return samples

    @property
    def is_zone_known(self) -> bool:
        """Whether the last source time named its zone."""
        able: object = self._last
        return able.is_zone_known if isinstance(able, Zoned) else True

    def metadata(self, field: str) -> Metadata | None:
        """Return the metadata of the first decoder that knows a field."""
        found = (decoder.metadata(field) for _, decoder in self._choices)
        return next((one for one in found if one is not None), None)

    def _able(self) -> Iterator[object]:
        for _, decoder in self._choices:
            yield decoder
