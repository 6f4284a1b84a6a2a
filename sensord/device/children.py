"""The devices behind a connection: those that its messages name, with counts and states. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sensord.device.states import Event, State, behind

__all__ = ["Child", "Children"]


@dataclass(slots=True)
class Child:
    """A device behind a connection."""

    name: str
    since_us: int
    """When it entered its state."""
    state: State = State.ABSENT
    """Its own, while its connection is up."""
    last_us: int | None = None
    messages: int = 0
    readings: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """Those of its connection's that are its own."""
    last_fault: str = ""
    witnesses: set[str] = field(default_factory=set)
    """The availability topics that report it."""
    is_news: bool = True
    """Whether its state has changed since it was last reported."""

    @property
    def is_away(self) -> bool:
        """Whether it has not sent anything, or is reported as offline."""
        return self.state is not State.UP

    @property
    def absence(self) -> str:
        """Why it is away, for people."""
        return self.last_fault or ("reported offline" if self.last_us else "not heard yet")


class Children:
    """The devices behind one connection, at most ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._children: dict[str, Child] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._children)

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children.values())

    def find(self, name: str, wall_us: int) -> Child | None:
        """Return a device, which may be new; None if there are too many."""
        child = self._children.get(name)
        if child is None:
            if len(self._children) >= self._most:
                self.refused += 1
                return None
            child = self._children[name] = Child(name, wall_us)
        return child

    def heard(self, child: Child, depends_on: Iterable[str], readings: int, wall_us: int) -> None:
        """Count a message of a device, which may be back with it."""
        if child.state is State.ABSENT and not child.witnesses:
            child.state = behind(child.state, Event.HEARD)  # else what reports it decides
        child.messages += 1
        child.readings += readings
        child.last_us = wall_us
        child.witnesses.update(depends_on)

    def report(self, witness: str, wall_us: int, *, is_there: bool) -> None:
        """Accept what an availability topic reports of its devices."""
        for child in self._children.values():
            if witness in child.witnesses and child.is_away is is_there:
                child.state = behind(child.state, Event.HEARD if is_there else Event.QUIET)
                child.since_us = wall_us
                child.is_news = True
