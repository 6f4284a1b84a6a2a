"""The protocol over real sockets, with messages made by hand: `docs/protocol.md`, 2 to 6, 8."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from sensord.config.tree import Clients, OpenTopic
from sensord.model.readings import Level, Metadata, Quality, ValueType
from sensord.server.session import MAX_MALFORMED
from sensord.server.shared import Limits
from tests.kit.loops import on_each_loop
from tests.kit.monitor import Seen, monitor
from tests.kit.station import EPOCH, Station

each_encoding = pytest.mark.parametrize("encoding", ["msgpack", "json"])

HASTY = replace(Limits(), hello_timeout_s=0.1, silence_s=0.1)
"""The sweep comes once a second; it does then what is due."""


async def refused(url: str, *offered: str) -> InvalidStatus:
    """Try to connect, and return how it was refused."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(
            url, subprotocols=[Subprotocol(name) for name in offered] or None, proxy=None
        ):
            pass
    return caught.value


# -- connecting (section 2) ------------------------------------------------------------------------


@on_each_loop
@pytest.mark.parametrize("offered", [[], ["mqtt"]])
async def test_a_client_without_a_known_subprotocol_is_told_what_to_offer(
    offered: list[str],
) -> None:
    """HTTP 400 and a text that names both."""
    async with Station() as station:
        response = (await refused(station.url, *offered)).response
    assert response.status_code == 400
    assert b"sensord.v1.msgpack and sensord.v1.json" in response.body


@on_each_loop
async def test_there_is_no_websocket_at_another_path() -> None:
    """HTTP 404 and a text that names the right one."""
    async with Station() as station:
        response = (await refused(station.url + "/v2", "sensord.v1.json")).response
    assert response.status_code == 404
    assert b"connect to /v1" in response.body


@on_each_loop
@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1?name=x"])
async def test_the_websocket_is_at_both_paths(path: str) -> None:
    """A query is nobody's business."""
    async with Station() as station, monitor(station.url + path) as client:
        assert (await client.ask("ping"))["op"] == "result"


@on_each_loop
async def test_the_first_subprotocol_of_the_clients_list_is_taken() -> None:
    """It is the client that says what it likes better."""
    names = [Subprotocol(name) for name in ("mqtt", "sensord.v1.json", "sensord.v1.msgpack")]
    async with Station() as station, connect(station.url, subprotocols=names) as first:
        assert first.subprotocol == "sensord.v1.json"
        async with connect(station.url, subprotocols=names[::-1]) as second:
            assert second.subprotocol == "sensord.v1.msgpack"


@on_each_loop
async def test_no_extension_is_negotiated() -> None:
    """However much the client would like to compress."""
    names = [Subprotocol("sensord.v1.json")]
    async with (
        Station() as station,
        connect(station.url, subprotocols=names, compression="deflate") as client,
    ):
        assert client.protocol.extensions == []


@on_each_loop
async def test_one_session_too_many_is_sent_away() -> None:
    """With a code that says to come back later; when one leaves there is room again."""
    async with Station(replace(Limits(), sessions=2)) as station, monitor(station.url):
        async with monitor(station.url), monitor(station.url, says_hello=False) as third:
            closed = await third.closed()
        assert closed.code == 4101
        async with monitor(station.url) as third:
            assert (await third.ask("ping"))["op"] == "result"


# -- hello and states (section 3.1) ----------------------------------------------------------------


@on_each_loop
@each_encoding
async def test_hello_tells_the_server_its_log_and_its_limits(encoding: str) -> None:
    """All that a client needs to resume, and to keep to the rules."""
    limits = Limits(message_bytes=9999, requests=7, filters=64, outbox_bytes=55_555)
    async with Station(limits) as station:
        station.publish("plant/a", 1.0, 2.0)
        async with monitor(station.url, encoding, says_hello=False) as client:
            answer = await client.hello()
            clock_us = station.bus.now_us()
    assert answer["server"].startswith("sensord/")
    assert answer["epoch"] == EPOCH
    assert answer["offset"] == 2
    assert isinstance(answer["session"], str)
    assert abs(answer["time_us"] - clock_us) < 10_000_000
    assert answer["limits"]["message_bytes"] == 9999
    assert answer["limits"]["requests"] == 7
    assert answer["limits"]["filters"] == 64
    assert answer["limits"]["outbox_bytes"] == 55_555


