"""The checksum of a line: where its bytes stand, and whether it fits. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sensord.decode.checksums import Kind, checksum

__all__ = ["WRONG", "ByteOrder", "LineChecksum", "TextChecksum", "as_bytes"]

WRONG = "wrong checksum"
"""The reason of the fault, also of a checksum that is missing."""

ByteOrder = Literal["big", "little"]

_HEX = re.compile(rb"[0-9A-Fa-f]+")
_DECIMAL = re.compile(rb"[0-9]{1,10}")


def as_bytes(text: str) -> bytes:
    """Return the bytes of an option: each character is one byte, so that any can be written."""
    return text.encode("latin-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChecksum:
    """The checksum of a line or a block, as it is configured.

    ``type`` is the kind, ``form`` how it is written: ``raw`` bytes, ``hex`` digits or a ``decimal``
    number. The bytes that it covers begin behind ``after``, or with it if ``includes_after``; they
    end before ``before``, or with it if ``includes_before``.
    """

    type: Kind
    form: Literal["hex", "raw", "decimal"] = "hex"
    byte_order: ByteOrder = "big"
    after: str = ""
    includes_after: bool = False
    before: str = ""
    includes_before: bool = False

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        for key in ("after", "before"):
            if not getattr(self, key).isascii() and max(map(ord, getattr(self, key))) > 0xFF:  # noqa: PLR2004  # one byte
                yield key, "each character stands for one byte, \\u0000 to \\u00FF"
        if self.form == "decimal" and not self.before:
            yield "before", "is needed with a decimal checksum: its length is not fixed"
        for key in ("after", "before"):
            if getattr(self, f"includes_{key}") and not getattr(self, key):
                yield f"includes_{key}", f"has no effect without {key}"


class LineChecksum:
    """Checks lines, and removes the checksum from them."""

    def __init__(self, config: TextChecksum) -> None:
        kind = checksum(config.type)
        self._of = kind.of
        self._is_raw = config.form == "raw"
        self._pattern = _DECIMAL if config.form == "decimal" else _HEX
        self._base = 10 if config.form == "decimal" else 16
        self.width = kind.size if self._is_raw else 2 * kind.size
        """The bytes of the checksum; of a decimal one it varies."""
        self._byte_order: ByteOrder = config.byte_order
        self._size = kind.size
        self._after = as_bytes(config.after)
        self._before = as_bytes(config.before)
        self._includes_after = config.includes_after
        self._includes_before = config.includes_before

    def checked(self, line: bytes) -> bytes | None:
        """Return the line up to its checksum, or None if that does not fit or is missing."""
        parts = self._parted(line)
        if parts is None:
            return None
        content, covered, written = parts
        found = self.value(written)
        begin = covered.find(self._after) if self._after else 0
        if found is None or begin < 0:
            return None
        if not self._includes_after:
            begin += len(self._after)
        return content if self._of(covered[begin:]) == found else None

    def _parted(self, line: bytes) -> tuple[bytes, bytes, bytes] | None:
        """Return the part before the checksum, the bytes that it covers, and itself."""
        if not self._before:
            at = len(line) - self.width
            return None if at < 0 else (line[:at], line[:at], line[at:])
        # The last one before the checksum, which may contain it if it is raw.
        last = len(line) - self.width - len(self._before) if self._is_raw else len(line)
        at = line.rfind(self._before, 0, max(0, last) + len(self._before))
        if at < 0:
            return None
        end = at + len(self._before)
        return line[:at], line[: end if self._includes_before else at], line[end:]

    def value(self, written: bytes) -> int | None:
        """Return the number that a checksum is written as, or None."""
        if self._is_raw:
            return int.from_bytes(written, self._byte_order) if len(written) == self._size else None
        digits = written.strip()
        if not self._pattern.fullmatch(digits):
            return None
        number = int(digits, self._base)
        if self._base != 10 and self._byte_order == "little":  # noqa: PLR2004  # hexadecimal
            if len(digits) != self.width:
                return None
            return int.from_bytes(bytes.fromhex(digits.decode()), "little")
        return number
