"""Clients that work together while their connections and their server die, and what each was told.

A `Hand` speaks JSON on a bare WebSocket and keeps what `docs/protocol.md` asks a client to keep:
its key, and the number of the last message that it had. A `Panel` is a `Client` of ours. Both write
down in `Books` what they ask and what comes of it; the books outlive every crash.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from sensord.client import (
    Asked,
    Client,
    ClientError,
    CommandError,
    Control,
    RejectedError,
)
from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.wire.ops import read_request
from sensord.wire.ops.messages import Groups
from tests.kit.cutter import Cutter

__all__ = [
    "Actor",
    "Ask",
    "Books",
    "Change",
    "Command",
    "Grant",
    "Hand",
    "Increment",
    "LostError",
    "Panel",
    "Sent",
    "now_us",
]

GOOD_CODES = {1001, 1006}
"""With which a server that stops or dies ends a connection; any other is its opinion of us."""


class LostError(Exception):
    """The connection was lost before the answer."""


def now_us() -> int:
    """Return the clock that the server has too."""
    return time.time_ns() // 1000


# -- the books -------------------------------------------------------------------------------------


@dataclass(eq=False)
class Ask:
    """One time that something was asked for, and what came of it."""

    began_us: int = 0
    connection: int = 0
    answer: dict[str, Any] | None = None
    answered_us: int = 0
    refusal: ProtocolError | None = None
    outcome: dict[str, Any] | None = None
    reported_us: int = 0
    receipts: dict[str, str] = field(default_factory=dict)
    """By client, what was told last; of a refusal its reason."""
    has_ended: bool = False
    is_lost: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def until(self, condition: Callable[[Ask], object]) -> None:
        """Wait for what is to come.

        Raises:
            LostError: It does not come any more.
            ProtocolError: It was refused.
        """
        while not condition(self):
            if self.refusal is not None:
                raise self.refusal
            if self.is_lost:
                raise LostError
            self.changed.clear()
            await self.changed.wait()


@dataclass(eq=False)
class Sent:
    """A message that somebody meant to send, however often it was asked for."""

    body: int
    sender: str
    to: dict[str, str]
    key: str
    asks: list[Ask] = field(default_factory=list)


@dataclass(eq=False)
class Command:
    """A set or a call that somebody meant to make; its number is nobody else's."""

    number: int
    who: str
    op: str
    name: str
    key: str
    timeout_s: float
    asks: list[Ask] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """Return what is asked for."""
        value = {"value": self.number} if self.op == "set" else {"args": {"n": self.number}}
        subject = "topic" if self.op == "set" else "name"
        key = {"key": self.key} if self.key else {}
        return {subject: self.name, "timeout": self.timeout_s, **value, **key}


@dataclass(eq=False)
class Increment:
    """One more on a shared counter."""

    topic: str
    token: int
    who: str
    is_done: bool = False
    is_unsure: bool = False
    """A request was lost before its answer, and nothing that came later has told."""


@dataclass(frozen=True)
class Change:
    """A change of shared state that was confirmed: from which version to which."""

    topic: str
    op: str
    who: str
    expected: int
    version: int


@dataclass(eq=False)
class Grant:
    """A lease that was confirmed: when, and until when at most."""

    who: str
    subject: str
    asked_us: int
    since_us: int
    until_us: int


