"""The transfer of a page: an answer to plain HTTP, made in turns and sent as the client reads.

For each page the server holds a mark and a piece; the number of pages is bounded, and so is the
time to read one. When all places are in use, the client that has not read for the longest loses its
own, so fast readers are served however many others never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from sensord.server.turns import Turns

__all__ = ["MARK_BYTES", "Places", "Transfer"]

PAGES = 64
"""At a time."""

MARK_BYTES = 16 * 1024
"""The unsent bytes of a page beyond which no more of it is made."""

STUCK_S = 0.5
"""A client that reads nothing for so long may lose its place."""


class Reader(Protocol):
    """The connection, as its transfer sees it."""

    @property
    def is_congested(self) -> bool:
        """Whether the unsent bytes are above the mark."""
        ...

    @property
    def clogged_at(self) -> float:
        """Loop time since when they are."""
        ...

    def write(self, data: bytes, /) -> None:
        """Write bytes to the client."""
        ...

    def guard(self, act: Callable[..., None], *args: object) -> bool:
        """Call ``act``; what it raises ends this connection and nothing else."""
        ...

    def finish(self) -> None:
        """End the connection when everything has been sent."""
        ...

    def abort(self) -> None:
        """Cut the connection."""
        ...


class Transfer:
    """A body that comes in pieces, on its way to one client."""

    def __init__(
        self, reader: Reader, pieces: Iterator[bytes], turns: Turns, *, is_chunked: bool
    ) -> None:
        self.reader = reader
        self._pieces = pieces
        self._turns = turns
        self._is_chunked = is_chunked

    def begin(self) -> None:
        """Begin; the head has been written."""
        self._turns.wait(self, self.reader)

    def drained(self) -> None:
        """Resume sending: the client reads again."""
        self._turns.wait(self, self.reader)

    def close(self) -> None:
        """Make no more of it."""
        self._turns.leave(self)

    def take_turn(self) -> None:
        """Make a piece and send it."""
        self.reader.guard(self._send_piece)

    def _send_piece(self) -> None:
        if self.reader.is_congested:
            return
        piece = next(self._pieces, None)
        if piece is None:
            if self._is_chunked:
                self.reader.write(b"0\r\n\r\n")
            self.reader.finish()
            return
        if piece:
            framed = b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked else piece
            self.reader.write(framed)
        if not self.reader.is_congested:
            self._turns.wait(self, self.reader)


class Places:
    """The pages that are being read."""

    def __init__(self, most: int = PAGES) -> None:
        self._most = most
        self._pages: dict[Reader, None] = {}

    def __len__(self) -> int:
        return len(self._pages)

    def enter(self, reader: Reader, now_s: float) -> bool:
        """Occupy a place; return False if clients that read have all of them."""
        if len(self._pages) >= self._most:
            stuck = min(
                (one for one in self._pages if one.is_congested),
                key=lambda one: one.clogged_at,
                default=None,
            )
            if stuck is None or now_s - stuck.clogged_at < STUCK_S:
                return False
            del self._pages[stuck]
            stuck.abort()
        self._pages[reader] = None
        return True

    def leave(self, reader: Reader) -> None:
        """Give a place back, if there is one."""
        self._pages.pop(reader, None)
