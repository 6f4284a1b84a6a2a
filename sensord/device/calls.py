"""What clients can have done: targets by their names, and each call of one until its outcome.

A *target* acts: a device that takes commands, or a service that a client offers. A *call* is one
`set` or `call` request on its way to a target. The target says `acting` when it can no longer be
taken back, then, if it likes, parts of its answer, and at last its outcome: `done` or `failed`, of
which the first counts.

Names of actions of devices are ``<device>/<action>``; services have other names. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.sharing.identity import Identity

__all__ = ["MOST_PARTS", "Call", "Calls", "Outcome", "Part", "Target"]

MOST_PARTS = 8
"""Parts of one call that may be on their way to those who wait for it; more are refused."""


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


class Part:
    """A part of an answer on its way to all who wait for it.

    Each of them says `settle`, when it was told or when it never will be; ``over`` is told how many
    were.
    """

    __slots__ = ("_open", "_over", "_told", "number", "value")

    def __init__(
        self, number: int, value: Value, receivers: int, over: Callable[[int], None]
    ) -> None:
        self.number = number
        self.value = value
        self._open = receivers
        self._told = 0
        self._over = over

    def settle(self, *, was_told: bool) -> None:
        """Say what became of it with one receiver."""
        self._told += was_told
        self._open -= 1
        if not self._open:
            self._over(self._told)


class Call:
    """One act that a client asked for."""

    __slots__ = (
        "_hearers",
        "_parts",
        "_parts_under_way",
        "_told",
        "args",
        "deadline",
        "is_acting",
        "key",
        "name",
        "outcome",
        "who",
    )

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
        self._hearers: list[Callable[[Part], None]] = []
        self._parts = 0
        self._parts_under_way = 0

    def acting(self) -> None:
        """Say that from here on it may have acted, whatever becomes of it."""
        self.is_acting = True

    def hear(self, hearer: Callable[[Part], None]) -> None:
        """Have ``hearer`` called with each part from now on."""
        self._hearers.append(hearer)

    def leave(self, hearer: Callable[[Part], None]) -> None:
        """Take back a `hear`."""
        if hearer in self._hearers:
            self._hearers.remove(hearer)

    def part(self, value: Value, over: Callable[[int], None]) -> None:
        """Tell a part of the answer; ``over`` is told how many have it, when all have that wait.

        Raises:
            ProtocolError: Too many are on their way.
        """
        if self._parts_under_way >= MOST_PARTS:
            text = f"{MOST_PARTS} parts are on their way; wait for their results"
            raise ProtocolError("too_many", text)

        def arrived(told: int) -> None:
            self._parts_under_way -= 1
            over(told)

        number = self._parts
        self._parts += 1
        self._parts_under_way += 1
        hearers = tuple(self._hearers)
        if not hearers:
            arrived(0)
            return
        part = Part(number, value, len(hearers), arrived)
        for hearer in hearers:
            hearer(part)

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

    @property
    def line(self) -> Hashable:
        """What its calls wait for, one behind the other: its device, or the service itself.

        Calls on one line are started in the order in which they were accepted.
        """
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