@dataclass
class Books:
    """Everything that was asked, told and done; clients by their names."""

    ids: dict[str, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    had: dict[str, list[tuple[int, str, Any]]] = field(default_factory=dict)
    """Of each client: number, sender's id and body of each message, without what came again."""
    again: int = 0
    """Messages that came again and were told apart by their numbers."""
    commands: list[Command] = field(default_factory=list)
    served: list[int] = field(default_factory=list)
    """The numbers of the calls that services did."""
    increments: list[Increment] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    unsure_deletes: int = 0
    grants: list[Grant] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """What must never be, noted when it was seen."""

    def name_of(self, client: str) -> str:
        """Return the name of the client with this id."""
        return next(name for name, known in self.ids.items() if known == client)

    def knows(self, name: str, client: str) -> None:
        """Note whom the server takes a client for: always the same."""
        if self.ids.setdefault(name, client) != client:
            self.faults.append(f"{name} was {self.ids[name]} and is {client}")


class Actor(Protocol):
    """What is common to both kinds of clients."""

    name: str
    cutter: Cutter
    crashes: int
    """How often it has forgotten everything."""
    is_calm: bool
    """Whether it does at once and well whatever it may put off or do badly."""

    @property
    def is_here(self) -> bool:
        """Whether it can ask."""
        ...

    async def here(self) -> None:
        """Wait until it can."""
        ...

    async def ask(self, op: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for something that is answered at once.

        Raises:
            LostError: The connection was lost before the answer.
            ProtocolError: It was refused.
        """
        ...

    async def act(self, command: Command) -> None:
        """Ask for a command once more, and note what is told.

        Raises:
            LostError: The connection was lost before the outcome.
            ProtocolError: It was refused.
        """
        ...

    async def send(self, sent: Sent, wait_s: float) -> None:
        """Send a message once more, and note what becomes of it, until nothing more is told.

        Raises:
            LostError: The connection was lost before the end.
            ProtocolError: It was refused.
        """
        ...


# -- on a bare WebSocket ---------------------------------------------------------------------------


class Hand:
    """A client that knows no more than its key and which message it had last."""

    def __init__(
        self,
        name: str,
        cutter: Cutter,
        books: Books,
        dice: random.Random,
        *,
        watches: str,
        groups: list[str],
        service: str = "",
    ) -> None:
        self.name = name
        self.cutter = cutter
        self.crashes = 0
        self.is_calm = False
        self._books = books
        self._dice = dice
        self._watches, self._groups, self._service = watches, groups, service
        self._key = ""
        self._last = 0
        self._connections = 0
        self._numbers = itertools.count(1)
        self._open: dict[int, Ask] = {}
        self._receiving = self._serving = 0
        self._newest = 0  # of the messages of this connection
        self._socket: ClientConnection | None = None
        self._wanted, self._there = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()
        books.had[name] = []

    async def __aenter__(self) -> Self:
        self._wanted.set()
        self._task = asyncio.create_task(self._keep(), name=self.name)
        await self.here()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, *self._writing, return_exceptions=True)

    @property
    def is_here(self) -> bool:
        return self._there.is_set()

    async def here(self) -> None:
        assert self._task is not None
        coming = asyncio.ensure_future(self._there.wait())
        await asyncio.wait({coming, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            coming.cancel()
            await self._task

    def crash(self) -> None:
        """Drop the connection and forget everything else; stay away until `come`."""
        self.crashes += 1
        self._wanted.clear()
        if self._socket is not None:
            self._socket.transport.abort()

    def come(self) -> None:
        """Come back."""
        self._wanted.set()

    # -- asking ------------------------------------------------------------------------------------

    async def ask(self, op: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        ask = Ask()
        await self._request(ask, op, fields)
        await ask.until(lambda ask: ask.answer is not None)
        assert ask.answer is not None
        return ask.answer

    async def act(self, command: Command) -> None:
        ask = Ask()
        command.asks.append(ask)
        await self._request(ask, command.op, command.fields())
        await ask.until(lambda ask: ask.outcome is not None)

    async def send(self, sent: Sent, wait_s: float) -> None:
        ask = Ask()
        sent.asks.append(ask)
        key = {"key": sent.key} if sent.key else {}
        await self._request(ask, "send", {"to": sent.to, "body": sent.body, "wait": wait_s, **key})
        await ask.until(lambda ask: ask.has_ended)

    def receive(self) -> None:
        """Have messages from now on, as after a connection."""
        self._receiving = number = next(self._numbers)
        self._newest = 0
        # Without it what was not acknowledged comes again, and is told apart by its number.
        is_told = self.is_calm or self._dice.random() < 0.6
        after = {"after": self._last} if self._last and is_told else {}
        self._write({"op": "receive", "id": number, **after})

    def acknowledge(self) -> None:
        """Say which messages have come."""
        if self._last and self.is_here:
            self._write({"op": "ack", "id": next(self._numbers), "message": self._last})

    async def _request(self, ask: Ask, op: str, fields: Mapping[str, Any]) -> None:
        if self._socket is None or not self.is_here:
            ask.is_lost = True
            raise LostError
        number = next(self._numbers)
        ask.began_us, ask.connection = now_us(), self._connections
        self._open[number] = ask
        with suppress(ConnectionClosed):  # the reader learns of it too
            await self._socket.send(json.dumps({"op": op, "id": number, **fields}))

    def _write(self, message: dict[str, Any]) -> None:
        """Send what nobody waits for an answer to."""
        task = asyncio.create_task(self._send(self._socket, message), name=f"{self.name}: write")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _send(self, socket: ClientConnection | None, message: dict[str, Any]) -> None:
        if socket is not None:
            with suppress(ConnectionClosed):
                await socket.send(json.dumps(message))

    # -- the connection ----------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Connect whenever it is wanted and not there."""
        while True:
            await self._wanted.wait()
            try:
                async with connect(
                    self.cutter.url,
                    subprotocols=[Subprotocol("sensord.v1.json")],
                    compression=None,
                    proxy=None,
                    open_timeout=60.0,
                    close_timeout=0.1,
                    ping_interval=None,
                ) as socket:
                    self._socket = socket
                    await self._serve(socket)
            except (OSError, InvalidHandshake):
                pass  # TimeoutError is one too
            except ConnectionClosed as exc:
                if exc.rcvd is not None and exc.rcvd.code not in GOOD_CODES:
                    self._books.faults.append(f"{self.name} was closed with {exc.rcvd}")
            finally:
                self._lost()
            await asyncio.sleep(self._dice.uniform(0.0, 0.1))  # for the server to come back

    def _lost(self) -> None:
        self._socket = None
        self._there.clear()
        lost, self._open = self._open, {}
        for ask in lost.values():
            ask.is_lost = True
            ask.changed.set()

    async def _serve(self, socket: ClientConnection) -> None:
        self._connections += 1
        number = next(self._numbers)
        hello: dict[str, Any] = {"op": "hello", "id": number, "client": self.name}
        hello |= {"key": self._key} if self._key else {"groups": self._groups}
        await socket.send(json.dumps(hello))
        watching = {"op": "subscribe", "id": next(self._numbers), "topics": [self._watches]}
        await socket.send(json.dumps(watching))
        answer = json.loads(await socket.recv())
        if answer["op"] != "result":
            self._books.faults.append(f"hello of {self.name}: {answer}")
        self._key = answer["client"]["key"]
        self._books.knows(self.name, answer["client"]["id"])
        self._receiving = 0
        if self._service:
            self._serving = next(self._numbers)
            await socket.send(
                json.dumps({"op": "serve", "id": self._serving, "name": self._service})
            )
        if self.is_calm or self._dice.random() < 0.8:
            self.receive()
        self._there.set()
        async for payload in socket:
            self._take(json.loads(payload))
        # The server has said good-bye, which only one that stops does.
        if socket.close_code not in GOOD_CODES:
            self._books.faults.append(f"{self.name} was closed with {socket.close_code}")

    def _take(self, message: Any) -> None:
        if not isinstance(message, dict):
            return  # readings
        match message["op"]:
            case "message":
                self._had(message)
            case "request":
                self._do(message)
            case "error" if message["code"] in {"internal", "bad_message", "unknown_op"}:
                self._books.faults.append(f"{self.name} was told {message}")
            case _:
                pass
        ask = self._open.get(message.get("id", -1))
        if ask is not None:
            self._note(ask, message)
            if message["op"] in {"end", "error"}:
                del self._open[message["id"]]

    def _note(self, ask: Ask, message: dict[str, Any]) -> None:
        match message["op"]:
            case "result":
                ask.answer, ask.answered_us = message, now_us()
            case "error":
                ask.refusal = ProtocolError(
                    message["code"], message["message"], message.get("present")
                )
                ask.answered_us = now_us()
            case "outcome":
                ask.outcome, ask.reported_us = message, now_us()
            case "receipt":
                for told in message["receipts"]:
                    ask.receipts[told["client"]] = told.get("reason", told["status"])
            case "end":
                ask.has_ended = True
            case _:
                raise AssertionError(message)
        ask.changed.set()

    def _had(self, message: dict[str, Any]) -> None:
        number = message["message"]
        if message["id"] == self._receiving:
            if number <= self._newest:
                self._books.faults.append(f"{self.name} had {number} after {self._newest}")
            self._newest = number
        if number > self._last:
            self._last = number
            one = (number, message["from"]["id"], message["body"])
            self._books.had[self.name].append(one)
        else:
            self._books.again += 1
        if self.is_calm or self._dice.random() < 0.5:
            self.acknowledge()

    def _do(self, message: dict[str, Any]) -> None:
        """Do what the service is for, in one of the ways in which services do."""
        number = message["args"]["n"]
        self._books.served.append(number)
        answer: dict[str, Any] = {"value": number}
        luck = 1.0 if self.is_calm else self._dice.random()
        if luck < 0.1:
            return  # and never answer
        if luck < 0.2:
            answer = {"error": {"reason": "broken", "may_have_acted": True}}
        self._write({"op": "answer", "id": next(self._numbers), "call": message["call"], **answer})


# -- with our client -------------------------------------------------------------------------------


class Panel:
    """A client that the package's own `Client` speaks for."""

    def __init__(
        self,
        name: str,
        cutter: Cutter,
        books: Books,
        dice: random.Random,
        *,
        encoding: str,
        watches: str,
        groups: list[str],
        service: str = "",
    ) -> None:
        self.name = name
        self.cutter = cutter
        self.crashes = 0
        self.is_calm = False
        self._books = books
        self._dice = dice
        self._watches, self._groups, self._service = watches, groups, service
        self._client = Client(cutter.url, name=name, encoding=encoding)
        self._control = Control(self._client)
        self._held = AsyncExitStack()
        books.had[name] = []

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(self._client)
            self._books.knows(self.name, client.id)
            await client.ask(Groups(client.number(), tuple(self._groups)))
            group = await stack.enter_async_context(asyncio.TaskGroup())
            tasks = [group.create_task(self._read()), group.create_task(self._watch())]
            for task in tasks:
                stack.callback(task.cancel)
            if self._service:
                await stack.enter_async_context(client.serve(self._service, self._do))
            self._held = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._books.knows(self.name, self._client.id)
        await self._held.__aexit__(kind, error, trace)

    @property
    def is_here(self) -> bool:
        return True

    async def here(self) -> None:
        return

    async def ask(self, op: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        try:
            message = {**fields, "op": op, "id": self._client.number()}
            return (await self._client.ask(read_request(message))).write()
        except ClientError as exc:
            raise LostError from exc

    async def act(self, command: Command) -> None:
        ask = Ask(now_us())
        command.asks.append(ask)
        try:
            if command.op == "set":
                value = await self._control.set(
                    command.name, command.number, key=command.key, timeout_s=command.timeout_s
                )
            else:
                value = await self._control.call(
                    command.name,
                    {"n": command.number},
                    key=command.key,
                    timeout_s=command.timeout_s,
                )
        except CommandError as exc:
            ask.outcome = {
                "status": "failed",
                "reason": exc.reason,
                "may_have_acted": exc.may_have_acted,
            }
        except ProtocolError as exc:
            ask.refusal = exc
            raise
        else:
            ask.outcome = {"status": "done", "value": value}
        ask.reported_us = now_us()

    async def send(self, sent: Sent, wait_s: float) -> None:
        ask = Ask(now_us())
        sent.asks.append(ask)
        (kind,) = sent.to
        sending = self._client.send_to(
            sent.body, **{kind: sent.to[kind]}, key=sent.key, wait_s=wait_s
        )
        try:
            async for receipt in sending:
                ask.receipts[receipt.client] = receipt.reason or receipt.status
        except ProtocolError as exc:
            ask.refusal = exc
            raise
        ask.has_ended, ask.reported_us = True, now_us()

    async def _read(self) -> None:
        last = 0
        async for message in self._client.messages():
            if message.number <= last:
                self._books.faults.append(f"{self.name} had {message.number} after {last}")
            last = message.number
            self._books.had[self.name].append((message.number, message.sender_id, message.body))

    async def _watch(self) -> None:
        async for _ in self._client.subscribe(self._watches):
            pass

    async def _do(self, asked: Asked) -> Value:
        number = asked.args["n"]
        assert isinstance(number, int)
        self._books.served.append(number)
        luck = 1.0 if self.is_calm else self._dice.random()
        if luck < 0.1:
            raise RejectedError("not now")
        if luck < 0.2:
            await asyncio.Event().wait()  # until its time is over, and it is cancelled
        return number
