"""Who a client is: an id that the server gave it, and a key that proves it.

The key is the id with a signature, so the server need not remember whom it gave one. Whoever shows
it is the same client, also after a restart of the server.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

__all__ = ["Identity", "Issuer"]

ID_BYTES = 6
"""A day's million clients make two equal ids less likely than a broken disk."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A client, as others learn of it. ``name`` is what it calls itself; ``id`` is its own."""

    id: str
    name: str = ""
    address: str = ""


class Issuer:
    """Gives clients their ids and keys."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self) -> str:
        """Return the key of a new client."""
        return self.key_of(secrets.token_hex(ID_BYTES))

    def key_of(self, client: str) -> str:
        """Return the key of a client that has an id."""
        digest = hmac.new(self._secret, client.encode(), hashlib.sha256).hexdigest()
        return f"{client}.{digest[:32]}"

    def id_of(self, key: str) -> str | None:
        """Return the id in a key, or None if this server did not make it."""
        if not key.isascii():
            return None
        found = key.partition(".")[0]
        return found if found and hmac.compare_digest(self.key_of(found), key) else None
