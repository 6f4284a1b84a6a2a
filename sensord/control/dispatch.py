"""Takes each `set` and `call` from the client to its target, and the outcome back.

Refuses what cannot be; asks the leases; remembers the key on the disk before anything is sent;
keeps the deadline; writes the audit; tells everybody who asked with that key. A command is made at
most once for each key, and what is told is what stands in the audit.
"""

from __future__ import annotations

import asyncio
import difflib
import secrets
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from sensord.bus import Bus
from sensord.control.keys import Act, Keys, What, digest
from sensord.control.leases import Leases
from sensord.device.calls import Call, Calls, Outcome, Target
from sensord.errors import ProtocolError
from sensord.model.readings import Position, Value
from sensord.sharing.allowance import Rank
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.store import StoreError

__all__ = ["Accepted", "Dispatch"]

UNCONFIRMED = "it was sent, but not confirmed in time; find out if it was done before you try again"

MOST_COMPARED = 20
"""Names that one which is not there may be a slip for."""

STOPPED = "the server stops; it was not sent"
STOPPED_AFTER = "the server stops; find out if it was done before you try again"


class Accepted(NamedTuple):
    """An act that goes on. ``is_repeated`` says that it was asked for before."""

    act: Act
    is_repeated: bool


@dataclass(slots=True)
class _Waiting:
    """An act that was accepted and not started."""

    call: Call
    target: Target
    is_ready: bool = False
    """Whether its key is on the disk, if it has one."""


