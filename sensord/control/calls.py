"""What clients can have done: targets by their names, and each call of one until its outcome.

A *target* acts: a device that takes commands, or a service that a client offers. A *call* is one
`set` or `call` request on its way to a target. The target says `acting` when it can no longer be
taken back, and then its outcome: `done` or `failed`, of which the first counts.

Names of actions of devices are ``<device>/<action>``; services have other names. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from sensord.errors import ProtocolError
from sensord.identity import Identity
from sensord.model import Value

__all__ = ["Call", "Calls", "Outcome", "Target"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: done with a value, or failed with a reason.

    ``message`` says what to do. ``may_have_acted`` is true where nobody knows.
    """

    value: Value = None
    reason: str = ""
    message: str = ""
    may_have_acted: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it was done, as far as the target says."""
        return not self.reason


class Call:
    """One act that a client asked for."""

    __slots__ = ("_told", "args", "deadline", "is_acting", "key", "name", "outcome", "who")

    def __init__(
        self, name: str, args: Mapping[str, Value], who: Identity, key: str, deadline: float
    ) -> None:
        self.name = name
        """The action or service; for a `set` the topic."""
        self.args = args
        self.who = who
        self.key = key
        """Tells one act of a client from another; a second call with it is not made."""
        self.deadline = deadline
        """By the loop's clock, when it fails if it has no outcome."""
        self.is_acting = False
        self.outcome: Outcome | None = None
        self._told: list[Callable[[Outcome], None]] = []

    def acting(self) -> None:
        """Say that from here on it may have acted, whatever becomes of it."""
        self.is_acting = True

    def done(self, value: Value = None) -> bool:
        """End it: the target confirms it. False if it had ended before."""
        return self._end(Outcome(value))

    def failed(self, reason: str, message: str, *, may_have_acted: bool | None = None) -> bool:
        """End it: it was not done, or nobody knows. False if it had ended before.

        Unless said otherwise it may have acted if it was `acting`.
        """
        unsure = self.is_acting if may_have_acted is None else may_have_acted
        return self._end(Outcome(None, reason, message, unsure))

    def when_over(self, tell: Callable[[Outcome], None]) -> None:
        """Call ``tell`` with the outcome; at once if there is one."""
        if self.outcome is not None:
            tell(self.outcome)
        else:
            self._told.append(tell)

    def _end(self, outcome: Outcome) -> bool:
        if self.outcome is not None:
            return False
        self.outcome = outcome
        told, self._told = self._told, []
        for tell in told:
            tell(outcome)
        return True


class Target(Protocol):
    """Something that acts when it is called."""

    @property
    def timeout_s(self) -> float:
        """How long one of its calls may take; a client may ask for less."""
        ...

    def check(self, args: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return the arguments as it wants them; called before anything else is done.

        Raises:
            ProtocolError: It will not act: an argument is wrong, it is away, it is too busy.
        """
        ...

    def start(self, call: Call) -> None:
        """Act, or begin to: soon the call is told its outcome.

        If the call ends by itself before, its deadline being over, nothing more need be done.
        """
        ...


class Calls:
    """The targets that can be called, by name."""

    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}

    def register(self, name: str, target: Target) -> None:
        """Let ``target`` be called by a name.

        Raises:
            ProtocolError: The name is taken.
        """
        if name in self._targets:
            raise ProtocolError("already", f"{name} is taken")
        self._targets[name] = target

    def unregister(self, name: str) -> None:
        """Take a name back."""
        del self._targets[name]

    def find(self, name: str) -> Target | None:
        """Return what is called by that name, or None."""
        return self._targets.get(name)

    def names(self) -> Iterator[str]:
        """Return every name, sorted."""
        return iter(sorted(self._targets))
