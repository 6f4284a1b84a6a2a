"""The configuration of a derived channel: its source, and how it is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from sensord.config.schema import Duration, Faults, Path, Printable, Within, structure
from sensord.model.topics import topic_fault

__all__ = ["KINDS", "Derived", "derived_channels"]

_WINDOW = Within(1, 366 * 86_400.0)

KINDS = ("mean", "min", "max", "rate", "total", "minus", "median", "hampel", "fallback")


TICKS, SHORTEST_TICK_S = 10, 1.0
"""In each window or time-out; in seconds, of a window."""


@dataclass(frozen=True, slots=True)
class Derived:
    """One derived channel; exactly one of `KINDS` is given."""

    source: str
    """Written ``from``."""
    mean: Annotated[Duration, _WINDOW] | None = None
    min: Annotated[Duration, _WINDOW] | None = None
    max: Annotated[Duration, _WINDOW] | None = None
    rate: Annotated[Duration, _WINDOW] | None = None
    total: bool | None = None
    minus: str | None = None
    median: Annotated[int, Within(3, 101)] | None = None
    hampel: Annotated[int, Within(3, 101)] | None = None
    fallback: tuple[str, ...] | None = None
    """Further sources, the best first, for when those before are bad or silent."""
    timeout: Annotated[Duration, Within(0.1, 366 * 86_400.0)] | None = None
    """How long a source with a ``fallback`` may be silent; None means without limit."""
    wrap: float | None = None
    """Where the counter of a ``total`` begins at 0 again."""
    decimals: Annotated[int, Within(0, 15)] | None = None
    description: Printable = ""

    @property
    def kind(self) -> str:
        """The one that is given."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def window_s(self) -> float | None:
        """The window, where it has one."""
        return next((one for one in (self.mean, self.min, self.max, self.rate) if one), None)

    @property
    def sources(self) -> tuple[str, ...]:
        """The topics that it is made of."""
        if self.fallback is not None:
            return (self.source, *self.fallback)
        return (self.source,) if self.minus is None else (self.source, self.minus)

    @property
    def tick_s(self) -> float | None:
        """How often it is worked out though nothing comes."""
        if self.timeout is not None:
            return max(self.timeout / TICKS, 0.02)
        return None if self.window_s is None else max(self.window_s / TICKS, SHORTEST_TICK_S)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            yield "", f"give exactly one of {', '.join(KINDS)}"
        if self.total is False:
            yield "total", "expected true; leave it out for another kind"
        if self.wrap is not None and (self.total is None or self.wrap <= 0):
            yield "wrap", "is for total, and more than 0"
        if self.timeout is not None and self.fallback is None:
            yield "timeout", "is for fallback"
        if self.fallback is not None and len({*self.sources}) < max(len(self.sources), 2):
            yield "fallback", "expected one further topic or more, each once"
        further = [("fallback", topic) for topic in self.fallback or ()]
        for key, topic in (("source", self.source), ("minus", self.minus), *further):
            if topic is not None and (message := topic_fault(topic)):
                yield key, f"{message}; a derived channel has one topic as its source"


def derived_channels(raw: object, faults: Faults) -> Mapping[str, Derived]:
    """Build the tables under ``derived``; every fault goes to ``faults``."""
    if not isinstance(raw, dict):
        faults.add(("derived",), 'expected tables, such as [derived."plant/boiler/mean"]')
        return {}
    built: dict[str, Derived] = {}
    for topic, table in raw.items():
        path: Path = ("derived", topic)
        if not isinstance(table, dict):
            faults.add(path, "expected a table")
            continue
        if (message := topic_fault(topic)) or topic.startswith(("$", "state/")):
            faults.add(path, message or "begin the topic with another name")
        found = Faults()
        if "source" in table:
            found.add((*path, "source"), "unknown key; did you mean from?")
        renamed = {"source" if key == "from" else key: one for key, one in table.items()}
        one = structure(Derived, renamed, path, found)
        for at, text in found.found:
            faults.add((*at[:-1], "from") if at[-1:] == ("source",) else at, text)
        if one is not None:
            built[topic] = one
    for topic in built:
        if _reaches(topic, topic, built, set()):
            faults.add(("derived", topic, "from"), "leads back to itself")
    return built


def _reaches(topic: str, wanted: str, built: Mapping[str, Derived], seen: set[str]) -> bool:
    if topic in seen or topic not in built:
        return False
    seen.add(topic)
    sources = built[topic].sources
    return wanted in sources or any(_reaches(one, wanted, built, seen) for one in sources)
