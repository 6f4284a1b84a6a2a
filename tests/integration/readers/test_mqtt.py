"""The MQTT reader against mosquitto, and against brokers that misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from sensord.device.reader import Route
from sensord.errors import DeviceError
from sensord.readers import mqtt
from sensord.readers.mqtt import Availability, Config, Poll, Reader, Tls, TopicMap, Will
from tests.kit.broker import Broker, Certificates, Publisher, free_port, needed
from tests.kit.fakebroker import CONNACK, CONNECT, SUBSCRIBE, fake_broker, publish_packet, suback
from tests.kit.link import RecordingLink
from tests.kit.loops import on_each_loop
from tests.kit.running import open_descriptors, released, running, supervised
from tests.kit.server import serving

Protocol = Literal["5", "3.1.1"]
QoS = Literal[0, 1, 2]

each_protocol = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


def config(broker: Broker, *topics: TopicMap, protocol: Protocol = "5") -> Config:
    subscribed = topics or (TopicMap("plant/#"),)
    return Config(broker.host, subscribed, port=broker.port, protocol=protocol)


async def failure(given: Config) -> DeviceError:
    """Run a reader that must fail, and return how."""
    with pytest.raises(DeviceError) as caught:
        await Reader(given).run(RecordingLink())
    return caught.value


@on_each_loop
@each_protocol
@pytest.mark.parametrize(("qos", "count"), [(0, 10_000), (1, 1_000), (2, 1_000)])
async def test_every_message_is_handed_on_once(
    broker: Broker, protocol: Protocol, qos: QoS, count: int
) -> None:
    """As many come out as went in, in their order."""
    reader = Reader(config(broker, TopicMap("plant/+", qos), protocol=protocol))
    payloads = [b"%d" % i for i in range(count)]
    with Publisher(broker) as publisher:
        async with running(reader) as link:
            assert link.details == [f"{broker.host}:{broker.port} MQTT {protocol}"]
            messages = [(f"plant/{i % 7}", payload) for i, payload in enumerate(payloads)]
            await asyncio.to_thread(publisher.publish_all, messages, qos)
            await link.until(lambda link: len(link.messages) >= count)
    assert link.payloads == payloads
    assert {route.source for route, _ in link.messages} == {f"plant/{i}" for i in range(7)}


@on_each_loop
async def test_a_message_brings_its_route(broker: Broker) -> None:
    """The pattern of the first filter that selects it, and what the wildcards stood for."""
    topics = (TopicMap("zigbee/+/state", topic="{device}/{1}/{field}"), TopicMap("zigbee/#"))
    with Publisher(broker) as publisher:
        async with running(Reader(config(broker, *topics))) as link:
            await asyncio.to_thread(publisher.publish, "zigbee/lamp/state", b"1")
            await asyncio.to_thread(publisher.publish, "zigbee/bridge/info", b"2")
            await link.until(lambda link: len(link.messages) == 2)
    assert link.messages == [
        (Route("zigbee/lamp/state", "{device}/{1}/{field}", ("lamp",), scope=0), b"1"),
        (Route("zigbee/bridge/info", None, ("bridge/info",), scope=1), b"2"),
    ]


@on_each_loop
@each_protocol
async def test_a_large_message_arrives_whole(broker: Broker, protocol: Protocol) -> None:
    """It is many times the buffer that paho is served from."""
    large = os.urandom(1_000_000)
    with Publisher(broker) as publisher:
        async with running(Reader(config(broker, protocol=protocol))) as link:
            await asyncio.to_thread(publisher.publish, "plant/a", b"before", large, b"after")
            await link.until(lambda link: len(link.messages) == 3)
    assert link.payloads == [b"before", large, b"after"]


def publish_once(broker: Broker, payload: bytes) -> None:
    with Publisher(broker) as publisher:
        publisher.publish("plant/a", payload)


@on_each_loop
@each_protocol
async def test_after_a_restart_of_the_broker_messages_come_again(
    broker: Broker, protocol: Protocol
) -> None:
    """The supervisor connects and subscribes anew, without a descriptor left behind."""
    async with supervised(Reader(config(broker, protocol=protocol))) as (link, watch):
        await watch.until(lambda watch: watch.count("up") == 1)
        before = open_descriptors()
        for round_ in range(1, 4):
            await asyncio.to_thread(broker.kill)
            await watch.until(lambda watch: watch.told[-1][:2] == ("down", "connection refused"))
            await asyncio.to_thread(broker.start)
            await watch.until(lambda watch, n=round_: watch.count("up") == n + 1)  # type: ignore[misc]  # bound now
            await asyncio.to_thread(publish_once, broker, b"%d" % round_)
            await link.until(lambda link, n=round_: len(link.messages) == n)  # type: ignore[misc]  # as above
        assert open_descriptors() <= before
    assert link.payloads == [b"1", b"2", b"3"]


@on_each_loop
@each_protocol
async def test_a_session_keeps_what_was_missed(broker: Broker, protocol: Protocol) -> None:
    """What is published with QoS 1 while the reader is away comes when it returns."""
    kept = replace(
        config(broker, TopicMap("plant/#", qos=1), protocol=protocol),
        client_id="gateway",
        session_expiry=3600.0,
    )
    reader = Reader(kept)
    async with running(reader):
        pass
    with Publisher(broker) as publisher:
        await asyncio.to_thread(publisher.publish, "plant/a", b"1", b"2", qos=1)
    async with running(reader) as link:
        await link.until(lambda link: len(link.messages) == 2)
    async with running(Reader(kept)) as later:
        with Publisher(broker) as publisher:
            await asyncio.to_thread(publisher.publish, "plant/a", b"3", qos=1)
        await later.until(lambda link: b"3" in link.payloads)
    assert link.payloads == [b"1", b"2"]
    # At least once: an acknowledgement that crossed with the goodbye may be lost.
    assert set(later.payloads) <= {b"1", b"2", b"3"}


@on_each_loop
@each_protocol
async def test_without_a_session_nothing_is_kept(broker: Broker, protocol: Protocol) -> None:
    """A clean session is the default: no broker fills up for a gateway that never returns."""
    given = config(broker, TopicMap("plant/#", qos=1), protocol=protocol)
    reader = Reader(replace(given, client_id="gateway"))
    async with running(reader):
        pass
    with Publisher(broker) as publisher:
        await asyncio.to_thread(publisher.publish, "plant/a", b"missed", qos=1)
        async with running(reader) as link:
            await asyncio.to_thread(publisher.publish, "plant/a", b"live", qos=1)
            await link.until(lambda link: link.messages)
    assert link.payloads == [b"live"]


@on_each_loop
@each_protocol
@pytest.mark.parametrize(
    ("retained", "expected"), [("accept", [b"old", b"new"]), ("ignore", [b"new"])]
)
async def test_retained_messages_are_accepted_or_ignored(
    broker: Broker,
    protocol: Protocol,
    retained: Literal["accept", "ignore"],
    expected: list[bytes],
) -> None:
    """They are values of unknown age."""
    with Publisher(broker) as publisher:
        await asyncio.to_thread(publisher.publish, "plant/a", b"old", qos=1, retain=True)
        given = replace(config(broker, protocol=protocol), retained=retained)
        async with running(Reader(given)) as link:
            await asyncio.to_thread(publisher.publish, "plant/a", b"new")
            await link.until(lambda link: b"new" in link.payloads)
    assert link.payloads == expected


@on_each_loop
async def test_overlapping_filters_give_no_doubles(tmp_path: Path) -> None:
    """With MQTT 5 the copies that some brokers send for each filter are told apart."""
    overlapping = (TopicMap("plant/#", topic="first"), TopicMap("plant/+/t"), TopicMap("+/a/#"))
    with (
        Broker(tmp_path, "allow_duplicate_messages true") as broker,
        Publisher(broker) as publisher,
    ):
        async with running(Reader(config(broker, *overlapping))) as link:
            payloads = [b"%d" % i for i in range(20)]
            await asyncio.to_thread(publisher.publish, "plant/a/t", *payloads)
            await asyncio.to_thread(publisher.publish, "other/a/t", b"end")
            await link.until(lambda link: b"end" in link.payloads)
    assert link.payloads == [*payloads, b"end"]
    assert link.messages[0][0].pattern == "first"


@pytest.fixture
def guarded(tmp_path: Path) -> Broker:
    """A broker that knows one user."""
    passwords = tmp_path / "passwords"
    program = needed("mosquitto_passwd", "mosquitto")
    command = [program, "-b", "-c", str(passwords), "gateway", "secret"]
    subprocess.run(command, check=True, capture_output=True)
    return Broker(tmp_path, "allow_anonymous false", f"password_file {passwords}")


@on_each_loop
@each_protocol
async def test_the_password_comes_from_a_file(
    guarded: Broker, protocol: Protocol, tmp_path: Path
) -> None:
    """A wrong one is refused with a hint; a corrected one is used at the next attempt."""
    file = tmp_path / "secret"
    file.write_text("wrong\n")
    with guarded as broker:
        given = config(broker, protocol=protocol)
        given = replace(given, username="gateway", password_file=str(file))
        error = await failure(given)
        assert error.reason == "broker refused: not authorized"
        assert "password_file" in error.detail
        async with supervised(Reader(given)) as (_link, watch):
            await watch.until(lambda watch: watch.count("down"))
            file.write_text("secret\n")
            await watch.until(lambda watch: watch.count("up"))


@on_each_loop
async def test_a_missing_password_file_is_said(tmp_path: Path) -> None:
    """Nothing is sent without the password."""
    given = Config("127.0.0.1", (TopicMap("a"),), username="u", password_file=str(tmp_path / "no"))
    error = await failure(given)
    assert error.reason == "cannot read password_file"
    assert "No such file" in error.detail


@on_each_loop
async def test_a_broker_that_is_not_there_is_said() -> None:
    """Nothing listens on that port."""
    error = await failure(Config("127.0.0.1", (TopicMap("a"),), port=free_port()))
    assert error.reason == "connection refused"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def over_tls(folder: Path, certificates: Certificates, *options: str) -> Broker:
    return Broker(
        folder,
        f"cafile {certificates.ca}",
        f"certfile {certificates.server}",
        f"keyfile {certificates.server_key}",
        *options,
    )


@on_each_loop
@each_protocol
async def test_a_trusted_broker_is_read_over_tls(
    tmp_path: Path, certificates: Certificates, protocol: Protocol
) -> None:
    """With our own certificate too, and more bytes than one record of TLS holds."""
    files = Tls(str(certificates.ca), str(certificates.client), str(certificates.client_key))
    options = ("require_certificate true", "use_identity_as_username true")
    with over_tls(tmp_path, certificates, *options) as broker:
        given = replace(config(broker, protocol=protocol), tls=files)
        asked = replace(given, poll=Poll("plant/a", "x" * 40_000, interval=0.01))
        async with running(Reader(asked)) as link:
            await link.until(lambda link: len(link.messages) >= 20)
    assert set(link.payloads) == {b"x" * 40_000}


@on_each_loop
@pytest.mark.parametrize(("insecure", "trusted"), [(False, False), (True, True)])
async def test_an_unknown_broker_is_trusted_only_on_demand(
    tmp_path: Path, certificates: Certificates, insecure: bool, trusted: bool
) -> None:
    """Its certificate is signed by nobody we know."""
    with over_tls(tmp_path, certificates) as broker:
        given = replace(config(broker), tls=Tls(insecure=insecure))
        if trusted:
            async with running(Reader(given)) as link:
                assert link.details
        else:
            assert (await failure(given)).reason == "certificate not trusted"


@on_each_loop
async def test_a_broker_without_tls_is_said(broker: Broker) -> None:
    """The handshake fails, and so does reading a certificate that is not there."""
    given = replace(config(broker), tls=Tls())
    assert (await failure(given)).reason in {"TLS failed", "connection lost"}
    error = await failure(replace(given, tls=Tls(ca_file="/nowhere/ca.pem")))
    assert error.reason == "cannot read certificate"
    assert "/nowhere/ca.pem" in error.detail


@on_each_loop
async def test_devices_are_polled_by_publishing(broker: Broker) -> None:
    """A request goes out at every tick; whoever answers is heard."""
    poll = Poll("plant/boiler/get", "t", interval=0.02, qos=1)
    asked = (TopicMap("plant/boiler/get"), TopicMap("plant/boiler/t"))
    async with running(Reader(replace(config(broker, *asked), poll=poll))) as link:
        await link.until(lambda link: len(link.messages) >= 5)
    assert set(link.payloads) == {b"t"}


async def packet(reader: asyncio.StreamReader) -> bytes:
    """Read one packet of any size and return its body."""
    await reader.readexactly(1)
    size, shift = 0, 0
    while True:
        (digit,) = await reader.readexactly(1)
        size |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return await reader.readexactly(size)


@on_each_loop
async def test_requests_wait_for_a_broker_that_is_slow_to_read() -> None:
    """They are bounded, those that are refused are faults, and those that wait leave whole."""
    payload, go_on, all_came = "x" * 1_000_000, asyncio.Event(), asyncio.Event()
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packet(reader)
        writer.write(CONNACK)
        writer.write(suback(await packet(reader), 0, 0))
        await go_on.wait()
        while len(received) < 20:
            received.append(await packet(reader))
        all_came.set()

    async with serving(serve) as port:
        poll = Poll("get", payload, interval=0.005, qos=1)
        async with running(Reader(replace(on_3_1_1(port), poll=poll))) as link:
            await link.until(lambda link: link.faults)
            go_on.set()
            await all_came.wait()
    assert link.faults[0][0] == "request not sent"
    assert {one[7:] for one in received} == {payload.encode()}


@on_each_loop
@each_protocol
async def test_a_broker_that_hangs_is_given_up(broker: Broker, protocol: Protocol) -> None:
    """It answers no ping, though its connection stands."""
    given = replace(config(broker, protocol=protocol), keepalive=1.0)
    async with supervised(Reader(given)) as (_link, watch):
        await watch.until(lambda watch: watch.count("up"))
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        await watch.until(lambda watch: watch.count("down"))
        assert watch.told[-1][:2] == ("down", "broker silent")


@on_each_loop
async def test_what_the_link_raises_ends_the_run(broker: Broker) -> None:
    """A fault of ours is not lost in a callback of paho's."""

    class Broken(RecordingLink):
        def message(self, route: Route, payload: bytes) -> None:
            raise ZeroDivisionError(route, payload)

    link = Broken()
    task = asyncio.ensure_future(Reader(config(broker)).run(link))
    await link.until(lambda link: link.details)
    with Publisher(broker) as publisher:
        await asyncio.to_thread(publisher.publish, "plant/a", b"1")
        with pytest.raises(ZeroDivisionError):
            await task


