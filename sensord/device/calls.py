"""The acts of clients: targets by their names, and each call of one until its outcome.

A *target* acts: a device that accepts commands, or a service that a client offers. A *call* is one
accepted `set` or `call` request. It waits in its target's queue until it is ready and all before it
have left. The target marks it as `acting` when it can no longer be withdrawn, then optionally sends
parts of its answer, and finally its outcome: `done` or `failed`, of which the first counts.

Names of actions of devices are ``<device>/<action>``; services have other names. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from sensord.errors import ProtocolError
from sensord.model.readings import Position, Value
from sensord.sharing.identity import Identity

__all__ = [
    "LATE",
    "MOST_PARTS",
    "Call",
    "CallQueue",
    "Calls",
    "Outcome",
    "Part",
    "PromptQueue",
    "Target",
    "What",
]

What = Literal["set", "call"]

UNCONFIRMED = "it was sent, but not confirmed in time; find out if it was done before you try again"

LATE = frozenset({"expired", "unconfirmed"})
"""The reasons of calls that ended at their deadline."""

MOST_PARTS = 8
"""Parts of one call that may be on their way to those who wait for it; more are refused."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: done with a value, or failed with a reason.

    ``message`` names the remedy. ``may_have_acted`` is true where the outcome is unknown.
    """

    value: Value = None
    reason: str = ""
    message: str = ""
    may_have_acted: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it was done, as far as the target reports."""
        return not self.reason


class Part:
    """A part of an answer on its way to all who wait for it.

    Each receiver calls `settle`, when it has the part or never will; ``over`` is called with how
    many have it.
    """

    __slots__ = ("_open", "_over", "_received", "number", "value")

    def __init__(
        self, number: int, value: Value, receivers: int, over: Callable[[int], None]
    ) -> None:
        self.number = number
        self.value = value
        self._open = receivers
        self._received = 0
        self._over = over

    def settle(self, *, is_received: bool) -> None:
        """Record whether one receiver got it."""
        self._received += is_received
        self._open -= 1
        if not self._open:
            self._over(self._received)


class Call:
    """One act that a client asked for and that was accepted."""

    __slots__ = (
        "_followers",
        "_parts",
        "_parts_under_way",
        "_receivers",
        "_watchers",
        "args",
        "deadline",
        "digest",
        "ended_at",
        "is_acting",
        "is_kept",
        "is_ready",
        "is_settled",
        "key",
        "name",
        "outcome",
        "what",
        "who",
    )

    def __init__(
        self,
        name: str,
        args: Mapping[str, Value],
        who: Identity,
        key: str,
        deadline: float,
        *,
        what: What = "call",
        digest: str = "",
        is_kept: bool = False,
    ) -> None:
        self.what: What = what
        self.name = name
        """The action or service; for a `set` the topic."""
        self.args = args
        self.who = who
        self.key = key
        """Identifies an act among those of its client; a second call with it is not made."""
        self.digest = digest
        """Of the request, so that a key cannot be used for something else."""
        self.deadline = deadline
        """By the loop's clock, when it fails if it has no outcome."""
        self.is_kept = is_kept
        """Whether it is in the store before it is made: the client gave a key."""
        self.is_ready = False
        """Whether it may be made: its key is on the disk, if it has one."""
        self.is_acting = False
        self.outcome: Outcome | None = None
        self.ended_at: Position | None = None
        """Where the log stood when it ended: its event in the audit comes later."""
        self.is_settled = False
        """Whether its outcome has been sent, and can be sent to others."""
        self._watchers: list[Callable[[Outcome], None]] = []
        self._followers: list[Callable[[Outcome], None]] = []
        self._receivers: list[Callable[[Part], None]] = []
        self._parts = 0
        self._parts_under_way = 0

    def acting(self) -> None:
        """Record that from here on it may have acted, whatever its outcome."""
        self.is_acting = True

    def add_receiver(self, receiver: Callable[[Part], None]) -> None:
        """Have ``receiver`` called with each part from now on."""
        self._receivers.append(receiver)

    def remove_receiver(self, receiver: Callable[[Part], None]) -> None:
        """Undo an `add_receiver`."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def part(self, value: Value, over: Callable[[int], None]) -> None:
        """Send a part of the answer; ``over`` is called with how many have it, after the last one.

        Raises:
            ProtocolError: Too many are in transit.
        """
        if self._parts_under_way >= MOST_PARTS:
            text = f"{MOST_PARTS} parts are on their way; wait for their results"
            raise ProtocolError("too_many", text)

        def arrived(count: int) -> None:
            self._parts_under_way -= 1
            over(count)

        number = self._parts
        self._parts += 1
        self._parts_under_way += 1
        receivers = tuple(self._receivers)
        if not receivers:
            arrived(0)
            return
        part = Part(number, value, len(receivers), arrived)
        for receiver in receivers:
            receiver(part)

    def done(self, value: Value = None) -> bool:
        """End it: the target confirms it. False if it had ended before."""
        return self._end(Outcome(value))

    def failed(self, reason: str, message: str, *, may_have_acted: bool | None = None) -> bool:
        """End it: it was not done, or that is unknown. Return False if it had ended before.

        By default it may have acted if it was `acting`.
        """
        unsure = self.is_acting if may_have_acted is None else may_have_acted
        return self._end(Outcome(None, reason, message, unsure))

    def expire(self) -> None:
        """End it: its time is over."""
        if self.is_acting:
            self.failed("unconfirmed", UNCONFIRMED)
        else:
            self.failed("expired", "its time was over before it was sent; nothing was done")

    def when_over(self, watcher: Callable[[Outcome], None]) -> None:
        """Call ``watcher`` with the outcome; at once if there is one."""
        if self.outcome is not None:
            watcher(self.outcome)
        else:
            self._watchers.append(watcher)

    def follow(self, follower: Callable[[Outcome], None]) -> None:
        """Call ``follower`` with the outcome once it is settled; at once if it is."""
        if self.is_settled:
            assert self.outcome is not None
            follower(self.outcome)
        else:
            self._followers.append(follower)

    def unfollow(self, follower: Callable[[Outcome], None]) -> None:
        """Undo a `follow`."""
        if follower in self._followers:
            self._followers.remove(follower)

    def settle(self) -> None:
        """Send its outcome to all who follow it: it is on the disk, or never will be."""
        assert self.outcome is not None
        self.is_settled = True
        followers, self._followers = self._followers, []
        for follower in followers:
            follower(self.outcome)

    def _end(self, outcome: Outcome) -> bool:
        if self.outcome is not None:
            return False
        self.outcome = outcome
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            watcher(outcome)
        return True


class Target(Protocol):
    """Something that acts when it is called."""

    @property
    def timeout_s(self) -> float:
        """How long one of its calls may last; a client may ask for less."""
        ...

    @property
    def queue(self) -> CallQueue:
        """Where its calls wait: that of its device, or of the service itself."""
        ...

    def check(self, args: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return the arguments as it wants them; called before anything else is done.

        Raises:
            ProtocolError: It will not act: an argument is wrong, it is away, it is too busy.
        """
        ...


