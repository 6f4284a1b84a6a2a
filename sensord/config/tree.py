"""The typed tree: what a configuration may hold, once it is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from sensord.access.origins import host_name_fault, origin_fault
from sensord.access.rights import Rights
from sensord.config.addresses import is_loopback, listen_faults
from sensord.config.alarms import Alarm
from sensord.config.channels import ChannelRules, rules_of
from sensord.config.command_options import Command
from sensord.config.derived import Derived
from sensord.config.schema import (
    LONGEST_S,
    Duration,
    Path,
    Printable,
    Size,
    Within,
)
from sensord.config.scopes import Scope
from sensord.decode.framing import Config as Framing
from sensord.device.policy import Policy
from sensord.errors import ConfigFault
from sensord.log.journal.options import Options as Journal
from sensord.model.readings import Kind, ValueType
from sensord.model.topics import filter_fault
from sensord.model.units import unit_fault

__all__ = [
    "ChannelRules",
    "Clients",
    "Config",
    "Control",
    "Device",
    "Logging",
    "Memory",
    "OpenTopic",
    "Server",
    "Tls",
    "Uplink",
]


_DAY_S = 86_400.0

LONGEST_SOCKET = 107
"""Bytes that the kernel has for the path of a Unix socket."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Where monitors connect encrypted."""

    certificate: Printable
    key: Printable
    listen: tuple[Printable, ...] = ("0.0.0.0:8766",)
    client_authority: Printable = ""
    """A file of certificates, one of which must have signed each client's own."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where monitors connect."""

    listen: tuple[Printable, ...] = ("127.0.0.1:8765",)
    insecure: bool = False
    origins: tuple[Printable, ...] = ()
    hosts: tuple[Printable, ...] = ()
    tokens: Printable = ""
    socket: Printable = ""
    group: Printable = ""
    """Its members may do everything over the socket."""
    local: Rights | None = None
    anonymous: Rights = Rights()
    """What may be done without a token: on this machine, and from others."""
    tls: Tls | None = None
    outbox: Annotated[Size, Within(1024, 2**30)] = 128 * 1024
    lag_timeout: Annotated[Duration, Within(0.05, _DAY_S)] = 30.0
    max_sessions: Annotated[int, Within(1, 100_000)] = 10_000
    max_sessions_per_address: Annotated[int, Within(1, 100_000)] = 1_000
    max_unannounced: Annotated[int, Within(1, 100_000)] = 1_000
    hello_timeout: Annotated[Duration, Within(0.1, 3600)] = 10.0

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield addresses that cannot be, or may not be listened on."""
        encrypted = () if self.tls is None else self.tls.listen
        # Whoever shows a certificate is let in as far as `anonymous` and tokens allow.
        is_locked = bool(self.tokens or (self.tls is not None and self.tls.client_authority))
        for message in listen_faults(
            [*self.listen, *encrypted], insecure=self.insecure or is_locked
        ):
            yield "listen", message
        if self.socket and len(self.socket.encode()) > LONGEST_SOCKET:
            yield "socket", f"a path of a socket has at most {LONGEST_SOCKET} bytes"
        if self.group and not self.socket:
            yield "group", "has no effect without socket"
        for origin in self.origins:
            if wrong := origin_fault(origin):
                yield "origins", wrong
        for host in self.hosts:
            if wrong := host_name_fault(host):
                yield "hosts", wrong

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield what an open door means."""
        hosts = [address.rpartition(":")[0] for address in self.listen]
        if self.tokens and any(
            not is_loopback(address.rpartition(":")[0]) for address in self.listen
        ):
            yield "listen", _PLAIN
        if self.insecure and (open_ := [host for host in hosts if not is_loopback(host)]):
            yield "insecure", _OPEN.format(", ".join(open_))
        elif self.insecure:
            yield "insecure", "has no effect: only this machine reaches the addresses in listen"
        if "null" in self.origins:
            yield "origins", _NULL


_NULL = (
    '"null" is the origin of every file opened in a browser, and of sandboxed frames of every site:'
    " serve your page over HTTP instead, and list its origin"
)

_PLAIN = "other machines send their tokens unencrypted: use TLS, or a proxy that does"

_OPEN = (
    "everybody who reaches {} may read everything and act on devices and clients:"
    " set, call, publish, take leases, without a token"
)


