"""Requests of a Modbus master, and what answers each of them.

Source: MODBUS Application Protocol Specification V1.1b3, sections 6 and 7. Pure.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "EXCEPTIONS",
    "FUNCTIONS",
    "MOST_BITS",
    "MOST_WORDS",
    "Reply",
    "Request",
    "Table",
    "exception_name",
    "read",
    "write_coil",
    "write_words",
]

MOST_WORDS = 125
MOST_BITS = 2000
"""As many as one answer may hold."""

ERROR = 0x80
"""Added to the function in an answer that is an exception."""


class Table(enum.StrEnum):
    """The four kinds of things that a unit has, each with addresses of its own."""

    HOLDING = "holding"
    INPUT = "input"
    COIL = "coil"
    DISCRETE = "discrete"

    @property
    def is_bits(self) -> bool:
        """Whether an address is one bit, and not a word of 16."""
        return self in {Table.COIL, Table.DISCRETE}


_READ = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
FUNCTIONS = {function: table for table, function in _READ.items()}
"""The tables by the function that reads them."""

_WRITE_COIL, _WRITE_WORD, _WRITE_WORDS = 5, 6, 16

EXCEPTIONS = {
    1: ("illegal function", "the unit has no such table; try another one, or another write"),
    2: ("illegal data address", "the unit has nothing there; check address, table and numbering"),
    3: ("illegal data value", "the unit does not accept this count or value"),
    4: ("device failure", "the unit could not do it; look at the unit itself"),
    5: ("acknowledged", "the unit needs longer; ask less often"),
    6: ("device busy", "the unit is busy; ask less often"),
    7: ("refused", "the unit does not carry it out"),
    8: ("memory parity error", "the unit found its memory damaged"),
    10: ("gateway path unavailable", "the gateway has no way to the unit; check its settings"),
    11: ("gateway target silent", "the unit behind the gateway does not answer"),
}

UNREACHED = frozenset({10, 11})
"""Exceptions that a gateway sends in the place of a unit that does not answer."""


class Reply(NamedTuple):
    """What a unit answered: the bytes of what was read, or an exception."""

    data: bytes = b""
    exception: int = 0

    @property
    def is_of_unit(self) -> bool:
        """Whether the unit itself answered."""
        return self.exception not in UNREACHED


@dataclass(frozen=True, slots=True)
class Request:
    """One request to one unit.

    ``body`` is what follows the function; ``size`` is how many bytes of data a read brings, 0 for
    a write.
    """

    unit: int
    function: int
    body: bytes
    size: int = 0

    @property
    def pdu(self) -> bytes:
        """The function and what follows."""
        return bytes([self.function]) + self.body

    @property
    def answer_head(self) -> bytes:
        """What the answer's own function and data begin with: all of it, of a write."""
        if self.size:
            return bytes([self.function, self.size])
        return bytes([self.function]) + self.body[:4]

    @property
    def answer_bytes(self) -> int:
        """How long the answer is from its function on."""
        return len(self.answer_head) + self.size

    def reply(self, pdu: bytes) -> Reply | None:
        """Decode an answer's bytes from its function on; return None if it is not the answer.

        Of an exception only the kinds that the standard knows are believed.
        """
        if len(pdu) == self.answer_bytes and pdu.startswith(self.answer_head):
            return Reply(pdu[2:] if self.size else b"")
        if len(pdu) == 2 and pdu[0] == self.function | ERROR and pdu[1] in EXCEPTIONS:  # noqa: PLR2004  # function and code
            return Reply(exception=pdu[1])
        return None


def read(unit: int, table: Table, address: int, count: int) -> Request:
    """Return the request that reads ``count`` words or bits from ``address``."""
    size = (count + 7) // 8 if table.is_bits else 2 * count
    return Request(unit, _READ[table], struct.pack(">HH", address, count), size)


def write_coil(unit: int, address: int, *, is_on: bool) -> Request:
    """Return the request that sets one coil."""
    return Request(unit, _WRITE_COIL, struct.pack(">HH", address, 0xFF00 if is_on else 0))


def write_words(unit: int, address: int, data: bytes, *, at_once: bool) -> Request:
    """Return the request that sets holding registers; one word alone, unless ``at_once``."""
    if len(data) == 2 and not at_once:  # noqa: PLR2004  # one word
        return Request(unit, _WRITE_WORD, struct.pack(">H", address) + data)
    head = struct.pack(">HHB", address, len(data) // 2, len(data))
    return Request(unit, _WRITE_WORDS, head + data)


def exception_name(code: int) -> tuple[str, str]:
    """Return the name of an exception, and what to do about it."""
    return EXCEPTIONS.get(code, ("unknown exception", f"the unit answered with exception {code}"))
