"""Publishing by clients: readings of the topics that the configuration opens for them.

A topic has one publisher at a time. When that client is gone, its topics say so, as those of a
device that went away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sensord.audit import Audit
from sensord.bus import Bus
from sensord.config.tree import OpenTopic
from sensord.conform import Rules, conform
from sensord.errors import ProtocolError
from sensord.identity import Identity
from sensord.model import (
    GOOD,
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Record,
    Value,
)
from sensord.sharing.presence import Presence
from sensord.topics import matches

__all__ = ["Publishing"]

_DISCONNECTED = Quality(Level.BAD, Reason.DISCONNECTED)


@dataclass(slots=True)
class _Tap:
    """A topic that was published to."""

    channel: Channel
    rules: Rules
    owner: Identity | None
    last: Reading | None = None


class Publishing:
    """The topics that clients publish."""

    def __init__(
        self, bus: Bus, audit: Audit, presence: Presence, topics: Mapping[str, OpenTopic], most: int
    ) -> None:
        self._bus = bus
        self._audit = audit
        self._topics = topics
        self._most = most
        self._taps: dict[str, _Tap] = {}
        presence.on_gone.append(self._gone)

    @property
    def filters(self) -> Iterable[str]:
        """Return what selects the topics that are open."""
        return self._topics

    def publish(
        self, who: Identity, topic: str, value: Value, time_us: int | None, *, is_held: bool = False
    ) -> Record:
        """Publish a reading; whoever holds the lease on a topic may take it from its publisher.

        Raises:
            ProtocolError: The topic is not open, somebody else's, or the value does not fit.
        """
        tap = self._taps.get(topic)
        if tap is None or tap.owner is None:
            tap = self._open(who, topic, tap)
        elif tap.owner.id != who.id:
            if not is_held:
                name = tap.owner.name or tap.owner.id
                raise ProtocolError("held", f"{name} publishes {topic}")
            self._audit.note("publish", tap.owner, topic, "end")
            tap = self._open(who, topic, tap)
        fitting, quality = conform(tap.rules, value, GOOD)
        if quality.level is not Level.GOOD:
            wanted = _wanted(tap.channel.metadata, tap.rules)
            raise ProtocolError("bad_request", f"value: {quality.reason}; send {wanted}")
        now_us = self._bus.now_us()
        tap.last = Reading(now_us if time_us is None else time_us, fitting)
        return self._bus.publish(tap.channel, tap.last)

    def _open(self, who: Identity, topic: str, tap: _Tap | None) -> _Tap:
        opened = next((o for p, o in self._topics.items() if matches(p, topic)), None)
        if opened is None:
            known = ", ".join(self._topics) or "none"
            raise ProtocolError("not_found", f"{topic} is not open for clients; open are: {known}")
        if tap is None:
            if len(self._taps) >= self._most:
                raise ProtocolError("too_many", f"clients already publish {self._most} topics")
            if not self._bus.claim(topic):
                raise ProtocolError("held", f"a device publishes {topic}")
        metadata = Metadata(
            type=opened.type,
            unit=opened.unit,
            decimals=opened.decimals,
            kind=opened.kind,
            description=opened.description,
            device=who.name or who.id,
        )
        low, high = opened.range or (None, None)
        rules = Rules(type=opened.type, low=low, high=high, decimals=opened.decimals)
        tap = self._taps[topic] = _Tap(self._bus.channel(topic, metadata), rules, who)
        self._audit.note("publish", who, topic, "begin")
        return tap

    def _gone(self, who: Identity) -> None:
        for topic, tap in self._taps.items():
            if tap.owner is None or tap.owner.id != who.id:
                continue
            tap.owner = None
            self._audit.note("publish", who, topic, "end")
            if tap.last is not None and not tap.channel.is_event:
                told = tap.last._replace(quality=_DISCONNECTED, restates=True)
                self._bus.publish(tap.channel, told)


def _wanted(metadata: Metadata, rules: Rules) -> str:
    text = f"a value of type {metadata.type.value}"
    return text if rules.low is None else f"{text} from {rules.low:g} to {rules.high:g}"
