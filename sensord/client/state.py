"""Shared state as a program uses it: values with versions, and what is commonly kept there.

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
    """A value that stands, with its version and who wrote it (``id`` and ``name``)."""

    version: int
    value: Value
    by: dict[str, Any]


class SharedState:
    """What the clients of a server share.

    Every method raises `ProtocolError` if the server refuses, and `ClientError` if the connection
    is lost before the answer; then the change may have been made.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def get(self, topic: str) -> Entry | None:
        """Return what stands under a topic that begins with ``state/``, or None."""
        for update in await self._client.get(topic):
            told = update.reading.value
            if isinstance(told, dict) and "deleted" not in told:
                return _entry(told)
        return None

    async def put(self, topic: str, value: Value, version: int | None = None) -> int:
        """Write; with ``version`` only if that one stands, 0 for none. Return the new version."""
        number = self._client.number()
        return (await self._client.ask(Put(number, topic, value, version))).version

    async def delete(self, topic: str, version: int | None = None) -> int:
        """Delete; with ``version`` only if that one stands. Return the new version."""
        number = self._client.number()
        return (await self._client.ask(Delete(number, topic, version))).version

    async def update(self, topic: str, change: Callable[[Value], Value]) -> int:
        """Write ``change`` of what stands, None if nothing does; return the new version.

        Whoever writes meanwhile is not overwritten: ``change`` is called again with theirs.
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

    # -- what is commonly kept there ---------------------------------------------------------------

    async def acknowledge(self, topic: str, text: str = "") -> int:
        """Say for everybody that the alarm that ``topic`` shows has been seen."""
        last = await self._client.get(topic)
        time_us = last[0].reading.time_us if last else None
        return await self.put(ALARMS + topic, {"reading_us": time_us, "text": text})

    async def note(self, topics: Sequence[str], from_us: int, to_us: int, text: str) -> str:
        """Write a note on a range of time; return its topic."""
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
        """Save what several monitors show alike."""
        return await self.put(VIEWS + name, view, version)

    async def view(self, name: str) -> Entry | None:
        """Return a saved view, or None."""
        return await self.get(VIEWS + name)


def _entry(told: Any) -> Entry:  # noqa: ANN401  # off the wire
    return Entry(told["version"], told["value"], told["by"])
