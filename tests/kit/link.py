"""A link and a watch that remember everything and can be waited on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Self

from sensord.decode.base import Sample
from sensord.device.reader import DEVICE, Route
from sensord.model.readings import Metadata, Value

__all__ = ["RecordingLink", "RecordingWatch"]


class _Recording:
    def __init__(self) -> None:
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[Self], object]) -> None:
        """Wait until ``condition`` holds; it is looked at after every change."""
        while not condition(self):
            self._changed.clear()
            await self._changed.wait()


class RecordingLink(_Recording):
    """A reader's link that keeps what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.details: list[str] = []
        self.stream = bytearray()
        self.messages: list[tuple[Route, bytes]] = []
        self.batches: list[list[Sample]] = []
        self.routes: list[Route] = []
        """Of each of the batches."""
        self.faults: list[tuple[str, str]] = []
        self.described: dict[str, Metadata] = {}
        self.waiting: list[Callable[[], None]] = []
        self.place: Value = None
        """What is to be called when all is kept; a test does it."""
        self.availabilities: list[tuple[str, bool]] = []
        self.wire: list[tuple[str, bytes]] = []
        """What was reported as received or sent, for who looks."""

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.messages]

    def opened(self, detail: str) -> None:
        self.details.append(detail)
        self._changed.set()

    def data(self, data: bytes) -> None:
        self.stream += data
        self._changed.set()

    def message(self, route: Route, payload: bytes) -> None:
        assert type(payload) is bytes
        self.messages.append((route, payload))
        self._changed.set()

    def samples(self, samples: Iterable[Sample], route: Route = DEVICE) -> None:
        self.batches.append(list(samples))
        self.routes.append(route)
        self._changed.set()

    def availability(self, name: str, *, is_there: bool) -> None:
        self.availabilities.append((name, is_there))
        self._changed.set()

    def describe(self, field: str, metadata: Metadata, *, device: str = "") -> None:
        self.described[f"{device}/{field}" if device else field] = metadata

    def received(self, data: bytes, source: str = "") -> None:
        del source
        self.wire.append(("received", data))

    def sent(self, data: bytes, source: str = "") -> None:
        del source
        self.wire.append(("sent", data))
        self._changed.set()

    def when_kept(self, act: Callable[[], None]) -> None:
        self.waiting.append(act)
        self._changed.set()

    def position(self) -> Value:
        return self.place

    def reached(self, position: Value) -> None:
        self.place = position

    def fault(self, reason: str, detail: str, *, device: str = "") -> None:
        del device
        self.faults.append((reason, detail))
        self._changed.set()


class RecordingWatch(_Recording):
    """A supervisor's watch that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, ...]] = []
        self.retries_s: list[float] = []

    def count(self, what: str) -> int:
        return sum(one[0] == what for one in self.told)

    def connecting(self) -> None:
        self.told.append(("connecting",))
        self._changed.set()

    def up(self, detail: str) -> None:
        self.told.append(("up", detail))
        self._changed.set()

    def down(self, reason: str, detail: str, retry_in_s: float) -> None:
        self.told.append(("down", reason, detail))
        self.retries_s.append(retry_in_s)
        self._changed.set()