@on_each_loop
@each_encoding
@pytest.mark.parametrize("op", ["subscribe", "unsubscribe", "get", "cancel", "ping"])
async def test_requests_before_hello_are_refused(encoding: str, op: str) -> None:
    """And hello is still welcome afterwards."""
    async with Station() as station, monitor(station.url, encoding, says_hello=False) as client:
        answer = await client.ask(op, topics=["#"], subscription=1, request=1)
        assert (answer["op"], answer["code"]) == ("error", "hello_first")
        await client.hello()


@on_each_loop
@each_encoding
@pytest.mark.parametrize("client", ["x" * 81, 7, ["x"]])
async def test_a_wrong_hello_is_refused(encoding: str, client: Any) -> None:
    """And a right one is still welcome afterwards."""
    async with Station() as station, monitor(station.url, encoding, says_hello=False) as guest:
        answer = await guest.ask("hello", client=client)
        assert (answer["op"], answer["code"]) == ("error", "bad_request")
        await guest.hello("x" * 80)


@on_each_loop
@each_encoding
async def test_a_second_hello_is_refused(encoding: str) -> None:
    """The session goes on."""
    async with Station() as station, monitor(station.url, encoding) as client:
        answer = await client.ask("hello")
        assert (answer["op"], answer["code"]) == ("error", "already")
        assert (await client.ask("ping"))["op"] == "result"


@on_each_loop
async def test_without_hello_in_time_the_client_is_sent_away() -> None:
    """Neither silence nor anything else counts for a hello."""
    async with Station(HASTY) as station, monitor(station.url, says_hello=False) as client:
        await client.send({"op": "ping", "id": 1})
        closed = await client.closed()
    assert closed.code == 4202


@on_each_loop
async def test_a_connection_that_asks_for_nothing_is_ended() -> None:
    """Not even an HTTP request: there is nobody to close politely with."""
    async with Station(HASTY) as station:
        host, port = station.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost:")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert station.server.statistics().connections == 0


@on_each_loop
async def test_a_silent_client_is_pinged_and_stays() -> None:
    """The library answers pings by itself, as every library must."""
    async with Station(HASTY) as station, monitor(station.url) as client:
        heard = asyncio.Event()
        pinged = client.connection.protocol.recv_frame

        def recv_frame(frame: Frame) -> None:
            if frame.opcode is Opcode.PING:
                heard.set()
            pinged(frame)

        client.connection.protocol.recv_frame = recv_frame  # type: ignore[method-assign]  # listens in
        await heard.wait()
        heard.clear()
        await heard.wait()
        assert (await client.ask("ping"))["op"] == "result"


@on_each_loop
async def test_a_client_that_answers_no_ping_is_sent_away() -> None:
    """It is taken for lost."""
    async with Station(HASTY) as station:
        host, port = station.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(upgrade("sensord.v1.json"))
        await reader.readuntil(b"\r\n\r\n")
        hello = Frame(Opcode.TEXT, b'{"op": "hello", "id": 1}')
        writer.write(hello.serialize(mask=True))
        received = await reader.read()  # up to the end
        writer.close()
        await writer.wait_closed()
    assert b"\x89\x00" in received  # a ping ...
    assert received.endswith(b"no answer to a ping")  # ... then the close frame


