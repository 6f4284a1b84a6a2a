"""The requests about subscriptions: ``subscribe`` and ``unsubscribe``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from sensord.wire.fields import bad, number, topics
from sensord.wire.frames import Message
from sensord.wire.places import Start, read_start
from sensord.wire.requests.base import Action, Request

__all__ = ["READERS", "Options", "Subscribe", "Unsubscribe"]

DEFAULT_LATENCY_S = 0.02
"""Long enough to gather a frame, short enough to be called live: see `docs/performance.md`."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a subscription is to be served; equal options and filters share their frames."""

    mode: Literal["every", "latest"] = "every"
    period_s: float = 0.0
    max_latency_s: float = DEFAULT_LATENCY_S
    deadband: float = 0.0


@dataclass(frozen=True, slots=True)
class Subscribe(Request):
    """Open or change a subscription."""

    action: ClassVar[Action] = Action.READ

    topics: tuple[str, ...]
    start: Start = "snapshot"
    options: Options = Options()
    change: int | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters."""
        return self.topics


@dataclass(frozen=True, slots=True)
class Unsubscribe(Request):
    """End a subscription, or take filters out of it."""

    subscription: int
    topics: tuple[str, ...] | None = None


def _subscribe(message: Message) -> Subscribe:
    change = message.get("change")
    if change is not None:
        if type(change) is not int:
            raise bad("change", "send the id of an open subscription")
        if "from" in message:
            raise bad("from", "a changed subscription goes on from where it is; leave it out")
    return Subscribe(
        message["id"], topics(message), read_start(message.get("from")), _options(message), change
    )


def _unsubscribe(message: Message) -> Unsubscribe:
    subscription = message.get("subscription")
    if type(subscription) is not int:
        raise bad("subscription", "send the id of the subscribe request")
    taken_out = topics(message) if message.get("topics") is not None else None
    return Unsubscribe(message["id"], subscription, taken_out)


def _options(message: Message) -> Options:
    mode = message.get("mode", "every")
    if mode not in ("every", "latest"):
        raise bad("mode", 'send "every" or "latest"')
    return Options(
        mode,
        number(message, "period", 0.0, 0.0, 3600.0),
        number(message, "max_latency", DEFAULT_LATENCY_S, 0.001, 60.0),
        number(message, "deadband", 0.0, 0.0, 1e300),
    )


READERS: dict[str, Callable[[Message], Request]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
}
