"""Refuse pages of other sites, and names that are not this machine's.

Owns the check of the headers ``Origin`` and ``Host``. Pure: the machine's name is a function that
the caller passes in.

A browser sends requests to any address in the name of any page, and says in ``Origin`` which page
it was; programs send no ``Origin``. A page can also have its own name resolve to this machine (DNS
rebinding), and is then of the same origin: its name in ``Host`` shows it. An address in ``Host``
cannot be rebound.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["LOCAL_NAMES", "Origins", "host_name_fault", "origin_fault"]

LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})
"""Names of the loopback, which no name server is asked for."""

NULL = "null"
"""The origin of pages opened from a file, and of sandboxed frames of any site."""

MOST_SHOWN = 100
"""Characters of a header that a refusal repeats."""

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


def _no_name() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Origins:
    """Which pages may send requests, and by which names the machine may be addressed."""

    allowed: frozenset[str] = frozenset()
    """Origins beside the server's own, in small letters and without default ports."""
    hosts: frozenset[str] = LOCAL_NAMES
    machine: Callable[[], str] = _no_name
    """Returns the machine's own name; it may change while the daemon runs."""

    @staticmethod
    def of(
        origins: Iterable[str], hosts: Iterable[str], machine: Callable[[], str] = _no_name
    ) -> Origins:
        """Accept what a configuration lists."""
        names = {host.lower().rstrip(".") for host in hosts}
        return Origins(frozenset(map(_normal, origins)), LOCAL_NAMES | names, machine)

    def refusal(self, host: str | None, origin: str | None) -> str | None:
        """Return why a request with these headers is refused, or None.

        Browsers always send ``Host``.
        """
        if host is not None and not self._is_ours(_name_of(host)):
            return (
                f"{_shown(host)} is not a name of this machine: use its address, or add the name"
                " to server.hosts in the configuration"
            )
        if origin is None or self.is_allowed(origin) or _is_same(host, origin):
            return None
        return (
            f"pages of {_shown(origin)} may not connect: if that page is yours, add its origin to"
            " server.origins in the configuration"
        )

    def is_allowed(self, origin: str) -> bool:
        """Return whether the configuration lists an origin."""
        return bool(self.allowed) and _normal(origin) in self.allowed

    def _is_ours(self, name: str) -> bool:
        if _is_address(name) or name in self.hosts:
            return True
        machine = self.machine().lower().rstrip(".")
        short = machine.partition(".")[0]
        return bool(short) and name in {machine, short, f"{short}.local"}


def origin_fault(origin: str) -> str | None:
    """Return what is wrong with an entry of ``server.origins``, or None."""
    if origin == NULL or _ORIGIN.fullmatch(origin.lower()):
        return None
    if "*" in origin:
        return f'"{origin}" has a wildcard; list each origin by itself'
    return (
        f'expected an origin such as "https://panel.example:3000", without a path, got "{origin}"'
    )


def host_name_fault(host: str) -> str | None:
    """Return what is wrong with an entry of ``server.hosts``, or None."""
    name = host.lower().rstrip(".")
    if _is_address(name):
        return f'"{host}" is an address, and every address is accepted; list names only'
    if not _NAME.fullmatch(name):
        return f'expected a name without a port, such as "gateway.example", got "{host}"'
    return None


def _is_same(host: str | None, origin: str) -> bool:
    """Return whether a page comes from the address that its request goes to."""
    found = _ORIGIN.fullmatch(origin.lower())
    if host is None or found is None:
        return False
    scheme, name, port = found.groups()
    default = _DEFAULT_PORTS.get(scheme, "")
    theirs, separator, their_port = host.lower().rpartition(":")
    if not separator or theirs.endswith(":") or not re.fullmatch("[0-9]+", their_port):
        theirs, their_port = host.lower(), default
    return (name, port or default) == (theirs, their_port)


def _name_of(host: str) -> str:
    """Return the name or address in a ``Host``."""
    found = re.fullmatch(r"(\[[^]]*]|[^:]*)(?::[0-9]*)?", host.strip().lower())
    return "" if found is None else found[1].strip("[]").rstrip(".")


def _normal(origin: str) -> str:
    found = _ORIGIN.fullmatch(origin.lower())
    if found is None:
        return origin
    scheme, name, port = found.groups()
    if port is None or port == _DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{name}"
    return f"{scheme}://{name}:{port}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _shown(header: str) -> str:
    return "".join(one for one in header[:MOST_SHOWN] if " " < one <= "~") or "an empty name"
