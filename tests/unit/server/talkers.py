"""Clients that send each other messages, and a daemon of sessions that can crash and start again.

An `Office` is what the daemon has for them, on a loop that the test turns by hand and a disk that
it fills. A `Talker` is a client: it keeps its key and which message it had last, as
`docs/protocol.md` asks, and what came of each of its requests.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from sensord.bus import Bus
from sensord.config.tree import Clients
from sensord.config.tree import Control as ControlOptions
from sensord.log import Log
from sensord.model.readings import Metadata, Reading
from sensord.server.live.group import Groups
from sensord.server.session import Session
from sensord.server.shared import Limits, Shared, control_for
from sensord.sharing.sharing import Sharing
from sensord.wire.frames import MSGPACK, Codec, Message
from tests.unit.manual import ManualClock, manual_loop
from tests.unit.manual_store import Disk, ManualStore
from tests.unit.server.monitors import Wire, payload_of

__all__ = ["Asked", "Office", "Talker"]


class Office:
    """What a daemon has for clients that talk to each other."""

    def __init__(self, options: Clients | None = None, limits: Limits | None = None) -> None:
        self.disk = Disk()
        self.loop = manual_loop()
        self.clock = ManualClock()
        self.audit: list[dict[str, Any]] = []
        """Every event under ``$audit/message``, over all lives."""
        self.logged: list[Any] = []
        """Every value that any topic ever had."""
        self.talkers: list[Talker] = []
        self._options = options or Clients(presence=False)
        self._limits = limits or Limits()
        self.start()

    def start(self) -> None:
        """Begin a life."""
        self.bus = Bus(Log("e", 4096), self.clock)
        self.bus.attach(["#", "$audit/#", "$sys/#", "$inbox/#"], self)
        self.store = ManualStore(self.disk, self.loop)
        self.sharing = Sharing.build(self.bus, self.store, self.loop, self._options)
        self.shared = Shared(
            bus=self.bus,
            archive=None,
            groups=Groups(self.bus, self.loop),
            loop=self.loop,
            limits=self._limits,
            sharing=self.sharing,
            control=control_for(self.bus, self.sharing, self.loop, ControlOptions()),
        )
        self.shared.control.begin()

    def restart(self) -> None:
        """Stop in order and start again."""
        for talker in self.talkers:
            talker.leave()
        self.shared.control.close()
        self.sharing.close()
        self._again()

    def crash(self) -> None:
        """End in the middle of everything, and start again."""
        self.store.crash()
        for talker in self.talkers:
            talker.cut()
        self._again()

    def _again(self) -> None:
        now = self.loop.now
        self.loop = manual_loop()
        self.loop.now = now
        self.start()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, each timer at its own time."""
        self.clock.move(round(seconds * 1e6))
        self.loop.run_until(self.loop.now + seconds)

    def publish(self, topic: str) -> None:
        """Publish a reading."""
        self.bus.publish(self.bus.channel(topic, Metadata()), Reading(self.bus.now_us(), 1.0))

    def selected(self, channel: object) -> None:
        """Learn of a channel."""

    def push(self, record: Any) -> None:
        self.logged.append(record.reading.value)
        if record.channel.topic == "$audit/message":
            self.audit.append(record.reading.value)


@dataclass
class Asked:
    """A request, and what came of it."""

    message: Message
    answer: Message | None = None
    receipts: dict[str, str] = field(default_factory=dict)
    """By client, what was told last; a refusal with its reason."""
    told: list[tuple[str, str]] = field(default_factory=list)
    """Each receipt."""
    has_ended: bool = False

    @property
    def is_accepted(self) -> bool:
        return self.answer is not None and self.answer["op"] == "result"

    @property
    def error(self) -> str | None:
        if self.answer is None or self.answer["op"] != "error":
            return None
        code: str = self.answer["code"]
        return code