class Dispatch:
    """Everything between a request to act and its outcome."""

    def __init__(
        self,
        sets: Calls,
        calls: Calls,
        leases: Leases,
        keys: Keys,
        audit: Audit,
        bus: Bus,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._targets = {"set": sets, "call": calls}
        self._leases = leases
        self._keys = keys
        self._audit = audit
        self._bus = bus
        self._loop = loop
        self._lines: dict[Hashable, deque[_Waiting]] = {}
        """Acts that were accepted and not started, by the lines of their targets."""
        self._live: dict[tuple[str, str], Act] = {}
        self._deadlines: dict[tuple[str, str], asyncio.Handle] = {}
        self._before: dict[tuple[str, str], Value] = {}
        self._is_closing = False

    def begin(self, committed: Position | None) -> None:
        """Say of the acts that a restart interrupted that their outcome is unknown.

        ``committed`` is where the log ended on the disk: of acts that ended later the audit knows
        nothing, so their outcomes are said again.
        """
        now, at = self._loop.time(), self._bus.log.position
        interrupted = self._keys.restore(now, self._bus.now_us(), at)
        unsaid = [] if committed is None else self._keys.over_since(committed)
        for act in unsaid + [act for act in interrupted if act not in unsaid]:
            assert act.call.outcome is not None
            self._note(act, act.call.outcome)

    def ask(
        self,
        what: What,
        who: Identity,
        name: str,
        args: Mapping[str, Value],
        key: str,
        timeout_s: float | None,
    ) -> Accepted:
        """Accept an act, or find the one that was accepted with the same key.

        Raises:
            ProtocolError: It is refused; nothing was done.
        """
        asked = digest(what, name, args)
        if key:
            known = self._keys.find(who.id, key, self._loop.time())
            if known is not None:
                if known.digest != asked:
                    raise ProtocolError("bad_request", "key: it was used for another act")
                return Accepted(known, is_repeated=True)
        target, checked = self._check(what, who, name, args, key)
        limit_s = target.timeout_s
        if timeout_s is not None:
            limit_s = min(limit_s, timeout_s)
        made_up = key or secrets.token_hex(8)
        call = Call(name, checked, who, made_up, self._loop.time() + limit_s)
        act = Act(what, asked, call, is_kept=bool(key))
        self._accept(act, target)
        return Accepted(act, is_repeated=False)

    def attend(self, act: Act, tell: Callable[[Outcome], None]) -> None:
        """Call ``tell`` with the outcome, once it is settled; at once if it is."""
        if act.is_settled:
            assert act.call.outcome is not None
            tell(act.call.outcome)
        else:
            act.waiting.append(tell)

    def leave(self, act: Act, tell: Callable[[Outcome], None]) -> None:
        """Take back an `attend`: nobody is there to be told."""
        if tell in act.waiting:
            act.waiting.remove(tell)

    def close(self) -> None:
        """End what is under way: nobody is left to confirm it."""
        self._is_closing = True
        for act in tuple(self._live.values()):
            if act.call.is_acting:
                act.call.failed("unknown", STOPPED_AFTER)
            else:
                act.call.failed("unavailable", STOPPED)
            self._settle(act)

    # -- inside ------------------------------------------------------------------------------------

    def _check(
        self, what: What, who: Identity, name: str, args: Mapping[str, Value], key: str
    ) -> tuple[Target, Mapping[str, Value]]:
        try:
            self._audit.allowance.admit(who.id, Rank.ACT)
            target = self._targets[what].find(name)
            if target is None:
                raise ProtocolError("not_found", _missing(what, name, self._targets[what].names()))
            if self._leases.is_declared(name):  # a service cannot be held
                self._leases.check(name, who)
            if self._is_closing:
                raise ProtocolError("unavailable", "the server stops")
            return target, target.check(args)
        except ProtocolError as refusal:
            self._audit.note(
                what,
                who,
                name,
                refusal.code,
                detail=refusal.message,
                before=self._last(what, name),
                after=args.get("value") if what == "set" else dict(args),
                key=key,
                is_minor=True,
            )
            raise

    def _last(self, what: What, name: str) -> Value:
        """Return the last value of what is to be set."""
        channel = self._bus.find(name) if what == "set" else None
        last = None if channel is None else self._bus.last(channel)
        return None if last is None else last.reading.value

    def _accept(self, act: Act, target: Target) -> None:
        call = act.call

        waiting = _Waiting(call, target)

        def kept(error: Exception | None) -> None:
            if error is not None:
                call.failed("unavailable", f"it was not sent: {error}")
            waiting.is_ready = True
            self._start(target.line)

        if act.is_kept:
            try:
                self._keys.begin(act, kept)
            except StoreError as exc:
                raise ProtocolError("too_many", str(exc)) from exc
        self._lines.setdefault(target.line, deque()).append(waiting)
        self._live[act.id] = act
        self._before[act.id] = self._last(act.what, call.name)
        after = call.args.get("value") if act.what == "set" else dict(call.args)
        self._audit.note(
            act.what,
            call.who,
            call.name,
            "pending",
            before=self._before.get(act.id),
            after=after,
            key=call.key,
        )
        call.when_over(lambda _: self._over(act))
        self._deadlines[act.id] = self._loop.call_at(call.deadline, self._expire, call)
        # One that ends by itself holds up nobody behind it.
        call.when_over(lambda _: self._start(target.line))
        if not act.is_kept:
            kept(None)

    def _start(self, line: Hashable) -> None:
        """Start what is ready, up to one whose key is not on the disk yet: no act overtakes it."""
        waiting = self._lines.get(line)
        while waiting and (waiting[0].is_ready or waiting[0].call.outcome is not None):
            first = waiting.popleft()
            if first.call.outcome is None:
                first.target.start(first.call)
        if not waiting:
            self._lines.pop(line, None)

    def _expire(self, call: Call) -> None:
        if call.is_acting:
            call.failed("unconfirmed", UNCONFIRMED)
        else:
            call.failed("expired", "its time was over before it was sent; nothing was done")

    def _over(self, act: Act) -> None:
        self._deadlines.pop(act.id).cancel()
        if act.is_kept:
            now = self._loop.time()
            at = self._bus.log.position
            self._keys.end(act, now, self._bus.now_us(), at, lambda _: self._settle(act))
        if self._is_closing or not act.is_kept:
            # Whoever stops cannot wait for the disk; it is written before the process ends.
            self._settle(act)

    def _settle(self, act: Act) -> None:
        if act.is_settled:
            return
        outcome = act.call.outcome
        assert outcome is not None
        act.is_settled = True
        del self._live[act.id]
        self._note(act, outcome)
        waiting, act.waiting = act.waiting, []
        for tell in waiting:
            tell(outcome)

    def _note(self, act: Act, outcome: Outcome) -> None:
        call = act.call
        self._audit.note(
            act.what,
            call.who,
            call.name,
            "done" if outcome.is_done else "failed",
            detail=outcome.reason,
            before=self._before.pop(act.id, None),
            after=outcome.value,
            key=call.key,
        )


def _missing(what: What, name: str, known: Iterable[str]) -> str:
    # A few, for comparing costs 20 µs each, and anybody may ask for anything.
    similar = islice((one for one in known if one[:3] == name[:3]), MOST_COMPARED)
    near = difflib.get_close_matches(name, similar, n=1)
    hint = f"did you mean {near[0]}?" if near else "$sys/control/# and $sys/services tell what is"
    if what == "set":
        return f"{name} cannot be set, no device declares it writable; {hint}"
    return f"there is nothing to call named {name}; {hint}"
