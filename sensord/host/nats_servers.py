"""How to connect to NATS servers: their addresses, credentials and certificates."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import Any, Protocol

from sensord.host.secrets import read_secret, secret_faults

__all__ = ["Servers", "connection", "server_faults"]


class Servers(Protocol):
    """The options of a connection."""

    @property
    def servers(self) -> tuple[str, ...]:
        """Addresses such as ``nats://127.0.0.1:4222``."""
        ...

    @property
    def user(self) -> str:
        """With the password in ``password_file``."""
        ...

    @property
    def password_file(self) -> str:
        """A file with the password of ``user``."""
        ...

    @property
    def token_file(self) -> str:
        """A file with a token, instead of ``user``."""
        ...

    @property
    def creds_file(self) -> str:
        """A file with credentials, as ``nsc`` writes it, instead of both."""
        ...

    @property
    def ca_file(self) -> str:
        """The authority that signed the servers' certificates; empty for the system's."""
        ...

    @property
    def cert_file(self) -> str:
        """The client's own certificate."""
        ...

    @property
    def key_file(self) -> str:
        """Its key, if that is in a file of its own."""
        ...


def server_faults(options: Servers) -> Iterator[tuple[str, str]]:
    """Yield addresses and credentials that cannot be."""
    if not options.servers:
        yield "servers", 'is missing; say for example servers = ["nats://127.0.0.1:4222"]'
    for one in options.servers:
        if not re.fullmatch(r"(nats|tls)://[^/@\s]+", one):
            yield "servers", f'"{one}": expected an address, such as "nats://127.0.0.1:4222"'
    yield from secret_faults(options, "password_file", "token_file", "creds_file")
    if bool(options.user) != bool(options.password_file):
        yield "user", "give user and password_file, both or neither"
    if options.key_file and not options.cert_file:
        yield "key_file", "needs cert_file beside it"


def connection(options: Servers) -> dict[str, Any]:
    """Return the arguments of the library's ``connect``.

    Raises:
        OSError: A file with a secret or a certificate cannot be read.
    """
    found: dict[str, Any] = {"servers": list(options.servers), "name": "sensord"}
    if options.creds_file:
        found["user_credentials"] = options.creds_file
    elif options.token_file:
        found["token"] = read_secret(options.token_file)
    elif options.user:
        found |= {"user": options.user, "password": read_secret(options.password_file)}
    if options.ca_file or options.cert_file or options.servers[0].startswith("tls:"):
        context = ssl.create_default_context(cafile=options.ca_file or None)
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file or None)
        found["tls"] = context
    return found
