"""What every framer and decoder is, and what they hand on.

A *framer* cuts a byte stream into messages; a *decoder* turns one message into *samples*. Neither
ever raises because of what a device sent: what cannot be understood becomes a `Fault`, which is
counted and reported, and the stream goes on.

Adding a decoder: write a module here with a frozen dataclass ``Config`` (its options; see
`sensord.config.schema`) and a class that takes that config and satisfies `Decoder`, and name it in
`registry`; or, from another package, publish the same under the entry point group
``sensord.decoders``.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sensord.model.readings import GOOD, Metadata, Quality, Value

__all__ = ["Decoded", "Decoder", "Fault", "Framed", "Framer", "Sample", "excerpt"]


class Sample(NamedTuple):
    """One value as a device told it, before scaling, checking and naming.

    ``field`` is what the decoder calls it; the device's topic pattern places it. It may hold
    levels (``env/temperature``).
    """

    field: str
    value: Value
    quality: Quality = GOOD
    time_us: int | None = None
    """The source time, where the device says it; else the time of arrival counts."""


class Fault(NamedTuple):
    """Bytes that could not be understood.

    ``reason`` is one of a few constant texts (they are counted by it), ``excerpt`` the beginning
    of the bytes in question, ``detail`` what a person can do about it, if that is known.
    """

    reason: str
    excerpt: bytes
    detail: str = ""


class Framed(NamedTuple):
    """The complete messages found so far and what was thrown away between them."""

    messages: list[bytes]
    faults: list[Fault]


class Decoded(NamedTuple):
    """What one message held."""

    samples: list[Sample]
    faults: list[Fault]


class Framer(Protocol):
    """Cuts a byte stream into messages, keeping an incomplete one for later."""

    def feed(self, data: bytes) -> Framed:
        """Take the next bytes, however they were cut."""
        ...

    def reset(self) -> None:
        """Forget an incomplete message: the stream was interrupted."""
        ...


class Decoder(Protocol):
    """Turns one message into samples."""

    def decode(self, message: bytes) -> Decoded:
        """Decode one whole message; never raises for what the message holds."""
        ...

    def metadata(self, field: str) -> Metadata | None:
        """Tell what the format itself says of a field (unit, type, decimals), if anything.

        What the configuration says of the channel comes before it.
        """
        ...


EXCERPT_BYTES = 80
"""Enough to recognise a sentence, short enough for a log line."""


def excerpt(data: bytes) -> bytes:
    """Return the part of ``data`` that a fault quotes."""
    return bytes(data[:EXCERPT_BYTES])
