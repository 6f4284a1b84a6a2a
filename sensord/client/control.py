"""Acting on devices as a program does it: set, call, and hold.

`docs/protocol.md`, sections 3.5 and 3.6, is the reference.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sensord.client.client import Client
from sensord.client.conversation import Items, Part
from sensord.client.errors import LostError, StrangerError
from sensord.client.inflow import Line, Query
from sensord.errors import SensordError
from sensord.model.readings import Value

__all__ = ["Calling", "CommandError", "Control", "Lease"]


class CommandError(SensordError):
    """A command that was accepted has failed.

    ``reason`` is one of `docs/protocol.md`, section 3.5; ``message`` says what to do;
    ``may_have_acted`` is true where nobody knows.
    """

    def __init__(self, reason: str, message: str, *, may_have_acted: bool) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message
        self.may_have_acted = may_have_acted

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class Lease:
    """What a client holds, and until when."""

    subject: str
    holder_id: str
    holder_name: str
    since_us: int
    until_us: int


class Calling(Query[Part]):
    """A call that is under way: iterate over the parts of its answer, then look at ``value``.

    After a lost connection it is asked again, with the same key: it stays one call. Parts told
    meanwhile are missing: they are counted from 0.
    """

    def __init__(self, request: int, fields: dict[str, Any], line: Line) -> None:
        super().__init__(request, line)
        self._fields = fields
        self._me = line.id
        self._outcome: dict[str, Any] | None = None

    @property
    def value(self) -> Value:
        """What it told at its end.

        Raises:
            CommandError: It was not done, or nobody knows.
            RuntimeError: It is not over; iterate to the end.
        """
        if self._outcome is None:
            raise RuntimeError("the call is not over: iterate to the end first")
        return _value(self._outcome)

    def message(self) -> dict[str, Any] | None:
        """Return the request that asks for it; None if the server has forgotten it."""
        if self._me != self._line.id:
            self.end(_forgotten(StrangerError(self._me)))
            return None
        return {"op": "call", "id": self.request, **self._fields}

    def settled(self, fields: dict[str, Any]) -> None:
        """Learn how it has ended."""
        self._outcome = fields

    def _take(self, event: Items) -> None:
        parts = [item for item in event.items if isinstance(item, Part)]
        if parts:
            self._give(parts, None)


class Control:
    """What a client has done by the devices of a server.

    Every method raises `ProtocolError` if the server refuses, and `ClientError` if the client has
    ended. A lost connection is waited for; use `asyncio.timeout` if you cannot.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def set(
        self, topic: str, value: Value, *, key: str = "", timeout_s: float | None = None
    ) -> Value:
        """Set a topic; return the value that was confirmed.

        ``key`` makes it one act however often it is asked for, also by a later process that shows
        the client's own key; one is made up otherwise, so that a lost connection does no harm.

        Raises:
            CommandError: It was not done, or nobody knows.
        """
        return await self._act("set", {"topic": topic, "value": value}, key, timeout_s)

    async def call(
        self,
        name: str,
        args: Mapping[str, Value] | None = None,
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> Value:
        """Call an action of a device, or a service; return what it tells.

        Raises:
            CommandError: It was not done, or nobody knows.
        """
        return await self._act("call", {"name": name, "args": dict(args or {})}, key, timeout_s)

    def calling(
        self,
        name: str,
        args: Mapping[str, Value] | None = None,
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> Calling:
        """Call a service that answers in parts; iterate over what is returned."""
        fields = _keyed({"name": name, "args": dict(args or {})}, key, timeout_s)
        client = self._client
        return client.opened(Calling(client.number(), fields, client))

    async def take(self, subject: str, duration_s: float = 60.0) -> Lease:
        """Hold a device, a topic or an action; renew it if it is held by this client already."""
        return await self._hold("take", subject, duration_s)

    async def renew(self, subject: str, duration_s: float = 60.0) -> Lease:
        """Hold it for longer, counted from now."""
        return await self._hold("renew", subject, duration_s)

    async def give_back(self, subject: str) -> None:
        """Let others act again."""
        await self._client.ask("give_back", {"subject": subject})

    async def _act(
        self, op: str, fields: dict[str, Any], key: str, timeout_s: float | None
    ) -> Value:
        fields = _keyed(fields, key, timeout_s)
        me = self._client.id
        while True:
            try:
                return _value(await self._client.act(op, fields, only_as=me))
            except StrangerError as exc:
                raise _forgotten(exc) from exc
            except LostError:
                continue  # it is the same act when it is asked again

    async def _hold(self, op: str, subject: str, duration_s: float) -> Lease:
        answer = await self._client.ask(op, {"subject": subject, "duration": duration_s})
        told = answer["lease"]
        holder = told["holder"]
        return Lease(
            told["subject"], holder["id"], holder["name"], told["since_us"], told["until_us"]
        )


def _keyed(fields: dict[str, Any], key: str, timeout_s: float | None) -> dict[str, Any]:
    """Make it one act however often it is asked for."""
    fields["key"] = key or secrets.token_hex(8)
    if timeout_s is not None:
        fields["timeout"] = timeout_s
    return fields


def _value(outcome: dict[str, Any]) -> Value:
    if outcome["status"] == "done":
        value: Value = outcome["value"]
        return value
    raise CommandError(
        outcome["reason"], outcome["message"], may_have_acted=outcome["may_have_acted"]
    )


def _forgotten(error: StrangerError) -> CommandError:
    text = f"{error}; find out if it was done before you try again"
    return CommandError("unknown", text, may_have_acted=True)
