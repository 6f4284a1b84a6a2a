"""The requests ``set`` and ``call``, and those about leases."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sensord.control.leases import Lease
from sensord.device import calls
from sensord.device.calls import Outcome, Part, What
from sensord.model.readings import Value
from sensord.server.open.caller import Caller
from sensord.server.open.promise import Promise
from sensord.server.open.request import OpenRequest
from sensord.wire.ops import Request, Result, acting
from sensord.wire.ops.acting import Call, GiveBack, Renew, Set, Take
from sensord.wire.ops.session import Error

__all__ = ["HANDLERS"]


class _Act(OpenRequest):
    """An accepted act: its client gets the parts of its answer, and then its outcome."""

    def __init__(self, number: int, caller: Caller, act: calls.Call) -> None:
        super().__init__(number, caller, caller.shared.groups.turns)
        self._caller = caller
        self._act = act
        self._parts: deque[Part] = deque()  # at most as many as a call has under way
        self._outcome: Outcome | None = None

    def begin(self) -> None:
        """Send what there is, and what follows; the request has been answered."""
        self._act.add_receiver(self._part)
        self._act.follow(self._over)

    def close(self) -> None:
        """Send nothing more; the act continues."""
        super().close()
        self._act.remove_receiver(self._part)
        self._act.unfollow(self._over)
        self._outcome = None
        while self._parts:
            # Later: the service that gets this may be the very session that is ending.
            settle = partial(self._parts.popleft().settle, is_received=False)
            self._caller.shared.loop.call_soon(settle)

    def _part(self, part: Part) -> None:
        self._parts.append(part)
        self._come()

    def _over(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._come()

    def _advance(self) -> None:
        while self._parts and not self._caller.is_congested:
            part = self._parts[0]
            self._caller.send(acting.Part(self.number, part.number, part.value))
            self._parts.popleft().settle(is_received=True)
        outcome = self._outcome
        if outcome is None or self._parts or self._caller.is_congested:
            return
        self._caller.send(
            acting.Outcome(
                self.number,
                outcome.value,
                outcome.reason,
                outcome.message,
                outcome.may_have_acted,
            )
        )
        self._caller.end(self.number)


def set_(caller: Caller, request: Set) -> None:
    """Set a topic."""
    args: dict[str, Value] = {"value": request.value}
    _ask(caller, request, "set", request.topic, args)


def call(caller: Caller, request: Call) -> None:
    """Call an action or a service."""
    _ask(caller, request, "call", request.name, request.args)


def _ask(
    caller: Caller, request: Set | Call, what: What, name: str, args: Mapping[str, Value]
) -> None:
    caller.check_room()  # an act that is accepted must be followed
    accepted = caller.shared.control.dispatch.ask(
        what,
        caller.identity,
        name,
        args,
        request.key,
        request.timeout_s,
        partial(caller.is_allowed, request.action),
    )
    act = _Act(request.id, caller, accepted.call)
    caller.keep(request.id, act)
    caller.send(acting.Pending(request.id, accepted.is_repeated))
    act.begin()


def take(caller: Caller, request: Take) -> None:
    """Take a lease."""
    _lease(caller, request, caller.shared.control.leases.take)


def renew(caller: Caller, request: Renew) -> None:
    """Hold a lease for longer."""
    _lease(caller, request, caller.shared.control.leases.renew)


def _lease(caller: Caller, request: Take | Renew, act: Callable[..., Lease]) -> None:
    caller.check_room()
    promise = Promise(request.id, caller)

    def kept(error: Exception | None) -> None:
        if error is None:
            promise.answer(lambda: _held(request.id, lease))
        else:
            text = f"{error}; what you held before, if anything, you hold still"
            promise.answer(lambda: Error(request.id, "unavailable", text))

    lease = act(request.subject, caller.identity, request.duration_s, kept)
    caller.keep(request.id, promise)


def give_back(caller: Caller, request: GiveBack) -> None:
    """Give a lease back."""
    caller.check_room()
    promise = Promise(request.id, caller)

    def kept(_error: Exception | None) -> None:
        promise.answer(lambda: Result(request.id))

    caller.shared.control.leases.give_back(request.subject, caller.identity, kept)
    caller.keep(request.id, promise)


def _held(number: int, lease: Lease) -> acting.Held:
    return acting.Held(number, lease.subject, lease.holder, lease.since_us, lease.until_us)


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {
    Set: set_,
    Call: call,
    Take: take,
    Renew: renew,
    GiveBack: give_back,
}
