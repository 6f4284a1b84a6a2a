"""The uplink to an MQTT broker, with entities for Home Assistant if asked for."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import ConnectFlags, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sensord.config.addresses import host_fault
from sensord.config.schema import Duration, Printable, Within
from sensord.errors import DeviceError, ProtocolError
from sensord.host.secrets import read_secret
from sensord.model.readings import Channel, Kind, Position, Record
from sensord.readers import mqtt_wire
from sensord.readers.blocking import Ending, in_thread
from sensord.readers.mqtt_options import PORT, TLS_PORT, Tls
from sensord.uplinks.context import Context
from sensord.uplinks.destination import Batch, RejectedError, UplinkError
from sensord.uplinks.home_assistant import Entity, Place, entity, payload_value
from sensord.uplinks.options import Options
from sensord.uplinks.payload import Payloads

__all__ = ["Config", "Destination"]

IS_LIVE_FIRST = False
"""A broker keeps the order of arrival: an old value after a new one would pass for the newest."""

ANSWER_TIMEOUT_S = 10.0
IN_FLIGHT = 100
MOST_QUEUED = 10_000
"""Messages that may wait for the broker's acknowledgement."""

PLACE = "{topic}"

log = logging.getLogger("sensord.uplinks")


@dataclass(frozen=True, slots=True)
class HomeAssistant:
    """How entities are announced."""

    prefix: Printable = "homeassistant"
    set: bool = False
    """Whether Home Assistant may set what devices declare as writable."""


@dataclass(frozen=True, slots=True)
class Config(Options):
    """Where the broker is, and how readings are published."""

    host: Printable = ""
    port: Annotated[int, Within(1, 65_535)] | None = None
    client_id: Printable = ""
    username: Printable = ""
    password_file: Printable = ""
    tls: Tls | None = None
    keepalive: Annotated[Duration, Within(1, 65_535)] = 60.0
    topic: Printable = "sensord/{topic}"
    payload: Literal["json", "plain"] = "json"
    qos: Annotated[int, Within(0, 1)] = 1
    retain: bool = True
    status: Printable = "sensord/status"
    home_assistant: HomeAssistant | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        yield from Options.faults(self)
        if not self.host:
            yield "host", "is missing and has no default"
        elif message := host_fault(self.host):
            yield "host", message
        if self.topic.count(PLACE) != 1 or "+" in self.topic or "#" in self.topic:
            yield "topic", "expected a topic with {topic} in it once, such as sensord/{topic}"
        if not self.status or "+" in self.status or "#" in self.status:
            yield "status", "expected a topic"
        if self.password_file and not self.username:
            yield "password_file", "needs username beside it"
        if self.home_assistant is not None and self.payload != "json":
            yield "payload", 'must be "json" with home_assistant: quality and value are read there'
        if self.home_assistant is not None and not self.retain:
            yield "retain", "must be true with home_assistant: it asks for no value after its start"

    def target(self) -> mqtt_wire.Target:
        """Return where to connect to."""
        tls = self.tls or Tls()
        return mqtt_wire.Target(
            self.host,
            self.port or (PORT if self.tls is None else TLS_PORT),
            tls=self.tls is not None,
            ca_file=tls.ca_file,
            cert_file=tls.cert_file,
            key_file=tls.key_file,
            insecure=tls.insecure,
        )


