"""Check names and addresses of machines, without looking anything up."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence

__all__ = ["host_fault", "is_loopback", "listen_faults"]

HIGHEST_PORT = 65_535

_EXPOSED = (
    "{} is reachable from other machines; set tokens to a file of tokens, listen on 127.0.0.1,"
    " or set insecure = true if everybody there may read everything and act: set, call, publish"
)

_EVERY = {"0.0.0.0", "::"}  # noqa: S104  # compared, not listened on

_IPv4 = ipaddress.IPv4Address
_IPv6 = ipaddress.IPv6Address


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach ``host``."""
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def host_fault(host: str) -> str | None:
    """Return what is wrong with a host that has its port in an option of its own, or None."""
    if not host.startswith("[") and _address(host) is not None:
        return None
    bare, _, port = host.rpartition(":")
    if bare and port.isdecimal() and (re.fullmatch(r"\[.*]", bare) or ":" not in bare):
        return f'the port is an option of its own: host = "{bare.strip("[]")}", port = {port}'
    if re.fullmatch(r"\[.*]", host):
        return f'an address stands without brackets: host = "{host.strip("[]")}"'
    if re.fullmatch(r"[0-9.]+", host) or not _is_name(host):
        return f'expected a name or an address, such as "127.0.0.1", got "{host}"'
    return None


def listen_faults(addresses: Sequence[str], *, insecure: bool) -> Iterator[str]:
    """Yield addresses that cannot be, or may not be listened on."""
    if not addresses:
        yield 'is empty: nobody could connect; write ["127.0.0.1:8765"]'
    seen: dict[str, tuple[set[str], int]] = {}
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not _is_host(host) or not _is_port(port):
            yield f'expected "host:port", such as "127.0.0.1:8765", got "{address}"'
        elif not insecure and not is_loopback(host):
            yield _EXPOSED.format(host)
        elif (other := _taken(host, int(port), seen)) is None:
            seen.setdefault(address, (_names(host), int(port)))
        elif other == address:
            yield f"{address} stands there twice"
        else:
            yield f"{address} and {other} are one address; keep one of them"


def _is_host(host: str) -> bool:
    if host.startswith("[") is not host.endswith("]"):
        return False
    if host.startswith("[") or ":" in host:
        return isinstance(_address(host), _IPv6)
    if re.fullmatch(r"[0-9.]+", host):
        return _address(host) is not None
    return re.fullmatch(r"[\w.-]+", host) is not None and _is_name(host)


def _is_name(host: str) -> bool:
    """Return whether a resolver may be asked for a host: it raises for some that cannot be."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return re.fullmatch(r"[^\s/:@\[\]]+", host) is not None


def _is_port(port: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", port) is not None and int(port) <= HIGHEST_PORT


def _address(host: str) -> _IPv4 | _IPv6 | None:
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _names(host: str) -> set[str]:
    """Return the addresses of a host, as far as they are the same everywhere."""
    if host.lower() == "localhost":
        return {"127.0.0.1", "::1"}
    return {str(_address(host) or host.lower())}


def _taken(host: str, port: int, seen: dict[str, tuple[set[str], int]]) -> str | None:
    """Return which address has the place of this one already."""
    names = _names(host)
    for other, (others, number) in seen.items():
        if port != number or not port:  # 0 is any free port, another one each time
            continue
        if names & others or _is_within(names, others) or _is_within(others, names):
            return other
    return None


def _is_within(names: set[str], every: set[str]) -> bool:
    """Return whether one of the addresses is among all of a family, and that family."""
    wide = every & _EVERY
    families = {_IPv4 if "." in one else _IPv6 for one in wide}
    return any(type(_address(name)) in families for name in names)
