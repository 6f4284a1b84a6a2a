"""`docs/asyncapi.yaml` is valid AsyncAPI and says what document, code and server say."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from sensord.bus import Bus
from sensord.device.calls import Call, PromptQueue
from sensord.device.derived import REASONS
from sensord.device.lens import Lens
from sensord.errors import ProtocolError
from sensord.log import Archive, Log
from sensord.log.archive import Fetched, Wanted
from sensord.log.journal import Hole
from sensord.log.seats import Seats
from sensord.model.clocks import SystemClock
from sensord.model.readings import (
    GOOD,
    Kind,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Value,
    ValueType,
)
from sensord.server.listener import Server
from sensord.server.shared import Limits
from sensord.wire.frames import CODECS, JSON, MSGPACK, Codec
from sensord.wire.ops import REQUESTS, read_request
from sensord.wire.ops.subscriptions import Options, Phase, Subscribe
from tests.kit.loops import on_each_loop

ROOT = Path(__file__).parents[2]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())
OFFICIAL = ROOT / "tests" / "asyncapi" / "asyncapi-3.0.0.json"

SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
OPERATIONS: dict[str, Any] = DOCUMENT["operations"]


# -- reading the two documents -----------------------------------------------------------------


def found_at(pointer: str) -> Any:
    """Return what a ``$ref`` of the description leads to."""
    found: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        found = found[part]
    return found


def walk(node: object) -> Iterator[dict[str, Any]]:
    """Yield every map of a document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if type(node) is list else ():
        yield from walk(child)


def section(heading: str) -> str:
    """Return what stands in ``docs/protocol.md`` under a heading."""
    _, found, after = PROTOCOL.partition(f"# {heading}\n")
    assert found, f"docs/protocol.md has no section {heading}"
    return re.split(r"^#+ ", after, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str, first: str) -> list[list[str]]:
    """Return the cells of the tables whose first column is called ``first``."""
    found: list[list[str]] = []
    for table in re.findall(
        rf"^\| {re.escape(first)} \|.*\n\|.*\n((?:\|.*\n?)+)", text, re.MULTILINE
    ):
        found += [[c.strip() for c in line.strip("| ").split(" | ")] for line in table.splitlines()]
    assert found, f"there is no table of {first}"
    return found


def codes(text: str, first: str) -> list[str]:
    """Return the first column of a table, without its backquotes."""
    return [row[0].strip("`") for row in rows(text, first)]


def fields(schema: str) -> set[str]:
    """Return the fields of a message, without those that all requests have."""
    return set(SCHEMAS[schema]["properties"]) - {"op", "id"}


def payloads(side: str) -> dict[str, str]:
    """Return the schemas of the messages of the operations of one side, by operation."""
    return {
        name: found_at(found_at(operation["messages"][0]["$ref"])["$ref"])["payload"]["$ref"]
        for name, operation in OPERATIONS.items()
        if operation["action"] == side and "Msgpack" not in name
    }


def ops(side: str) -> set[str]:
    """Return the ops of the messages of the operations of one side."""
    schemas = [found_at(pointer) for pointer in payloads(side).values()]
    return {s["properties"]["op"]["const"] for s in schemas if s["type"] == "object"}


# -- judging with it ---------------------------------------------------------------------------


