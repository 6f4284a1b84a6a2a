"""Which of a message system's names a reader receives, and the routes of their messages. Pure.

Whatever a system calls it (a subject, a routing key, a topic with its key), a message's *source* is
a path of levels here, and a filter selects sources as it selects topics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sensord.device.reader import Route
from sensord.model.topics import expand, matches, pattern_fault

__all__ = ["SourceMap", "Sources", "captures", "dotted_filter", "dotted_source", "source_faults"]

MAX_ROUTES = 10_000
"""Sources remembered with their route; beyond, the oldest is worked out again."""


@dataclass(frozen=True, slots=True)
class SourceMap:
    """One filter, in the notation of its system, and the topics that its messages get.

    ``topic`` is a pattern in which ``{1}``, ``{2}``, ... are what the wildcards stood for; empty
    for the device's own pattern. Sources for which ``merge``, a pattern too, is the same text bring
    the same values.
    """

    filter: str
    topic: str = ""
    merge: str = ""

    @property
    def plain(self) -> str:
        """The filter as one of sources: of levels, with ``+`` and ``#``."""
        return dotted_filter(self.filter)

    @property
    def wildcards(self) -> int:
        """How many wildcards the filter has."""
        return sum(level in {"+", "#"} for level in self.plain.split("/"))

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield patterns that cannot be."""
        if not self.filter:
            yield "filter", "may not be empty"
        if self.topic and (message := pattern_fault(self.topic)):
            yield "topic", message
        for number in range(self.wildcards + 1, 100):
            for key, pattern in (("topic", self.topic), ("merge", self.merge)):
                if f"{{{number}}}" in pattern:
                    yield key, f"{{{number}}}, but the filter has {self.wildcards} wildcards"


def source_faults(maps: Sequence[SourceMap]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the filters of a reader together."""
    if not maps:
        yield "topics", "at least one is needed, as a table [[devices.<name>.topics]]"
    if len({one.filter for one in maps}) < len(maps):
        yield "topics", "the same filter stands there twice"


_LEVELS = {"*": "+", ">": "#", "#": "#"}


def dotted_filter(text: str) -> str:
    """Return a filter of tokens, with ``*`` and a final ``>`` or ``#``, as one of levels."""
    return "/".join(_LEVELS.get(token, _level(token)) for token in text.split("."))


def dotted_source(text: str) -> str:
    """Return tokens as levels."""
    return "/".join(map(_level, text.split(".")))


def _level(token: str) -> str:
    """Return a token as a level: what a level cannot hold is written as ``%2F``."""
    for one, code in (("/", "%2F"), ("+", "%2B"), ("#", "%23")):
        token = token.replace(one, code)
    return token


class Sources:
    """Finds the route of a source: the first filter in the configuration's order wins."""

    def __init__(self, maps: Sequence[SourceMap]) -> None:
        self._maps = maps
        self._routes: dict[str, Route | None] = {}

    def route(self, source: str) -> Route | None:
        """Return the route of a source; None if no filter selects it."""
        if source in self._routes:
            return self._routes[source]
        while len(self._routes) >= MAX_ROUTES:
            del self._routes[next(iter(self._routes))]
        route = self._routes[source] = self._found(source)
        return route

    def _found(self, source: str) -> Route | None:
        for scope, one in enumerate(self._maps):
            if matches(one.plain, source):
                found = tuple(captures(one.plain, source))
                values = {str(i): text for i, text in enumerate(found, 1)}
                group = expand(one.merge, values) if one.merge else ""
                return Route(source, one.topic or None, found, scope=scope, group=group)
        return None


def captures(pattern: str, source: str) -> Iterator[str]:
    """Yield what the wildcards of a filter stood for."""
    levels = source.split("/")
    for depth, wanted in enumerate(pattern.split("/")):
        if wanted == "+":
            yield levels[depth]
        elif wanted == "#":
            yield "/".join(levels[depth:])