class Talker:
    """A client that keeps what it needs to get each message once."""

    def __init__(self, office: Office, name: str, codec: Codec = MSGPACK) -> None:
        self.office = office
        self.name = name
        self.id = ""
        self.key = ""
        self.had: list[Any] = []
        """The body of each message, in the order of their coming, none twice."""
        self.messages: list[Message] = []
        """The same, whole."""
        self.again = 0
        """Messages that came again and were told apart by their numbers."""
        self.last = 0
        self.unacknowledged = 0
        """The newest message that is not acknowledged yet, or 0."""
        self.asked: dict[int, Asked] = {}
        self.session: Session | None = None
        self.wire = Wire(self._arrived)
        self.slow: deque[Message] = deque()
        """Requests that wait while the wire is congested."""
        self._codec = codec
        self._ids = itertools.count(1)
        self._receive: int | None = None
        office.talkers.append(self)

    # -- connecting --------------------------------------------------------------------------------

    def come(self, **fields: Any) -> None:
        """Connect and say hello."""
        assert self.session is None
        self._arrives = Wire(self._arrived)
        self.wire = self._arrives
        self.session = Session(
            name="1",
            slot=1,
            address="test",
            codec=self._codec,
            outlet=self.wire,
            shared=self.office.shared,
        )
        self.wire.session = self.session
        self.asked = {}
        self._receive = None
        known = {"key": self.key} if self.key else {}
        hello = self.ask("hello", client=self.name, **known, **fields)
        assert hello.answer is not None
        client = hello.answer["client"]
        if client["id"] != self.id:
            self.last = 0  # another server, or one that has forgotten everything
        self.id, self.key = client["id"], client["key"]

    def leave(self) -> None:
        """Break the connection, as the server sees it."""
        if self.session is not None:
            session, self.session = self.session, None
            self.slow.clear()
            session.ended()

    def cut(self) -> None:
        """Lose the connection to a server that is no more."""
        self.session = None
        self.slow.clear()

    # -- asking ------------------------------------------------------------------------------------

    def ask(self, op: str, **fields: Any) -> Asked:
        """Send a request; it is served when the wire is not congested."""
        number = next(self._ids)
        asked = self.asked[number] = Asked({"op": op, "id": number, **fields})
        self.slow.append(asked.message)
        self._serve()
        return asked

    def send(self, to: dict[str, str], body: Any, **fields: Any) -> Asked:
        return self.ask("send", to=to, body=body, **fields)

    def receive(self, *, from_memory: bool = True) -> Asked:
        """Have messages from now on."""
        fields = {"after": self.last} if from_memory and self.last else {}
        asked = self.ask("receive", **fields)
        self._receive = asked.message["id"]
        return asked

    def acknowledge(self) -> Asked | None:
        """Say what has come."""
        if not self.unacknowledged:
            return None
        asked = self.ask("ack", message=self.unacknowledged)
        self.unacknowledged = 0
        return asked

    def unclog(self) -> None:
        """Read what is there."""
        self.wire.unclog()
        self._serve()

    def _serve(self) -> None:
        while self.slow and not self.wire.is_congested and self.session is not None:
            payload = self._codec.message(self.slow.popleft())
            self.session.received(payload, is_text=self._codec.is_text)

    # -- being told --------------------------------------------------------------------------------

    def _arrived(self, packet: bytes) -> None:
        assert self.session is not None, "nothing is written to who has left"
        message = self._codec.decode(payload_of(packet)[1])
        if isinstance(message, list):
            return
        assert isinstance(message, dict)
        if message["op"] in {"channels", "stream"}:
            return
        asked = self.asked[message["id"]]
        assert not asked.has_ended, "nothing comes after the end"
        match message["op"]:
            case "result" | "error":
                assert asked.answer is None, "one answer"
                asked.answer = message
            case "receipt":
                self._told(asked, message["receipts"])
            case "message":
                assert asked.message["op"] == "receive"
                self._message(message)
            case "end":
                assert asked.is_accepted
                asked.has_ended = True
            case other:
                raise AssertionError(other)

    def _told(self, asked: Asked, receipts: list[dict[str, str]]) -> None:
        assert asked.is_accepted
        assert 0 < len(receipts) <= 200
        for receipt in receipts:
            status = receipt.get("reason", receipt["status"])
            before = asked.receipts.get(receipt["client"], "away")
            assert before == "away", f"{before} was the last word"
            asked.receipts[receipt["client"]] = status
            asked.told.append((receipt["client"], status))

    def _message(self, message: Message) -> None:
        assert not self.wire.is_congested, "a message for a client that does not read"
        number = message["message"]
        self.unacknowledged = max(number, self.unacknowledged)
        if number <= self.last:
            self.again += 1
            return
        self.last = number
        self.had.append(message["body"])
        self.messages.append(message)
