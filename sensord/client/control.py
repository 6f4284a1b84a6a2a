"""Act on devices from a program: set, call, and hold leases.

`docs/protocol.md`, sections 3.5 and 3.6, is the reference.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sensord.client.client import Client
from sensord.client.conversation import Items, Part
from sensord.client.errors import LostError, StrangerError
from sensord.client.inflow import Line, Query
from sensord.errors import SensordError
from sensord.model.readings import Value
from sensord.wire.ops.acting import Call, GiveBack, Outcome, Renew, Set, Take

__all__ = ["Calling", "CommandError", "Control", "Lease"]


class CommandError(SensordError):
    """Report that an accepted command failed.

    ``reason`` is one of `docs/protocol.md`, section 3.5; ``message`` says what to do;
    ``may_have_acted`` is true if the outcome is unknown.
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
    """A lease that a client holds, and until when."""

    subject: str
    holder_id: str
    holder_name: str
    since_us: int
    until_us: int


class Calling(Query[Part]):
    """A call in progress: iterate over the parts of its answer, then read ``value``.

    After a lost connection it is sent again with the same key, so it remains one call. Parts sent
    meanwhile are missing; the numbers of the others show it, for they count from 0.
    """

    def __init__(self, asked: Call, line: Line) -> None:
        super().__init__(asked.id, line)
        self._asked = asked
        self._me = line.id
        self._outcome: Outcome | None = None

    @property
    def value(self) -> Value:
        """The value of its outcome.

        Raises:
            CommandError: It was not done, or its outcome is unknown.
            RuntimeError: It has not ended; iterate to the end first.
        """
        if self._outcome is None:
            raise RuntimeError("the call is not over: iterate to the end first")
        return _value(self._outcome)

    def opening(self) -> Call | None:
        """Return the request that makes the call; None if the server has forgotten it."""
        if self._me != self._line.id:
            self.end(_forgotten(StrangerError(self._me)))
            return None
        return replace(self._asked, id=self.request)

    def too_late(self) -> None:
        """End it; its outcome is unknown."""
        self.end(_unknown())

    def settled(self, outcome: Outcome) -> None:
        """Store its outcome."""
        self._outcome = outcome

    def _take(self, event: Items) -> None:
        parts = [item for item in event.items if isinstance(item, Part)]
        if parts:
            self._give(parts, None)


class Control:
    """The control of devices and services through a client.

    Every method raises `ProtocolError` if the server refuses, and `ClientError` if the client has
    ended. Methods wait for a lost connection to come back, acts for `Client.repeat_s`:
    then `LostError` if the command was not sent, `CommandError` with ``unknown`` if it was.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def set(
        self, topic: str, value: Value, *, key: str = "", timeout_s: float | None = None
    ) -> Value:
        """Set a topic, and return the confirmed value.

        Requests with the same ``key`` are one act, also those of a later process that shows the
        client's own key. By default the key is random, which covers lost connections.

        Raises:
            CommandError: It was not done, or its outcome is unknown.
        """
        key = key or _new_key()
        return await self._act(lambda number: Set(number, topic, value, key, timeout_s))

    async def call(
        self,
        name: str,
        args: Mapping[str, Value] | None = None,
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> Value:
        """Call an action of a device or a service, and return its value.

        Raises:
            CommandError: It was not done, or its outcome is unknown.
        """
        key = key or _new_key()
        return await self._act(lambda number: Call(number, name, args or {}, key, timeout_s))

    def calling(
        self,
        name: str,
        args: Mapping[str, Value] | None = None,
        *,
        key: str = "",
        timeout_s: float | None = None,
    ) -> Calling:
        """Call a service that answers in parts, and return an iterator over them."""
        client = self._client
        asked = Call(client.number(), name, args or {}, key or _new_key(), timeout_s)
        return client.opened(Calling(asked, client))

    async def take(self, subject: str, duration_s: float = 60.0) -> Lease:
        """Take the lease on a device, a topic or an action, or renew this client's own."""
        return await self._hold(Take(self._client.number(), subject, duration_s))

    async def renew(self, subject: str, duration_s: float = 60.0) -> Lease:
        """Renew a lease; the duration counts from now."""
        return await self._hold(Renew(self._client.number(), subject, duration_s))

    async def give_back(self, subject: str) -> None:
        """Give back a lease, so that others can act again."""
        await self._client.ask(GiveBack(self._client.number(), subject))

    async def _act(self, asked: Callable[[int], Set | Call]) -> Value:
        client, me = self._client, self._client.id
        was_sent = False
        while True:
            try:
                async with asyncio.timeout(client.repeat_s):
                    await client.connected()
            except TimeoutError:
                raise (_unknown() if was_sent else _unsent(client.repeat_s)) from None
            try:
                return _value(await client.act(asked(client.number()), only_as=me))
            except StrangerError as exc:
                raise _forgotten(exc) from exc
            except LostError:
                was_sent = True  # repeating it is safe: the key makes it the same act

    async def _hold(self, asked: Take | Renew) -> Lease:
        held = await self._client.ask(asked)
        holder = held.holder
        return Lease(held.subject, holder.id, holder.name, held.since_us, held.until_us)


def _new_key() -> str:
    """Return a random key, under which all repetitions of a request are one act."""
    return secrets.token_hex(8)


def _value(outcome: Outcome) -> Value:
    if not outcome.reason:
        return outcome.value
    raise CommandError(outcome.reason, outcome.message, may_have_acted=outcome.may_have_acted)


def _unknown() -> CommandError:
    text = "the connection was lost for long; find out if it was done before you try again"
    return CommandError("unknown", text, may_have_acted=True)


def _unsent(waited_s: float) -> LostError:
    return LostError(f"no connection for {waited_s:g} s; the command was not sent")


def _forgotten(error: StrangerError) -> CommandError:
    text = f"{error}; find out if it was done before you try again"
    return CommandError("unknown", text, may_have_acted=True)
