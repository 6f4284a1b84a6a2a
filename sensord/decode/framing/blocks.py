"""Cut a byte stream into blocks: telegrams of several lines with one checksum, all or nothing.

Theory of operation. A block is the bytes from ``start`` up to and including ``end``, and the
checksum that follows. It is looked at when it is complete. If its checksum does not fit, it is one
fault, and the search for the next start continues one byte further: a block whose end was lost may
have swallowed the next one, which is intact. Without a ``start`` a block begins where the one
before it ended; the first one after the port was opened is a fragment and is left out.

Records that other programs ask for and that stand anywhere between the bytes of a block (``drop``)
are removed before anything else is looked at, but never from a raw checksum, which may be any byte.
Every decision depends on the bytes alone, not on how they were cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from sensord.config.schema import Size, Within
from sensord.decode.base import Fault, Framed, excerpt
from sensord.decode.framing.line_checksum import WRONG, LineChecksum, TextChecksum, as_bytes

__all__ = ["TOO_LONG", "BlockFramer", "Config", "Drop"]

TOO_LONG = "block too long"

DROP_BYTES = 1024
"""A record to be dropped that has no end within so many bytes is not a record."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Records to be removed: from ``start`` up to and including ``end``."""

    start: str
    end: str = "\n"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if not self.start or not self.end:
            yield "start", "needs a start and an end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Where a block begins and ends, and its checksum.

    The lines of a good block go on to the decoder, cut at ``separator``; with an empty one the
    whole block goes on as one message.
    """

    type: Literal["block"] = "block"
    start: str = ""
    end: str
    checksum: TextChecksum | None = None
    drop: Drop | None = None
    separator: str = "\n"
    max_bytes: Annotated[Size, Within(2, 2**20)] = 16 * 1024

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if not self.end:
            yield "end", "may not be empty"
        if not self.start and self.checksum is None:
            yield "start", "is needed without a checksum: else nothing says where a block begins"
        if self.checksum is not None and self.checksum.form == "decimal":
            yield "checksum", "a block's checksum is hexadecimal or raw"
        if self.checksum is not None and (self.checksum.after or self.checksum.before):
            yield "checksum", "a block's checksum covers all of it, from start to end"
        for key in ("start", "end", "separator"):
            if max(map(ord, getattr(self, key)), default=0) > 0xFF:  # noqa: PLR2004  # one byte
                yield key, "each character stands for one byte, \\u0000 to \\u00FF"


class BlockFramer:
    """Cuts a stream into the lines of its good blocks."""

    def __init__(self, config: Config) -> None:
        self._start = as_bytes(config.start)
        self._end = as_bytes(config.end)
        self._separator = as_bytes(config.separator)
        self._check = None if config.checksum is None else LineChecksum(config.checksum)
        self._width = 0 if self._check is None else self._check.width
        self._is_raw = config.checksum is not None and config.checksum.form == "raw"
        self._drop = None if config.drop is None else tuple(map(as_bytes, _pair(config.drop)))
        self._max_bytes = config.max_bytes
        self._held = bytearray()
        """What follows the last decision."""
        self._cleaned = self._searched = self._blamed = 0
        """The bytes held that have no record to be dropped, no end, and a fault already."""
        self._is_fragment = not self._start

    def reset(self) -> None:
        """Forget an incomplete block: the stream was interrupted."""
        self._held.clear()
        self._cleaned = self._searched = self._blamed = 0
        self._is_fragment = not self._start

    def feed(self, data: bytes) -> Framed:
        """Process the next bytes and return the lines of the blocks that are complete now."""
        framed = Framed([], [])
        self._held += data
        while self._step(framed):
            pass
        return framed

    def _step(self, framed: Framed) -> bool:
        """Decide on the next block, if it is complete; return whether to look for another."""
        held = self._held
        if self._start:
            begin = held.find(self._start)
            self._cut(begin if begin >= 0 else max(0, len(held) - len(self._start) + 1))
            if begin < 0:
                return False
        end = self._find_end()
        if end < 0 or end > self._max_bytes:
            is_too_long = len(held) > self._max_bytes and not self._awaits_record()
            return is_too_long and self._give_up(framed, TOO_LONG)
        whole = end + self._width
        return len(held) >= whole and self._judge(framed, end, whole)

    def _judge(self, framed: Framed, end: int, whole: int) -> bool:
        held, check = self._held, self._check
        block, is_fragment = bytes(held[:end]), self._is_fragment
        if check is not None and check.checked(bytes(held[:whole])) is None:
            if self._start:
                return self._give_up(framed, WRONG, whole)
            if not is_fragment:
                framed.faults.append(Fault(WRONG, excerpt(block)))
        else:
            if check is None:
                # Without a checksum the last start counts: an earlier one began a broken block.
                block = block[block.rfind(self._start) :]
            framed.messages.extend(self._lines(block))
        self._is_fragment = False
        self._cut(whole)
        return True

    def _lines(self, block: bytes) -> Iterator[bytes]:
        if not self._separator:
            yield block
            return
        for line in block.split(self._separator):
            stripped = line.strip(b"\r\n")
            if stripped.strip() not in {b"", self._end.strip()}:
                yield stripped

    def _give_up(self, framed: Framed, reason: str, whole: int = 0) -> bool:
        """Report a block that is none, and continue one byte further.

        What it holds is not reported again.
        """
        if not self._blamed and not self._is_fragment:
            framed.faults.append(Fault(reason, excerpt(bytes(self._held[: self._max_bytes]))))
            self._blamed = whole or self._max_bytes
        if self._start:
            self._cut(1)
        else:
            self._is_fragment = True
            self._cut(self._max_bytes)
        return True

    def _cut(self, count: int) -> None:
        del self._held[:count]
        self._cleaned = max(0, self._cleaned - count)
        self._searched = max(0, self._searched - count)
        self._blamed = max(0, self._blamed - count)

    def _find_end(self) -> int:
        """Return the offset after the block's end, or -1; drop the records before it."""
        while True:
            at = self._held.find(self._end, self._searched)
            if at < 0:
                self._searched = max(0, len(self._held) - len(self._end) + 1)
            else:
                self._searched = at
            if not self._drop_before(len(self._held) if at < 0 else at):
                return -1 if at < 0 or self._is_in_record(at) else at + len(self._end)

    def _drop_before(self, end: int) -> bool:
        """Remove the next record that begins before an offset; return whether there was one."""
        if self._drop is None:
            return False
        held, (start, stop) = self._held, self._drop
        while (record := held.find(start, self._cleaned, end)) >= 0:
            over = held.find(stop, record + len(start), record + DROP_BYTES)
            if over >= 0:
                del held[record : over + len(stop)]
                self._cleaned = record
                self._searched = max(0, min(self._searched, record - len(self._end) + 1))
                return True
            if len(held) - record < DROP_BYTES:
                self._cleaned = record  # its end may still come
                return False
            self._cleaned = record + 1
        self._cleaned = max(self._cleaned, end - len(start) + 1)
        return False

    def _awaits_record(self) -> bool:
        """Return whether the end of a record may still come, and shorten the block."""
        if self._drop is None or self._cleaned >= self._max_bytes:
            return False
        held, (start, _) = self._held, self._drop
        is_open = held[self._cleaned : self._cleaned + len(start)] == start
        return is_open and len(held) - self._cleaned < DROP_BYTES

    def _is_in_record(self, at: int) -> bool:
        """Return whether an end lies in a record whose own end has not come."""
        return self._drop is not None and self._held.find(self._drop[0], self._cleaned, at) >= 0


def _pair(drop: Drop) -> tuple[str, str]:
    return drop.start, drop.end
