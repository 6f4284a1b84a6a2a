"""The audit: which client did what, with what result, as events in the log.

An entry is a reading like any other, with history, resume and replay. It has the digest of a large
value. When clients write too much, refusals and presence are only counted.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter

from sensord.bus import Bus
from sensord.model.readings import Kind, Metadata, Reading, Value, ValueType
from sensord.sharing.allowance import Allowance
from sensord.sharing.identity import Identity

__all__ = ["Audit", "digested"]

MAX_BYTES = 1024
"""The longest value as JSON in an entry; the value's own topic has it whole."""


class Audit:
    """Records what clients do, under ``$audit/<what>``."""

    def __init__(self, bus: Bus, allowance: Allowance | None = None) -> None:
        self._bus = bus
        self.allowance = allowance or Allowance(bus)
        """The allowance, shared with the other writers for clients."""
        self._unrecorded: Counter[str] = Counter()

    def note(
        self,
        what: str,
        who: Identity,
        subject: str,
        result: str,
        *,
        detail: str = "",
        before: Value = None,
        after: Value = None,
        key: str = "",
        is_minor: bool = False,
    ) -> None:
        """Record one act.

        ``what`` is the kind of act and the topic's last level; ``subject`` is what it was done to;
        ``key`` identifies acts that belong together. An act that ``is_minor`` changed nothing that
        others rely on: it is only counted when clients write too much.
        """
        if is_minor and not self.allowance.admits_minor(who.id):
            self._unrecorded[what] += 1
            return
        by: dict[str, Value] = {"id": who.id, "name": who.name, "address": who.address}
        if who.token:
            by["token"] = who.token
        value: dict[str, Value] = {
            "who": by,
            "subject": subject,
            "result": result,
        }
        if detail:
            value["detail"] = detail
        if key:
            value["key"] = key
        if before is not None or after is not None:
            value["before"], value["after"] = digested(before), digested(after)
        if unrecorded := self._unrecorded.pop(what, 0):
            value["unrecorded"] = unrecorded
        metadata = Metadata(ValueType.JSON, kind=Kind.EVENT, description="what clients did")
        channel = self._bus.channel(f"$audit/{what}", metadata)
        self.allowance.publish(who.id, channel, Reading(self._bus.now_us(), value))


def digested(value: Value) -> Value:
    """Return a value, or its digest if it is large; in a map, for each member."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
    if len(text) <= MAX_BYTES:
        return value
    if isinstance(value, dict):
        members = {key: digested(member) for key, member in value.items()}
        if len(json.dumps(members)) <= 2 * MAX_BYTES:
            return members
    return {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
