"""What a device's connection carries, for who looks; `docs/protocol.md`, section 3.12."""

from __future__ import annotations

from dataclasses import replace

from sensord.client.conversation import Items
from sensord.client.inflow import Line, Query
from sensord.model.sights import Sight
from sensord.wire.ops import Result
from sensord.wire.ops.sniff import Sniff, SniffOpened

__all__ = ["Sniffing"]


class Sniffing(Query[Sight]):
    """The sights of one connection, from now on; after a lost connection it looks again."""

    def __init__(self, asked: Sniff, line: Line) -> None:
        super().__init__(asked.id, line)
        self._asked = asked
        self.connection = ""
        """Whose connection is shown, once known."""

    def opening(self) -> Sniff:
        """Return the request."""
        return replace(self._asked, id=self.request)

    def answered(self, result: Result) -> None:
        """Record whose connection it is."""
        if isinstance(result, SniffOpened):
            self.connection = result.connection

    def _take(self, event: Items) -> None:
        self._give([item for item in event.items if isinstance(item, Sight)], None)
