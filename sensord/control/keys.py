"""The memory of acts: which keys were used, for what, and how each ended.

An act under way is never forgotten. One that is over is kept for a time, within bounds; what is
kept is in the store too, so that a retry after a restart is no second act. An act that a restart
finds under way has an unknown outcome.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping

from sensord.device.calls import Call, Outcome, What
from sensord.model.readings import Position, Value
from sensord.sharing.identity import Identity
from sensord.sharing.memory import Memory
from sensord.sharing.store import Done, Store, StoreError

__all__ = ["UNKNOWN", "Keys", "digest"]

log = logging.getLogger("sensord.control")

KIND = "act"
"""Under which the store keeps them."""

MAX_OF_CLIENT = 1_000
MAX_OF_ALL = 10_000
MAX_BYTES = 16 * 1024 * 1024
"""Of values in outcomes: a service may answer with 64 KiB each."""

RESTARTED = "the server was restarted in the middle; find out if it was done before you try again"
UNKNOWN = Outcome(None, "unknown", RESTARTED, may_have_acted=True)


def digest(what: What, name: str, args: Mapping[str, Value]) -> str:
    """Return what distinguishes one command from another."""
    text = json.dumps([what, name, dict(args)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Keys:
    """Remembers acts by client and key.

    Units: ``now`` is the loop's clock, in seconds; ``wall_us`` is what outlives the process.
    """

    def __init__(self, store: Store, remember_s: float) -> None:
        self._store = store
        self._memory = Memory[Call](
            of_client=MAX_OF_CLIENT, of_all=MAX_OF_ALL, weight=MAX_BYTES, keep_s=remember_s
        )

    def __len__(self) -> int:
        return len(self._memory)

    def find(self, client: str, key: str, now: float) -> Call | None:
        """Return the act of that key, if it is remembered."""
        self._forgotten(self._memory.expire(now))
        return self._memory.find(client, key)

    def begin(self, call: Call, done: Done) -> None:
        """Remember an act before it is made; ``done`` is called when it is on the disk.

        Raises:
            StoreError: Too much waits for the disk.
        """
        self._put(call, None, 0, done)
        self._memory.add(call.who.id, call.key, call)

    def end(self, call: Call, now: float, wall_us: int, at: Position, done: Done) -> None:
        """Record the outcome; ``done`` is called when it is on the disk, or cannot be.

        ``at`` is the tail of the log.
        """
        assert call.outcome is not None
        call.ended_at = at
        outcome = call.outcome

        def put(error: Exception | None) -> None:
            if error is not None:
                # Those who wait are notified all the same; it is written when the disk accepts it.
                self._keep(call, outcome, wall_us, None)
            # Only now: a repeated request must find one that is not settled.
            done(error)
            self._note_over(call, now)

        if not self._keep(call, outcome, wall_us, put):
            put(None)

    def restore(self, now: float, wall_us: int, at: Position) -> list[Call]:
        """Load the recorded acts; return those that were in progress, now unknown.

        ``at`` is the tail of the log.
        """
        interrupted: list[Call] = []
        over: list[tuple[int, Call]] = []
        for name, row in self._store.load(KIND).items():
            call, over_us = _read(row)
            if call is None:
                self._delete(name)
            elif call.outcome is None:
                interrupted.append(call)
            else:
                over.append((over_us, call))
        for over_us, call in sorted(over, key=lambda pair: pair[0]):
            self._memory.add(call.who.id, call.key, call)
            self._note_over(call, now - max(0, wall_us - over_us) / 1e6)
        for call in interrupted:
            self._memory.add(call.who.id, call.key, call)
            call.failed(UNKNOWN.reason, UNKNOWN.message, may_have_acted=True)
            call.settle()
            self.end(call, now, wall_us, at, _ignore)
        self._forgotten(self._memory.expire(now))
        return interrupted

    def over_since(self, position: Position) -> list[Call]:
        """Return the acts that ended in a log from an offset on, the oldest first."""
        return [
            call
            for call in self._memory.ended()
            if call.ended_at is not None
            and call.ended_at.epoch == position.epoch
            and call.ended_at.offset >= position.offset
        ]

    # -- inside ------------------------------------------------------------------------------------

    def _note_over(self, call: Call, now: float) -> None:
        weight = len(json.dumps(call.outcome.value)) if call.outcome is not None else 0
        self._forgotten(self._memory.end(call.who.id, call.key, now, weight=weight))

    def _forgotten(self, calls: list[Call]) -> None:
        for call in calls:
            self._delete(_name(call))

    def _delete(self, name: str) -> None:
        try:
            self._store.delete(KIND, name)
        except StoreError as exc:
            # It is forgotten at the next start, by its age.
            log.warning("key not forgotten", extra={"reason": str(exc)})

    def _keep(self, call: Call, outcome: Outcome, over_us: int, done: Done | None) -> bool:
        try:
            self._put(call, outcome, over_us, done)
        except StoreError as exc:
            # After a restart its outcome will be unknown.
            log.warning("outcome not kept", extra={"target": call.name, "reason": str(exc)})
            return False
        return True

    def _put(self, call: Call, outcome: Outcome | None, over_us: int, done: Done | None) -> None:
        row: dict[str, Value] = {
            "what": call.what,
            "name": call.name,
            "key": call.key,
            "digest": call.digest,
            "who": [call.who.id, call.who.name, call.who.address],
        }
        if outcome is not None:
            row |= {
                "over_us": over_us,
                "value": outcome.value,
                "reason": outcome.reason,
                "message": outcome.message,
                "may_have_acted": outcome.may_have_acted,
                "at": None if call.ended_at is None else list[Value](call.ended_at),
            }
        self._store.put(KIND, _name(call), row, done)


def _name(call: Call) -> str:
    return f"{call.who.id}/{call.key}"


def _ignore(_error: Exception | None) -> None:
    """Do nothing: no one waits."""


def _read(row: Value) -> tuple[Call | None, int]:
    match row:
        case {
            "what": ("set" | "call") as what,
            "name": str(name),
            "key": str(key),
            "digest": str(found),
            "who": [str(number), str(client), str(address)],
        }:
            who = Identity(number, client, address)
            call = Call(name, {}, who, key, 0.0, what=what, digest=found, is_kept=True)
        case _:
            return None, 0
    match row:
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
                    call.ended_at = Position(epoch, offset)
            call.outcome = Outcome(value, reason, message, unsure)
            call.settle()
            return call, over_us
    return call, 0
