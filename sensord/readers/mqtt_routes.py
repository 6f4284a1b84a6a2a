"""Which subscription a message of a broker belongs to, and the route that it gets. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import combinations

from sensord.device.reader import Route
from sensord.model.topics import matches
from sensord.readers.mqtt_options import TopicMap

__all__ = ["Router", "do_overlap", "identifiers"]

MAX_ROUTES = 10_000
"""Source topics remembered with their route; beyond, the oldest is worked out again."""


def do_overlap(one: str, other: str) -> bool:
    """Tell whether some topic satisfies both filters."""
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
    """Finds the route of a source topic: the first filter in the configuration's order wins."""

    def __init__(self, topics: tuple[TopicMap, ...]) -> None:
        self._topics = topics
        self.routes: dict[str, Route] = {}
        """Bounded by `MAX_ROUTES`; the reader looks here first."""

    def find(self, topic: str) -> TopicMap | None:
        """Return the first subscription that selects ``topic``."""
        return next((one for one in self._topics if matches(one.plain, topic)), None)

    def route(self, topic: str) -> Route | None:
        """Work out the route of ``topic`` and remember it; None if no filter selects it."""
        found = self.find(topic)
        if found is None:
            return None
        while len(self.routes) >= MAX_ROUTES:
            del self.routes[next(iter(self.routes))]
        route = Route(topic, found.topic or None, tuple(_captures(found.plain, topic)))
        self.routes[topic] = route
        return route


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
