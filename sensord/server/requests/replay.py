"""The request ``replay``, and those that control one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sensord.errors import ProtocolError
from sensord.model.readings import Position
from sensord.server.open.caller import Caller
from sensord.server.past.replay import Replay
from sensord.wire.ops import Request, Result
from sensord.wire.ops import replay as requests
from sensord.wire.ops.subscriptions import Opened
from sensord.wire.places import Place

__all__ = ["HANDLERS"]


def replay(caller: Caller, request: requests.Replay) -> None:
    """Open a replay."""
    _check(caller, request.start)
    if request.stop is not None:
        _check(caller, request.stop)
    opened = Replay(request.id, caller, request.topics, request.speed, is_paused=request.is_paused)
    caller.keep(request.id, opened)
    caller.send(Opened(request.id, opened.stream))
    opened.begin(request.start, request.stop)


def pause(caller: Caller, request: requests.Pause) -> None:
    """Pause a replay."""
    found = _find(caller, request.replay)
    caller.send(Result(request.id))
    found.pause()


def speed(caller: Caller, request: requests.Speed) -> None:
    """Resume a replay, or change its speed."""
    found = _find(caller, request.replay)
    caller.send(Result(request.id))
    found.go(request.speed)


def step(caller: Caller, request: requests.Step) -> None:
    """Send the next readings of a replay."""
    found = _find(caller, request.replay)
    caller.send(Result(request.id))
    found.step(request.count)


def seek(caller: Caller, request: requests.Seek) -> None:
    """Continue a replay from another place."""
    found = _find(caller, request.replay)
    _check(caller, request.start)
    caller.send(Result(request.id))
    found.seek(request.start)


def _find(caller: Caller, number: int) -> Replay:
    found = caller.ongoing.get(number)
    if not isinstance(found, Replay):
        raise ProtocolError("not_found", f"there is no open replay {number}")
    return found


def _check(caller: Caller, place: Place) -> None:
    """Refuse a place that is not in this log."""
    log = caller.shared.bus.log
    if isinstance(place, Position) and place.epoch not in log.epochs:
        raise ProtocolError("not_found", f"this log's epoch is {log.epoch}; send a time instead")


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {
    requests.Replay: replay,
    requests.Pause: pause,
    requests.Speed: speed,
    requests.Step: step,
    requests.Seek: seek,
}
