"""A replay as a program iterates over it, and moves it about."""

from __future__ import annotations

from typing import Any

from sensord.client.inflow import place
from sensord.client.subscription import Subscription
from sensord.model.readings import Position

__all__ = ["Replay"]


class Replay(Subscription):
    """Readings of the past, when they are due.

    After a loss of the connection it goes on where it was, at the speed it had.
    """

    def message(self) -> dict[str, Any]:
        """Return the request that opens it where it stands."""
        return super().message() | {"op": "replay"}

    async def pause(self) -> None:
        """Hold it."""
        await self._do("pause")
        self._options["paused"] = True

    async def go(self, speed: float | None = None) -> None:
        """Let it go on, at another speed if one is given."""
        await self._do("speed", **({} if speed is None else {"speed": speed}))
        self._options["paused"] = False
        self._options["speed"] = self._options["speed"] if speed is None else speed

    async def step(self, count: int = 1) -> None:
        """Have the next readings sent at once, and pause it."""
        await self._do("step", count=count)
        self._options["paused"] = True

    async def seek(self, start: str | Position | int) -> None:
        """Go on from another place: ``"-10m"``, a `Position`, or a time in µs."""
        await self._do("seek", **{"from": place(start)})
        # All that came before its answer was from before: from here on it stands there.
        self._options["from"], self.position = place(start), None

    async def _do(self, op: str, **fields: object) -> None:
        await self._line.ask(op, {"replay": self.request, **fields})