def closed(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return schemas that refuse fields that they do not describe."""
    schemas = copy.deepcopy(schemas)
    for schema in walk(schemas):
        if type(schema.get("properties")) is dict and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return schemas


def judge(schemas: dict[str, Any]) -> Callable[[str, object], list[str]]:
    """Return a function that tells what is wrong with a message by a schema of the description."""
    made: dict[str, jsonschema.Draft7Validator] = {}

    def faults(pointer: str, message: object) -> list[str]:
        if pointer not in made:
            schema = {"$ref": pointer, "components": {"schemas": schemas}}
            made[pointer] = jsonschema.Draft7Validator(schema)
        found = [
            f"{fault.json_path}: {fault.message}" for fault in made[pointer].iter_errors(message)
        ]
        # What no JSON Schema can say.
        if "/frame" in pointer and isinstance(message, list) and len(message[3]) % 3:
            found.append("readings come in threes")
        return found

    return faults


strict_faults = judge(closed(SCHEMAS))
"""For what the server sends: it sends nothing that is not described."""

faults = judge(SCHEMAS)
"""For what a client sends: the server ignores fields that it does not know."""


# -- the description itself --------------------------------------------------------------------


def test_asyncapi_finds_nothing_wrong() -> None:
    """AsyncAPI's own schema accepts the description."""
    official = jsonschema.Draft7Validator(json.loads(OFFICIAL.read_text()))
    assert [fault.message for fault in official.iter_errors(DOCUMENT)] == []


def test_asyncapi_would_find_a_fault() -> None:
    """The check above can fail: it knows where what may stand."""
    official = jsonschema.Draft7Validator(json.loads(OFFICIAL.read_text()))
    wrong = copy.deepcopy(DOCUMENT)
    wrong["operations"]["hello"]["action"] = "answer"
    wrong["surprise"] = True
    assert len(list(official.iter_errors(wrong))) == 2


def test_every_schema_is_json_schema() -> None:
    """A misspelt type or a bad bound in a schema is found."""
    for schema in SCHEMAS.values():
        jsonschema.Draft7Validator.check_schema(schema)


def test_every_reference_leads_somewhere() -> None:
    """No ``$ref`` dangles, and no component is left over."""
    used = {node["$ref"] for node in walk(DOCUMENT) if "$ref" in node}
    for pointer in used:
        found_at(pointer)
    components = DOCUMENT["components"]
    made = {f"#/components/{kind}/{name}" for kind in components for name in components[kind]}
    assert made - used == set()


def test_operations_use_the_messages_of_their_own_channel() -> None:
    """Requests and replies stay in one encoding, and no message of a channel is left over."""
    for channel in DOCUMENT["channels"]:
        used: set[str] = set()
        for operation in OPERATIONS.values():
            if operation["channel"]["$ref"] == f"#/channels/{channel}":
                replies = operation.get("reply", {"channel": operation["channel"], "messages": []})
                assert replies["channel"] == operation["channel"]
                used |= {m["$ref"] for m in operation["messages"] + replies["messages"]}
        named = DOCUMENT["channels"][channel]["messages"]
        assert used == {f"#/channels/{channel}/messages/{name}" for name in named}


def test_control_messages_are_the_same_in_both_encodings() -> None:
    """Only the data frame has a schema of its own in msgpack."""
    for name in DOCUMENT["channels"]["json"]["messages"]:
        told, packed = MESSAGES[name], MESSAGES[f"{name}Msgpack"]
        assert (told["contentType"], packed["contentType"]) == (
            "application/json",
            "application/vnd.msgpack",
        )
        assert told["name"] == packed["name"]
        assert (told["payload"] == packed["payload"]) is (name != "frame")


@pytest.mark.parametrize("name", [name for name in MESSAGES if "examples" in MESSAGES[name]])
def test_examples_are_true(name: str) -> None:
    """Every example has the shape that it is an example of."""
    for example in MESSAGES[name]["examples"]:
        payload = example["payload"]
        assert strict_faults(MESSAGES[name]["payload"]["$ref"], payload) == []
        if MESSAGES[name]["payload"]["$ref"].rpartition("/")[2] in REQUESTS:
            read_request(payload)


def test_every_message_has_an_example() -> None:
    """Those in msgpack share those in JSON, but for the frame."""
    without = {name for name in MESSAGES if not MESSAGES[name].get("examples")}
    assert without == {name for name in MESSAGES if name.endswith("Msgpack")} - {"frameMsgpack"}


# -- against docs/protocol.md and the code -----------------------------------------------------


def test_requests_are_those_of_the_code() -> None:
    """Each request that the server reads is an operation, and there is no other."""
    assert ops("receive") == set(REQUESTS)
    for name, pointer in payloads("receive").items():
        assert found_at(pointer)["properties"]["op"]["const"] == name


def test_server_messages_are_those_of_the_document() -> None:
    """Each op of section 3.3 is described with its fields, and there is no other."""
    table = rows(section("3.3 What the server sends"), "`op`")
    told = {row[0].strip("`"): row[1] for row in table}
    assert ops("send") | {"result"} == set(told)
    del told["result"]  # whose fields are those of each request
    for name, named in told.items():
        optional = set(re.findall(r"`(\w+)` \(optional", named))
        assert set(SCHEMAS[name]["properties"]) - {"op"} == set(re.findall(r"`(\w+)`", named))
        assert set(SCHEMAS[name]["properties"]) - set(SCHEMAS[name]["required"]) == optional


@pytest.mark.parametrize("op", sorted(REQUESTS))
def test_request_fields_are_those_of_the_document(op: str) -> None:
    """Each field of a request's table in section 3.2 is described, and there is no other."""
    text = section(f"`{op}`")
    named = codes(text, "field") if "| field |" in text else []
    assert set(named) == fields(op)


def test_defaults_are_those_of_the_code() -> None:
    """A default in the description is what the server takes for a missing field."""
    told = {name: part.get("default") for name, part in SCHEMAS["subscribe"]["properties"].items()}
    options = Options()
    assert told["mode"] == options.mode
    assert told["period"] == options.period_s
    assert told["max_latency"] == options.max_latency_s
    assert told["deadband"] == options.deadband
    assert SCHEMAS["from"]["default"] == Subscribe(1, ("#",)).start
    channel = {name: part.get("default") for name, part in SCHEMAS["channel"]["properties"].items()}
    for name in ("type", "unit", "decimals", "kind", "description", "device"):
        assert channel[name] == getattr(Metadata(), name)


def test_error_codes_are_those_of_the_document() -> None:
    """Codes, and what to do about each, are those of section 3.4; each has an example."""
    code = SCHEMAS["error"]["properties"]["code"]
    table = rows(section("3.4 Error codes"), "`code`")
    assert [row[0].strip("`") for row in table] == code["enum"]
    told = re.findall(r"^- `(\w+)`: (.*)$", code["description"], re.MULTILINE)
    assert [name for name, _ in told] == code["enum"]
    for (name, advice), row in zip(told, table, strict=True):
        assert advice == row[1] or name == "unknown_op"  # which names its section
    assert [e["payload"]["code"] for e in MESSAGES["error"]["examples"]] == code["enum"]


def test_phases_are_those_of_document_and_code() -> None:
    """Phases are the same everywhere; each has an example."""
    phase = SCHEMAS["stream"]["properties"]["phase"]
    assert phase["enum"] == [phase.value for phase in Phase]
    line = re.search(r"^`phase` is (.*)\.$", PROTOCOL, re.MULTILINE)
    assert line is not None
    assert re.findall(r"`(\w+)`", line[1]) == phase["enum"]
    assert {e["payload"]["phase"] for e in MESSAGES["stream"]["examples"]} == set(phase["enum"])
    assert re.findall(r"^- `(\w+)`", phase["description"], re.MULTILINE) == phase["enum"]


def test_gap_reasons_are_those_of_the_document() -> None:
    """Reasons, and what each says, are those of section 3.3; each has an example."""
    reason = SCHEMAS["gap"]["properties"]["reason"]
    table = rows(section("3.3 What the server sends"), "`reason`")
    told = re.findall(r"^- (`\w+`): (.*)$", reason["description"], re.MULTILINE)
    assert [list(pair) for pair in told] == table
    assert [row[0].strip("`") for row in table] == reason["enum"]
    assert {e["payload"]["reason"] for e in MESSAGES["gap"]["examples"]} == set(reason["enum"])


def test_words_of_readings_are_those_of_the_code() -> None:
    """Types, kinds, levels and reasons of quality are the same everywhere."""
    channel = SCHEMAS["channel"]["properties"]
    assert channel["type"]["enum"] == [word.value for word in ValueType]
    assert channel["kind"]["enum"] == [word.value for word in Kind]
    assert SCHEMAS["level"]["enum"] == [level.value for level in Level]
    told = re.findall(r"`(\w+)`", SCHEMAS["reason"]["description"])
    assert set(told) == {reason.value for reason in Reason} | REASONS
    line = re.search(r"^Reasons that sensord itself gives: .*\n.*$", PROTOCOL, re.MULTILINE)
    assert line is not None
    assert line[0] in SCHEMAS["reason"]["description"]


def test_close_codes_are_those_of_the_document() -> None:
    """The table of section 9 stands in the description, word by word."""
    assert rows(DOCUMENT["info"]["description"], "code") == rows(section("9. Close codes"), "code")


def test_subprotocols_are_those_of_the_code() -> None:
    """Each subprotocol is a channel, and there is no other."""
    channels = DOCUMENT["channels"].values()
    assert {channel["title"] for channel in channels} == set(CODECS)
    for channel in channels:
        header = channel["bindings"]["ws"]["headers"]["properties"]["Sec-WebSocket-Protocol"]
        assert header["const"] == channel["title"]


VALUES: dict[str, list[object]] = {
    "id": [0, 1, 2**53 - 1, 2**53, -1, "1", True, 0.5, None],
    "client": ["", "me", "x" * 80, "x" * 81, 5],
    "topics": [
        ["plant/#"],
        ["+/a", "$sys/#", "#", "+"],
        ["a"] * 64,
        ["a"] * 65,
        [],
        "plant/#",
        ["a/#/b"],
        ["a//b"],
        ["a+"],
        [""],
        [7],
        ["x" * 256],
        ["x" * 257],
        ["/".join("x" * 16)],
        ["/".join("x" * 17)],
        ["/".join("x" * 15) + "/#"],
        ["/".join("x" * 16) + "/#"],
        ["a\nb"],
    ],
    "from": [
        "snapshot",
        "now",
        "then",
        "-10m",
        "-1.5h",
        "10m",
        "-10",
        "-10y",
        {"epoch": "e", "offset": 0},
        {"epoch": "e", "offset": -1},
        {"epoch": "e", "offset": 2**53 - 1},
        {"epoch": "e", "offset": 2**53},
        {"epoch": 1, "offset": 1},
        {"offset": 1},
        {"time_us": 0},
        {"time_us": 2**53 - 1},
        {"time_us": 2**53},
        {"time_us": 1 - 2**53},
        {"time_us": -(2**53)},
        {"time_us": "0"},
        {},
        17,
        [],
    ],
    "mode": ["every", "latest", "some", 1],
    "period": [0, 0.5, 3600, 3600.5, -1, "1", True],
    "max_latency": [0.001, 60, 0.0009, 60.1, "1"],
    "deadband": [0, 1.5, 1e300, 1.1e300, -0.1, "1"],
    "change": [0, 7, 2**53 - 1, 2**53, -1, "7", True, 0.5],
    "subscription": [0, 7, 2**53 - 1, 2**53, -1, "7", True, 0.5],
    "to": [
        "-10m",
        "now",
        None,
        {"epoch": "e", "offset": 0},
        {"time_us": 0},
        {"offset": 1},
        3,
        {"client": "5f0c11a7e2b9"},
        {"client": ""},
        {"client": 7},
        {"group": "x" * 80},
        {"group": "x" * 81},
        {"watching": "plant/a"},
        {"watching": "plant/#"},
        {"watching": None},
        {"client": "a", "group": "b"},
        {},
    ],
    "body": [None, "text", {"a": [1.5]}],
    "wait": [0, 86_400, -1, 86_401, None, "1"],
    "after": [0, 7, -1, 2**53, None, "1", True],
    "message": [0, 7, -1, 2**53, None, "1", True],
    "join": [[], ["a", "b"], ["x" * 81], [""], [7], ["a"] * 17, "a", None],
    "leave": [[], ["a", "b"], ["x" * 81], "a", None],
    "groups": [[], ["a", "b"], ["x" * 81], "a", None],
    "speed": [0.001, 1, 10**9, None, 0, -1, 1e10, "1", True],
    "paused": [True, False, None, 1],
    "replay": [0, 7, 2**53 - 1, 2**53, -1, "7", True, None, 0.5],
    "count": [1, 4096, 0, 4097, 1.5, None, "1"],
    "request": [0, 7, 2**53 - 1, 2**53, -1, "7", True, 0.5],
    "topic": ["state/a", "a/b", "state", "state/", "state/+", "state/#", "$sys/x", "", "a//b", 7],
    "value": [1, None, "x", {"a": [1]}, True],
    "time_us": [0, -1, None, 2**53 - 1, 2**53, 2**63, "0", 0.5, True],
    "version": [0, 7, None, -1, 2**53, 1.5, True, "1"],
    "name": ["boiler/reset", "mean", "", "a/+", "a#", "x" * 80, "x" * 81, "a\nb", 7, None],
    "description": ["", "what it does", "x" * 200, "x" * 201, 7],
    "call": [0, 2**53 - 1, 2**53, -1, 0.5, "1", None, True],
    "error": [
        {"reason": "rejected"},
        {"reason": "x" * 40, "message": "x" * 500, "may_have_acted": False},
        {"reason": "x" * 41},
        {"reason": ""},
        {"message": "why"},
        {"reason": "rejected", "message": "x" * 501},
        {"reason": "rejected", "may_have_acted": None},
        {},
        "rejected",
        None,
    ],
    "args": [{}, {"a": 1}, [], None, "a", 7],
    "key": ["", "7f3a-12", "x" * 200, "x" * 201, 7],
    "timeout": [0.01, 3600, 0, 3601, None, "1", True],
    "subject": ["boiler", "plant/a", "", "#", 7, None],
    "duration": [1, 86_400, 0.5, 86_401, None, "1", True],
    "limit": [None, 1, 2**53 - 1, 2**53, 0, 1.5, "1", True],
    "interval": [None, 0.1, 60, 31_622_400, 0.09, 31_622_401, "1", True],
    "follow": [False, True, None, 1],
    "device": ["boiler", "plant/a", "", "#", 7, None],
    "unknown": ["ignored"],
}
"""For each field of a request: good values and bad ones."""

REQUEST: dict[str, Any] = {"id": 1, "topics": ["plant/#"], "subscription": 7, "request": 7}
REQUEST |= {"replay": 8, "from": "-1h"}
REQUEST |= {"topic": "state/a", "value": 1, "name": "mean", "subject": "boiler"}
REQUEST |= {"body": "text", "message": 7}
REQUEST |= {"call": 3, "device": "boiler"}
"""Enough for any request."""

OWN: dict[str, dict[str, Any]] = {"send": {"to": {"group": "operators"}}}
"""What a field means in one request and not in others."""


def requests(op: str) -> Iterator[dict[str, Any]]:
    """Yield requests with each value of each field, without each field, and with all of them."""
    whole: dict[str, Any] = {"op": op, **REQUEST, **OWN.get(op, {})}
    yield from ({**whole, name: value} for name in VALUES for value in VALUES[name])
    yield from ({k: v for k, v in whole.items() if k != name} for name in [*whole][1:])
    yield from ({**whole, "follow": True, name: VALUES[name][0]} for name in VALUES)
    yield {**{name: values[0] for name, values in VALUES.items()}, **whole}


@pytest.mark.parametrize("op", sorted(REQUESTS))
def test_schemas_refuse_what_the_server_refuses(op: str) -> None:
    """A request is refused by its schema exactly if the server refuses it."""
    for message in requests(op):
        found = faults(payloads("receive")[op], message)
        assert bool(found) is is_refused(message), (message, found)


def is_refused(message: object) -> bool:
    """Tell whether the server refuses a request as such."""
    try:
        read_request(message)
    except ProtocolError:
        return True
    return False


# -- against a server --------------------------------------------------------------------------

STALE = Quality(Level.BAD, Reason.STALE)
LIMITS = Limits(requests=5, outbox_bytes=8 * 1024)
LONG = "x" * 2000
SETTLED_TURNS = 50
"""A session congested for so many turns stays so: all buffers on the way to the client are full."""


class Plant:
    """A bus with a channel of each type, and a server on it."""

    def __init__(self, bus: Bus, server: Server) -> None:
        self.bus = bus
        self.server = server
        self.temperature = bus.channel(
            "plant/temperature", Metadata(unit="Cel", decimals=2, device="boiler")
        )
        self.count = bus.channel("plant/count", Metadata(ValueType.INT))
        self.opened = bus.channel("plant/opened", Metadata(ValueType.BOOL, kind=Kind.EVENT))
        self.label = bus.channel(
            "plant/label", Metadata(ValueType.STRING, description="what it says")
        )
        self.state = bus.channel("plant/state", Metadata(ValueType.JSON))
        self.boiler = bus.channel("$sys/devices/boiler", Metadata(ValueType.JSON))
        control = server.shared.control
        control.calls.register("valve/open", Valve())
        control.sets.register("plant/label", Valve())
        for subject in ("valve", "plant/label"):
            control.leases.declare(subject)

    def publish_each(self) -> None:
        """Publish values of every kind there is."""
        now = self.bus.now_us()
        for value in (21.53, 5.0, 1e300, -0.0):
            self.bus.publish(self.temperature, Reading(now, value))
        self.bus.publish(self.temperature, Reading(now, None, Quality(Level.BAD, "not_finite")))
        self.bus.publish(self.count, Reading(now, 2**60))
        self.bus.publish(self.boiler, Reading(now, {"state": "up", "faults": {}}))
        self.bus.publish(self.count, Reading(now - 10, 2**60, STALE, restates=True))
        self.bus.publish(self.opened, Reading(now - 10, value=True))
        self.bus.publish(self.opened, Reading(now - 10, True, GOOD, restates=True))
        self.bus.publish(self.label, Reading(now, "Übung"))
        states: list[Value] = [{"v": 1}, {"j": {}}, [1, {"a": None}], None, "text", 1.5]
        for state in states:
            self.bus.publish(self.state, Reading(now, state))
            self.bus.publish(self.state, Reading(now, state, Quality(Level.UNCERTAIN, "mine")))


class Valve:
    """Something to call: it opens, unless it is told to fail."""

    timeout_s = 5.0

    def __init__(self) -> None:
        self.queue = PromptQueue(self._open)

    def check(self, args: Mapping[str, Value]) -> Mapping[str, Value]:
        return args

    def _open(self, call: Call) -> None:
        if "fail" in call.args:
            call.failed("rejected", "open it by hand")
        else:
            call.done({"position": [100]})


class DamagedArchive:
    """A journal in which nothing can be read."""

    first = 0
    first_us = None

    def __init__(self) -> None:
        self.seats = Seats()

    def fetch(self, wanted: Wanted, _limit: int, done: Callable[[Fetched], None]) -> None:
        hole = Hole(wanted.start, wanted.stop - wanted.start, "a damaged chunk")
        done(Fetched([], [hole], wanted.stop))


class Monitor:
    """A client that keeps what it asked and what it was told."""

    def __init__(self, socket: ClientConnection, codec: Codec) -> None:
        self.asked: dict[int, str] = {}
        self.told: list[Any] = []
        self._socket = socket
        self._codec = codec

    async def send(self, payload: bytes) -> None:
        await self._socket.send(payload, text=self._codec.is_text)

    async def until(self, condition: Callable[[Any], bool]) -> Any:
        """Read up to the first message that fulfils ``condition``."""
        while True:
            self.told.append(self._codec.decode(await self._socket.recv(decode=False)))
            if condition(self.told[-1]):
                return self.told[-1]

    async def until_told(self, **fields: object) -> Any:
        """Read up to the first control message with these fields."""
        return await self.until(
            lambda m: (
                isinstance(m, dict) and fields.items() <= {k: m.get(k) for k in fields}.items()
            )
        )

    async def ask(self, op: str, **more: object) -> dict[str, Any]:
        """Send a request and read up to its answer."""
        number = len(self.asked) + 1
        self.asked[number] = op
        await self.send(self._codec.message({"op": op, "id": number, **more}))
        answer = await self.until(lambda m: isinstance(m, dict) and m.get("id") == number)
        assert isinstance(answer, dict)
        return answer

    async def refused(self, op: str, **more: object) -> str:
        """Send a request that is refused; return the code."""
        answer = await self.ask(op, **more)
        assert answer["op"] == "error", answer
        return str(answer["code"])

    async def subscribe(self, **more: object) -> int:
        """Open a subscription, read until it is live, return its id."""
        answer = await self.ask("subscribe", **more)
        assert answer["op"] == "result", answer
        await self.until_told(op="stream", id=answer["id"], phase="live")
        return int(answer["id"])

    def words(self, op: str, field: str) -> set[str]:
        """Return what was told in one field of one kind of message."""
        return {m[field] for m in self.told if isinstance(m, dict) and m["op"] == op}

    def faults(self) -> Iterator[str]:
        """Yield what the description finds wrong with what was told."""
        for message in self.told:
            if isinstance(message, list):
                schema = "frame" if self._codec.is_text else "frameMsgpack"
                yield from strict_faults(f"#/components/schemas/{schema}", plain(message))
                continue
            if message["op"] in {"result", "error"} and message["id"] in self.asked:
                replies = OPERATIONS[self.asked[message["id"]]]["reply"]["messages"]
            else:
                replies = [{"$ref": f"#/channels/json/messages/{message['op']}"}]
            # One of them fits.
            found = [
                strict_faults(found_at(found_at(reply["$ref"])["$ref"])["payload"]["$ref"], message)
                for reply in replies
            ]
            if all(found):
                yield f"{message}: {found}"


def plain(value: Any) -> Any:
    """Return a decoded frame with the array of each wrapped value in its place, as described."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, tuple):
        parts = [*value[:3], *(age for age in value[3:] if age is not None)]
        assert strict_faults("#/components/schemas/wrappedMsgpack", parts) == []
        return parts
    return value


@asynccontextmanager
async def plant(archive: Archive | None = None) -> AsyncIterator[Plant]:
    """Run a server in this process."""
    # The smallest log there is, so that readings expire soon.
    bus = Bus(Log("e1", capacity=1), SystemClock())
    server = Server(bus, asyncio.get_running_loop(), LIMITS, archive)
    await server.listen(["127.0.0.1:0"])
    try:
        yield Plant(bus, server)
    finally:
        await server.close(5.0)


@asynccontextmanager
async def monitor(plant: Plant, codec: Codec) -> AsyncIterator[Monitor]:
    """Connect a client whose socket takes little while nobody reads."""
    host, _, port = plant.server.addresses[0].rpartition(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((host, int(port)))
    async with connect(
        f"ws://{host}:{port}/v1",
        sock=raw,
        subprotocols=[Subprotocol(codec.subprotocol)],
        compression=None,
        max_queue=1,
        proxy=None,
    ) as client:
        yield Monitor(client, codec)
        # A good-bye would wait for what nobody reads any more.
        client.transport.abort()


CODEC = pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.subprotocol)


@CODEC
@on_each_loop
async def test_what_a_server_says_is_described(codec: Codec) -> None:
    """All that a server says in a session of everything a client can ask fits the schemas."""
    async with plant() as there, monitor(there, codec) as client:
        there.publish_each()
        assert await client.refused("ping") == "hello_first"
        await client.send(b"\xc1" if codec is MSGPACK else b"nonsense")
        await client.until_told(op="error", id=None, code="bad_message")
        hello = await client.ask("hello", client="tester", groups=["night"])
        me = hello["client"]["id"]
        assert await client.refused("hello") == "already"
        assert await client.refused("subscribe", topics=["#"], period=-1) == "bad_request"
        assert await client.refused("unsubscribe", subscription=99) == "not_found"
        assert await client.refused("cancel", request=99) == "not_found"
        await client.ask("ping")
        await client.ask("get", topics=["plant/#"])
        await client.until_told(op="end")
        for args in ({}, {"fail": True}):
            await client.ask("call", name="valve/open", args=args, key=f"k{len(args)}")
            await client.until_told(op="end")
        await client.ask("set", topic="plant/label", value="x")
        await client.until_told(op="end")
        assert await client.refused("set", topic="plant/state", value=1) == "not_found"
        offered = await client.ask("serve", name="mean")
        assert await client.refused("serve", name="mean") == "already"
        asked = await client.ask("call", name="mean", args={"numbers": [2, 3]})
        (request,) = [m for m in client.told if isinstance(m, dict) and m["op"] == "request"]
        assert (await client.ask("yield", call=request["call"], value=[2]))["receivers"] == 1
        assert {"op": "part", "id": asked["id"], "number": 0, "value": [2]} in client.told
        assert (await client.ask("answer", call=request["call"], value=2.5))["op"] == "result"
        assert await client.refused("yield", call=request["call"], value=2) == "not_found"
        assert await client.refused("answer", call=request["call"]) == "not_found"
        assert {"op": "outcome", "id": asked["id"], "status": "done", "value": 2.5} in client.told
        await client.ask("cancel", request=offered["id"])
        for op in ("take", "renew", "give_back"):
            assert (await client.ask(op, subject="valve"))["op"] == "result"
        assert await client.refused("renew", subject="valve") == "not_found"

        lens = Lens("boiler", there.bus, lambda: None)
        there.server.shared.lenses.add(lens)
        sniffing = await client.ask("sniff", device="boiler")
        lens.received(b"T=21.5", "meter")
        values: list[Value] = [21.5, {"a": 1}, "x" * 5000]
        for value in values:
            lens.on_value("plant/temperature", value, Quality(Level.BAD, "missing"))
        lens.fault("no number", "T=?")
        lens.down("unplugged")
        await client.until_told(op="sights")
        await client.ask("cancel", request=sniffing["id"])

        await client.ask("groups", join=["operators"])
        receiving = await client.ask("receive")
        await client.ask("send", to={"client": me}, body={"text": "remember"}, key="k1")
        message = await client.until_told(op="message")
        assert await client.refused("ack", message=message["message"] + 1) == "not_found"
        await client.ask("ack", message=message["message"])
        await client.until_told(op="end")
        await client.ask("send", to={"client": "nobody"}, body=1)
        await client.until_told(op="end")
        await client.ask("send", to={"watching": "plant/a"}, body=1, wait=0)
        await client.until_told(op="end")
        await client.ask("cancel", request=receiving["id"])

        first = await client.subscribe(topics=["plant/temperature", "plant/count"])
        there.publish_each()
        await client.until(lambda message: isinstance(message, list))
        await client.ask("subscribe", change=first, topics=["plant/#"], deadband=0.1)
        await client.ask("unsubscribe", subscription=first, topics=["plant/#"])

        past: dict[str, Any] = {"topics": ["plant/#"], "from": {"time_us": 0}}
        await client.ask("history", **past, limit=3)
        await client.until_told(op="end", complete=False)
        await client.ask("history", **past, interval=0.1)
        await client.until_told(op="end", complete=True)
        followed: dict[str, dict[str, Any]] = {
            "history": {**past, "interval": 60},
            "topics": {"topics": ["#", "$sys/#"]},
            "devices": {},
            "clients": {},
        }
        for op, fields in followed.items():
            answer = await client.ask(op, **fields, follow=True)
            await client.until_told(op="complete", id=answer["id"])
            await client.ask("cancel", request=answer["id"])
        answer = await client.ask("history", **past, follow=True)
        await client.until_told(op="stream", id=answer["id"], phase="live")
        await client.ask("cancel", request=answer["id"])

        cancelled = await client.subscribe(topics=["plant/#"], **{"from": "now"})
        await client.ask("cancel", request=cancelled)

        await client.subscribe(topics=["plant/#"], **{"from": "-10m"})
        there.publish_each()
        await client.until(lambda message: isinstance(message, list))
        for _ in range(4096):
            there.bus.publish(there.count, Reading(there.bus.now_us(), 1))
        for epoch, offset in (("e1", 3), ("e0", 3), ("e1", 10**6)):
            await client.subscribe(topics=["#"], **{"from": {"epoch": epoch, "offset": offset}})
        await client.subscribe(topics=["#"], **{"from": {"time_us": 0}})
        assert await client.refused("subscribe", topics=["#"]) == "too_many"

    assert list(client.faults()) == []
    assert client.words("gap", "reason") == {"expired", "epoch_changed", "ahead"}
    # On a busy machine the one that is live may lag behind those that catch up.
    assert client.words("stream", "phase") - {"lagging"} == {"snapshot", "catching_up", "live"}
    assert {m["op"] for m in client.told if isinstance(m, dict)} == ops("send") | {"result"}


@CODEC
@on_each_loop
async def test_what_a_server_says_of_a_damaged_journal_is_described(codec: Codec) -> None:
    """A gap that says why fits the schemas too."""
    archive = cast("Archive", DamagedArchive())
    async with plant(archive) as there, monitor(there, codec) as client:
        for _ in range(4096):
            there.bus.publish(there.count, Reading(there.bus.now_us(), 1))
        await client.ask("hello")
        await client.subscribe(topics=["#"], **{"from": {"epoch": "e1", "offset": 3}})

    assert list(client.faults()) == []
    assert client.words("gap", "reason") == {"missing"}
    assert client.words("gap", "detail") == {"a damaged chunk"}


@CODEC
@on_each_loop
async def test_what_a_server_says_to_a_slow_monitor_is_described(codec: Codec) -> None:
    """The lag of a monitor, and what it loses by it, fit the schemas too."""
    async with plant() as there, monitor(there, codec) as client:
        await client.ask("hello")
        await client.subscribe(topics=["plant/#"], mode="latest", max_latency=0.001)
        (session,) = there.server._sessions
        clogged_turns = 0
        while clogged_turns < SETTLED_TURNS:
            there.bus.publish(there.label, Reading(there.bus.now_us(), LONG))
            await asyncio.sleep(0)
            clogged_turns = clogged_turns + 1 if session.is_congested else 0
        # What the session missed lies before the boundary of the group that it left.
        there.server.shared.groups.flush()
        await client.until_told(op="gap", reason="conflated")
        last = there.bus.publish(there.count, Reading(there.bus.now_us(), 1))
        await client.until(lambda m: isinstance(m, list) and m[1] == last.offset + 1)

    assert list(client.faults()) == []
    assert client.words("stream", "phase") >= {"lagging", "live"}
