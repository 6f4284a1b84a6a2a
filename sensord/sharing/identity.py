"""A client's identity: an id from the server, and a key that proves it.

The key is the id with a signature, so the server need not store the keys it issued. A client that
shows it is the same one, also after a restart of the server.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

__all__ = ["Identity", "Issuer"]

ID_BYTES = 6
"""With a million clients a day, two equal ids are less likely than a broken disk."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A client as others see it: its unique ``id``, and the ``name`` that it chose."""

    id: str
    name: str = ""
    address: str = ""
    token: str = field(default="", compare=False)
    """The name of the token that let it in, if one did; a client may come with another one."""


class Issuer:
    """Issues the ids and keys of clients."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self) -> str:
        """Return a key with a new id."""
        return self.key_of(secrets.token_hex(ID_BYTES))

    def key_of(self, client: str) -> str:
        """Return the key of an id."""
        digest = hmac.new(self._secret, client.encode(), hashlib.sha256).hexdigest()
        return f"{client}.{digest[:32]}"

    def id_of(self, key: str) -> str | None:
        """Return the id in a key, or None if this server did not issue it."""
        if not key.isascii():
            return None
        found = key.partition(".")[0]
        return found if found and hmac.compare_digest(self.key_of(found), key) else None