@on_each_loop
async def test_a_cancelled_reader_leaves_nothing_open(broker: Broker) -> None:
    """Whether it was connecting, subscribing or reading; the broker was told goodbye."""
    reader = Reader(replace(config(broker), client_id="gateway", session_expiry=60.0))
    async with running(reader):
        pass
    before = open_descriptors()
    for turns in range(0, 40, 2):
        task = asyncio.ensure_future(reader.run(RecordingLink()))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
    async with running(reader) as link:
        assert link.details
    await released(before)


def on_3_1_1(port: int) -> Config:
    return Config("127.0.0.1", (TopicMap("a/+"), TopicMap("b")), port=port, protocol="3.1.1")


@on_each_loop
async def test_a_refused_subscription_is_said() -> None:
    """The filter that was refused is named."""

    def answer(kind: int, body: bytes) -> bytes:
        return CONNACK if kind == CONNECT else suback(body, 0, 0x80)

    async with fake_broker(answer) as port:
        error = await failure(on_3_1_1(port))
    assert error.reason == "subscription refused"
    assert error.detail.startswith("b: ")


@on_each_loop
async def test_a_peer_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something listens, but it is no broker."""
    monkeypatch.setattr(mqtt, "ANSWER_TIMEOUT_S", 0.05)

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(serve) as port:
        error = await failure(on_3_1_1(port))
    assert error.reason == "no answer from broker"


@on_each_loop
async def test_a_peer_that_closes_at_once_is_said() -> None:
    """No CONNACK came."""
    async with fake_broker(lambda _kind, _body: b"") as port:
        assert (await failure(on_3_1_1(port))).reason == "connection lost"


@on_each_loop
async def test_why_a_broker_closes_is_said() -> None:
    """MQTT 5 tells; mosquitto 2.0.11 does not, so this one is made up."""

    def answer(kind: int, body: bytes) -> bytes:
        if kind == CONNECT:
            return b"\x20\x03\x00\x00\x00"
        return b"\x90\x04" + body[:2] + b"\x00\x00" + b"\xe0\x01\x8e"

    async with fake_broker(answer) as port:
        error = await failure(Config("127.0.0.1", (TopicMap("a"),), port=port))
    assert error.reason == "broker closed: session taken over"


@on_each_loop
async def test_a_peer_that_talks_nonsense_is_said() -> None:
    """Its answer is no packet."""
    async with fake_broker(lambda _kind, _body: b"\xf0\x00") as port:
        assert (await failure(on_3_1_1(port))).reason == "protocol error"


@on_each_loop
async def test_a_message_may_overtake_the_answer_to_subscribe() -> None:
    """It is handed on after the device was said to be there."""

    def answer(kind: int, body: bytes) -> bytes:
        if kind != SUBSCRIBE:
            return CONNACK
        return publish_packet(b"b", b"early") + suback(body, 0, 0) + publish_packet(b"b", b"late")

    async with fake_broker(answer) as port, running(Reader(on_3_1_1(port))) as link:
        await link.until(lambda link: len(link.messages) == 2)
    assert link.payloads == [b"early", b"late"]
    assert len(link.details) == 1


@on_each_loop
async def test_topics_that_cannot_be_are_faults() -> None:
    """One that is not UTF-8, and one that was not asked for; the connection goes on."""

    def answer(kind: int, body: bytes) -> bytes:
        if kind != SUBSCRIBE:
            return CONNACK
        bad = publish_packet(b"a/\xff", b"1") + publish_packet(b"c", b"2")
        return suback(body, 0, 0) + bad + publish_packet(b"b", b"3")

    async with fake_broker(answer) as port, running(Reader(on_3_1_1(port))) as link:
        await link.until(lambda link: link.messages)
    assert link.faults == [("topic is not UTF-8", ""), ("unexpected topic", "c")]
    assert link.payloads == [b"3"]


# -- retained, cleared, away -----------------------------------------------------------------------


@on_each_loop
@each_protocol
async def test_what_the_broker_kept_is_told_from_what_is_live(
    broker: Broker, protocol: Protocol
) -> None:
    """The route of the same topic says which it is."""
    with Publisher(broker) as publisher:
        await asyncio.to_thread(publisher.publish, "plant/a", b"old", qos=1, retain=True)
        async with running(Reader(config(broker, protocol=protocol))) as link:
            await link.until(lambda link: link.messages)
            # Retained for others, but live for us.
            await asyncio.to_thread(publisher.publish, "plant/a", b"new", retain=True)
            await asyncio.to_thread(publisher.publish, "plant/a", b"", retain=True)
            await link.until(lambda link: b"" in link.payloads)
    assert [(route.is_retained, payload) for route, payload in link.messages] == [
        (True, b"old"),
        (False, b"new"),
        (False, b""),
    ]


DOORS = TopicMap("z/+", topic="{1}/{field}", availability=Availability("z/{1}/availability"))


@on_each_loop
@each_protocol
@pytest.mark.parametrize("retained", ["accept", "ignore"])
async def test_an_availability_topic_reports_who_is_there(
    broker: Broker, protocol: Protocol, retained: Literal["accept", "ignore"]
) -> None:
    """What the broker kept of it counts in every case: nobody repeats it."""
    given = replace(
        config(broker, DOORS, protocol=protocol),
        retained=retained,
        availability=Availability("z/bridge/state"),
    )
    with Publisher(broker) as publisher:
        await asyncio.to_thread(
            publisher.publish, "z/door/availability", b"offline", qos=1, retain=True
        )
        async with running(Reader(given)) as link:
            await link.until(lambda link: link.availabilities)
            words = [
                ("z/lamp/availability", b'{"state":"online"}'),
                ("z/bridge/state", b"what?"),
                ("z/bridge/state", b""),
                ("z/lamp", b"1"),
            ]
            await asyncio.to_thread(publisher.publish_all, words)
            await link.until(lambda link: link.messages)
    assert link.availabilities == [("z/door/availability", False), ("z/lamp/availability", True)]
    ((reason, detail),) = link.faults
    assert reason == "unknown availability"
    assert "z/bridge/state: what?; known are online, " in detail
    (route, _) = link.messages[0]
    assert route.depends_on == ("z/bridge/state", "z/lamp/availability")


@on_each_loop
@pytest.mark.parametrize("retained", ["accept", "ignore"])
async def test_a_filter_that_selects_the_availability_too_gives_no_value_of_it(
    tmp_path: Path, retained: Literal["accept", "ignore"]
) -> None:
    """The broker sends a copy for each subscription; no word is lost, and none is a value."""
    everything = TopicMap("z/#", availability=Availability("z/+/availability"))
    explicit = TopicMap("z/lamp/availability", topic="lamp/there")
    with (
        Broker(tmp_path, "allow_duplicate_messages true") as broker,
        Publisher(broker) as publisher,
    ):
        for name in ("door", "lamp"):
            topic = f"z/{name}/availability"
            await asyncio.to_thread(publisher.publish, topic, b"offline", qos=1, retain=True)
        given = replace(config(broker, everything, explicit), retained=retained)
        async with running(Reader(given)) as link:
            await asyncio.to_thread(publisher.publish, "z/door", b"1")
            await link.until(
                lambda link: b"1" in link.payloads and len(set(link.availabilities)) > 1
            )
    assert set(link.availabilities) == {
        ("z/door/availability", False),
        ("z/lamp/availability", False),
    }
    kept = [("z/lamp/availability", b"offline")] if retained == "accept" else []
    assert [(route.source, payload) for route, payload in link.messages] == [
        *kept,
        ("z/door", b"1"),
    ]


@on_each_loop
async def test_a_session_that_the_broker_kept_brings_the_availability_again(
    broker: Broker,
) -> None:
    """Who went away meanwhile is known at once, though its values do not come again."""
    kept = replace(config(broker, DOORS), client_id="gateway", session_expiry=60.0)
    reader = Reader(kept)
    with Publisher(broker) as publisher:
        await asyncio.to_thread(publisher.publish, "z/door", b"1", retain=True)
        async with running(reader) as link:
            await link.until(lambda link: link.messages)
        word = ("z/door/availability", b"offline")
        await asyncio.to_thread(publisher.publish, *word, retain=True)
        async with running(reader) as link:
            await link.until(lambda link: link.availabilities)
            await asyncio.to_thread(publisher.publish, "z/door", b"2")
            await link.until(lambda link: b"2" in link.payloads)
    assert link.availabilities == [("z/door/availability", False)]
    assert link.payloads == [b"2"]


@on_each_loop
async def test_an_ignored_topic_gives_nothing(broker: Broker) -> None:
    """Neither messages nor faults; availability counts all the same."""
    given = replace(
        config(broker, TopicMap("z/#", availability=Availability("z/+/availability"))),
        ignore_topics=("z/bridge/#", "z/+/availability"),
    )
    messages = [
        ("z/bridge/info", b"1"),
        ("z/a/availability", b"online"),
        ("z/bridge/info", b"2"),
        ("z/a", b"3"),
    ]
    with Publisher(broker) as publisher:
        async with running(Reader(given)) as link:
            await asyncio.to_thread(publisher.publish_all, messages)
            await link.until(lambda link: link.messages)
    assert link.payloads == [b"3"]
    assert link.availabilities == [("z/a/availability", True)]
    assert link.faults == []


# -- acknowledging ---------------------------------------------------------------------------------


@on_each_loop
@each_protocol
async def test_a_message_is_acknowledged_when_its_readings_are_kept(
    broker: Broker, protocol: Protocol
) -> None:
    """Until then it comes again with each connection of the session."""
    given = replace(
        config(broker, TopicMap("plant/#", qos=1), protocol=protocol),
        client_id="gateway",
        session_expiry=60.0,
        ignore_topics=("plant/ignored",),
    )
    async with running(Reader(given)) as link:
        with Publisher(broker) as publisher:
            messages = [("plant/a", b"1"), ("plant/ignored", b"2"), ("plant/b", b"3")]
            await asyncio.to_thread(publisher.publish_all, messages, 1)
        await link.until(lambda link: len(link.waiting) == 3)
        link.waiting[0]()
        link.waiting[1]()
    async with running(Reader(given)) as link:
        await link.until(lambda link: link.waiting)
        assert link.payloads == [b"3"]
        link.waiting[0]()
    link.waiting[0]()  # too late, and of no effect
    async with running(Reader(given)) as link:
        with Publisher(broker) as publisher:
            await asyncio.to_thread(publisher.publish, "plant/a", b"4", qos=1)
        await link.until(lambda link: b"4" in link.payloads)
    assert link.payloads == [b"4"]
    async with running(Reader(replace(given, client_id="", session_expiry=0.0))) as link:
        with Publisher(broker) as publisher:
            await asyncio.to_thread(publisher.publish, "plant/a", b"5", qos=1)
        await link.until(lambda link: link.messages)
        assert not link.waiting, "without a session nothing would come again"


@on_each_loop
async def test_members_of_a_shared_subscription_share_the_messages(broker: Broker) -> None:
    """Each comes to one of them, with its own route."""
    shared = TopicMap("$share/gateways/plant/+", qos=1, topic="{1}/{field}")
    given = config(broker, shared, TopicMap("end", qos=1))
    async with running(Reader(given)) as one, running(Reader(given)) as other:
        with Publisher(broker) as publisher:
            payloads = [b"%d" % i for i in range(100)]
            await asyncio.to_thread(publisher.publish, "plant/a", *payloads, qos=1)
            await asyncio.to_thread(publisher.publish, "end", b"end", qos=1)
        for link in (one, other):
            await link.until(lambda link: b"end" in link.payloads)
            assert len(link.payloads) > 1
    came = [*one.payloads, *other.payloads]
    assert sorted(came) == sorted([*payloads, b"end", b"end"])
    assert one.messages[0][0] == Route("plant/a", "{1}/{field}", ("a",), scope=0)


# -- our own presence ------------------------------------------------------------------------------


@on_each_loop
@each_protocol
@pytest.mark.parametrize("session_expiry", [0.0, 60.0])
async def test_our_presence_is_published_and_our_will_when_we_are_lost(
    broker: Broker, protocol: Protocol, session_expiry: float
) -> None:
    """Who comes later finds it retained."""
    given = replace(
        config(broker, protocol=protocol),
        client_id="gateway",
        session_expiry=session_expiry,
        will=Will("gateways/one", online="here", offline="gone"),
    )
    reader = Reader(given)
    async with running(Reader(config(broker, TopicMap("gateways/+")))) as seen:
        for kind in ("stopped", "lost"):
            async with running(reader):
                await seen.until(lambda seen: seen.payloads[-1:] == [b"here"])
                if kind == "lost":
                    # The broker ends the connection of who had this client id before.
                    stranger = replace(given, will=None, session_expiry=0.0)
                    async with running(Reader(stranger)):
                        await seen.until(lambda seen: seen.payloads[-1:] == [b"gone"])
            await seen.until(lambda seen: seen.payloads[-1:] == [b"gone"])
    assert seen.payloads == [b"here", b"gone", b"here", b"gone"]
    async with running(Reader(config(broker, TopicMap("gateways/+")))) as later:
        await later.until(lambda later: later.messages)
    assert later.payloads == [b"gone"]
