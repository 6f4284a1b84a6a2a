"""A session as the requests see it, and an open request as its session sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from sensord.server.live.group import Write
from sensord.server.shared import Shared
from sensord.sharing.identity import Identity
from sensord.wire.frames import Codec
from sensord.wire.ops.base import Sendable

__all__ = ["Caller", "OpenRequest"]


class OpenRequest(Protocol):
    """A request that is answered in several messages and stays open until ``end``."""

    @property
    def lost(self) -> Counter[str]:
        """The loss ledger: by topic, the readings named in its gaps."""
        ...

    def congested(self) -> None:
        """Learn that the client does not read fast enough: write no more than must be."""
        ...

    def drained(self) -> None:
        """Learn that the client reads again."""
        ...

    def close(self) -> None:
        """Let everything go; nothing more is written."""
        ...


class Caller(Protocol):
    """The session that asks."""

    name: str
    codec: Codec
    shared: Shared

    @property
    def identity(self) -> Identity:
        """Who asks."""
        ...

    @property
    def write(self) -> Write:
        """Write bytes to the client."""
        ...

    @property
    def is_congested(self) -> bool:
        """Whether the unsent bytes are above the mark."""
        ...

    @property
    def ongoing(self) -> Mapping[int, OpenRequest]:
        """Its open requests, by their ids."""
        ...

    def tell(self, message: Sendable) -> None:
        """Send a control message."""
        ...

    def keep(self, number: int, request: OpenRequest, *, is_counted: bool = True) -> None:
        """Keep a request open, until `end`; not counted are those that have a bound of their own.

        Raises:
            ProtocolError: There are too many.
        """
        ...

    def check_room(self) -> None:
        """Say whether another request can be kept open, before anything is done for it.

        Raises:
            ProtocolError: There are too many.
        """
        ...

    def end(
        self, number: int, *, cursor: int | None = None, is_complete: bool | None = None
    ) -> None:
        """Close an open request and say that it is over."""
        ...

    def settle(self, number: int, answer: Sendable) -> None:
        """Answer a request that was kept open until now, and close it."""
        ...

    def watching(self) -> None:
        """Learn that what it watches has changed, so that others see it."""
        ...

    def guard(self, act: Callable[..., None], *args: object) -> None:
        """Call ``act``; what it raises ends this session and nothing else."""
        ...
