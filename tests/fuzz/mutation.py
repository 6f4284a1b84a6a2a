"""Mutated messages of clients: from almost right to no message at all. Pure but for its chance."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgpack
from websockets.frames import Frame, Opcode

__all__ = ["Mutator"]

TOPICS = ["#", "plant/#", "plant/a", "plant/b", "+/c", "+/+", "$sys/#", "$sys/sessions/+", "x/y"]

STARTS: list[Any] = [
    "snapshot",
    "now",
    "-1s",
    "-3d",
    {"epoch": "m3x9", "offset": 0},
    {"epoch": "m3x9", "offset": 100_000},
    {"epoch": "m3x9", "offset": 2**62},
    {"epoch": "else", "offset": 5},
    {"time_us": 0},
    {"time_us": 1_763_829_000_000_000},
]

START_OF_REPLAY: list[Any] = [*STARTS[2:], "-100ms"]

SPEEDS = [0.001, 0.5, 1, 100, 1e9]

STRANGE: list[Any] = [
    None,
    True,
    False,
    -1,
    0,
    2,
    2**31,
    2**53 - 1,
    2**53,
    2**63,
    2**64 - 1,
    -(2**63),
    2**200,
    0.0,
    -0.0,
    1.5,
    1e300,
    math.nan,
    math.inf,
    "",
    "#",
    "+",
    "a//b",
    "a/#/b",
    "/" * 20,
    "x" * 300,
    "\ud800",
    "\x00\n\u2028",
    "größe/☃",
    "-99999999999d",
    "-0.0000001s",
    "-٣s",
    b"",
    b"\xff\x00",
    msgpack.ExtType(1, b""),
    msgpack.ExtType(1, b"\x93\x00\xa0\xc0"),
    msgpack.ExtType(1, b"\xc1"),
    msgpack.ExtType(5, b"12345"),
    msgpack.Timestamp(2**34, 999_999_999),
    [],
    {},
    [[[[]]]],
    {"a": {"b": None}},
    {"epoch": 7, "offset": "x"},
    {"epoch": "m3x9", "offset": True},
    {"time_us": 2**63},
    ["#"] * 65,
    ["plant/#", "plant/#"],
    ["plant/a", 7],
]

GROUPS = ["operators", "night", "größe"]
OTHERS = ("client", ["0123456789ab", "", "x" * 81])
KEYS = [f"k{i}" for i in range(20)]

SERVICES = ["mean", "sum", "größe"]

FAILURES: list[Any] = [{"reason": "rejected"}, {"reason": "no", "may_have_acted": False}, {}]

FIELDS = [
    "op",
    "id",
    "client",
    "topics",
    "from",
    "mode",
    "period",
    "max_latency",
    "deadband",
    "change",
    "subscription",
    "request",
    "replay",
    "speed",
    "count",
    "limit",
    "interval",
    "follow",
    "to",
    "body",
    "key",
    "wait",
    "after",
    "message",
    "join",
    "leave",
    "groups",
    "token",
    "name",
    "call",
    "error",
    "topic",
    "value",
    "args",
    "timeout",
    "subject",
    "duration",
    "version",
    "time_us",
    "new",
]

OPS = [
    *("hello", "subscribe", "unsubscribe", "get", "replay", "pause", "speed", "step", "seek"),
    *("serve", "yield", "answer", "call", "history", "topics", "devices", "clients"),
    *("set", "call", "take", "renew", "give_back", "publish", "put", "delete"),
    *("cancel", "ping", "bye", "send", "receive", "ack", "groups", "result", "stream", "x-y", ""),
]

REQUEST = b"\r\n".join(
    (
        b"GET /v1 HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Protocol: sensord.v1.%s",
        b"",
        b"",
    )
)

PAGES = [b"/healthz", b"/api/readings", b"/api/readings?topics=plant/%23&topics=%24sys/%23", b"//["]


class Mutator:
    """Makes the next thing that a client might send; the same seed makes the same things."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    # -- connecting --------------------------------------------------------------------------------

    def upgrade(self, encoding: str) -> bytes:
        """Make the request that opens a WebSocket; one in thirty is wrong."""
        request = REQUEST % encoding.encode()
        match self.chance.randrange(60):
            case 0:
                return self.damaged(request)
            case 1:
                return request.replace(b"/v1", self.chance.choice(PAGES))
            case _:
                return request

    def page(self) -> bytes:
        """Make a request for a page, of which half are wrong."""
        request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % self.chance.choice(PAGES)
        return self.damaged(request) if self.chance.random() < 0.5 else request

    # -- messages ----------------------------------------------------------------------------------

    def hello(self) -> dict[str, Any]:
        """Make a good hello."""
        groups = self.chance.sample(GROUPS, self.chance.randint(0, 2))
        return {"op": "hello", "id": 1, "client": "fuzz", "groups": groups}

    def message(self) -> object:
        """Make a message, of which a third are as they should be."""
        message = self._good()
        if self.chance.random() < 0.33:
            return message
        for _ in range(self.chance.randint(1, 3)):
            self._change(message)
        return message if self.chance.random() < 0.97 else self._value(0)

    def _good(self) -> dict[str, Any]:
        chance = self.chance
        number = chance.randrange(12)
        match chance.randrange(21):
            case 0 | 1 | 2:
                message = {"op": "subscribe", "id": number, "topics": self._topics()}
                message |= self._options()
                if chance.random() < 0.8:
                    message["from"] = chance.choice(STARTS)
                return message
            case 3:
                change = {"op": "subscribe", "id": chance.randrange(20, 99)}
                change |= {"topics": self._topics(), "change": number}
                return change | self._options()
            case 4:
                return {"op": "unsubscribe", "id": 50, "subscription": number}
            case 5:
                gone = {"op": "unsubscribe", "id": 50, "subscription": number}
                return gone | {"topics": self._topics()}
            case 6:
                return {"op": "get", "id": 60, "topics": self._topics()}
            case 7:
                message = {"op": "replay", "id": number, "topics": self._topics()}
                options: dict[str, list[Any]] = {"from": START_OF_REPLAY, "to": STARTS[4:]}
                options |= {"speed": SPEEDS, "paused": [True, False]}
                return message | self._some(options, 0.7)
            case 8 | 9:
                message = {"op": chance.choice(["pause", "speed", "step", "seek"]), "id": 90}
                options = {"speed": SPEEDS, "count": [1, 7, 4096], "from": START_OF_REPLAY}
                return message | {"replay": number} | self._some(options, 0.5)
            case 10:
                return {"op": "cancel", "id": 80, "request": chance.choice([number, 60])}
            case 11 | 12 | 13 | 14 | 16 | 17 | 18 | 19:
                make = [self._talking, self._of_service, self._asking, self._acting]
                return chance.choice(make)(number)
            case _:
                return {"op": "ping", "id": 70}

    def _asking(self, number: int) -> dict[str, Any]:
        """Make a question about the past, or about what there is."""
        chance = self.chance
        op = chance.choice(["history", "history", "history", "topics", "devices", "clients"])
        options: dict[str, list[Any]] = {"from": START_OF_REPLAY, "to": STARTS[4:]}
        options |= {"limit": [1, 100, 2**53 - 1], "interval": [0.1, 60, 31_622_400]}
        if chance.random() < 0.4:
            options = {"from": START_OF_REPLAY, "interval": [0.1, 60], "follow": [True]}
        message = {"op": op, "id": number, "topics": self._topics()}
        return message | self._some(options, 0.6)

    def _talking(self, number: int) -> dict[str, Any]:
        """Make a request about messages to other clients."""
        chance = self.chance
        options: dict[str, list[Any]]
        match chance.randrange(5):
            case 0 | 1:
                kind, names = chance.choice([("group", GROUPS), ("watching", TOPICS), OTHERS])
                message = {"op": "send", "id": number, "to": {kind: chance.choice(names)}}
                options = {"key": KEYS, "wait": [0, 0.01, 86_400]}
                return message | {"body": self._value(2)} | self._some(options, 0.7)
            case 2:
                return {"op": "receive", "id": number} | self._some({"after": [0, 3, 10**6]}, 0.3)
            case 3:
                return {"op": "ack", "id": 81, "message": chance.randrange(200)}
            case _:
                options = {"join": [GROUPS[:1], GROUPS[1:]], "leave": [GROUPS[1:], GROUPS]}
                return {"op": "groups", "id": 82} | self._some(options, 0.6)

    def _acting(self, number: int) -> dict[str, Any]:
        """Make a request that acts, holds or writes; see `Machine` of `fuzz_messages.py`."""
        chance = self.chance
        keyed: dict[str, list[Any]] = {"key": KEYS, "timeout": [0.01, 0.1, 3600]}
        match chance.randrange(7):
            case 0 | 1:
                message = {"op": "set", "id": number, "topic": "plant/a", "value": self._value(2)}
                return message | self._some(keyed, 0.6)
            case 2:
                message = {"op": "call", "id": number, "name": "plant/b"}
                return message | self._some({"args": [{}, {"a": [1]}], **keyed}, 0.6)
            case 3 | 4:
                op = chance.choice(["take", "renew", "give_back"])
                subject = chance.choice(["plant", "plant/a", "plant/b"])
                return {"op": op, "id": number, "subject": subject, "duration": 1}
            case 5:
                message = {"op": "put", "id": number, "topic": "state/x", "value": self._value(2)}
                return message | self._some({"version": [0, 1, 7]}, 0.5)
            case _:
                op = chance.choice(["publish", "delete"])
                return {"op": op, "id": number, "topic": chance.choice(["state/x", "plant/a"])}

    def _of_service(self, number: int) -> dict[str, Any]:
        chance = self.chance
        if chance.random() < 0.2:
            call = chance.randrange(1, 500)
            return {"op": "yield", "id": number, "call": call, "value": self._value(2)}
        if chance.random() < 0.4:
            message = {"op": "answer", "id": 40, "call": chance.randrange(1, 500)}
            return message | self._some({"value": STRANGE, "error": FAILURES}, 0.5)
        op, name = chance.choice(["serve", "call"]), chance.choice(SERVICES)
        options: dict[str, list[Any]] = {"timeout": [0.01, 30], "args": [{}, {"a": 1}]}
        return {"op": op, "id": number, "name": name} | self._some(options, 0.5)

    def _topics(self) -> list[str]:
        return self.chance.sample(TOPICS, self.chance.randint(1, 3))

    def _options(self) -> dict[str, Any]:
        options: dict[str, list[Any]] = {
            "mode": ["every", "latest"],
            "period": [0, 0.01, 3600],
            "max_latency": [0.001, 0.02, 60],
            "deadband": [0, 0.5, 1e300],
        }
        return self._some(options, 0.3)

    def _some(self, options: dict[str, list[Any]], share: float) -> dict[str, Any]:
        chance = self.chance
        return {key: chance.choice(of) for key, of in options.items() if chance.random() < share}

    def _change(self, message: dict[str, Any]) -> None:
        chance = self.chance
        field = chance.choice(FIELDS)
        match chance.randrange(4):
            case 0:
                message.pop(field, None)
            case 1:
                message["op"] = chance.choice(OPS)
            case _:
                message[field] = self._value(0)

    def _value(self, depth: int) -> Any:
        chance = self.chance
        if depth < 3 and chance.random() < 0.15:
            values = [self._value(depth + 1) for _ in range(chance.randrange(4))]
            if chance.random() < 0.5:
                return values
            return {f"{i}{chance.choice(FIELDS)}": value for i, value in enumerate(values)}
        if chance.random() < 0.01:
            deep: Any = None
            for _ in range(chance.choice([10, 500])):
                deep = [deep]
            return deep
        return chance.choice(STRANGE)

    # -- bytes -------------------------------------------------------------------------------------

    def payload(self, message: object, *, is_text: bool) -> bytes:
        """Encode; a fifth of the payloads are damaged afterwards."""
        packed = _json(message) if is_text else _msgpack(message)
        return self.damaged(packed) if self.chance.random() < 0.2 else packed

    def damaged(self, data: bytes) -> bytes:
        """Flip, cut, double, insert, or put a number where there was none."""
        chance = self.chance
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(changed) + 1)
            match chance.randrange(6):
                case 0:
                    del changed[at:]
                case 1:
                    del changed[at : at + chance.randint(1, 8)]
                case 2:
                    changed[at:at] = chance.randbytes(chance.randint(1, 8))
                case 3:
                    changed[at:at] = changed[at : at + chance.randint(1, 40)]
                case 4 if at < len(changed):
                    changed[at] ^= 1 << chance.randrange(8)
                case _ if at < len(changed):
                    changed[at] = chance.choice((0, 0x7F, 0x80, 0xC1, 0xDF, 0xFF, 0x22, 0x5B))
        return bytes(changed)

    def frames(self, payload: bytes, *, is_text: bool) -> bytes:
        """Put a payload into WebSocket frames; one in fifty is damaged, some are in pieces."""
        chance = self.chance
        if chance.random() < 0.02:
            is_text = not is_text
        opcode = Opcode.TEXT if is_text else Opcode.BINARY
        parts = [Frame(opcode, payload)]
        if chance.random() < 0.05:
            cuts = sorted(chance.randrange(len(payload) + 1) for _ in range(chance.randint(1, 5)))
            parts = _fragments(payload, cuts, opcode)
        if chance.random() < 0.03:
            data = chance.randbytes(chance.randrange(126))
            parts.insert(chance.randrange(len(parts)), Frame(Opcode.PING, data))
        if chance.random() < 0.002:
            parts.append(
                Frame(Opcode.CLOSE, chance.choice((b"", b"\x03\xe8", b"\x03\xe8bye", b"x")))
            )
        raw = b"".join(part.serialize(mask=True) for part in parts)
        return self.damaged(raw) if chance.random() < 0.02 else raw


def _fragments(payload: bytes, cuts: Sequence[int], opcode: Opcode) -> list[Frame]:
    edges = [0, *cuts, len(payload)]
    pieces = [payload[a:b] for a, b in pairwise(edges)]
    last = len(pieces) - 1
    return [
        Frame(opcode if i == 0 else Opcode.CONT, piece, fin=i == last)
        for i, piece in enumerate(pieces)
    ]


def _json(message: object) -> bytes:
    return json.dumps(message, default=repr).encode("utf-8", "surrogatepass")


def _msgpack(message: object) -> bytes:
    try:
        packed: bytes = msgpack.packb(message, unicode_errors="surrogatepass")
    except OverflowError:  # an integer that msgpack does not have
        return b"\x81\xa2op\xd3\x80\x00\x00\x00\x00\x00\x00\x00"
    return packed
