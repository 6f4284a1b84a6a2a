"""The memory of acts: which keys were used, for what, and how each ended.

An act under way is never forgotten. One that is over is kept for a time, the last ones of each
client and of all, with a bound on their bytes; what is kept is in the store too, so that a retry
after a restart is no second act. An act that a restart finds under way has an unknown outcome.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sensord.device.calls import Call, Outcome
from sensord.model.readings import Position, Value
from sensord.sharing.identity import Identity
from sensord.sharing.store import Done, Store, StoreError

__all__ = ["UNKNOWN", "Act", "Keys", "What", "digest"]

log = logging.getLogger("sensord.control")

KIND = "act"
"""Under which the store keeps them."""

MAX_OF_CLIENT = 1_000
MAX_OF_ALL = 10_000
MAX_BYTES = 16 * 1024 * 1024
"""Of values in outcomes: a service may answer with 64 KiB each."""

RESTARTED = "the server was restarted in the middle; find out if it was done before you try again"
UNKNOWN = Outcome(None, "unknown", RESTARTED, may_have_acted=True)

What = Literal["set", "call"]


@dataclass(slots=True)
class Act:
    """One `set` or `call` that was accepted."""

    what: What
    digest: str
    """Of what was asked, so that a key cannot be used for something else."""
    call: Call
    is_kept: bool
    """Whether it is in the store before it is made: the client gave a key."""
    is_settled: bool = False
    """Whether its outcome has been told, and can be told to others."""
    waiting: list[Callable[[Outcome], None]] = field(default_factory=list)
    told_at: Position | None = None
    """Where the log stood when it ended: its event in the audit comes later."""
    over_at: float = 0.0
    """By the loop's clock: a wall clock that is set must not age it."""
    size: int = 0

    @property
    def id(self) -> tuple[str, str]:
        """The client and its key."""
        return self.call.who.id, self.call.key


