"""The doors of a server, from the configuration: who may come in, over what, and how many."""

from __future__ import annotations

import socket
from pathlib import Path

from sensord.access.gate import Gate
from sensord.access.origins import Origins
from sensord.access.rights import EVERYTHING, NOTHING
from sensord.config.tree import Server
from sensord.server.certificates import Certificates
from sensord.server.shared import Limits

__all__ = ["certificates_of", "gate_of", "limits_of", "origins_of"]


def limits_of(server: Server, spare_descriptors: int) -> Limits:
    """Return the limits of its clients."""
    return Limits(
        sessions=server.max_sessions,
        outbox_bytes=server.outbox,
        lag_timeout_s=server.lag_timeout,
        hello_timeout_s=server.hello_timeout,
        sessions_of_address=server.max_sessions_per_address,
        unannounced=server.max_unannounced,
        spare_descriptors=spare_descriptors,
    )


def certificates_of(server: Server) -> Certificates | None:
    """Load the certificate, before anything is created.

    Raises:
        StartError: It cannot be used.
    """
    tls = server.tls
    if tls is None:
        return None
    authority = Path(tls.client_authority) if tls.client_authority else None
    certificates = Certificates(Path(tls.certificate), Path(tls.key), authority)
    certificates.load()
    return certificates


def gate_of(server: Server) -> Gate:
    """Return what decides about tokens, and about sessions without one."""
    tokens = Path(server.tokens) if server.tokens else None
    # Without a file of tokens there are no tokens: the loopback works as it always did.
    is_locked = tokens is not None and not server.insecure
    local = server.local or (NOTHING if is_locked else EVERYTHING)
    return Gate(tokens, local, EVERYTHING if server.insecure else server.anonymous)


def origins_of(server: Server) -> Origins:
    """Return which pages may send requests, and by which names."""
    named = [address.rpartition(":")[0].strip("[]") for address in server.listen]
    return Origins.of(server.origins, [*server.hosts, *named], socket.gethostname)
