"""The audit: who did what, with what result, as events in the log.

An entry is a reading like any other: it has history, resumes and replays.
"""

from __future__ import annotations

from sensord.bus import Bus
from sensord.model.readings import Kind, Metadata, Reading, Value, ValueType
from sensord.sharing.identity import Identity

__all__ = ["Audit"]


class Audit:
    """Writes down what clients do, under ``$audit/<what>``."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

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
    ) -> None:
        """Write down one act.

        ``what`` names the kind of act and is the topic's last level; ``subject`` is what it was
        done to; ``key`` tells the acts that belong together.
        """
        value: dict[str, Value] = {
            "who": {"id": who.id, "name": who.name, "address": who.address},
            "subject": subject,
            "result": result,
        }
        if detail:
            value["detail"] = detail
        if key:
            value["key"] = key
        if before is not None or after is not None:
            value["before"], value["after"] = before, after
        metadata = Metadata(ValueType.JSON, kind=Kind.EVENT, description="what clients did")
        channel = self._bus.channel(f"$audit/{what}", metadata)
        self._bus.publish(channel, Reading(self._bus.now_us(), value))