class CallQueue:
    """Calls that wait for one device or service, in the order in which they were accepted.

    A call that is not ready blocks those after it; one that ends leaves.
    """

    def __init__(self, woken: Callable[[], None]) -> None:
        """``woken`` is called when `next` may have something."""
        self._calls: deque[Call] = deque()
        self._woken = woken

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        """Add a call to the queue."""
        self._calls.append(call)
        call.when_over(lambda _: self._leave(call))
        if call.is_ready:
            self._woken()

    def ready(self, call: Call) -> None:
        """Mark a call as ready."""
        call.is_ready = True
        self._woken()

    def next(self) -> Call | None:
        """Remove and return the first call; None without one, or if it is not ready."""
        return self._calls.popleft() if self._calls and self._calls[0].is_ready else None

    def fail(self, reason: str, message: str) -> None:
        """End all calls that wait."""
        for call in tuple(self._calls):
            call.failed(reason, message)

    def _leave(self, call: Call) -> None:
        if call in self._calls:
            self._calls.remove(call)
            self._woken()


class PromptQueue(CallQueue):
    """The queue of a target that can do several things at once: a call waits only to be ready."""

    def __init__(self, start: Callable[[Call], None]) -> None:
        super().__init__(self._start_all)
        self._start = start

    def _start_all(self) -> None:
        while (call := self.next()) is not None:
            self._start(call)


class Calls:
    """The targets that can be called, by name."""

    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}
        self.elsewhere: Target | None = None
        """What every other name is passed on to, if anything."""

    def register(self, name: str, target: Target) -> None:
        """Register ``target`` under a name.

        Raises:
            ProtocolError: The name is taken.
        """
        if name in self._targets:
            raise ProtocolError("already", f"{name} is taken")
        self._targets[name] = target

    def unregister(self, name: str) -> None:
        """Remove a name."""
        del self._targets[name]

    def find(self, name: str) -> Target | None:
        """Return what is called by that name, or None."""
        return self._targets.get(name, self.elsewhere)

    def names(self) -> Iterator[str]:
        """Return every name, sorted."""
        return iter(sorted(self._targets))
