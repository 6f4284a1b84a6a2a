"""Open requests: answered in several messages, until their ``end``.

Theory of operation. A request that has more to send takes turns with all others
(`sensord.server.turns`), and advances a little in each. While its client is congested it writes
nothing; it continues when the client has read. Ready packets wait in `Outgoing`, and a later
control message never overtakes them. A request that reads the log sends the readings and names in
gaps those that are not available: together these are exactly the readings asked for, and the ledger
`lost` counts those named.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from sensord.log import Cursor, Piece
from sensord.server.open.outgoing import Outgoing, Writer
from sensord.server.turns import Turns
from sensord.wire.ops.base import Sendable
from sensord.wire.ops.subscriptions import Gap

__all__ = ["Client", "LogRequest", "OpenRequest"]


class Client(Writer, Protocol):
    """The session that an open request writes to."""

    def send(self, message: Sendable) -> None:
        """Send a control message."""
        ...

    def guard(self, act: Callable[..., None], *args: object) -> None:
        """Call ``act``; what it raises ends this session and nothing else."""
        ...


class OpenRequest(ABC):
    """A request that stays open until it is over, cancelled, or its session ends."""

    def __init__(self, number: int, client: Client, turns: Turns) -> None:
        self.number = number
        """The id of the request."""
        self.lost: Counter[str] = Counter()
        """The loss ledger: by topic, the readings named in gaps; empty if it sends no readings."""
        self._client = client
        self._turns = turns
        self._outgoing = Outgoing(client)
        self._is_closed = False

    # -- called by the session ---------------------------------------------------------------------

    def congested(self) -> None:  # noqa: B027  # most look before each packet, and hold nothing
        """Stop sending: the client does not read fast enough."""

    def drained(self) -> None:
        """Continue: the client reads again."""
        self._come()

    def close(self) -> None:
        """Release everything; nothing more is sent."""
        self._is_closed = True
        self._turns.leave(self)

    # -- turns -------------------------------------------------------------------------------------

    def take_turn(self) -> None:
        """Send a little."""
        self._client.guard(self._advance)

    def _come(self) -> None:
        """Advance now, if no other waits for a turn and there is time; else in turn."""
        self._turns.start(self, self._client)

    def _come_back(self) -> None:
        """Advance when the others that have something to send have had their turn."""
        if not self._is_closed:
            self._turns.wait(self, self._client)

    @abstractmethod
    def _advance(self) -> None:
        """Send a little if the client reads, and `_come_back` if there is more."""

    def _send(self, message: Sendable) -> None:
        """Send a control message, after all that is ready."""
        if self._outgoing:
            self._outgoing.message(message)
        else:
            self._client.send(message)


class LogRequest(OpenRequest):
    """An open request that sends readings of the log, on a stream."""

    def __init__(
        self, number: int, client: Client, turns: Turns, cursor: Cursor, stream: int
    ) -> None:
        super().__init__(number, client, turns)
        self.stream = stream
        """The number of the stream that its frames are on."""
        self._cursor = cursor

    def close(self) -> None:
        """Release everything; nothing more is sent."""
        super().close()
        self._cursor.close()

    def _read(self, stop: int) -> None:
        """Call `_got` with the next piece up to ``stop``, now or in a turn after the disk's."""
        cursor = self._cursor
        if cursor.is_at_hand:
            self._got(cursor.take(stop))
        else:
            cursor.fetch(stop, lambda: self._client.guard(self._fetched, cursor))

    def _fetched(self, cursor: Cursor) -> None:
        if cursor is self._cursor and not self._is_closed:  # else it was changed meanwhile
            self._come()

    @abstractmethod
    def _got(self, piece: Piece) -> None:
        """Make the next piece of the log ready."""

    def _report_gap(
        self,
        start: int | None,
        stop: int | None,
        reason: str,
        lost: Counter[str] | None,
        detail: str = "",
    ) -> None:
        """Name readings that are not sent, and count them in the ledger where they are known."""
        if lost is not None:
            self.lost.update(lost)
        self._send(Gap(self.number, self.stream, start, stop, reason, lost, detail))
