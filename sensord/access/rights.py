"""What a session may do: filters of topics and names, and what is left of a request's filters.

Pure. A session's own filters are intersected with those it may read, once, when it sends them;
what follows (groups, snapshots, history, gaps) sees nothing else, so rights cost nothing later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from sensord.model.topics import filter_fault, matches

__all__ = ["EVERYTHING", "NOTHING", "Rights", "both"]

_ALL = ("#", "$sys/#", "$audit/#", "$inbox/#")
_WILD = {"+", "#"}


@dataclass(frozen=True, slots=True)
class Rights:
    """Filters by what they allow; names of actions, services, groups and leases are topics here."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    call: tuple[str, ...] = ()
    send: tuple[str, ...] = ()
    serve: tuple[str, ...] = ()
    admin: bool = False
    """Whether everything is allowed, whatever the filters are."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is allowed."""
        return not (self.admin or any(self.of(action) for action in ACTIONS))

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions that are allowed for some subject."""
        return tuple(action for action in ACTIONS if self.admin or self.of(action))

    def of(self, action: str) -> tuple[str, ...]:
        """Return the filters of an action."""
        found: tuple[str, ...] = getattr(self, action)
        return found

    def allows(self, action: str, subject: str) -> bool:
        """Return whether this may be done to one topic or name."""
        return self.admin or any(matches(pattern, subject) for pattern in self.of(action))

    def covers(self, pattern: str) -> bool:
        """Return whether every topic of a filter may be read."""
        return self.admin or any(both(pattern, own) == pattern for own in self.read)

    def narrowed(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return filters for the part of ``patterns`` that may be read."""
        if self.admin or all(self.covers(pattern) for pattern in patterns):
            return tuple(patterns)
        found = [both(pattern, own) for pattern in patterns for own in self.read]
        return _without_covered(one for one in found if one is not None)

    def within(self, name: str) -> Rights:
        """Return what may be read, set and called below a first level, as it is called there.

        The rest of what may be done stays where the filters are from.
        """
        if self.admin:
            return Rights(read=_ALL, write=("#",), call=("#",))

        def below(patterns: tuple[str, ...]) -> tuple[str, ...]:
            found = (_below(pattern, name) for pattern in patterns)
            return tuple(one for one in found if one)

        return Rights(read=below(self.read), write=below(self.write), call=below(self.call))

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the filters that are invalid, each with its action."""
        for action in ACTIONS:
            for pattern in self.of(action):
                if message := filter_fault(pattern):
                    yield action, message


ACTIONS = tuple(field.name for field in fields(Rights) if field.name != "admin")

EVERYTHING = Rights(admin=True)
NOTHING = Rights()


def both(one: str, other: str) -> str | None:
    """Return the filter of the topics that both filters match, or None if there can be none."""
    left, right = one.split("/"), other.split("/")
    if {left[0][:1], right[0][:1]} & _WILD and "$" in {left[0][:1], right[0][:1]}:
        return None  # a wildcard never stands for what begins with $
    levels: list[str] = []
    for index in range(max(len(left), len(right)) + 1):
        mine, theirs = left[index : index + 1], right[index : index + 1]
        if mine == ["#"]:
            return "/".join(levels + right[index:])
        if theirs == ["#"]:
            return "/".join(levels + left[index:])
        if not mine or not theirs:
            return "/".join(levels) if mine == theirs else None
        if mine != theirs and "+" not in (mine[0], theirs[0]):
            return None
        levels.append(theirs[0] if mine[0] == "+" else mine[0])
    raise AssertionError("the shorter one has ended")


def _below(pattern: str, name: str) -> str:
    """Return the part of a filter after a first level that it matches; empty if it does not."""
    first, _, rest = pattern.partition("/")
    if first == "#":
        return "#"
    return rest if first in {"+", name} else ""


def _without_covered(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the filters, without those whose topics another one matches too."""
    kept: list[str] = []
    for pattern in dict.fromkeys(patterns):
        if any(both(pattern, other) == pattern for other in kept):
            continue
        kept = [other for other in kept if both(other, pattern) != other]
        kept.append(pattern)
    return tuple(kept)
