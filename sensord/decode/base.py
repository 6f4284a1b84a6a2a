"""The interface of every framer and decoder, and their results.

A *framer* cuts a byte stream into messages; a *decoder* turns one message into *samples*. Neither
ever raises because of what a device sent: what cannot be understood becomes a `Fault`, which is
counted and reported, and the stream goes on.

Adding a decoder: write a module here with a frozen dataclass ``Config`` (its options; see
`sensord.config.schema`) and a class that takes that config and satisfies `Decoder`, and name it in
`registry`; or, from another package, publish the same under the entry point group
``sensord.decoders``.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from sensord.model.readings import GOOD, Level, Metadata, Quality, Reason, Value

__all__ = [
    "BAD_TIME",
    "NOTHING",
    "UNREAD",
    "Dated",
    "Decoded",
    "Decoder",
    "Fault",
    "Framed",
    "Framer",
    "Sample",
    "Selective",
    "Sourced",
    "Writer",
    "Zoned",
    "excerpt",
    "make_decoded",
    "make_sample",
    "trimmed",
]

NOTHING = Quality(Level.BAD, Reason.MISSING)
"""The quality of a sample whose value the device left empty; its ``text`` is how."""

UNREAD = Quality(Level.BAD, Reason.WRONG_TYPE)
"""The quality of a sample that the decoder could not read; its ``text`` is what came."""


BAD_TIME = "bad time"
"""The reason of the fault for a source time that is invalid, or out of bounds."""


class Sample(NamedTuple):
    """One value as the device sent it, before scaling, checking and naming.

    ``field`` is what the decoder calls it; the device's topic pattern places it. It may hold
    levels (``env/temperature``).
    """

    field: str
    value: Value
    quality: Quality = GOOD
    time_us: int | None = None
    """The source time, if the device sends it; else the time of arrival counts."""
    text: str | None = None
    """How the device wrote the value. Only after `Writer.keep_text`, and where the value differs
    from it or is no text."""
    unit: str | None = None
    """The unit that the device sends with the value, where it is one of `decode.units`."""


make_sample: Callable[[tuple[str, Value, Quality, int | None, str | None, str | None]], Sample]
make_sample = functools.partial(tuple.__new__, Sample)
"""Make a sample from all its parts: for the hot paths, where the class takes twice as long."""


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


make_decoded: Callable[[tuple[list[Sample], list[Fault]]], Decoded]
make_decoded = functools.partial(tuple.__new__, Decoded)
"""The samples and faults of a message."""


@runtime_checkable
class Dated(Protocol):
    """A decoder of devices that may send a date which is wrong in a known way."""

    def mend_dates(self, samples: list[Sample], wall_us: int) -> list[Sample]:
        """Return samples with such dates put right, by a clock that can be trusted."""
        ...


@runtime_checkable
class Zoned(Protocol):
    """A decoder whose source times may be without a zone."""

    @property
    def is_zone_known(self) -> bool:
        """Whether the last source time named its zone; else it was read as UTC."""
        ...


class Framer(Protocol):
    """Cuts a byte stream into messages, keeping an incomplete one for later."""

    def feed(self, data: bytes) -> Framed:
        """Process the next bytes, however they were cut."""
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
        """Return the format's own metadata of a field (unit, type, decimals), if any.

        What the configuration says of the channel comes before it.
        """
        ...


@runtime_checkable
class Sourced(Protocol):
    """A decoder that needs to know which topic a message is from."""

    def decode_from(self, source: str, message: bytes) -> Decoded:
        """Decode one whole message of a topic."""
        ...


@runtime_checkable
class Selective(Protocol):
    """A decoder that passes over what is well formed but not known to it, and counts it."""

    passed_over: Counter[str]
    """How often each was passed over, by name; bounded."""


@runtime_checkable
class UnitLister(Protocol):
    """A decoder whose options may name the units that are sent: it rejects all others."""

    lists_units: bool


@runtime_checkable
class Writer(Protocol):
    """A decoder that knows how each value was written.

    Its samples carry ``text`` once `keep_text` was called: when a channel needs it.
    """

    encoding: str
    """That of the device's text, for quoting it as it came."""
    decimal_comma: bool

    def keep_text(self) -> None:
        """Add to each sample how its value was written."""
        ...


EXCERPT_BYTES = 80
"""Enough to recognise a sentence, short enough for a log line."""


def excerpt(data: bytes) -> bytes:
    """Return the part of ``data`` that a fault quotes."""
    return bytes(data[:EXCERPT_BYTES])


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ENDS = frozenset({0, _BYTE_ORDER_MARK[0], _BYTE_ORDER_MARK[-1]})


def trimmed(message: bytes) -> bytes:
    """Return a text message without zero bytes and byte order marks at its ends.

    A line that was idle, a buffer that is longer than its text and an editor leave them.
    """
    if not message or (message[0] not in _ENDS and message[-1] not in _ENDS):
        return message
    before = b""
    while before != message:
        before = message
        message = message.strip(b"\0").removeprefix(_BYTE_ORDER_MARK)
        message = message.removesuffix(_BYTE_ORDER_MARK)
    return message
