"""Which subscription a message of a broker belongs to, and the route that it gets. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from sensord.device.reader import Route
from sensord.model.topics import expand, matches
from sensord.readers.mqtt_availability import Availability, Witness
from sensord.readers.mqtt_options import Config, TopicMap

__all__ = ["Router", "do_overlap", "identifiers"]

MAX_ROUTES = 10_000
"""Source topics remembered with their route; beyond, the oldest is worked out again."""


def do_overlap(one: str, other: str) -> bool:
    """Return whether some topic satisfies both filters."""
    left, right = one.split("/"), other.split("/")
    first = {left[0], right[0]}
    if first & {"+", "#"} and any(level.startswith("$") for level in first):
        return False
    for mine, theirs in zip(left, right, strict=False):
        if "#" in {mine, theirs}:
            return True
        if mine != theirs and "+" not in {mine, theirs}:
            return False
    if len(left) == len(right):
        return True
    longer = max(left, right, key=len)
    # `a/#` selects `a` too.
    return longer[min(len(left), len(right)) :] == ["#"]


class Router:
    """Finds the route of a source topic: the first filter in the configuration's order wins.

    What comes on a filter's own availability topics is no value of that filter; on those of the
    whole connection, it is no value at all.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._witnesses = {
            one.filter: [
                Witness(availability, one.plain)
                for availability in (config.availability, one.availability)
                if availability is not None
            ]
            for one in config.topics
        }
        self.routes: dict[str, Route] = {}
        """Bounded by `MAX_ROUTES`; the reader looks here first. Holds no availability topic."""
        self._ignored: dict[str, None] = {}
        """Topics that are ignored, bounded by the same."""

    def subscriptions(self) -> tuple[TopicMap, ...]:
        """Return what to subscribe to: the filters of values, and those of availability."""
        known = {one.filter for one in self._config.topics}
        wanted = [w.filter for found in self._witnesses.values() for w in found]
        more = [TopicMap(one, qos=1) for one in dict.fromkeys(wanted) if one not in known]
        return (*self._config.topics, *more)

    def has_availability(self, pattern: str) -> bool:
        """Return whether availability comes by a subscription, so that its retained words count."""
        return any(w.filter == pattern for found in self._witnesses.values() for w in found)

    def availabilities(self, topic: str) -> list[Availability]:
        """Return what ``topic`` is the availability topic of; mostly nothing."""
        found = (w for one in self._witnesses.values() for w in one if w.speaks_in(topic))
        return list(dict.fromkeys(one.availability for one in found))

    def is_absence(self, topic: str, payload: bytes) -> bool:
        """Return whether a message on a topic of values is the word for no value."""
        known = (one for one in self.availabilities(topic) if one.is_beside_values)
        return any(one.is_there(payload) is False for one in known)

    def find(self, topic: str) -> TopicMap | None:
        """Return the first subscription that selects ``topic`` as a value."""
        return next((one for one in self._config.topics if self._brings(one, topic)), None)

    def _brings(self, one: TopicMap, topic: str) -> bool:
        if not matches(one.plain, topic):
            return False
        return not any(
            witness.speaks_in(topic) and not witness.availability.is_beside_values
            for witness in self._witnesses[one.filter]
        )

    def is_ignored(self, topic: str) -> bool:
        """Return whether the configuration ignores ``topic``."""
        if topic in self._ignored:
            return True
        if not any(matches(pattern, topic) for pattern in self._config.ignore_topics):
            return False
        _make_room(self._ignored)
        self._ignored[topic] = None
        return True

    def route(self, topic: str) -> Route | None:
        """Work out the route of ``topic`` and remember it; None if no filter brings it."""
        found = self.find(topic)
        if found is None:
            return None
        captures = tuple(_captures(found.plain, topic))
        depends_on = [one.topic(topic, captures) for one in self._witnesses[found.filter]]
        names = tuple(dict.fromkeys(depends_on))
        scope = self._config.topics.index(found)
        values = {str(i): text for i, text in enumerate(captures, 1)}
        route = Route(
            topic,
            found.topic or None,
            captures,
            depends_on=names,
            scope=scope,
            group=expand(found.merge, values) if found.merge else "",
        )
        if not self.availabilities(topic):
            _make_room(self.routes)
            self.routes[topic] = route
        return route


def _make_room(remembered: dict[str, Any]) -> None:
    while len(remembered) >= MAX_ROUTES:
        del remembered[next(iter(remembered))]


def _captures(pattern: str, topic: str) -> Iterator[str]:
    levels = topic.split("/")
    for depth, wanted in enumerate(pattern.split("/")):
        if wanted == "+":
            yield levels[depth]
        elif wanted == "#":
            yield "/".join(levels[depth:])


def identifiers(topics: tuple[TopicMap, ...]) -> dict[str, int]:
    """Return an identifier for each filter, if any two overlap.

    They are made from the filters, not counted: a session that outlives the daemon keeps them, and
    the configuration may have changed meanwhile.
    """
    if not any(do_overlap(a.plain, b.plain) for a, b in combinations(topics, 2)):
        return {}
    largest = 268_435_455  # MQTT 5.0, 3.8.2.1.2
    numbers: dict[str, int] = {}
    for one in topics:
        number = zlib.crc32(one.filter.encode()) % largest + 1
        while number in numbers.values():
            number = number % largest + 1
        numbers[one.filter] = number
    return numbers
