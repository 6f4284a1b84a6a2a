"""Which server a client trusts: by a certificate authority, or by one certificate's fingerprint."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Trust", "plain"]


@dataclass(frozen=True, slots=True)
class Trust:
    """How a client checks a server with TLS, and shows itself.

    With a fingerprint only that certificate is accepted, whoever signed it and whatever names it
    has: a gateway's address changes, and no authority signs for it.
    """

    fingerprint: str = ""
    """SHA-256 of the certificate, in hexadecimal, with or without colons."""
    authority: Path | None = None
    """A file of certificates that may sign the server's; None for those of the system."""
    certificate: Path | None = None
    """The client's own certificate with its key, for a server that asks for one."""

    def context(self) -> ssl.SSLContext:
        """Return the settings of a connection."""
        context = ssl.create_default_context(cafile=self.authority)
        if self.fingerprint:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # `refusal` compares before anything is sent
        if self.certificate is not None:
            context.load_cert_chain(self.certificate)
        return context

    def refusal(self, transport: asyncio.Transport) -> str | None:
        """Return why the server is not the right one, or None."""
        if not self.fingerprint:
            return None
        session = transport.get_extra_info("ssl_object")
        if session is None:
            return "a fingerprint needs an address that begins with wss://"
        shown = hashlib.sha256(session.getpeercert(binary_form=True)).hexdigest()
        if shown == plain(self.fingerprint):
            return None
        return f"its certificate has another fingerprint: {shown}"


def plain(fingerprint: str) -> str:
    """Return a fingerprint in small letters without colons."""
    return fingerprint.removeprefix("sha256:").replace(":", "").lower()