@dataclass(frozen=True, slots=True)
class OpenTopic:
    """What clients may publish under a filter."""

    type: ValueType = ValueType.FLOAT
    unit: str = ""
    decimals: Annotated[int, Within(0, 15)] | None = None
    kind: Kind = Kind.STATE
    description: str = ""
    range: tuple[float, ...] = ()
    retain: bool = False

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield a unit that no program knows."""
        if self.unit and (message := unit_fault(self.unit)):
            yield "unit", message

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if self.range and (len(self.range) != 2 or self.range[0] > self.range[1]):  # noqa: PLR2004  # a pair
            yield "range", "expected [lowest, highest]"


@dataclass(frozen=True, slots=True)
class Clients:
    """What clients see of each other, and how long one that is away keeps what it has."""

    presence: bool = True
    grace: Annotated[Duration, Within(0, 30 * _DAY_S)] = 30.0
    inbox_messages: Annotated[int, Within(1, 10_000)] = 100
    inbox_bytes: Annotated[Size, Within(65_536, 2**30)] = 16 * 1024 * 1024
    inbox_age: Annotated[Duration, Within(1, 365 * _DAY_S)] = 3600.0
    max_state: Annotated[int, Within(0, 100_000)] = 1000
    max_topics: Annotated[int, Within(0, 100_000)] = 1000
    journal_share: Annotated[int, Within(1, 90)] = 25
    """Percent of `journal.max_bytes` that clients' writes may use."""
    topics: dict[str, OpenTopic] = field(default_factory=dict)

    def faults(self) -> Iterator[tuple[Path, str]]:
        """Yield filters that are invalid, or open what clients must not publish."""
        for pattern in self.topics:
            at = ("topics", pattern)
            if message := filter_fault(pattern):
                yield at, message
            elif pattern.startswith(("#", "+")):
                text = 'would open every topic; begin with a name, such as "lab/#"'
                yield at, text
            elif pattern.startswith(("$", "state/")):
                text = (
                    f'"{pattern.partition("/")[0]}/" is not for readings; begin with another name'
                )
                yield at, text


@dataclass(frozen=True, slots=True)
class Control:
    """How clients act on devices."""

    queue: Annotated[int, Within(1, 1000)] = 16
    remember: Annotated[Duration, Within(1, 30 * _DAY_S)] = 3600.0
    longest_lease: Annotated[Duration, Within(1, 30 * _DAY_S)] = 3600.0


@dataclass(frozen=True, slots=True)
class Memory:
    """The part of the log that is held in memory."""

    ring: Annotated[int, Within(1024, 100_000_000)] = 65_536


@dataclass(frozen=True, slots=True)
class Logging:
    """What the daemon writes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Device:
    """One device: a reader, a decoder, a topic pattern and how its channels are published."""

    name: str
    reader: str
    reader_config: object
    decoder: str
    decoder_config: object
    framing: Framing
    topic: str
    description: str
    publish: Policy
    max_channels: int
    time_behind: float = LONGEST_S
    time_ahead: float = LONGEST_S
    """Source times are believed within so many seconds of the arrival."""
    ignore: tuple[str, ...] = ()
    """Patterns of fields that give nothing."""
    device: str = ""
    """The pattern that names the devices behind the connection; empty if it is one device."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What places give, and the names to use instead."""
    only: Mapping[str, tuple[bool | int | float | str, ...]] = field(default_factory=dict)
    max_devices: int = 200
    scopes: tuple[Scope, ...] = ()
    """By the index of the reader's filter; none if no filter has rules of its own."""
    channels: Mapping[str, ChannelRules] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()
    """What clients may have it do."""

    def rules(self, name: str, device: str = "") -> ChannelRules:
        """Return what is said of a field: by its own name, else by the first pattern that fits.

        For one device of several behind a connection, what begins with its name comes first:
        ``<device>/<field>``. A mere pattern such as ``*temp*`` is for fields, not for names of
        devices that happen to fit.
        """
        prefix = f"{device}/"
        named = {
            key.removeprefix(prefix): rules
            for key, rules in (self.channels.items() if device else ())
            if key.startswith(prefix)
        }
        own = rules_of(named, name)
        return own or rules_of(self.channels, name) or ChannelRules(publish=self.publish)


@dataclass(frozen=True, slots=True)
class Uplink:
    """One system that readings are delivered to."""

    name: str
    type: str
    options: Any


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration."""

    server: Server = Server()
    clients: Clients = Clients()
    control: Control = Control()
    log: Memory = Memory()
    journal: Journal = Journal()
    logging: Logging = Logging()
    alarms: Mapping[str, Alarm] = field(default_factory=dict)
    derived: Mapping[str, Derived] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    uplinks: tuple[Uplink, ...] = ()
    warnings: tuple[ConfigFault, ...] = ()
    """What is accepted but hardly meant."""
    tables: Mapping[str, Any] = field(default_factory=dict)
    """As they stand in the file, with the profiles that devices name."""
