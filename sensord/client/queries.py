"""The iterators over histories, summaries and listings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sensord.client.conversation import (
    Again,
    Complete,
    Ended,
    Gap,
    Item,
    Items,
    PhaseChange,
    Row,
    Summary,
    Update,
)
from sensord.client.inflow import Arrived, Line, Query, T
from sensord.model.readings import Position
from sensord.wire.ops import Result, queries
from sensord.wire.places import Ago, Since

__all__ = ["History", "Listing", "Summaries"]

PAGE = 16_384
"""Readings, or rows, in a page: some 100 KiB."""

LOW = PAGE // 2
"""The next page is requested when no more items than this are left."""

FIRST_INTERVALS = 64

Listed = queries.Topics | queries.Devices | queries.Clients


class _Past(Query[T]):
    """A stretch of the past, requested page by page; it resumes after a lost connection.

    Theory of operation. The next page is requested when the program has read most of the last one.
    So little data is on its way at a time, and a program that reads slowly holds up nothing else
    on the connection. With ``follow``, a request that follows is sent when the pages have reached
    the present.
    """

    def __init__(self, asked: queries.History, line: Line) -> None:
        super().__init__(asked.id, line)
        self.topics = list(asked.topics)
        self.position: Position | None = None
        """Where another one would continue."""
        self.is_complete: bool | None = None
        """Once it is over: False if ``limit`` ended it, True if nothing was left; else None."""
        self._is_followed = asked.is_following
        self._left = asked.limit
        self._asked = asked
        self._page = PAGE
        self._is_asked = True  # a page, or the request that follows
        self._is_present = False  # the pages have reached it
        self._waiting = 0  # items that arrived and were not read

    def opening(self) -> queries.History | None:
        """Return the request for the next page."""
        if not self._is_asked:
            return None
        start = self._asked.start if self.position is None else self.position
        page = self._page if self._left is None else min(self._page, self._left)
        return replace(
            self._asked,
            id=self.request,
            start=start,
            limit=None if self._is_present else page,
            is_following=self._is_present,
        )

    async def put(self, event: Items, is_urgent: Callable[[], object]) -> None:
        """Queue items without waiting; the size of the page bounds them."""
        if self._is_present:
            await super().put(event, is_urgent)
        else:
            self._take(event)

    def answered(self, result: Result) -> None:
        """Fix relative bounds at the time of the first request."""
        if not isinstance(result, queries.HistoryOpened) or result.time_us is None:
            return  # followed readings: their beginning is known
        start, stop, now_us = self._asked.start, self._asked.stop, result.time_us
        if isinstance(start, Ago):
            start = Since(start.at_us(now_us), is_ago=True)
        if isinstance(stop, Ago):
            stop = Since(stop.at_us(now_us), is_ago=True)
        if stop is None and not self._is_followed and result.epoch is not None:
            assert result.offset is not None, "it comes with the epoch"
            stop = Position(result.epoch, result.offset)
        self._asked = replace(self._asked, start=start, stop=stop)

    async def arrived(self) -> Arrived[T] | None:
        """Return the next items as they came together, or None at the end."""
        found = await super().arrived()
        if found is not None:
            self._waiting -= len(found.items)
            self._ask_if_low()
        return found

    def over(self, event: Ended) -> None:
        """Request the next page, or end, after the end of one."""
        self._is_asked = False
        self.position = event.resume or self.position
        if event.is_complete and self._is_followed:
            self._is_present = True
            self._ask()
        elif event.is_complete is not False or self._left == 0:
            self.is_complete = event.is_complete
            super().over(event)
        else:
            self._ask_if_low()

    def _give(self, items: list[T], position: Position | None) -> None:
        self._waiting += len(items)
        super()._give(items, position)

    def _used(self, number: int) -> None:
        """Subtract from the limit."""
        if self._left is not None:
            self._left -= number

    def _ask_if_low(self) -> None:
        if not self._is_asked and not self._is_ended and self._waiting <= LOW:
            self._ask()

    def _ask(self) -> None:
        self._is_asked = True
        asked = self.opening()
        assert asked is not None, "it is asked"
        self._line.send(asked)


class History(_Past[Item]):
    """Readings of the past: updates and gaps; followed, also changes of phase."""

    def _take(self, event: Items) -> None:
        items: list[Item] = [i for i in event.items if isinstance(i, Update | Gap | PhaseChange)]
        if not self._is_present:
            items = [item for item in items if not isinstance(item, PhaseChange)]
        if items:
            self._give(items, event.resume)
        self._used(sum(isinstance(item, Update) for item in items))
        if self.position is None and any(isinstance(item, Gap) for item in items):
            return  # it began at a time: later items may be older than the gap
        self.position = event.resume or self.position


class Summaries(_Past[Summary | Gap | Complete]):
    """Summaries of intervals, and gaps; followed, also a mark where the present is reached.

    The last interval of the pages may be incomplete. Following resumes at its beginning, and the
    newest interval is held back until another one arrives: each is yielded once, complete.
    """

    def __init__(self, asked: queries.History, line: Line) -> None:
        super().__init__(asked, line)
        self._page = FIRST_INTERVALS
        self._intervals = self._rows = 0  # of this page
        self._held: list[Summary | Gap | Complete] = []
        """The first parts of an interval whose last part is missing."""
        self._newest: tuple[list[Summary | Gap | Complete], Position] | None = None
        """An interval that may be incomplete, and where it ends for now."""

    def lost(self) -> None:
        """Discard what was not yielded; it is sent again."""
        self._held.clear()
        self._newest = None

    def over(self, event: Ended) -> None:
        """Process the end of a page; choose the next one's size by the rows that came."""
        if event.is_complete and self._newest is not None:
            self._newest = None
            event = Ended(event.request, self.position, event.is_complete)
        self._give_newest()
        if self._rows:
            self._page = max(1, PAGE * self._intervals // self._rows)
        self._intervals = self._rows = 0
        super().over(event)

    def _take(self, event: Items) -> None:
        items = [i for i in event.items if isinstance(i, Summary | Gap | Complete)]
        if any(isinstance(item, Gap) for item in items):
            # The place behind it may lie inside an interval: do not continue from there.
            self._give_newest()
            self._give([*items], None)
            return
        self._held += items
        if event.resume is not None:
            self._give_newest()
            self._newest, self._held = (self._held, event.resume), []
            if self._is_present or not self._is_followed:
                self._give_newest()

    def _give_newest(self) -> None:
        if self._newest is None:
            return
        items, position = self._newest
        self._newest = None
        rows = [item for item in items if isinstance(item, Summary)]
        intervals = len({row.time_us for row in rows})
        self._rows += len(rows)
        self._intervals += intervals
        self._used(intervals)
        self._give(items, position)
        self.position = position


class Listing(Query[Row | Complete | Again]):
    """Rows; followed, a mark where they are complete, and then a row for each change.

    After a lost connection it is requested again, and the whole answer follows an `Again`.
    """

    def __init__(self, asked: Listed, line: Line) -> None:
        super().__init__(asked.id, line)
        self._asked = asked
        self._answer: list[Row | Complete | Again] | None = []
        """The answer so far; it is yielded when it is complete."""
        self._was_given = False

    def opening(self) -> Listed:
        """Return the request."""
        return self._asked

    def lost(self) -> None:
        """Start over."""
        self._answer = [Again()] if self._was_given else []

    def _take(self, event: Items) -> None:
        items = [i for i in event.items if isinstance(i, Row | Complete)]
        if self._answer is None:
            self._give([*items], None)
            return
        self._answer += items
        if any(isinstance(item, Complete) for item in items):
            self._give_answer()

    def over(self, event: Ended) -> None:
        """End the listing, as the server ended it."""
        self._give_answer()
        super().over(event)

    def _give_answer(self) -> None:
        if self._answer:
            self._give(self._answer, None)
        self._answer = None
        self._was_given = True
