"""The addresses to listen on: those that are bound, and those that are missing.

An address may appear after the daemon has started: a cable is unplugged, DHCP has not answered,
IPv6 still checks for duplicates. Each is bound as soon as it exists; until then it is reported with
the reason. Only an address that another program uses ends a start, before anything is created.

Theory of operation: a socket is bound and listens at once, so no other program can get its port;
its connections wait in the backlog until the server accepts them. A name means all its addresses;
it is looked up again at most every half a minute while one of them is missing.

A socket that the service manager passed replaces one that the daemon would bind. It stays open
there while the daemon restarts, so connections wait in its backlog.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sensord.bus import Bus
from sensord.errors import StartError
from sensord.model.readings import Channel, Metadata, Reading, Value, ValueType

__all__ = ["BACKLOG", "AddressStatus", "Addresses", "Missing", "written"]

log = logging.getLogger("sensord.server")

BACKLOG = 4096
"""A whole plant's monitors come back at once after a restart."""

UNREAD_BYTES = 16 * 1024
"""What the kernel holds of a client's bytes, and so what one read of its socket can bring, twice
over: many clients that send more than is served must not fill the memory."""

LOOKUP_S = 5.0
LOOKUP_AGAIN_S = 30.0
"""A name server at the other end of a mobile connection is not asked every two seconds."""

_REASONS = {
    errno.EADDRINUSE: "another program has the port; is another sensord running?",
    errno.EACCES: "ports below 1024 are for root, or for a service with CAP_NET_BIND_SERVICE;"
    " listen on a higher one, such as 8765",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
    errno.EAFNOSUPPORT: "this machine has no IPv6; leave the address out",
    errno.EINVAL: "a link-local address needs its interface, such as [fe80::1%eth0]:8765",
}

_NAME_ERRORS = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}

_Place = tuple[socket.AddressFamily, tuple[Any, ...]]
"""A family, and an address as its sockets expect it: host, port and for IPv6 its scope."""
_Found = list[_Place] | OSError


@dataclass(frozen=True, slots=True)
class Missing:
    """An address that cannot be listened on now, and why."""

    address: str
    error: str
    """The system's name of the error, such as EADDRNOTAVAIL or EAI_NONAME."""
    reason: str

    @staticmethod
    def of(address: str, error: OSError) -> Missing:
        """Name what the system reports, and what helps."""
        number = error.errno or 0
        if isinstance(error, socket.gaierror | TimeoutError):
            reason = "the name is not known here; write an address, such as 127.0.0.1:8765"
            return Missing(address, _NAME_ERRORS.get(number, "ETIMEDOUT"), reason)
        name = errno.errorcode.get(number, "unknown")
        return Missing(address, name, _REASONS.get(number, error.strerror or str(error)))

    @property
    def is_in_use(self) -> bool:
        """Whether another program has it."""
        return self.error == "EADDRINUSE"

    @property
    def is_name_unknown(self) -> bool:
        """Whether it is a name that has no address now."""
        return self.error == "ETIMEDOUT" or self.error in _NAME_ERRORS.values()