class Destination:
    """One connection to a broker."""

    def __init__(self, context: Context, config: Config) -> None:
        self._context = context
        self._config = config
        self._client: mqtt_wire.Client | None = None
        self._wire: mqtt_wire.Wire | None = None
        self._ending: Ending | None = None
        self._connected: asyncio.Future[None] | None = None
        self._waiting: dict[int, asyncio.Future[ReasonCode]] = {}
        self._announced: dict[str, Entity] = {}
        self._payloads = Payloads(has_topic=False)

    @property
    def where(self) -> str:
        """Its address."""
        return self._config.target().where

    # -- the connection ----------------------------------------------------------------------------

    async def open(self) -> Position | None:
        """Connect, and announce entities.

        Raises:
            UplinkError: The broker cannot be reached or refuses.
        """
        config, target = self._config, self._config.target()
        try:
            password = read_secret(config.password_file) if config.password_file else None
        except OSError as exc:
            raise UplinkError(f"cannot read {config.password_file}: {exc.strerror}") from exc
        try:
            connection = await in_thread(
                f"connect:{target.where}",
                lambda: mqtt_wire.connect(target),
                lambda one: one.close(),
            )
            await self._begin(connection, password)
        except DeviceError as exc:
            raise UplinkError(str(exc)) from exc
        self._publish(config.status, b"online", retain=True)
        if config.home_assistant is not None:
            self._begin_discovery(config.home_assistant)
        return None

    async def _begin(self, connection: socket.socket, password: str | None) -> None:
        config = self._config
        client_id = config.client_id or f"sensord-{secrets.token_hex(4)}"
        client = mqtt_wire.Client(client_id, MQTTProtocolVersion.MQTTv5, clean=True)
        client.max_queued_messages_set(MOST_QUEUED)
        client.max_inflight_messages_set(IN_FLIGHT)
        if config.username:
            client.username_pw_set(config.username, password)
        client.will_set(config.status, b"offline", 1, retain=True)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client, self._ending = client, Ending()
        self._connected = asyncio.get_running_loop().create_future()
        self._wire = mqtt_wire.Wire(client, connection, self._ending)
        self._wire.start(config.target(), round(config.keepalive), clean_start=True)
        if not await self._ending.wait(until=self._connected, timeout_s=ANSWER_TIMEOUT_S):
            raise UplinkError("no answer to CONNECT; does an MQTT broker listen there?")

    async def close(self) -> None:
        """Disconnect."""
        wire, client = self._wire, self._client
        self._wire = self._client = None
        if wire is not None and client is not None:
            if client.is_connected():
                client.publish(self._config.status, b"offline", 0, retain=True)
            wire.close()
        for waiting in self._waiting.values():
            waiting.cancel()
        self._waiting.clear()
        self._announced.clear()

    def _on_connect(
        self,
        _client: PahoClient,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        assert self._ending is not None, "a connection is being opened"
        assert self._connected is not None, "the same"
        if reason.is_failure:
            text = f"broker refused: {str(reason).lower()}"
            self._ending.fail(DeviceError(text, "check username, password_file and client_id"))
        elif not self._connected.done():
            self._connected.set_result(None)

    # -- sending -----------------------------------------------------------------------------------

    async def send(self, batch: Batch) -> int:
        """Publish readings; return the number of bytes when the broker has acknowledged them.

        Raises:
            UplinkError: The connection is lost.
            RejectedError: The broker refuses a reading.
        """
        size = 0
        for start in range(0, len(batch.records), IN_FLIGHT):
            part = batch.records[start : start + IN_FLIGHT]
            size += await self._send_part(batch.epoch, part)
        return size

    async def _send_part(self, epoch: str, records: Sequence[Record]) -> int:
        assert self._ending is not None, "it is open"
        config, size = self._config, 0
        write = self._payloads.write
        waiting: list[asyncio.Future[ReasonCode]] = []
        for record in records:
            topic = config.topic.replace(PLACE, record.channel.topic.removeprefix("$"))
            payload = write(epoch, record) if config.payload == "json" else _plain(record)
            size += len(payload)
            if config.home_assistant is not None and record.channel.topic not in self._announced:
                self._announce(record.channel)
                self._context.save([*sorted(self._topics())])
            is_retained = config.retain and record.channel.metadata.kind is Kind.STATE
            number = self._publish(topic, payload, retain=is_retained, mark=(epoch, record.offset))
            if config.qos:
                waiting.append(asyncio.get_running_loop().create_future())
                self._waiting[number] = waiting[-1]
        try:
            if waiting:
                await self._acknowledged(waiting)
            elif self._ending.is_reached():
                await self._ending.reached()
        except DeviceError as exc:
            raise UplinkError(str(exc)) from exc
        for answer in waiting:
            if answer.result().is_failure:
                raise RejectedError(str(answer.result()).lower())
        return size

    async def _acknowledged(self, waiting: list[asyncio.Future[ReasonCode]]) -> None:
        assert self._ending is not None, "it is open"
        everything = asyncio.ensure_future(_all(waiting))
        try:
            if not await self._ending.wait(until=everything, timeout_s=ANSWER_TIMEOUT_S):
                raise UplinkError("the broker acknowledges nothing")
        finally:
            everything.cancel()

    def _publish(
        self, topic: str, payload: bytes, *, retain: bool, mark: tuple[str, int] | None = None
    ) -> int:
        if self._client is None:
            raise UplinkError("not connected")
        properties = None
        if mark is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
            properties.UserProperty = [("epoch", mark[0]), ("offset", str(mark[1]))]
        try:
            info = self._client.publish(topic, payload, self._config.qos, retain, properties)
        except ValueError as exc:
            raise RejectedError(f"{topic}: {exc}") from exc
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise UplinkError("the connection to the broker is gone")
        return info.mid

    def _on_publish(
        self,
        _client: PahoClient,
        _userdata: object,
        number: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reason)

    # -- Home Assistant ----------------------------------------------------------------------------

    def _begin_discovery(self, options: HomeAssistant) -> None:
        """Withdraw entities of devices that are gone, announce the others, and listen."""
        assert self._client is not None, "it is open"
        saved = self._context.load()
        self._announce_all()
        for topic in saved if isinstance(saved, list) else []:
            if isinstance(topic, str) and topic not in self._topics():
                self._publish(topic, b"", retain=True)
        self._client.subscribe(f"{options.prefix}/status")
        if options.set:
            self._client.subscribe(self._config.topic.replace(PLACE, "#").rpartition("#")[0] + "#")

    def _topics(self) -> set[str]:
        return {one.topic for one in self._announced.values()}

    def _announce_all(self) -> None:
        self._announced.clear()
        for channel in self._context.channels():
            self._announce(channel)
        self._context.save([*sorted(self._topics())])

    def _announce(self, channel: Channel) -> None:
        options = self._config.home_assistant
        if options is None or channel.topic in self._announced or channel.topic.startswith("$"):
            return
        state = self._config.topic.replace(PLACE, channel.topic)
        place = Place(
            options.prefix,
            f"sensord_{self._context.host}",
            state,
            f"{state}/set",
            self._config.status,
        )
        settable = self._context.settable().get(channel.topic) if options.set else None
        found = self._announced[channel.topic] = entity(channel, place, settable)
        self._publish(found.topic, json.dumps(found.config).encode(), retain=True)

    def _on_message(self, _client: PahoClient, _userdata: object, message: MQTTMessage) -> None:
        options = self._config.home_assistant
        if options is None or message.retain:
            return
        if message.topic == f"{options.prefix}/status":
            if message.payload == b"online":
                self._announce_all()
        elif message.topic.endswith("/set"):
            self._set(message.topic, bytes(message.payload))

    def _set(self, topic: str, payload: bytes) -> None:
        """Set what Home Assistant asks for; a refusal is logged."""
        before, _, after = self._config.topic.partition(PLACE)
        ours = topic.removesuffix("/set").removeprefix(before).removesuffix(after)
        channel = next((one for one in self._context.channels() if one.topic == ours), None)
        try:
            if channel is None or ours not in self._context.settable():
                raise ProtocolError("not_found", f"{ours} is not writable")
            text = payload.decode()
            self._context.act(ours, payload_value(text, channel.metadata.type))
        except (ProtocolError, ValueError) as exc:
            found = {"uplink": self._context.name, "topic": ours, "reason": str(exc)}
            log.warning("command refused", extra=found)


async def _all(waiting: list[asyncio.Future[ReasonCode]]) -> None:
    await asyncio.wait(waiting)


def _plain(record: Record) -> bytes:
    value = record.reading.value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace")
