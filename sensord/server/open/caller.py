"""The session that makes requests, as the requests see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sensord.server.open.request import Client, OpenRequest
from sensord.server.shared import Shared
from sensord.sharing.identity import Identity
from sensord.wire.ops.base import Sendable

__all__ = ["Caller"]


class Caller(Client, Protocol):
    """The session that makes a request."""

    name: str
    shared: Shared

    @property
    def identity(self) -> Identity:
        """Who makes the request."""
        ...

    @property
    def ongoing(self) -> Mapping[int, OpenRequest]:
        """Its open requests, by their ids."""
        ...

    def is_allowed(self, action: str, subject: str) -> bool:
        """Return whether its rights allow an action on a topic or name."""
        ...

    def keep(self, number: int, request: OpenRequest, *, is_counted: bool = True) -> None:
        """Keep a request open until `end`; requests with a bound of their own are not counted.

        Raises:
            ProtocolError: There are too many.
        """
        ...

    def check_room(self) -> None:
        """Check that another request can be kept open, before anything is done for it.

        Raises:
            ProtocolError: There are too many.
        """
        ...

    def end(
        self, number: int, *, cursor: int | None = None, is_complete: bool | None = None
    ) -> None:
        """Close an open request and send its `end`."""
        ...

    def settle(self, number: int, answer: Sendable) -> None:
        """Answer a request that was kept open until now, and close it."""
        ...

    def subscriptions_changed(self) -> None:
        """Show others that this session's filters have changed."""
        ...
