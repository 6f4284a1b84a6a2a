"""The iterator over a replay, with its controls."""

from __future__ import annotations

from dataclasses import replace

from sensord.client.inflow import Line, place_of
from sensord.client.subscription import Stream
from sensord.model.readings import Position
from sensord.wire.ops import replay

__all__ = ["Replay"]


class Replay(Stream):
    """Past readings, each yielded when it is due.

    After a lost connection it continues from the same place at the same speed.
    """

    def __init__(self, asked: replay.Replay, line: Line) -> None:
        super().__init__(asked.id, line)
        self.topics = list(asked.topics)
        self._asked = asked

    def opening(self) -> replay.Replay:
        """Return the request that resumes it."""
        asked = replace(self._asked, id=self.request)
        return asked if self.position is None else replace(asked, start=self.position)

    async def pause(self) -> None:
        """Pause the replay."""
        await self._line.ask(replay.Pause(self._line.number(), self.request))
        self._asked = replace(self._asked, is_paused=True)

    async def go(self, speed: float | None = None) -> None:
        """Continue, at another speed if one is given."""
        await self._line.ask(replay.Speed(self._line.number(), self.request, speed))
        speed = self._asked.speed if speed is None else speed
        self._asked = replace(self._asked, is_paused=False, speed=speed)

    async def step(self, count: int = 1) -> None:
        """Receive the next readings at once, and pause."""
        await self._line.ask(replay.Step(self._line.number(), self.request, count))
        self._asked = replace(self._asked, is_paused=True)

    async def seek(self, start: str | Position | int) -> None:
        """Continue from another place: ``"-10m"``, a `Position`, or a time in µs."""
        place = place_of(start)
        await self._line.ask(replay.Seek(self._line.number(), self.request, place))
        # Everything before the answer was from the old place.
        self._asked, self.position = replace(self._asked, start=place), None
