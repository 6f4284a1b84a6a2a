"""Acting on devices as a program does it: set, call, and hold.

`docs/protocol.md`, sections 3.5 and 3.6, is the reference.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sensord.client.client import Client, LostError, StrangerError
from sensord.errors import SensordError
from sensord.model import Value

__all__ = ["CommandError", "Control", "Lease"]


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
        fields["key"] = key or secrets.token_hex(8)
        if timeout_s is not None:
            fields["timeout"] = timeout_s
        me = self._client.id
        while True:
            try:
                told = await self._client.act(op, fields, only_as=me)
            except StrangerError as exc:
                text = f"{exc}; look at the device before you try again"
                raise CommandError("unknown", text, may_have_acted=True) from exc
            except LostError:
                continue  # it is the same act when it is asked again
            if told["status"] == "done":
                value: Value = told["value"]
                return value
            raise CommandError(
                told["reason"], told["message"], may_have_acted=told["may_have_acted"]
            )

    async def _hold(self, op: str, subject: str, duration_s: float) -> Lease:
        answer = await self._client.ask(op, {"subject": subject, "duration": duration_s})
        told = answer["lease"]
        holder = told["holder"]
        return Lease(
            told["subject"], holder["id"], holder["name"], told["since_us"], told["until_us"]
        )