def digest(what: What, name: str, args: Mapping[str, Value]) -> str:
    """Return what tells one command from another."""
    text = json.dumps([what, name, dict(args)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Keys:
    """Remembers acts by client and key.

    Units: ``now`` is the loop's clock, in seconds; ``wall_us`` is what outlives the process.
    """

    def __init__(self, store: Store, remember_s: float) -> None:
        self._store = store
        self._remember_s = remember_s
        self._acts: dict[tuple[str, str], Act] = {}
        self._over: OrderedDict[tuple[str, str], Act] = OrderedDict()  # the oldest first
        self._of_client: dict[str, deque[Act]] = {}  # the same, of each client
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._acts)

    def find(self, client: str, key: str, now: float) -> Act | None:
        """Return the act of that key, if it is remembered."""
        self._forget_old(now)
        return self._acts.get((client, key))

    def begin(self, act: Act, done: Done) -> None:
        """Remember an act before it is made; ``done`` is called when it is on the disk.

        Raises:
            StoreError: Too much waits for the disk.
        """
        self._put(act, None, 0, done)
        self._acts[act.id] = act

    def end(self, act: Act, now: float, wall_us: int, at: Position, done: Done) -> None:
        """Remember how it ended; ``done`` is called when that is on the disk, or cannot be.

        ``at`` is where the log stands.
        """
        assert act.call.outcome is not None
        act.told_at = at
        outcome = act.call.outcome

        def put(error: Exception | None) -> None:
            if error is not None:
                # Those who wait are told all the same; it is written when the disk takes it.
                self._keep(act, outcome, wall_us, None)
            # Only now: one that is not settled must be found by whoever asks again.
            self._note_over(act, now)
            done(error)
            self._forget_old(now)

        if not self._keep(act, outcome, wall_us, put):
            put(None)

    def restore(self, now: float, wall_us: int, at: Position) -> list[Act]:
        """Load what was remembered; return the acts that were under way, now unknown.

        ``at`` is where the log stands.
        """
        interrupted: list[Act] = []
        over: list[tuple[int, Act]] = []
        for name, told in self._store.load(KIND).items():
            act, over_us = _read(told)
            if act is None:
                self._delete(name)
            elif act.call.outcome is None:
                interrupted.append(act)
            else:
                over.append((over_us, act))
        for over_us, act in sorted(over, key=lambda pair: pair[0]):
            self._acts[act.id] = act
            self._note_over(act, now - max(0, wall_us - over_us) / 1e6)
        for act in interrupted:
            self._acts[act.id] = act
            act.is_settled = True
            act.call.failed(UNKNOWN.reason, UNKNOWN.message, may_have_acted=True)
            self.end(act, now, wall_us, at, _ignore)
        self._forget_old(now)
        return interrupted

    def over_since(self, position: Position) -> list[Act]:
        """Return the acts that ended in a log from an offset on, the oldest first."""
        return [
            act
            for act in self._over.values()
            if act.told_at is not None
            and act.told_at.epoch == position.epoch
            and act.told_at.offset >= position.offset
        ]

    # -- inside ------------------------------------------------------------------------------------

    def _note_over(self, act: Act, now: float) -> None:
        outcome = act.call.outcome
        act.over_at = now
        act.size = len(json.dumps(outcome.value)) if outcome is not None else 0
        self._over[act.id] = act
        self._bytes += act.size
        own = self._of_client.setdefault(act.call.who.id, deque())
        own.append(act)
        if len(own) > MAX_OF_CLIENT:
            self._forget(own[0])

    def _forget_old(self, now: float) -> None:
        while self._over:
            oldest = next(iter(self._over.values()))
            if (
                len(self._over) <= MAX_OF_ALL
                and self._bytes <= MAX_BYTES
                and now - oldest.over_at <= self._remember_s
            ):
                return
            self._forget(oldest)

    def _forget(self, act: Act) -> None:
        del self._over[act.id], self._acts[act.id]
        self._bytes -= act.size
        own = self._of_client[act.call.who.id]
        assert own[0] is act, "both orders are those of the outcomes"
        own.popleft()
        if not own:
            del self._of_client[act.call.who.id]
        self._delete(_name(act))

    def _delete(self, name: str) -> None:
        try:
            self._store.delete(KIND, name)
        except StoreError as exc:
            # It is forgotten at the next start, by its age.
            log.warning("key not forgotten", extra={"reason": str(exc)})

    def _keep(self, act: Act, outcome: Outcome, over_us: int, done: Done | None) -> bool:
        try:
            self._put(act, outcome, over_us, done)
        except StoreError as exc:
            # After a restart its outcome will be unknown.
            log.warning("outcome not kept", extra={"target": act.call.name, "reason": str(exc)})
            return False
        return True

    def _put(self, act: Act, outcome: Outcome | None, over_us: int, done: Done | None) -> None:
        call = act.call
        told: dict[str, Value] = {
            "what": act.what,
            "name": call.name,
            "key": call.key,
            "digest": act.digest,
            "who": [call.who.id, call.who.name, call.who.address],
        }
        if outcome is not None:
            told |= {
                "over_us": over_us,
                "value": outcome.value,
                "reason": outcome.reason,
                "message": outcome.message,
                "may_have_acted": outcome.may_have_acted,
                "at": None if act.told_at is None else list[Value](act.told_at),
            }
        self._store.put(KIND, _name(act), told, done)


def _name(act: Act) -> str:
    return "/".join(act.id)


def _ignore(_error: Exception | None) -> None:
    """Nobody waits."""


def _read(told: Value) -> tuple[Act | None, int]:
    match told:
        case {
            "what": ("set" | "call") as what,
            "name": str(name),
            "key": str(key),
            "digest": str(found),
            "who": [str(number), str(client), str(address)],
        }:
            call = Call(name, {}, Identity(number, client, address), key, 0.0)
            act = Act(what, found, call, is_kept=True)
        case _:
            return None, 0
    match told:
        case {
            "over_us": int(over_us),
            "value": value,
            "reason": str(reason),
            "message": str(message),
            "may_have_acted": bool(unsure),
            **more,
        }:
            match more.get("at"):
                case [str(epoch), int(offset)]:
                    act.told_at = Position(epoch, offset)
            call.outcome = Outcome(value, reason, message, unsure)
            act.is_settled = True
            return act, over_us
    return act, 0
