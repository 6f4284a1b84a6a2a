"""A request that is answered when the disk has what it promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sensord.server.open.caller import Caller
from sensord.wire.ops.base import Sendable
from sensord.wire.ops.session import End

__all__ = ["Promise"]


class Promise:
    """An answer that waits for the disk.

    Cancelled, what was asked for is done and answered all the same: only what would follow the
    answer is left out, if anything would.
    """

    def __init__(self, number: int, caller: Caller, *, goes_on: bool = False) -> None:
        """``goes_on`` says that more follows the answer, until the request ends."""
        self.lost: Counter[str] = Counter()
        """Stays empty: no reading is asked for."""
        self._number = number
        self._caller = caller
        self._goes_on = goes_on
        self._is_cancelled = False
        self._is_closed = False
        self._answer: tuple[Callable[[], Sendable], Callable[[], None] | None] | None = None

    def answer(self, make: Callable[[], Sendable], then: Callable[[], None] | None = None) -> None:
        """Send the answer that ``make`` makes, if anybody is there to have it; then go on."""
        if not self._is_closed:
            self._caller.guard(self._send, make, then)

    def cancel(self) -> bool:
        """Leave out what would follow the answer; False if nothing would."""
        self._is_cancelled = self._goes_on
        return self._goes_on

    def congested(self) -> None:
        """Wait: `answer` looks."""

    def drained(self) -> None:
        """Send what was held back."""
        if self._answer is not None:
            self._send(*self._answer)

    def close(self) -> None:
        """Answer nobody."""
        self._is_closed = True

    def _send(self, make: Callable[[], Sendable], then: Callable[[], None] | None) -> None:
        if self._caller.is_congested:
            self._answer = (make, then)
            return
        self._caller.settle(self._number, make())
        if then is not None:
            if self._is_cancelled:
                self._caller.tell(End(self._number))
            else:
                then()
