"""Shared state: values with versions, and common uses of them.

`docs/protocol.md`, sections 3.2 (`put`, `delete`) and 3.8, is the reference.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sensord.client.client import Client
from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.wire.ops.state import Delete, Put

__all__ = ["Entry", "SharedState"]

ALARMS, NOTES, VIEWS = "state/alarms/", "state/notes/", "state/views/"


@dataclass(frozen=True, slots=True)
class Entry:
    """A current value with its version and its writer (``id`` and ``name``)."""

    version: int
    value: Value
    by: dict[str, Any]


class SharedState:
    """The state that the clients of a server share.

    Every method raises `ProtocolError` if the server refuses, and `ClientError` if the connection
    is lost before the answer, when the change may have been made.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, topic: str) -> Entry | None:
        """Return the current value of a topic that begins with ``state/``, or None."""
        for update in await self._client.get(topic):
            value = update.reading.value
            if isinstance(value, dict) and "deleted" not in value:
                return _entry(value)
        return None

    async def put(self, topic: str, value: Value, version: int | None = None) -> int:
        """Write, with ``version`` only if it is current (0: no value); return the new version."""
        number = self._client.number()
        return (await self._client.ask(Put(number, topic, value, version))).version

    async def delete(self, topic: str, version: int | None = None) -> int:
        """Delete, with ``version`` only if it is current; return the new version."""
        number = self._client.number()
        return (await self._client.ask(Delete(number, topic, version))).version

    async def update(self, topic: str, change: Callable[[Value], Value]) -> int:
        """Write ``change`` of the current value (None: no value); return the new version.

        If another client writes meanwhile, ``change`` is called again with that value.
        """
        present = await self.get(topic)
        while True:
            try:
                version = present.version if present else 0
                return await self.put(topic, change(present.value if present else None), version)
            except ProtocolError as exc:
                if exc.code != "conflict" or exc.present is None:
                    raise
                present = _entry(exc.present) if exc.present["version"] else None

    # -- common uses -------------------------------------------------------------------------------

    async def acknowledge(self, topic: str, text: str = "") -> int:
        """Mark the alarm of ``topic`` as seen, for all clients."""
        last = await self._client.get(topic)
        time_us = last[0].reading.time_us if last else None
        return await self.put(ALARMS + topic, {"reading_us": time_us, "text": text})

    async def note(self, topics: Sequence[str], from_us: int, to_us: int, text: str) -> str:
        """Write a note on a time range, and return its topic."""
        topic = NOTES + secrets.token_hex(6)
        value: dict[str, Value] = {
            "topics": list[Value](topics),
            "from_us": from_us,
            "to_us": to_us,
            "text": text,
        }
        await self.put(topic, value, 0)
        return topic

    async def save_view(self, name: str, view: dict[str, Value], version: int | None = None) -> int:
        """Save a view that monitors share."""
        return await self.put(VIEWS + name, view, version)

    async def view(self, name: str) -> Entry | None:
        """Return a saved view, or None."""
        return await self.get(VIEWS + name)


def _entry(value: Any) -> Entry:  # noqa: ANN401  # off the wire
    return Entry(value["version"], value["value"], value["by"])
