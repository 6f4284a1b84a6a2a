"""Brings each `set` and `call` from the client to its target, and the outcome back.

It refuses invalid acts, checks the leases, has the key on the disk before anything is sent, keeps
the one deadline, writes the audit, and sends the outcome to all clients that asked with that key. A
command is made at most once for each key, and its outcome is the one in the audit.
"""

from __future__ import annotations

import asyncio
import difflib
import secrets
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from sensord.bus import Bus
from sensord.control.keys import Keys, digest
from sensord.control.leases import Leases
from sensord.device.calls import Call, Calls, Target, What
from sensord.errors import ProtocolError
from sensord.model.readings import Position, Value
from sensord.sharing.allowance import Rank
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.store import StoreError

__all__ = ["Accepted", "Dispatch"]

MOST_COMPARED = 20
"""The names that an unknown one may be a slip for."""

STOPPED = "the server stops; it was not sent"
STOPPED_AFTER = "the server stops; find out if it was done before you try again"


class Accepted(NamedTuple):
    """An act in progress. ``is_repeated`` means that it was asked for before."""

    call: Call
    is_repeated: bool


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
        self._live: dict[Call, asyncio.Handle] = {}
        """Acts whose outcome has not been sent, and the timers of their deadlines."""
        self._before: dict[Call, Value] = {}
        self._is_closing = False

    def begin(self, committed: Position | None) -> None:
        """Report the outcome of the acts that a restart interrupted as unknown.

        ``committed`` is where the log ended on the disk: the audit lacks acts that ended later, so
        their outcomes are reported again.
        """
        now, at = self._loop.time(), self._bus.log.position
        interrupted = self._keys.restore(now, self._bus.now_us(), at)
        unsaid = [] if committed is None else self._keys.over_since(committed)
        for call in unsaid + [call for call in interrupted if call not in unsaid]:
            self._note(call)

    def ask(
        self,
        what: What,
        who: Identity,
        name: str,
        args: Mapping[str, Value],
        key: str,
        timeout_s: float | None,
        may: Callable[[str], bool] = lambda _: True,
    ) -> Accepted:
        """Accept an act, or find the one that was accepted with the same key.

        A hint names only what ``may`` be used.

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
        target, checked = self._check(what, who, name, args, key, may)
        limit_s = target.timeout_s
        if timeout_s is not None:
            limit_s = min(limit_s, timeout_s)
        call = Call(
            name,
            checked,
            who,
            key or secrets.token_hex(8),
            self._loop.time() + limit_s,
            what=what,
            digest=asked,
            is_kept=bool(key),
        )
        self._accept(call, target)
        return Accepted(call, is_repeated=False)

    def close(self) -> None:
        """End the acts in progress: nothing is left to confirm them."""
        self._is_closing = True
        for call in tuple(self._live):
            if call.is_acting:
                call.failed("unknown", STOPPED_AFTER)
            else:
                call.failed("unavailable", STOPPED)
            self._settle(call)

    # -- inside ------------------------------------------------------------------------------------

    def _check(
        self,
        what: What,
        who: Identity,
        name: str,
        args: Mapping[str, Value],
        key: str,
        may: Callable[[str], bool],
    ) -> tuple[Target, Mapping[str, Value]]:
        try:
            self._audit.allowance.admit(who.id, Rank.ACT)
            target = self._targets[what].find(name)
            if target is None:
                known = filter(may, self._targets[what].names())
                raise ProtocolError("not_found", _missing(what, name, known))
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

    def _accept(self, call: Call, target: Target) -> None:
        def kept(error: Exception | None) -> None:
            if error is not None:
                call.failed("unavailable", f"it was not sent: {error}")
            target.queue.ready(call)

        if call.is_kept:
            try:
                self._keys.begin(call, kept)
            except StoreError as exc:
                raise ProtocolError("too_many", str(exc)) from exc
        self._live[call] = self._loop.call_at(call.deadline, call.expire)
        self._before[call] = self._last(call.what, call.name)
        self._audit.note(
            call.what,
            call.who,
            call.name,
            "pending",
            before=self._before[call],
            after=call.args.get("value") if call.what == "set" else dict(call.args),
            key=call.key,
        )
        call.when_over(lambda _: self._over(call))
        target.queue.add(call)
        if not call.is_kept:
            target.queue.ready(call)

    def _over(self, call: Call) -> None:
        self._live[call].cancel()
        if call.is_kept:
            now = self._loop.time()
            at = self._bus.log.position
            self._keys.end(call, now, self._bus.now_us(), at, lambda _: self._settle(call))
        if self._is_closing or not call.is_kept:
            # A stop cannot wait for the disk; it is written before the process ends.
            self._settle(call)

    def _settle(self, call: Call) -> None:
        if call.is_settled:
            return
        del self._live[call]
        self._note(call)
        call.settle()

    def _note(self, call: Call) -> None:
        outcome = call.outcome
        assert outcome is not None
        self._audit.note(
            call.what,
            call.who,
            call.name,
            "done" if outcome.is_done else "failed",
            detail=outcome.reason,
            before=self._before.pop(call, None),
            after=outcome.value,
            key=call.key,
        )


def _missing(what: What, name: str, known: Iterable[str]) -> str:
    # A few, for comparing costs 20 µs each, and anybody may ask for anything.
    similar = islice((one for one in known if one[:3] == name[:3]), MOST_COMPARED)
    near = difflib.get_close_matches(name, similar, n=1)
    hint = f"did you mean {near[0]}?" if near else "$sys/control/# and $sys/services list what is"
    if what == "set":
        return f"{name} cannot be set, no device declares it writable; {hint}"
    return f"there is nothing to call named {name}; {hint}"