def upgrade(subprotocol: str, path: str = "/v1") -> bytes:
    """Make the request that opens a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {subprotocol}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# -- malformed input (sections 3.4, 8, 9) ----------------------------------------------------------


@on_each_loop
@each_encoding
@pytest.mark.parametrize(
    ("message", "code", "number"),
    [
        ({"op": "frobnicate", "id": 5}, "unknown_op", 5),
        ({"op": "ping"}, "bad_request", None),
        ({"op": "ping", "id": -1}, "bad_request", None),
        ({"op": "ping", "id": 2**53}, "bad_request", None),
        ({"op": "ping", "id": True}, "bad_request", None),
        ({"op": "ping", "id": "5"}, "bad_request", None),
        ({"op": 7, "id": 5}, "bad_message", 5),
        ({"id": 5}, "bad_message", 5),
        ([], "bad_message", None),
        (None, "bad_message", None),
        ({"op": "subscribe", "id": 5}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": "#"}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": []}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["a"] * 65}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["a/#/b"]}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["a+"]}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["x" * 257]}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["/".join("x" * 17)]}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": [7]}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["#"], "from": "yesterday"}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["#"], "from": {"offset": 5}}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["#"], "mode": "some"}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["#"], "period": -1}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["#"], "period": 3601}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["#"], "max_latency": 0}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["#"], "deadband": "1"}, "bad_request", 5),
        ({"op": "subscribe", "id": 5, "topics": ["#"], "change": 99}, "not_found", 5),
        ({"op": "unsubscribe", "id": 5}, "bad_request", 5),
        ({"op": "unsubscribe", "id": 5, "subscription": 99}, "not_found", 5),
        ({"op": "get", "id": 5, "topics": ["a//b"]}, "bad_request", 5),
        ({"op": "cancel", "id": 5}, "bad_request", 5),
        ({"op": "cancel", "id": 5, "request": 5}, "not_found", 5),
    ],
)
async def test_a_wrong_message_is_answered_with_an_error(
    encoding: str, message: Any, code: str, number: int | None
) -> None:
    """It names the request, if it can, and does not end the session."""
    async with Station() as station, monitor(station.url, encoding) as client:
        await client.send(message)
        await client.until(lambda: client.errors)
        error = client.errors[0]
        assert (error["code"], error["id"]) == (code, number)
        assert error["message"]
        assert (await client.ask("ping"))["op"] == "result"


@on_each_loop
@each_encoding
async def test_bytes_that_mean_nothing_are_answered_with_an_error(encoding: str) -> None:
    """Cut short, too much, of other encodings, or none at all."""
    good = msgpack.packb({"op": "ping", "id": 1}) if encoding == "msgpack" else b'{"op":"ping"}'
    wrong = [b"", b"\xc1", b"\xff\xfe", good[:-1], good + good, b"[" * 50_000, b"\x91" * 50_000]
    wrong += [b"NaN", b"\x81\x90\x01", b"\xc7\x03\x01\x93\x01", b"\xd6\xff" + b"\xff" * 4]
    async with Station() as station, monitor(station.url, encoding) as client:
        for i, payload in enumerate(wrong, 1):
            await client.send_bytes(payload, is_text=client.is_text)
            await client.until(lambda i=i: len(client.errors) == i)  # type: ignore[misc]  # bound now
            assert client.errors[-1]["code"] == "bad_message"
        assert (await client.ask("ping"))["op"] == "result"


@on_each_loop
@each_encoding
async def test_a_message_of_the_other_kind_is_refused(encoding: str) -> None:
    """Text on the msgpack subprotocol, binary on the JSON one."""
    async with Station() as station, monitor(station.url, encoding) as client:
        await client.send_bytes(b'{"op": "ping", "id": 1}', is_text=not client.is_text)
        await client.until(lambda: client.errors)
        assert client.errors[0]["code"] == "bad_message"
        assert f"sensord.v1.{encoding}" in client.errors[0]["message"]


@on_each_loop
@each_encoding
async def test_a_hundred_malformed_messages_in_a_row_end_the_session(encoding: str) -> None:
    """A good one between starts the count anew."""
    async with Station() as station, monitor(station.url, encoding) as client:
        for _ in range(MAX_MALFORMED - 1):
            await client.send({"op": "nonsense"})
        assert (await client.ask("ping"))["op"] == "result"
        for _ in range(MAX_MALFORMED):
            await client.send({"op": "nonsense"})
        closed = await client.closed()
    assert closed.code == 4201
    assert len(client.errors) == 2 * MAX_MALFORMED - 1


@on_each_loop
@each_encoding
async def test_what_can_be_read_and_is_refused_ends_no_session(encoding: str) -> None:
    """A sensor that is out of its range is no broken client."""
    topics = {"lab/a": OpenTopic(range=(0, 1))}
    async with (
        Station(clients=Clients(topics=topics)) as station,
        monitor(station.url, encoding) as client,
    ):
        for _ in range(2 * MAX_MALFORMED):
            answer = await client.ask("publish", topic="lab/a", value=2)
            assert answer["code"] == "bad_request"
        assert station.bus.find("lab/a") is None


@on_each_loop
@each_encoding
async def test_a_message_over_the_limit_ends_the_session(encoding: str) -> None:
    """One byte less is only a strange message."""
    async with Station() as station, monitor(station.url, encoding) as client:
        await client.send_bytes(b"[" * 65_536, is_text=client.is_text)
        await client.until(lambda: client.errors)
        await client.send_bytes(b"[" * 65_537, is_text=client.is_text)
        assert (await client.closed()).code == 1009


@on_each_loop
@each_encoding
async def test_a_message_in_many_fragments_counts_as_one(encoding: str) -> None:
    """In its meaning and in its size."""
    async with Station() as station, monitor(station.url, encoding) as client:
        payload = json.dumps({"op": "ping", "id": 9}).encode()
        if encoding == "msgpack":
            payload = msgpack.packb({"op": "ping", "id": 9})
        parts = [payload[i : i + 1] for i in range(len(payload))]
        await client.connection.send([p.decode() for p in parts] if client.is_text else parts)
        await client.until(lambda: 9 in client.answers)
        large = ["x" * 1000] * 66 if client.is_text else [b"x" * 1000] * 66
        await client.connection.send(large)
        assert (await client.closed()).code == 1009


@on_each_loop
async def test_endless_empty_fragments_cost_no_memory() -> None:
    """They add nothing to a message, so they may add nothing here."""
    async with Station() as station, monitor(station.url) as client:
        host, port = station.address.split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            upgrade("sensord.v1.json") + Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
        )
        fragment = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
        for _ in range(100):
            writer.write(fragment * 100)
            await writer.drain()
            await client.ask("ping")
        assert [len(c._parts) for c in station.server._connections] == [0, 0]
        writer.close()
        await writer.wait_closed()


@on_each_loop
@each_encoding
async def test_no_more_subscriptions_than_the_limit(encoding: str) -> None:
    """The error names the limit; ending one makes room."""
    async with Station() as station, monitor(station.url, encoding) as client:
        stories = [await client.subscribe("plant/#") for _ in range(64)]
        refused = await client.ask("subscribe", topics=["plant/#"])
        assert refused["code"] == "too_many"
        assert "64" in refused["message"]
        await client.ask("unsubscribe", subscription=client.number(stories[0]))
        await client.subscribe("plant/#")
        station.publish("plant/a", 4.5)
        await client.until(lambda: all(story.values == [4.5] for story in stories[1:]))
        assert stories[0].values == []


@on_each_loop
@each_encoding
async def test_the_id_of_an_open_subscription_is_taken(encoding: str) -> None:
    """Until the subscription has ended."""
    async with Station() as station, monitor(station.url, encoding) as client:
        await client.subscribe("plant/#", id=7)
        refused = await client.ask("subscribe", id=7, topics=["other/#"])
        assert (refused["op"], refused["code"]) == ("error", "already")
        await client.ask("unsubscribe", subscription=7)
        assert (await client.ask("subscribe", id=7, topics=["other/#"]))["op"] == "result"


@on_each_loop
@each_encoding
async def test_unknown_fields_are_ignored(encoding: str) -> None:
    """A newer client can talk to an older server."""
    async with Station() as station, monitor(station.url, encoding) as client:
        assert (await client.ask("ping", colour="red", nested={"a": [1]}))["op"] == "result"


# -- readings (sections 4 and 6) -------------------------------------------------------------------


@on_each_loop
@each_encoding
async def test_values_of_every_type_arrive_as_they_were_published(encoding: str) -> None:
    """With their times, their qualities and their metadata."""
    async with Station() as station, monitor(station.url, encoding) as client:
        story = await client.subscribe("#")
        at_us = 1_763_829_000_000_000
        published: list[tuple[str, ValueType, Any]] = [
            ("a/float", ValueType.FLOAT, 21.53),
            ("a/whole", ValueType.FLOAT, 5.0),
            ("a/int", ValueType.INT, 2**53 - 1),
            ("a/bool", ValueType.BOOL, True),
            ("a/text", ValueType.STRING, "größer ☃"),
            ("a/json", ValueType.JSON, {"q": 1, "list": [1, None, 2.5]}),
            ("a/list", ValueType.JSON, [{"x": 1}, "y"]),
            ("a/none", ValueType.JSON, None),
        ]
        for i, (topic, kind, value) in enumerate(published):
            station.publish(station.state(topic, kind), value, time_us=at_us - i * 1000)
        bad = Quality(Level.BAD, "broken wire")
        station.publish("a/bad", None, quality=bad, time_us=at_us)
        await client.until(lambda: len(story.readings) == 9)
    expected = [Seen(t, at_us - i * 1000, value) for i, (t, _, value) in enumerate(published)]
    assert [(s.topic, s.reported_us, s.value) for s in story.readings[:-1]] == [
        (s.topic, s.reported_us, s.value) for s in expected
    ]
    assert [type(s.value) for s in story.readings[:-1]] == [type(s.value) for s in expected]
    assert story.readings[-1][:5] == ("a/bad", at_us, None, 2, "broken wire")


@on_each_loop
@each_encoding
async def test_a_snapshot_comes_first_and_then_every_reading(encoding: str) -> None:
    """The last value of each channel, marked as such, and no hole between."""
    async with Station() as station, monitor(station.url, encoding) as client:
        station.publish("plant/a", 1.5, 2.5)
        station.publish("plant/b", 7.5)
        station.publish("other", 9.5)
        story = await client.subscribe("plant/#")
        station.publish("plant/a", 3.5)
        await client.until(lambda: 3.5 in story.values)
    assert story.phases[0] == "snapshot"
    assert story.phase == "live"
    told = story.told[: story.told.index("live")]
    assert [s[0::2][:2] for s in told if isinstance(s, Seen)] == [
        ("plant/a", 2.5),
        ("plant/b", 7.5),
    ]
    assert story.values == [2.5, 7.5, 3.5]
    assert story.cursor == 5
    assert story.gaps == []


@on_each_loop
@each_encoding
async def test_two_overlapping_subscriptions_are_two_streams(encoding: str) -> None:
    """Each gets exactly what it asked for, even if both asked for the same."""
    async with Station() as station, monitor(station.url, encoding) as client:
        one = await client.subscribe("plant/#", start="now")
        same = await client.subscribe("plant/#", start="now")
        part = await client.subscribe("plant/a", "+/a", start="now")
        for i in range(50):
            station.publish("plant/a", i + 0.5)
            station.publish("plant/b", i + 0.25)
            if i % 10 == 0:
                await client.ask("ping")
        everything = [x for i in range(50) for x in (i + 0.5, i + 0.25)]
        await client.until(lambda: len(one.values) == len(same.values) == 100)
        await client.until(lambda: len(part.values) == 50)
    assert one.values == same.values == everything
    assert part.values == [i + 0.5 for i in range(50)]


@on_each_loop
@each_encoding
async def test_a_changed_subscription_loses_and_doubles_nothing(encoding: str) -> None:
    """What both selections have goes on; what is new begins with its last value."""
    async with Station() as station, monitor(station.url, encoding) as client:
        station.publish("plant/c", 100.5)
        story = await client.subscribe("plant/a", "plant/b", start="now")
        await client.live(story)
        for i in range(20):
            station.publish("plant/a", float(i))
            station.publish("plant/b", 1000.0 + i)
        changed = await client.ask(
            "subscribe", topics=["plant/b", "plant/c"], change=client.number(story)
        )
        assert changed["op"] == "result"
        for i in range(20, 40):
            station.publish("plant/a", float(i))
            station.publish("plant/b", 1000.0 + i)
        station.publish("plant/c", 101.5)
        await client.until(lambda: 101.5 in story.values)
    seen: dict[str, list[float]] = {"plant/a": []}
    for one in story.readings:
        seen.setdefault(one.topic, []).append(one.value)
    # What the old filters alone select ends where the subscription stood.
    gone = seen.pop("plant/a")
    assert gone == [float(i) for i in range(20)][: len(gone)]
    assert seen == {"plant/b": [1000.0 + i for i in range(40)], "plant/c": [100.5, 101.5]}


@on_each_loop
@each_encoding
async def test_a_change_may_not_say_from_where(encoding: str) -> None:
    """It goes on from where it is."""
    async with Station() as station, monitor(station.url, encoding) as client:
        story = await client.subscribe("plant/#")
        number = client.number(story)
        message = {"topics": ["plant/#"], "change": number, "from": "now"}
        assert (await client.ask("subscribe", **message))["code"] == "bad_request"
        station.publish("plant/a", 1.5)
        await client.until(lambda: story.values == [1.5])


@on_each_loop
@each_encoding
async def test_unsubscribing_one_filter_leaves_the_others(encoding: str) -> None:
    """They go on without loss or doubling; with the last one the subscription ends."""
    async with Station() as station, monitor(station.url, encoding) as client:
        story = await client.subscribe("plant/a", "plant/b", start="now")
        number = client.number(story)
        station.publish("plant/a", 1.5)
        station.publish("plant/b", 2.5)
        wrong = await client.ask("unsubscribe", subscription=number, topics=["plant/c"])
        assert wrong["code"] == "not_found"
        answer = await client.ask("unsubscribe", subscription=number, topics=["plant/a"])
        assert answer["op"] == "result"
        station.publish("plant/a", 3.5)
        station.publish("plant/b", 4.5)
        await client.until(lambda: 4.5 in story.values)
        assert story.values == [1.5, 2.5, 4.5]
        assert not story.is_ended
        await client.ask("unsubscribe", subscription=number, topics=["plant/b"])
        await client.until(lambda: story.is_ended)
        station.publish("plant/b", 5.5)
        await client.ask("ping")
        assert 5.5 not in story.values


@on_each_loop
@each_encoding
async def test_a_cancelled_request_ends_at_once(encoding: str) -> None:
    """It may be a subscription, or an answer on its way; the others go on."""
    async with Station() as station, monitor(station.url, encoding) as client:
        for i in range(20_000):
            station.publish(f"many/{i}", 1.5)
        story = await client.subscribe("plant/#", start="now")
        other = await client.subscribe("plant/#", start="now")
        got = await client.story("get", topics=["many/#"])
        for cancelled in (story, got):
            answer = await client.ask("cancel", request=client.number(cancelled))
            assert answer["op"] == "result"
            await client.until(lambda cancelled=cancelled: cancelled.is_ended)  # type: ignore[misc]  # bound now
        assert len(got.values) < 20_000
        station.publish("plant/a", 5.5)
        await client.until(lambda: other.values == [5.5])
        assert story.values == []
        again = await client.ask("cancel", request=client.number(story))
        assert again["code"] == "not_found"


@on_each_loop
@each_encoding
async def test_get_answers_with_last_values_and_ends(encoding: str) -> None:
    """One reading for each selected channel that has one."""
    async with Station() as station, monitor(station.url, encoding) as client:
        station.publish("plant/a", 1.5, 2.5)
        station.publish("plant/b", 3.5)
        station.publish("other", 4.5)
        station.state("plant/silent")
        story = await client.subscribe("nothing")  # opens the book of stories only
        answer = await client.ask("get", topics=["plant/#"])
        got = client._stories[answer["id"]]
        await client.until(lambda: got.is_ended)
        assert sorted(got.values) == [2.5, 3.5]
        assert story.values == []
        nothing = await client.ask("get", topics=["nowhere/#"])
        got = client._stories[nothing["id"]]
        await client.until(lambda: got.is_ended)
        assert got.values == []


@on_each_loop
@each_encoding
async def test_resuming_brings_every_reading_exactly_once(encoding: str) -> None:
    """From any position of this log, while more is being published."""
    async with Station() as station:
        station.publish("plant/a", *(float(i) for i in range(3000)))
        for offset in (0, 1, 1024, 2999, 3000):
            async with monitor(station.url, encoding) as client:
                start = {"epoch": EPOCH, "offset": offset}
                story = await client.subscribe("plant/#", start=start)
                tail = station.log.tail
                for _ in range(5):
                    station.publish("plant/a", float(station.log.tail))
                    await client.ask("ping")
                await client.until(lambda n=tail + 5 - offset, s=story: len(s.values) == n)  # type: ignore[misc]  # bound now
                assert story.values == [float(i) for i in range(offset, tail + 5)]
                assert story.gaps == []
                assert story.cursor == tail + 5


@on_each_loop
@each_encoding
async def test_resuming_brings_readings_from_before_a_change_of_metadata(encoding: str) -> None:
    """Under the number that they had; the last value is only that of the new channel."""
    async with Station() as station, monitor(station.url, encoding) as client:
        celsius = station.bus.channel("plant/a", Metadata(unit="Cel"))
        station.publish(celsius, 1.5, 2.5)
        kelvin = station.bus.channel("plant/a", Metadata(unit="K"))
        station.publish(kelvin, 275.5)
        resumed = await client.subscribe("plant/#", start={"epoch": EPOCH, "offset": 0})
        newest = await client.subscribe("plant/#")
        station.publish(kelvin, 276.5)
        await client.until(lambda: 276.5 in resumed.values and 276.5 in newest.values)
        assert resumed.values == [1.5, 2.5, 275.5, 276.5]
        assert newest.values == [275.5, 276.5]
        assert {told["unit"] for told in client.channels.values()} == {"Cel", "K"}


@on_each_loop
@each_encoding
async def test_a_position_ahead_of_the_log_gets_a_named_gap(encoding: str) -> None:
    """And the last values."""
    async with Station() as station, monitor(station.url, encoding) as client:
        station.publish("plant/a", 1.5)
        story = await client.subscribe("plant/#", start={"epoch": EPOCH, "offset": 2})
        await client.live(story)
        station.publish("plant/a", 2.5)
        await client.until(lambda: 2.5 in story.values)
    assert [(gap["reason"], gap["count"], gap["lost"]) for gap in story.gaps] == [
        ("ahead", None, None)
    ]
    assert story.values == [1.5, 2.5]


@on_each_loop
@each_encoding
async def test_a_position_of_another_log_gets_a_named_gap(encoding: str) -> None:
    """Nobody knows what was lost; the last values follow."""
    async with Station() as station, monitor(station.url, encoding) as client:
        station.publish("plant/a", 1.5)
        story = await client.subscribe("plant/#", start={"epoch": "other", "offset": 0})
        await client.live(story)
    [gap] = story.gaps
    assert (gap["reason"], gap["from"], gap["to"]) == ("epoch_changed", None, None)
    assert (gap["count"], gap["lost"]) == (None, None)
    assert "snapshot" in story.phases
    assert story.values == [1.5]


@on_each_loop
@each_encoding
async def test_a_subscription_can_begin_at_a_time(encoding: str) -> None:
    """Counted absolutely, or back from the server's clock."""
    async with Station() as station, monitor(station.url, encoding) as client:
        before_us = station.bus.now_us()
        station.publish("plant/a", 1.5, 2.5)
        absolute = await client.subscribe("plant/#", start={"time_us": before_us})
        ago = await client.subscribe("plant/#", start="-10m")
        later = await client.subscribe("plant/#", start={"time_us": before_us + 3_600_000_000})
        station.publish("plant/a", 3.5)
        for story in (absolute, ago, later):
            await client.until(lambda story=story: 3.5 in story.values)  # type: ignore[misc]  # bound now
    assert absolute.values == ago.values == [1.5, 2.5, 3.5]
    assert later.values == [3.5]


