"""Read what devices publish to an MQTT broker, 5 or 3.1.1; or ask them by publishing a request.

One message is passed on once. A broker may send one message several times to a client whose
filters overlap, once for each filter. With MQTT 5 such filters get identifiers, and of the copies
the one of the first matching filter counts. With 3.1.1 a copy looks like a new message,
so all are passed on. Filters that do not overlap get no identifiers, for reading them costs more
than all the rest.

QoS 1 means at least once: what the broker sends again after a lost connection is passed on again.
Where the broker keeps the session, a message is acknowledged when its readings are in the journal,
so that none is lost where the process is killed.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import ConnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from sensord.device.backoff import REMOTE, Limits
from sensord.device.reader import Link, Order, Route
from sensord.errors import DeviceError
from sensord.host.files import read_text
from sensord.readers.blocking import Ending, in_thread
from sensord.readers.mqtt_options import Availability, Config, Poll, Tls, TopicMap, Will, Write
from sensord.readers.mqtt_routes import Router, identifiers
from sensord.readers.mqtt_wire import Client, Wire, connect
from sensord.readers.ticks import next_tick

__all__ = ["Availability", "Config", "Poll", "Reader", "Tls", "TopicMap", "Will", "Write"]

QUOTED_BYTES = 80
"""Of a message that a fault quotes."""

ANSWER_TIMEOUT_S = 10.0
"""How long a broker may take to answer CONNECT and SUBSCRIBE."""


OnMessage = Callable[[PahoClient, object, MQTTMessage], None]


class Reader:
    """Reads the messages of one or more subscriptions."""

    limits: Limits = REMOTE

    def __init__(self, config: Config) -> None:
        self._config = config
        self._router = Router(config)
        self._kept: Client | None = None
        self._session: _Session | None = None

    async def run(self, link: Link) -> None:
        """Connect, subscribe and hand on messages until the connection fails.

        Raises:
            DeviceError: The broker could not be reached, refused, or was lost.
        """
        config, target = self._config, self._config.target()
        password = _password(config.password_file)
        connection = await in_thread(
            f"connect:{target.where}", lambda: connect(target), lambda opened: opened.close()
        )
        client = self._client()
        if config.username:
            client.username_pw_set(config.username, password)
        if config.will is not None:
            will = config.will
            client.will_set(will.topic, will.offline, will.qos, will.retain)
        session = _Session(config, client, self._router, link)
        wire = Wire(client, connection, session.ending)
        self._session = session
        try:
            await session.run(wire)
        finally:
            self._session = None
            session.say_offline()
            wire.close()

    async def write(self, order: Order) -> None:
        """Publish one command; with QoS 1, until the broker has it.

        Raises:
            DeviceError: There is no connection to the broker.
        """
        if self._session is None:
            raise DeviceError("not connected")
        await self._session.write(order)

    def _client(self) -> Client:
        """Return the client for the next run.

        With a session that outlives the connection it is always the same one: it holds messages
        of QoS 2 of which only the first half of the handshake is done.
        """
        config = self._config
        if self._kept is not None:
            return self._kept
        five = config.protocol == "5"
        client_id = config.client_id or f"sensord-{secrets.token_hex(4)}"
        version = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
        client = Client(
            client_id,
            version,
            clean=not config.session_expiry,
            manual_ack=config.acknowledges_kept,
        )
        if config.session_expiry:
            self._kept = client
        return client


def _password(file: str) -> str | None:
    """Read a password; again at each connection, so that a new one is used without a restart."""
    if not file:
        return None
    try:
        return read_text(Path(file)).rstrip("\r\n")
    except OSError as error:
        raise DeviceError("cannot read password_file", f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DeviceError("cannot read password_file", f"{file}: it is not UTF-8") from error


_REFUSED = {
    "bad user name or password": "check username and password_file",
    "not authorized": "check username, password_file and the broker's access list",
    "client identifier not valid": "choose another client_id",
    "unsupported protocol version": 'try protocol = "3.1.1"',
    "server busy": "the broker wants no more clients now",
}


class _Session:
    """One run over one connection."""

    def __init__(self, config: Config, client: Client, router: Router, link: Link) -> None:
        self._config = config
        self._client = client
        self._router = router
        self._link = link
        self._is_opened = False
        self._identifiers: dict[str, int] = {}
        self._unanswered: dict[int, tuple[str, ...]] = {}
        self._deliver = self._hand_on()
        loop = asyncio.get_running_loop()
        self.ending = Ending()
        self._connected: asyncio.Future[None] = loop.create_future()
        self._subscribed: asyncio.Future[None] = loop.create_future()
        self._published: dict[int, asyncio.Future[ReasonCode]] = {}
        """By their numbers, commands that wait for the broker's acknowledgement."""

    async def run(self, wire: Wire) -> None:
        config, client = self._config, self._client
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_first_message
        client.on_publish = self._on_publish
        wire.start(config.target(), round(config.keepalive), **self._connect_options())
        for answered, missing in (
            (self._connected, "CONNECT; does an MQTT broker listen there?"),
            (self._subscribed, "SUBSCRIBE"),
        ):
            if not await self.ending.wait(until=answered, timeout_s=ANSWER_TIMEOUT_S):
                where = config.target().where
                raise DeviceError("no answer from broker", f"{where}: none to {missing}")
        if config.poll is not None:
            await self._poll(config.poll)
        await self.ending.reached()

    def _connect_options(self) -> dict[str, object]:
        config = self._config
        if config.protocol != "5":
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
        if config.session_expiry:
            properties.SessionExpiryInterval = round(config.session_expiry)
        return {"clean_start": not config.session_expiry, "properties": properties}

    def _on_connect(
        self,
        _client: PahoClient,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            name = str(reason).lower()
            hint = _REFUSED.get(name, "the broker's log says more")
            detail = f"{self._config.target().where}: {hint}"
            self.ending.fail(DeviceError(f"broker refused: {name}", detail))
            return
        self._connected.set_result(None)
        if self._config.protocol != "5":
            wanted = self._router.subscriptions()
            pairs: list[tuple[str, int]] = [(one.filter, one.qos) for one in wanted]
            self._asked(self._client.subscribe(pairs), *(pattern for pattern, _ in pairs))
            return
        self._subscribe_5(can_identify=getattr(properties, "SubscriptionIdentifierAvailable", 1))

    def _subscribe_5(self, *, can_identify: int) -> None:
        wanted = self._router.subscriptions()
        # 2: send no retained messages. 1: only for a subscription that the session lacks, or each
        # return would bring old values again. 0: always, for who was there may be gone.
        handling = 2 if self._config.retained == "ignore" else 1
        options = {
            one.filter: SubscribeOptions(
                qos=one.qos,
                retainHandling=0 if self._router.has_availability(one.filter) else handling,
            )
            for one in wanted
        }
        self._identifiers = identifiers(wanted) if can_identify else {}
        if not self._identifiers:
            self._asked(self._client.subscribe(list(options.items())), *options)
            return
        for pattern, one in options.items():  # the identifier is of the packet: one packet each
            properties = Properties(PacketTypes.SUBSCRIBE)  # type: ignore[no-untyped-call]  # paho's
            properties.SubscriptionIdentifier = self._identifiers[pattern]
            sent = self._client.subscribe([(pattern, one)], properties=properties)
            self._asked(sent, pattern)

    def _asked(self, sent: tuple[MQTTErrorCode, int | None], *filters: str) -> None:
        _, number = sent
        assert number is not None  # it was sent from a callback of the connection itself
        self._unanswered[number] = filters

    def _on_subscribe(
        self,
        _client: PahoClient,
        _userdata: object,
        number: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        for pattern, reason in zip(self._unanswered.pop(number, ()), reasons, strict=False):
            if reason.is_failure:
                detail = f"{pattern}: {str(reason).lower()}; check the broker's access list"
                self.ending.fail(DeviceError("subscription refused", detail))
                return
        if not self._unanswered and not self._subscribed.done():
            self._open()
            self._subscribed.set_result(None)

    def _open(self) -> None:
        if not self._is_opened:
            self._is_opened = True
            self._link.opened(f"{self._config.target().where} MQTT {self._config.protocol}")
            deliver = self._on_doubtful_message if self._identifiers else self._deliver
            is_held = self._config.acknowledges_kept
            self._client.on_message = self._acknowledged(deliver) if is_held else deliver
            if self._config.will is not None:
                will = self._config.will
                self._client.publish(will.topic, will.online, will.qos, will.retain)

    def _on_first_message(self, client: PahoClient, userdata: object, message: MQTTMessage) -> None:
        """Take a message that overtook the answer to SUBSCRIBE; brokers may send it before."""
        self._open()
        assert client.on_message is not None
        client.on_message(client, userdata, message)

    def _acknowledged(self, deliver: OnMessage) -> OnMessage:
        """Return a callback that also acknowledges a message, once its readings are kept.

        What is not acknowledged in this run comes again in the next one.
        """

        def acknowledge(number: int) -> None:
            if not self.ending.is_reached():
                self._client.ack(number, 1)

        def on_message(client: PahoClient, userdata: object, message: MQTTMessage) -> None:
            deliver(client, userdata, message)
            if message.qos:
                self._link.when_kept(partial(acknowledge, message.mid))

        return on_message

    def _on_doubtful_message(
        self, client: PahoClient, userdata: object, message: MQTTMessage
    ) -> None:
        """Leave out copies; what they report counts, for it may be all that comes."""
        if self._is_copy(message):
            self._report_availability(message.topic, bytes(message.payload))
        else:
            self._deliver(client, userdata, message)

    def _is_copy(self, message: MQTTMessage) -> bool:
        identifiers = set(getattr(message.properties, "SubscriptionIdentifier", ()))
        if identifiers.isdisjoint(self._identifiers.values()):
            return False  # from before the configuration was changed: better double than lost
        first = self._router.find(message.topic)
        return first is not None and self._identifiers.get(first.filter) not in identifiers

    def _hand_on(self) -> OnMessage:
        """Return the callback for messages: the hot path, with all it needs at hand."""
        routes, rare, link = self._router.routes, self._on_rare_topic, self._link
        takes_retained = self._config.retained == "accept"

        def on_message(_client: PahoClient, _userdata: object, message: MQTTMessage) -> None:
            try:
                topic = message.topic
            except UnicodeDecodeError:
                link.fault("topic is not UTF-8", "")
                return
            route = routes.get(topic) or rare(topic, bytes(message.payload))
            if route is None:
                return
            if not message.retain:
                link.message(route, bytes(message.payload))
            elif takes_retained:
                link.message(route._replace(is_retained=True), bytes(message.payload))

        return on_message

    def _on_rare_topic(self, topic: str, payload: bytes) -> Route | None:
        """Return the route of a topic that is new or reports availability; None for no value."""
        is_availability = self._report_availability(topic, payload)
        if self._router.is_ignored(topic):
            return None
        route = self._router.route(topic)
        if route is None and not is_availability:
            # A kept session may hold subscriptions that the configuration has no more.
            self._link.fault("unexpected topic", topic)
        return None if is_availability and self._router.is_absence(topic, payload) else route

    def _report_availability(self, topic: str, payload: bytes) -> bool:
        """Report what an availability topic brings; return whether ``topic`` is one."""
        known = self._router.availabilities(topic)
        for availability in known if payload else ():
            is_there = availability.is_there(payload)
            if is_there is None:
                words = ", ".join([*availability.online, *availability.offline])
                quoted = payload[:QUOTED_BYTES].decode("utf-8", "backslashreplace")
                self._link.fault("unknown availability", f"{topic}: {quoted}; known are {words}")
            else:
                self._link.availability(topic, is_there=is_there)
        return bool(known)

    def say_offline(self) -> None:
        """Publish that we leave; where the connection is lost the broker does it by our will."""
        will = self._config.will
        if will is not None and self._is_opened and self._client.is_connected():
            # QoS 0: what waits for an acknowledgement would be sent after our return.
            self._client.publish(will.topic, will.offline, 0, will.retain)

    async def write(self, order: Order) -> None:
        """Publish a command."""
        order.sending()
        how: Write = order.how
        info = self._client.publish(how.send_to, order.message, how.qos, how.retain)
        self._link.sent(order.message, how.send_to)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            order.refused("the broker acknowledges nothing, so it was not sent")
            return
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise DeviceError("cannot send", "the connection to the broker is gone")
        if not how.qos:
            return
        acknowledged = self._published[info.mid] = asyncio.get_running_loop().create_future()
        try:
            reason = await acknowledged
        finally:
            del self._published[info.mid]
        if reason.is_failure:
            order.refused(f"the broker refuses it: {str(reason).lower()}")

    def _on_publish(
        self,
        _client: PahoClient,
        _userdata: object,
        number: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        waiting = self._published.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(reason)

    async def _poll(self, poll: Poll) -> None:
        """Publish a request at every tick; ends only by raising."""
        due = time.monotonic()
        while True:
            info = self._client.publish(poll.topic, poll.payload, poll.qos)
            self._link.sent(poll.payload.encode(), poll.topic)
            if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                self._link.fault("request not sent", "the broker acknowledges none")
            due, _ = next_tick(due, poll.interval, time.monotonic())
            await self.ending.wait(timeout_s=due - time.monotonic())
