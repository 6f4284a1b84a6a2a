"""The server's certificate: loaded at the start, and again when its files have changed.

Theory of operation. OpenSSL calls back at the beginning of each handshake; then the files' times
are compared, and a changed certificate is loaded into a context of its own. So a renewal needs no
signal, costs one `stat` a handshake, and a bad file leaves the old certificate in use.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from sensord.errors import StartError
from sensord.host.files import check_regular

__all__ = ["Certificates"]

log = logging.getLogger("sensord.server")

_Version = tuple[tuple[int, int, int], ...]


class Certificates:
    """The settings of TLS for new connections."""

    def __init__(self, certificate: Path, key: Path, authority: Path | None = None) -> None:
        """``authority`` is a file of certificates, one of which must have signed the client's."""
        self._certificate, self._key, self._authority = certificate, key, authority
        self._files = [certificate, key] + ([] if authority is None else [authority])
        self._version: _Version = ()
        self.context: ssl.SSLContext | None = None
        """That of the listeners; each handshake replaces it by the newest."""
        self._newest: ssl.SSLContext | None = None

    def load(self) -> None:
        """Load the files.

        Raises:
            StartError: They cannot be used.
        """
        try:
            version = self._present()
            made = self._context()
        except (OSError, ValueError) as exc:  # an SSLError is an OSError
            raise StartError(f"{self._certificate}: no certificate with its key: {exc}") from exc
        made.sni_callback = self._greeted
        self.context = self._newest = made
        self._version = version

    def refresh(self) -> None:
        """Load the files again if they have changed; a fault is logged, and changes nothing."""
        try:
            version = self._present()
            if version == self._version:
                return
            self._version = version
            self._newest = self._context()
        except (OSError, ValueError) as exc:
            fields = {"file": str(self._certificate), "reason": str(exc)}
            log.error("the certificate cannot be loaded, the old one stays in use", extra=fields)
        else:
            log.info("certificate loaded", extra={"file": str(self._certificate)})

    def _greeted(
        self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _of: ssl.SSLContext
    ) -> None:
        self.refresh()
        if self._newest is not None:
            connection.context = self._newest

    def _context(self) -> ssl.SSLContext:
        for file in self._files:
            check_regular(file)
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.set_alpn_protocols(["http/1.1"])
        made.load_cert_chain(self._certificate, self._key, password=_no_password)
        if self._authority is not None:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(self._authority)
        return made

    def _present(self) -> _Version:
        found = [file.stat() for file in self._files]
        return tuple((one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


def _no_password() -> str:
    raise ValueError("the key has a password; nobody is there to type it")
