"""What is done for ``publish``, ``put`` and ``delete``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from sensord.errors import ProtocolError
from sensord.server.caller import Caller
from sensord.sharing.state import Change, Outcome
from sensord.wire import messages
from sensord.wire.requests import Request
from sensord.wire.requests.state import Delete, Publish, Put

__all__ = ["HANDLERS"]


def publish(caller: Caller, request: Publish) -> None:
    """Publish a reading for a client."""
    publishing = caller.shared.sharing.publishing
    record = publishing.publish(caller.identity, request.topic, request.value, request.time_us)
    caller.result(request.id, offset=record.offset)


def put(caller: Caller, request: Put) -> None:
    """Write shared state."""
    waiting = Waiting(request.id, caller)
    _change(
        waiting,
        Change(request.topic, caller.identity, request.version, waiting.over, request.value),
    )


def delete(caller: Caller, request: Delete) -> None:
    """Delete shared state."""
    waiting = Waiting(request.id, caller)
    _change(
        waiting,
        Change(request.topic, caller.identity, request.version, waiting.over, deletes=True),
    )


def _change(waiting: Waiting, change: Change) -> None:
    waiting.keep()
    try:
        waiting.caller.shared.sharing.state.change(change)
    except ProtocolError as exc:
        waiting.over(exc)


class Waiting:
    """A change that is answered when it is on the disk; it is made even if its client leaves."""

    def __init__(self, number: int, caller: Caller) -> None:
        self.lost: Counter[str] = Counter()
        self.caller = caller
        self._number = number
        self._is_open = False

    def keep(self) -> None:
        """Keep it open.

        Raises:
            ProtocolError: The session has too many open requests.
        """
        self.caller.keep(self._number, self)
        self._is_open = True

    def over(self, outcome: Outcome) -> None:
        """Answer."""
        if not self._is_open:
            return
        if isinstance(outcome, int):
            answer = {"op": "result", "id": self._number, "version": outcome}
        else:
            code, text, present = outcome.code, outcome.message, outcome.present
            answer = messages.error(self._number, code, text, present)
        self.caller.guard(self.caller.settle, self._number, answer)

    def clogged(self) -> None:
        """Nothing to do: its answer is short."""

    def unclogged(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Forget the client; the change is made all the same."""
        self._is_open = False


HANDLERS: Mapping[type[Request], Callable[[Caller, Any], None]] = {
    Publish: publish,
    Put: put,
    Delete: delete,
}
