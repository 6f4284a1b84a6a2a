"""A request that is answered when the disk has what the answer promises."""

from __future__ import annotations

from collections.abc import Callable

from sensord.server.open.caller import Caller
from sensord.server.open.request import OpenRequest
from sensord.wire.ops.base import Sendable
from sensord.wire.ops.session import End

__all__ = ["Promise"]


class Promise(OpenRequest):
    """An answer that waits for the disk.

    Cancelling it does not stop it: it is carried out and answered; only what would follow the
    answer is dropped.
    """

    def __init__(self, number: int, caller: Caller, *, is_followed: bool = False) -> None:
        """``is_followed``: more messages follow the answer, until the request ends."""
        super().__init__(number, caller, caller.shared.groups.turns)
        self._caller = caller
        self._is_followed = is_followed
        self._is_cancelled = False
        self._answer: tuple[Callable[[], Sendable], Callable[[], None] | None] | None = None

    def answer(self, make: Callable[[], Sendable], then: Callable[[], None] | None = None) -> None:
        """Send the answer that ``make`` makes, unless the client has gone; then call ``then``."""
        if not self._is_closed:
            self._answer = (make, then)
            self.take_turn()

    def drained(self) -> None:
        """Send what was held back, before requests that come now are served."""
        self._advance()

    def close(self) -> None:
        """Send nothing more."""
        super().close()
        self._answer = None  # it refers to this promise: a cycle would keep what was put

    def cancel(self) -> bool:
        """Leave out what would follow the answer; return whether anything would."""
        self._is_cancelled = self._is_followed
        return self._is_followed

    def _advance(self) -> None:
        if self._answer is None or self._caller.is_congested:
            return
        make, then = self._answer
        self._caller.settle(self.number, make())
        if then is not None:
            if self._is_cancelled:
                self._caller.send(End(self.number))
            else:
                then()
