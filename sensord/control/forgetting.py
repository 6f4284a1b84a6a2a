"""Forgetting topics that will not come back: a renamed channel, a device that is gone.

A forgotten topic has no last value and is in no listing; its history stays. It is back as soon as
something is published on it. So what still feeds a topic is named instead of forgetting it.

Theory of operation. The bus hides the topic, and the store has a row for it until it is back: the
journal would show it again after a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.model.readings import Channel
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.store import Store, StoreError

__all__ = ["Feeder", "Forgetting"]

log = logging.getLogger("sensord.control")

KIND = "forgotten"
"""The kind of rows in the store."""

MOST_TOPICS = 1000
"""Of a request."""

DEVICES = "$sys/devices/"


class Feeder(Protocol):
    """Something that may publish on a topic."""

    def feeds(self, channel: Channel) -> str:
        """Return how it feeds a channel, for people; empty if it does not."""
        ...

    def may_feed(self, channel: Channel) -> str:
        """Return why it may still feed a channel, for people; empty if it will not."""
        ...

    def release(self, channel: Channel) -> None:
        """Release a channel that it no longer feeds."""
        ...


class Forgetting:
    """Which topics are forgotten."""

    def __init__(self, bus: Bus, audit: Audit, store: Store) -> None:
        self.feeders: list[Feeder] = []
        self._bus = bus
        self._audit = audit
        self._store = store

    def begin(self, *, is_late: bool = False) -> None:
        """Hide what was forgotten before the start.

        With ``is_late``, the journal came after the start: its topics are not known yet.
        """
        for topic in self._store.load(KIND):
            channel = self._bus.find(topic)
            if is_late and channel is None:
                continue
            if channel is None or any(one.feeds(channel) for one in self.feeders):
                self._keep(topic, is_forgotten=False)  # the journal has it no more, or it is back
            else:
                self._hide(channel)
        self._bus.on_return = self._returned

    def forget(self, filters: Sequence[str], who: Identity) -> tuple[str, ...]:
        """Forget all topics that the filters select, and return them.

        Raises:
            ProtocolError: They select none or too many, or one of them is fed; none is forgotten.
        """
        bus = self._bus
        channels = [one for one in bus.select(filters) if bus.find(one.topic) is one]
        if not channels:
            raise ProtocolError("not_found", f"there is no topic {', '.join(filters)}")
        if len(channels) > MOST_TOPICS:
            raise ProtocolError("too_many", f"forget at most {MOST_TOPICS} topics at a time")
        for channel in channels:
            if why := self._use_of(channel):
                raise ProtocolError("in_use", f"{channel.topic}: {why}")
        for channel in channels:
            self._hide(channel)
            self._keep(channel.topic, is_forgotten=True)
        topics = tuple(sorted(channel.topic for channel in channels))
        self._audit.note("forget", who, ", ".join(filters), "done", after=list(topics))
        return topics

    def retire(self, topics: Iterable[str]) -> None:
        """Forget the topics of a device that a reload has removed."""
        for topic in topics:
            if self._bus.find(topic) is not None:
                self._bus.forget(topic)
                self._keep(topic, is_forgotten=True)

    def _hide(self, channel: Channel) -> None:
        for feeder in self.feeders:
            feeder.release(channel)
        self._bus.forget(channel.topic)

    def _use_of(self, channel: Channel) -> str:
        """Return what uses a topic; empty if it may be forgotten."""
        topic = channel.topic
        for feeder in self.feeders:
            if why := feeder.feeds(channel) or feeder.may_feed(channel):
                return why
        if topic.startswith("state/"):
            return "it is shared state: delete it"
        if topic.startswith("$") and not topic.startswith(DEVICES):
            return "it is the daemon's own"
        return ""

    def _returned(self, topic: str) -> None:
        self._keep(topic, is_forgotten=False)

    def _keep(self, topic: str, *, is_forgotten: bool) -> None:
        try:
            if is_forgotten:
                self._store.put(KIND, topic, self._bus.now_us())
            else:
                self._store.delete(KIND, topic)
        except StoreError as exc:
            log.warning("not kept", extra={"topic": topic, "reason": str(exc)})
