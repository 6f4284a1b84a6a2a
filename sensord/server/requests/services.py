"""The requests ``serve``, ``yield`` and ``answer``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sensord.control.services import Offer
from sensord.device.calls import Call
from sensord.errors import ProtocolError
from sensord.server.open.caller import Caller
from sensord.server.open.promise import Promise
from sensord.server.open.request import OpenRequest
from sensord.wire.ops import Request, Result
from sensord.wire.ops.services import Called, Receivers, Reply, Serve, Yield
from sensord.wire.ops.session import Error

__all__ = ["HANDLERS"]


class _Serving(OpenRequest):
    """A service that a session offers, and the calls that are sent to it."""

    def __init__(self, request: Serve, caller: Caller) -> None:
        super().__init__(request.id, caller, caller.shared.groups.turns)
        self.offer = Offer(
            request.name,
            caller.identity,
            request.description,
            request.timeout_s,
            self._ask,
            self._end,
        )
        self._caller = caller
        self._waiting: dict[int, Call] = {}

    def close(self) -> None:
        """Withdraw the name."""
        super().close()
        self._waiting.clear()
        self._caller.shared.control.services.withdraw(self.offer)

    def _ask(self, number: int, call: Call) -> None:
        self._waiting[number] = call
        call.when_over(lambda _: self._forget(number))
        self._come()

    def _forget(self, number: int) -> None:
        self._waiting.pop(number, None)

    def _advance(self) -> None:
        while self._waiting and not self._caller.is_congested:
            number = next(iter(self._waiting))
            call = self._waiting.pop(number)
            left_s = max(0.0, call.deadline - self._caller.shared.loop.time())
            call.acting()
            self._caller.send(Called(self.number, number, call.name, call.args, call.who, left_s))

    def _end(self) -> None:
        self._caller.guard(self._caller.end, self.number)


def serve(caller: Caller, request: Serve) -> None:
    """Offer a service until the request is cancelled or the session ends."""
    caller.check_room()
    if any(
        isinstance(one, _Serving) and one.offer.name == request.name
        for one in caller.ongoing.values()
    ):
        raise ProtocolError("already", f"you offer {request.name}; cancel that first")
    serving = _Serving(request, caller)
    caller.shared.control.services.offer(serving.offer)
    caller.keep(request.id, serving)
    caller.send(Result(request.id))


def send_part(caller: Caller, request: Yield) -> None:
    """Pass on a part of an answer; the request is answered when all callers have the part."""
    call = _find(caller, request.call)
    promise = Promise(request.id, caller)

    def over(receivers: int) -> None:
        promise.answer(lambda: Receivers(request.id, receivers))

    # All callers may have it at once.
    caller.keep(request.id, promise, is_counted=False)
    try:
        call.part(request.value, over)
    except ProtocolError as exc:
        refusal = exc
        promise.answer(lambda: Error.of(request.id, refusal))


def answer(caller: Caller, request: Reply) -> None:
    """End a call of a service."""
    found = _find(caller, request.call)
    if request.error is None:
        found.done(request.value)
    else:
        error = request.error
        found.failed(error.reason, error.message, may_have_acted=error.may_have_acted)
    caller.send(Result(request.id))


def _find(caller: Caller, number: int) -> Call:
    servings = [one for one in caller.ongoing.values() if isinstance(one, _Serving)]
    found = next((c for one in servings if (c := one.offer.find(number))), None)
    if found is None:
        raise ProtocolError("not_found", f"call {number} is over, or was never yours")
    return found


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {
    Serve: serve,
    Yield: send_part,
    Reply: answer,
}
