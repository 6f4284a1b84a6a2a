"""The options of the reader `mqtt`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from sensord.config.across import Place
from sensord.config.addresses import host_fault
from sensord.config.command_options import Command
from sensord.config.placeholders import fill
from sensord.config.schema import Duration, Printable, Within
from sensord.config.schema import Path as KeyPath
from sensord.model.readings import Value
from sensord.model.topics import can_make, filter_fault, pattern_fault, topic_fault
from sensord.readers.mqtt_availability import Availability
from sensord.readers.mqtt_wire import Target

__all__ = ["Availability", "Config", "Poll", "Tls", "TopicMap", "Will", "Write"]

PORT = 1883
TLS_PORT = 8883

MAX_KEEPALIVE_S = 65_535
MAX_SESSION_EXPIRY_S = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class TopicMap:
    """One subscription, and the topics its messages get.

    ``topic`` is a pattern in which ``{1}``, ``{2}``, ... are what the wildcards stood for; empty
    for the device's own pattern. Topics for which ``merge``, a pattern too, is the same text bring
    the same values: the newest of them counts, whichever topic it came from.
    """

    filter: str
    qos: Literal[0, 1, 2] = 0
    topic: str = ""
    availability: Availability | None = None
    merge: str = ""

    @property
    def plain(self) -> str:
        """The filter without the prefix of a shared subscription."""
        if self.filter.startswith("$share/"):
            return self.filter.split("/", 2)[-1]
        return self.filter

    @property
    def wildcards(self) -> int:
        """How many wildcards the filter has."""
        return sum(level in {"+", "#"} for level in self.plain.split("/"))

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a filter or pattern that cannot be.

        MQTT allows empty levels (``/a``, ``a//b``) where sensord's own topics do not.
        """
        filled = "/".join(level or "x" for level in self.plain.split("/"))
        if not self.plain:
            yield "filter", "may not be empty; # selects everything"
        elif message := filter_fault(filled):
            yield "filter", message
        if self.topic and (message := pattern_fault(self.topic)):
            yield "topic", message
        for number in range(self.wildcards + 1, 100):
            for key, pattern in (("topic", self.topic), ("merge", self.merge)):
                if f"{{{number}}}" in pattern:
                    yield key, f"{{{number}}}, but the filter has {self.wildcards} wildcards"
        own = self.availability
        if own is not None and (message := own.pattern_fault(self.wildcards)):
            yield "availability", message


@dataclass(frozen=True, slots=True)
class Tls:
    """Options of an encrypted connection; an empty table trusts the system's authorities."""

    ca_file: Printable = ""
    cert_file: Printable = ""
    key_file: Printable = ""
    insecure: bool = False

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if self.key_file and not self.cert_file:
            yield "key_file", "needs cert_file beside it"


@dataclass(frozen=True, slots=True)
class Will:
    """Where our own presence is published: when connected, at the end, and by the last will."""

    topic: str
    online: str = "online"
    offline: str = "offline"
    qos: Literal[0, 1] = 1
    retain: bool = True

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what cannot be published."""
        yield from _topic_faults("topic", self.topic)


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask by publishing ``payload`` to ``topic``; the answers come by the subscriptions."""

    topic: str
    payload: str = ""
    interval: Annotated[Duration, Within(0.001, 30 * 86_400.0)] = 1.0
    qos: Literal[0, 1, 2] = 0

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what cannot be published."""
        yield from _topic_faults("topic", self.topic)


@dataclass(frozen=True, slots=True)
class Write:
    """How one command is sent: what is published, and where."""

    send_to: str
    payload: str = "{value}"
    qos: Literal[0, 1] = 1
    retain: bool = False

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what cannot be published to."""
        yield from _topic_faults("send_to", self.send_to)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the text with places."""
        yield "payload", self.payload

    def message(self, values: Mapping[str, Value]) -> bytes:
        """Return the payload."""
        return fill(self.payload, values).encode()


def _topic_faults(key: str, topic: str) -> Iterator[tuple[str, str]]:
    filled = "/".join(level or "x" for level in topic.split("/"))
    if not topic:
        yield key, "may not be empty"
    elif message := topic_fault(filled):
        yield key, message


@dataclass(frozen=True, slots=True)
class Config:
    """Options of the reader ``mqtt``."""

    host: Printable
    topics: tuple[TopicMap, ...]
    port: Annotated[int, Within(1, 65_535)] | None = None
    protocol: Literal["5", "3.1.1"] = "5"
    client_id: Printable = ""
    username: Printable = ""
    password_file: Printable = ""
    tls: Tls | None = None
    keepalive: Annotated[Duration, Within(1, MAX_KEEPALIVE_S)] = 60.0
    session_expiry: Annotated[Duration, Within(0, MAX_SESSION_EXPIRY_S)] = 0.0
    retained: Literal["accept", "ignore"] = "accept"
    availability: Availability | None = None
    ignore_topics: tuple[str, ...] = ()
    will: Will | None = None
    poll: Poll | None = None

    SCOPED_BY: ClassVar[str] = "topics"
    """The option whose entries may have a decoder and rules of their own."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if not self.host:
            yield "host", "may not be empty"
        elif message := host_fault(self.host):
            yield "host", message
        if not self.topics:
            yield "topics", "at least one is needed, as a table [[devices.<name>.topics]]"
        if len({one.filter for one in self.topics}) < len(self.topics):
            yield "topics", "the same filter stands there twice"
        yield from self._pattern_faults()
        if self.password_file and not self.username:
            yield "password_file", "needs username beside it"
        if self.session_expiry and not self.client_id:
            yield "client_id", "is needed with session_expiry: the broker knows a session by it"

    def places(self) -> Iterator[Place]:
        """Yield the client id: a broker ends the older connection of two with one."""
        if self.client_id:
            port = self.target().port
            name = f"{self.client_id} at {self.host.lower()}:{port}"
            mend = "a broker ends the older connection of two; give each an id of its own"
            yield Place("client_id", name, mend)

    def _pattern_faults(self) -> Iterator[tuple[str, str]]:
        fewest = min((one.wildcards for one in self.topics), default=0)
        if self.availability and (message := self.availability.pattern_fault(fewest)):
            yield "availability", message
        for pattern in self.ignore_topics:
            if message := filter_fault("/".join(level or "x" for level in pattern.split("/"))):
                yield "ignore_topics", f"{pattern}: {message}"

    def command_faults(
        self, commands: Iterable[Command], pattern: str
    ) -> Iterator[tuple[KeyPath, str]]:
        """Yield what is to be confirmed by a topic that no message gets."""
        patterns = [one.topic or pattern for one in self.topics]
        for command in commands:
            if not command.is_set or command.state != command.name:
                continue
            if not any(can_make(one, command.name) for one in patterns):
                text = f"no message of this device gets the topic {command.name}; say which does"
                yield ("writable", command.field, "topic"), text

    @property
    def acknowledges_kept(self) -> bool:
        """Whether a message is acknowledged only when its readings are in the journal.

        Without a session the broker forgets what is not acknowledged. With QoS 2 paho would not
        acknowledge a message again of which an earlier process had the first half.
        """
        return bool(self.session_expiry) and all(one.qos < 2 for one in self.topics)  # noqa: PLR2004  # QoS 2

    def target(self) -> Target:
        """Return where to connect to."""
        port = self.port or (PORT if self.tls is None else TLS_PORT)
        tls = self.tls or Tls()
        return Target(
            self.host,
            port,
            tls=self.tls is not None,
            ca_file=tls.ca_file,
            cert_file=tls.cert_file,
            key_file=tls.key_file,
            insecure=tls.insecure,
        )