@on_each_loop
@each_encoding
async def test_system_topics_come_only_by_name(encoding: str) -> None:
    """Neither # nor a first level of + selects them."""
    async with Station() as station, monitor(station.url, encoding) as client:
        wild = await client.subscribe("#", "+/devices/boiler")
        named = await client.subscribe("$sys/#")
        station.publish("$sys/devices/boiler", 1.5)
        station.publish("plant/a", 2.5)
        await client.until(lambda: wild.values and named.values)
        assert wild.values == [2.5]
        assert named.values == [1.5]


@on_each_loop
async def test_a_channel_made_later_is_announced_before_its_first_reading() -> None:
    """To those at the tail as well as to those that come after."""
    async with Station() as station, monitor(station.url) as first, monitor(station.url) as second:
        one = await first.subscribe("plant/#")
        await first.live(one)
        station.publish("plant/a", 1.5)
        await first.until(lambda: one.values == [1.5])
        other = await second.subscribe("plant/#")
        station.publish("plant/b", 2.5)
        await first.until(lambda: 2.5 in one.values)
        await second.until(lambda: 2.5 in other.values)
        assert other.values == [1.5, 2.5]


@on_each_loop
async def test_a_period_brings_the_newest_value_of_each_period() -> None:
    """What is withheld was not asked for: no gap."""
    async with Station() as station, monitor(station.url) as client:
        story = await client.subscribe("plant/#", period=0.2, start="now")
        await client.live(story)
        for i in range(100):
            station.publish("plant/a", float(i))
        await client.until(lambda: 99.0 in story.values)
        for i in range(100, 200):
            station.publish("plant/a", float(i))
        await client.until(lambda: 199.0 in story.values)
    assert len(story.values) <= 4
    assert story.gaps == []


