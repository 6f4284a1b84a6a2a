"""A server whose machine does what the test says, with clients, a disk and crashes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from sensord.bus import Bus
from sensord.config.tree import Clients, OpenTopic
from sensord.config.tree import Control as Options
from sensord.device.calls import Call, PromptQueue
from sensord.errors import ProtocolError
from sensord.log import Log
from sensord.model.readings import Position, Record, Value, ValueType
from sensord.server.live.group import Groups
from sensord.server.session import Session
from sensord.server.shared import Limits, Shared, control_for
from sensord.sharing.sharing import Sharing
from sensord.wire.frames import JSON, Codec, Message
from tests.unit.manual import ManualClock, manual_loop
from tests.unit.manual_store import Disk, ManualStore
from tests.unit.server.monitors import Wire, payload_of

__all__ = ["GRACE_S", "TIMEOUT_S", "Client", "Machine", "Works"]

GRACE_S = 30.0
TIMEOUT_S = 5.0


class Machine:
    """A target that keeps what it is to do until the test has it done; it survives crashes."""

    timeout_s = TIMEOUT_S

    def __init__(self) -> None:
        self.waiting: list[Call] = []
        self.queue = PromptQueue(self.waiting.append)
        self.acted: list[tuple[str, str]] = []
        """Client and key of everything that it has ever done."""
        self.refusal: ProtocolError | None = None

    def check(self, args: Mapping[str, Value]) -> Mapping[str, Value]:
        if self.refusal is not None:
            raise self.refusal
        return args

    def act(self) -> Call | None:
        """Begin the next call whose time is not over."""
        while self.waiting:
            call = self.waiting.pop(0)
            if call.outcome is None:
                call.acting()
                self.acted.append((call.who.id, call.key))
                return call
        return None


class Client:
    """A client over real sessions and real bytes; it keeps its key, and all that it was told."""

    def __init__(self, works: Works, name: str, codec: Codec = JSON) -> None:
        self.name = name
        self.id = ""
        self.seen_at = 0.0
        """When it was last connected."""
        self.told: list[Message] = []
        self.session: Session | None = None
        self._works = works
        self._key = ""
        self._codec = codec
        self._ids = itertools.count(1)

    @property
    def is_there(self) -> bool:
        return self.session is not None

    def connect(self) -> None:
        """Connect and show the key, if there is one."""
        wire = self.wire = Wire(self._arrived)
        self.session = wire.session = Session(
            name="1",
            slot=1,
            address="test",
            codec=self._codec,
            outlet=wire,
            shared=self._works.shared,
        )
        hello = {"client": self.name} | ({"key": self._key} if self._key else {})
        told = self.ask("hello", **hello)[0]
        self.id, self._key = told["client"]["id"], told["client"]["key"]

    def leave(self) -> None:
        """Break the connection."""
        assert self.session is not None
        self.session.ended()
        self.session = None
        self.seen_at = self._works.now

    def ask(self, op: str, **fields: Any) -> list[Message]:
        """Send a request; return what was told about it at once."""
        number = self.send(op, **fields)
        return self.about(number)

    def send(self, op: str, **fields: Any) -> int:
        """Send a request; return its id."""
        assert self.session is not None
        number = next(self._ids)
        message = self._codec.message({"op": op, "id": number, **fields})
        self.session.received(message, is_text=self._codec.is_text)
        return number

    def about(self, number: int) -> list[Message]:
        """Return what was told about a request."""
        return [message for message in self.told if message["id"] == number]

    def _arrived(self, packet: bytes) -> None:
        message = self._codec.decode(payload_of(packet)[1])
        assert isinstance(message, dict)
        self.told.append(message)


class Works:
    """A server with one machine: ``machine`` may be held, ``machine/valve`` set and called.

    Clients may publish whole numbers under ``sums/+``.
    """

    def __init__(self, options: Options | None = None, topics: Sequence[str] = ()) -> None:
        self.disk = Disk()
        self.clock = ManualClock()
        self.machine = Machine()
        self.audit: list[dict[str, Any]] = []
        """What stands under ``$audit``, of all servers that there were."""
        self.leases: dict[str, Any] = {}
        """What stands under ``$sys/leases``."""
        self.committed: Position | None = None
        """Where the log ended on the disk, as the next server learns at its start."""
        self.clients: list[Client] = []
        self._options = options or Options()
        self._topics = {one: OpenTopic(type=ValueType.INT) for one in ("sums/+", *topics)}
        self._passed_s = 0.0
        self._start()

    @property
    def now(self) -> float:
        """Seconds since the beginning, across crashes."""
        return self._passed_s

    def client(self, name: str, codec: Codec = JSON) -> Client:
        """Let a client come."""
        client = Client(self, name, codec)
        self.clients.append(client)
        client.connect()
        return client

    # -- the server --------------------------------------------------------------------------------

    def _start(self) -> None:
        self.loop = manual_loop()
        self.loop.now = self._passed_s
        self.bus = Bus(Log("e", 4096), self.clock)
        self.bus.attach(["$audit/#", "$sys/leases/#"], self)
        self.store = ManualStore(self.disk, self.loop)
        clients = Clients(presence=False, grace=GRACE_S, topics=self._topics)
        sharing = Sharing.build(self.bus, self.store, self.loop, clients)
        control = control_for(self.bus, sharing, self.loop, self._options)
        control.sets.register("machine/valve", self.machine)
        control.calls.register("machine/valve", self.machine)
        control.leases.declare("machine")
        control.leases.declare("machine/valve", within="machine")
        groups = Groups(self.bus, self.loop)
        self.shared = Shared(self.bus, None, groups, self.loop, Limits(), sharing, control)
        control.begin(self.committed)
        if not self.disk.is_slow:
            self.loop.settle()

    def crash(self) -> None:
        """Kill it: what has not reached the disk is lost; start another one."""
        self.store.crash()
        for client in self.clients:
            if client.is_there:
                client.session = None
                client.seen_at = self.now
        self.machine.queue.fail("crashed", "")
        for call in self.machine.waiting:
            call.failed("crashed", "")  # nobody is left to be told
        self.machine.waiting.clear()
        self._start()

    def restart(self) -> None:
        """Stop it in order and start another one."""
        self.shared.control.close()
        for client in self.clients:
            if client.is_there:
                client.leave()
        self.machine.waiting.clear()
        self.shared.sharing.close()
        self._start()

    def settle(self) -> None:
        """Let everything happen that can happen now."""
        self.loop.settle()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, each timer at its own."""
        until = self._passed_s + seconds
        self.loop.settle()
        while (timer := self.loop.next_timer) is not None and timer <= until:
            self._move_to(timer)
            self.loop.settle()
        self._move_to(until)

    def _move_to(self, when: float) -> None:
        when = max(when, self._passed_s)
        self.clock.move(round((when - self._passed_s) * 1e6))
        self._passed_s = self.loop.now = when

    # -- a sink ------------------------------------------------------------------------------------

    def selected(self, channel: object) -> None:
        """Nothing to do."""

    def push(self, record: Record) -> None:
        value = record.reading.value
        assert isinstance(value, dict)
        if record.channel.topic.startswith("$audit/"):
            self.audit.append({"what": record.channel.topic[len("$audit/") :], **value})
        else:
            self.leases[record.channel.topic[len("$sys/leases/") :]] = value

    def audited(self, what: str, key: str | None = None) -> list[str]:
        """Return the results in the audit, of one key."""
        return [
            one["result"]
            for one in self.audit
            if one["what"] == what and key in (None, one.get("key"))
        ]
