"""Receive UDP datagrams: NMEA on port 10110, weather stations, anything that broadcasts on a LAN.

Each sender is a source of its own. Datagrams have no connection that could be lost, so silence is
all there is to judge by: a sender that is silent for several of its usual pauses, or for longer
than declared, is away, and exactly its channels turn bad.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from sensord.config.schema import Duration, Printable, Within
from sensord.device.backoff import LOCAL, Limits
from sensord.device.reader import Link, Route
from sensord.errors import DeviceError
from sensord.readers.blocking import Ending
from sensord.readers.rhythm import Rhythm

__all__ = ["Config", "Reader"]

AT_ONCE = 64
"""Datagrams read in one turn of the loop, so that a flood leaves time for others."""

LARGEST_BYTES = 65_536

MOST_SENDERS = 256
"""Addresses can be made up: more of them are refused."""

LOOK_S = 1.0
"""How often silence is looked for."""

REFUSED = "sender not allowed"
TOO_MANY = "too many senders"

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Config:
    """Where datagrams are received, from whom, and how they hold messages."""

    port: Annotated[int, Within(1, 65_535)]
    host: Printable = "0.0.0.0"  # noqa: S104  # its devices are elsewhere
    group: Printable = ""
    """A multicast group to join, on the interface that has the address ``host``."""
    allow: tuple[Printable, ...] = ()
    """Addresses and networks whose datagrams are accepted; empty for all."""
    lines: bool = True
    """Whether each line of a datagram is a message; else the datagram is one."""
    silence: Annotated[Duration, Within(0, 86_400)] | None = None
    """After which a sender is away; 0 for never, None for several of its usual pauses."""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what is no address, and a group that is none."""
        host = _address(self.host)
        if host is None:
            yield "host", 'expected an address; "0.0.0.0" receives on every interface'
        if self.group:
            group = _address(self.group)
            if group is None or not group.is_multicast:
                yield "group", 'expected a multicast address, such as "239.192.0.1"'
            elif host is not None and group.version != host.version:
                yield "group", "host and group must both be IPv4, or both IPv6"
        for one in self.allow:
            try:
                ipaddress.ip_network(one)
            except ValueError:
                yield "allow", f'"{one}": expected an address or a network, such as 192.168.1.0/24'


class _Sender:
    """One address that sends."""

    __slots__ = ("is_away", "rhythm", "route")

    def __init__(self, address: str, silence_s: float | None, now_s: float) -> None:
        self.route = Route(address, captures=(address,), depends_on=(address,))
        self.rhythm = Rhythm(silence_s, now_s)
        self.is_away = False


class Reader:
    """Receives datagrams on one port."""

    limits: Limits = LOCAL

    def __init__(self, config: Config) -> None:
        self._config = config
        self._allowed = [ipaddress.ip_network(one) for one in config.allow]
        self._senders: dict[str, _Sender] = {}
        self._refused: set[str] = set()

    async def run(self, link: Link) -> None:
        """Receive until the socket fails.

        Raises:
            DeviceError: The port could not be opened, or the socket failed.
        """
        config, ending = self._config, Ending()
        loop = asyncio.get_running_loop()
        endpoint = _bound(config)
        try:
            loop.add_reader(endpoint, self._received, endpoint, link, ending)
            where = f"udp {config.host}:{config.port}"
            link.opened(f"{where}, group {config.group}" if config.group else where)
            while True:
                await ending.wait(timeout_s=LOOK_S)
                self._look(link, time.monotonic())
        finally:
            loop.remove_reader(endpoint)
            endpoint.close()

    def _received(self, endpoint: socket.socket, link: Link, ending: Ending) -> None:
        try:
            for _ in range(AT_ONCE):
                payload, peer = endpoint.recvfrom(LARGEST_BYTES)
                self._accept(link, payload, peer[0].partition("%")[0])
        except BlockingIOError:
            return  # all have been read
        except OSError as error:
            ending.fail(DeviceError("socket failed", error.strerror or ""))
        except Exception as error:  # noqa: BLE001  # carried to run, which raises it
            ending.fail(error)

    def _accept(self, link: Link, payload: bytes, address: str) -> None:
        sender = self._senders.get(address) or self._entered(link, address)
        if sender is None:
            return
        now_s = time.monotonic()
        sender.rhythm.heard(now_s)
        link.received(payload, address)
        if sender.is_away:
            sender.is_away = False
            link.availability(address, is_there=True)
        if not self._config.lines:
            link.message(sender.route, payload)
            return
        for line in payload.splitlines():
            if line.strip():
                link.message(sender.route, line)

    def _entered(self, link: Link, address: str) -> _Sender | None:
        """Add a sender, if it may send and there is room."""
        reason = ""
        if self._allowed and not any(ipaddress.ip_address(address) in one for one in self._allowed):
            reason = REFUSED
        elif len(self._senders) >= MOST_SENDERS:
            reason = TOO_MANY
        if reason:
            if len(self._refused) < MOST_SENDERS and address not in self._refused:
                self._refused.add(address)
                link.fault(reason, address)
            return None
        made = _Sender(address, self._config.silence, time.monotonic())
        self._senders[address] = made
        return made

    def _look(self, link: Link, now_s: float) -> None:
        """Report those that have been silent for too long."""
        for address, sender in self._senders.items():
            limit_s = sender.rhythm.limit_s
            if not sender.is_away and limit_s and sender.rhythm.silence_s(now_s) > limit_s:
                sender.is_away = True
                sender.rhythm.fell_silent()
                link.fault("silent", f"{address} for {limit_s:.3g} s")
                link.availability(address, is_there=False)


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _bound(config: Config) -> socket.socket:
    """Open the socket, and join the group. This never blocks."""
    host, port, group = config.host, config.port, config.group
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    endpoint = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if group:
            # Several programs may receive what is sent to a group.
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        endpoint.bind((group or host, port))  # of a group, nothing else
        if group and family == socket.AF_INET6:
            wanted = struct.pack("16sI", socket.inet_pton(family, group), 0)
            endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, wanted)
        elif group:
            wanted = struct.pack("4s4s", socket.inet_aton(group), socket.inet_aton(host))
            endpoint.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, wanted)
    except OSError as error:
        endpoint.close()
        hint = "another program may have this port; ss -ulnp names it"
        where = f"{host}:{port}" + (f", group {group}" if group else "")
        raise DeviceError("cannot listen", f"{where}: {error.strerror}; {hint}") from error
    endpoint.settimeout(0)
    return endpoint
