"""The requests ``subscribe`` and ``unsubscribe``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sensord.errors import ProtocolError
from sensord.server.live.group import Key
from sensord.server.live.subscription import Subscription
from sensord.server.open.caller import Caller
from sensord.wire.ops import Request, Result
from sensord.wire.ops.subscriptions import Opened, Options, Subscribe, Unsubscribe
from sensord.wire.places import Start

__all__ = ["HANDLERS", "open_subscription"]


def subscribe(caller: Caller, request: Subscribe) -> None:
    """Open a subscription, or change one."""
    if request.change is not None:
        subscription = _find(caller, request.change)
        key = _key(caller, request.topics, request.options, subscription)
        _change(caller, request.id, subscription, key)
        return
    open_subscription(caller, request.id, request.topics, request.options, request.start)


def open_subscription(
    caller: Caller, number: int, topics: tuple[str, ...], options: Options, start: Start
) -> None:
    """Open a subscription for a request of any kind."""
    shared = caller.shared
    subscription = Subscription(number, caller, shared.bus, shared.archive, shared.groups)
    caller.check_room()
    key = _key(caller, topics, options, subscription)
    stream = subscription.open(shared.groups.enter(key, _held_bytes(caller, subscription)))
    caller.keep(number, subscription)
    caller.send(Opened(number, stream))
    subscription.begin(start)
    caller.subscriptions_changed()


def unsubscribe(caller: Caller, request: Unsubscribe) -> None:
    """End a subscription, or remove filters from it."""
    subscription = _find(caller, request.subscription)
    key = subscription.group.key
    if request.topics is not None:
        unknown = set(request.topics) - set(key.topics)
        if unknown:
            listed = ", ".join(sorted(unknown))
            raise ProtocolError("not_found", f"this subscription has no filter {listed}")
        left = tuple(topic for topic in key.topics if topic not in request.topics)
        if left:
            key = _key(caller, left, key.options, subscription)
            _change(caller, request.id, subscription, key)
            return
    caller.send(Result(request.id))
    caller.end(request.subscription)
    caller.subscriptions_changed()


def _change(caller: Caller, number: int, subscription: Subscription, key: Key) -> None:
    # Before the answer, for it may be refused; then the subscription continues as it was.
    group = caller.shared.groups.enter(key, _held_bytes(caller, subscription))
    caller.send(Result(number))
    subscription.change(group)
    caller.subscriptions_changed()


def _held_bytes(caller: Caller, mine: Subscription) -> int:
    """Return the memory of the caller's other subscriptions' channels, its share of each."""
    others = (o for o in caller.ongoing.values() if isinstance(o, Subscription) and o is not mine)
    return sum(other.group.list_bytes // other.group.users for other in others)


def _key(caller: Caller, topics: tuple[str, ...], options: Options, mine: Subscription) -> Key:
    """Return a group key that no other subscription of this session has."""
    others = (o for o in caller.ongoing.values() if isinstance(o, Subscription) and o is not mine)
    taken = {other.group.key for other in others}
    key = Key(caller.codec, topics, options)
    while key in taken:
        key = key._replace(twin=key.twin + 1)
    return key


def _find(caller: Caller, number: int) -> Subscription:
    subscription = caller.ongoing.get(number)
    if not isinstance(subscription, Subscription):
        raise ProtocolError("not_found", f"there is no open subscription {number}")
    return subscription


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {
    Subscribe: subscribe,
    Unsubscribe: unsubscribe,
}
