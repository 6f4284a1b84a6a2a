"""A history: the readings of a stretch of the log, on a private stream."""

from __future__ import annotations

from collections.abc import Sequence

from sensord.model.readings import Record
from sensord.server.open.caller import Caller
from sensord.server.packets import frames
from sensord.server.past.stretch import Past
from sensord.wire.ops.subscriptions import Phase, StreamChange

__all__ = ["History"]


class History(Past):
    """An open request for readings of the past."""

    def __init__(
        self, number: int, caller: Caller, topics: tuple[str, ...], limit: int | None
    ) -> None:
        super().__init__(number, caller, topics)
        self._left = limit

    def _began(self) -> None:
        # Where a time is in the journal is found by reading.
        place = None if self._cursor.is_sought else self._cursor.offset
        self._send(StreamChange(self.number, self.stream, Phase.CATCHING_UP, place))

    def _take(self, records: Sequence[Record], stop: int) -> None:
        if self._left is not None:
            if len(records) >= self._left:
                records = records[: self._left]
                stop = records[-1].offset + 1
                self._finish(stop, is_complete=False)
            self._left -= len(records)
        # A dictionary keeps their order, which a set would not.
        self._announce(list({record.channel: None for record in records}))
        encoded = frames(self._caller.codec, self.stream, stop, records)
        self._outgoing.add(data for _, data in encoded)

    def _reached(self) -> None:
        self._finish(self._place, is_complete=True)
        self._come_back()