class Addresses:
    """The addresses that are to be listened on."""

    def __init__(
        self,
        wanted: Sequence[str],
        outbox_bytes: int,
        encrypted: Sequence[str] = (),
        passed: Sequence[socket.socket] = (),
    ) -> None:
        """``encrypted`` are those for TLS, ``passed`` the service manager's sockets."""
        self._wanted = [*wanted, *encrypted]
        self._plain = len(wanted)
        self.encrypted: set[socket.socket] = set()
        """The sockets of those for TLS."""
        self._outbox_bytes = outbox_bytes
        self._complete: set[int] = set()
        self._found: dict[str, tuple[float, _Found]] = {}
        """What each name stood for, with the loop's time of the lookup."""
        self._bound: dict[tuple[int, _Place], str] = {}
        self._new: list[socket.socket] = []
        self._passed = {(one.family, one.getsockname()): one for one in passed}
        """Those of the service manager that no address has used yet."""
        self.missing: tuple[Missing, ...] = ()
        """Those that could not be bound at the last attempt."""

    async def reserve(self, *, is_each_needed: bool = False) -> None:
        """Bind the addresses that exist, before anything else is done.

        Raises:
            StartError: Another program has one; the service manager passed one that is not
                configured; with ``is_each_needed`` also: one is missing.
        """
        await self.bind()
        self._refuse_unknown()
        for missing in self.missing:
            if is_each_needed or missing.is_in_use:
                self.close()
                raise StartError(f"cannot listen on {missing.address}: {missing.reason}")

    def _refuse_unknown(self) -> None:
        """Refuse a passed socket that the configuration does not list.

        Its rights would not have been checked, and nothing would answer there. A name that is not
        known yet may still resolve to it.
        """
        are_names_missing = any(one.is_name_unknown for one in self.missing)
        for passed in self._passed.values():
            if are_names_missing and passed.family != socket.AF_UNIX:
                continue
            shown = _shown(passed)
            self.close()
            raise StartError(
                f"systemd's socket unit listens on {shown}, and server.listen does not list it:"
                " name the same addresses in both"
            )

    async def bind(self) -> None:
        """Bind those of the missing addresses that exist now."""
        missing: list[Missing] = []
        for index, address in enumerate(self._wanted):
            if index not in self._complete:
                absent = await self._bind(index, address)
                missing += absent
                if not absent:
                    self._complete.add(index)
        self.missing = tuple(missing)

    async def _bind(self, index: int, address: str) -> list[Missing]:
        """Bind all addresses of one configured entry; return those that are missing."""
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        found = await self._look_up(host, int(port))
        if isinstance(found, OSError):
            return [Missing.of(address, found)]
        missing = []
        for place in found:
            # Any free port is another one for each address; a port that is named is bound once.
            key = (index if port == "0" else -1, place)
            if key in self._bound:
                continue
            try:
                bound = self._listening(place)
            except OSError as exc:
                name = address if _is_literal(host) else _written(*place[1][:2])
                missing.append(Missing.of(name, exc))
            else:
                self._bound[key] = written(bound)
                self._new.append(bound)
                if index >= self._plain:
                    self.encrypted.add(bound)
        return missing

    async def _look_up(self, host: str, port: int) -> _Found:
        loop = asyncio.get_running_loop()
        if _is_literal(host):
            return await _places(host, port)
        asked_s, found = self._found.get(host, (-LOOKUP_AGAIN_S, []))
        if loop.time() - asked_s >= LOOKUP_AGAIN_S or not found:
            found = await _places(host, port)
            self._found[host] = (loop.time(), found)
        return found

    def _listening(self, place: _Place) -> socket.socket:
        family, name = place
        passed = self._passed.pop(place, None)
        if passed is not None:
            return self._prepared(passed)
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.settimeout(0)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._bound_memory(made)
            made.bind(name)
            # Bound alone is not enough: with SO_REUSEADDR, another program could bind it as well.
            made.listen(BACKLOG)
        except OSError:
            made.close()
            raise
        return made

    def _bound_memory(self, made: socket.socket) -> None:
        """Bound what the kernel holds for each connection, which inherits it.

        Otherwise it would hold megabytes for a client that does not read, on top of the bytes that
        we count.
        """
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._outbox_bytes)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD_BYTES)

    def _prepared(self, passed: socket.socket) -> socket.socket:
        """Return a socket of the service manager with the options of our own.

        Raises:
            OSError: It listens on IPv4 too, or not at all.
        """
        try:
            is_v6 = passed.family == socket.AF_INET6
            if is_v6 and not passed.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
                raise OSError(errno.EPROTO, "its socket unit needs BindIPv6Only=ipv6-only")
            self._bound_memory(passed)
            passed.listen(BACKLOG)
        except OSError:
            passed.close()
            raise
        return passed

    @property
    def listening(self) -> list[str]:
        """The addresses that are bound."""
        return [*self._bound.values()]

    def take_new(self) -> list[socket.socket]:
        """Return the sockets that have been bound since the last call; the caller closes them."""
        new, self._new = self._new, []
        return new

    def close(self) -> None:
        """Close the sockets that were not handed over."""
        for bound in [*self.take_new(), *self._passed.values()]:
            bound.close()
        self._passed.clear()


class AddressStatus:
    """Reports which addresses are missing: in the log, and under ``$sys/addresses``."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._channel: Channel | None = None
        self._reported: tuple[Missing, ...] = ()

    def report(self, listening: Sequence[str], missing: tuple[Missing, ...]) -> None:
        """Report what has changed."""
        if missing == self._reported:
            return
        for one in missing:
            if one not in self._reported:
                fields = {"address": one.address, "error": one.error, "reason": one.reason}
                log.warning("address is missing, tried again until it comes", extra=fields)
        self._reported = missing
        if self._channel is None:
            metadata = Metadata(ValueType.JSON, description="which listen addresses are missing")
            self._channel = self._bus.channel("$sys/addresses", metadata)
        absent: list[Value] = [
            {"address": one.address, "error": one.error, "reason": one.reason} for one in missing
        ]
        value: Value = {
            "state": "incomplete" if missing else "ok",
            "listening": [*listening],
            "missing": absent,
        }
        self._bus.publish(self._channel, Reading(self._bus.now_us(), value))


async def _places(host: str, port: int) -> _Found:
    """Return all addresses that a host has, or why it has none."""
    try:
        async with asyncio.timeout(LOOKUP_S):
            return await _ask(host, port)
    except OSError as exc:  # TimeoutError is one
        return exc


async def _ask(host: str, port: int) -> list[_Place]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [(family, name) for family, _, _, _, name in found]


def written(bound: socket.socket) -> str:
    """Write the address of a socket as people do."""
    name, port, *_ = bound.getsockname()
    return _written(name, port)


def _written(name: str, port: int) -> str:
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _shown(passed: socket.socket) -> str:
    name = passed.getsockname()
    return written(passed) if isinstance(name, tuple) else str(name)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