@on_each_loop
async def test_a_deadband_spares_small_changes() -> None:
    """Measured from the value sent last, so that a slow drift is not missed."""
    async with Station() as station, monitor(station.url) as client:
        story = await client.subscribe("plant/#", deadband=1.0, start="now")
        await client.live(story)
        for value in (0.5, 0.75, 1.25, 1.75, 1.25, 3.5):
            station.publish("plant/a", value)
        await client.until(lambda: 3.5 in story.values)
    assert story.values == [0.5, 1.75, 3.5]


@on_each_loop
async def test_sessions_do_not_see_each_others_requests() -> None:
    """The same ids in two sessions are two conversations."""
    async with Station() as station, monitor(station.url) as one, monitor(station.url) as two:
        mine = await one.subscribe("plant/a", id=1)
        theirs = await two.subscribe("plant/b", id=1)
        station.publish("plant/a", 1.5)
        station.publish("plant/b", 2.5)
        await one.until(lambda: mine.values)
        await two.until(lambda: theirs.values)
        await one.ask("unsubscribe", subscription=1)
        station.publish("plant/b", 3.5)
        await two.until(lambda: theirs.values == [2.5, 3.5])
        assert mine.values == [1.5]


@on_each_loop
async def test_nothing_is_left_of_monitors_that_have_gone() -> None:
    """Neither sessions nor groups nor connections."""
    async with Station() as station:
        for _ in range(20):
            async with monitor(station.url) as client:
                await client.subscribe("plant/#")
                await client.subscribe("other/+")
        async with monitor(station.url) as client:
            await client.ask("ping")
            assert station.server.statistics().groups == 0
            assert station.server.statistics().sessions == 1
            assert station.server.statistics().sessions_total == 21
