"""A client's identity: an id from the server, and a key that proves it.

The key is the id with a signature, so the server need not store the keys it issued. A client that
shows it is the same one, also after a restart of the server.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

__all__ = ["Identity", "Issuer"]

SESSIONLESS = "http:"
"""What the ids of clients without sessions begin with; those of others are hexadecimal."""

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

    @classmethod
    def sessionless(cls, address: str, token: str = "", token_id: str = "") -> Self:
        """Return the client that sends plain HTTP with a token, or without one from a machine."""
        machine = address.rpartition(":")[0] or address
        return cls(f"{SESSIONLESS}{token_id or machine}", token or "http", address, token)

    @property
    def is_sessionless(self) -> bool:
        """Whether it sends plain HTTP: it has no session, so it is never here and never gone."""
        return self.id.startswith(SESSIONLESS)


class Issuer:
    """Issues the ids and keys of clients."""

    def __init__(self, secret: bytes, former: Iterable[bytes] = ()) -> None:
        """Keys that were made with a ``former`` secret stay valid."""
        self._secret = secret
        self._former = [*former]

    def change(self, secret: bytes, former: Iterable[bytes]) -> bytes:
        """Make keys with another secret from now on; return the one until now, also accepted."""
        before, self._secret = self._secret, secret
        self._former = [*former, before]
        return before

    def issue(self) -> str:
        """Return a key with a new id."""
        return self.key_of(secrets.token_hex(ID_BYTES))

    def key_of(self, client: str) -> str:
        """Return the key of an id."""
        return _key(self._secret, client)

    def id_of(self, key: str) -> str | None:
        """Return the id in a key, or None if this server did not issue it."""
        if not key.isascii():
            return None
        found = key.partition(".")[0]
        secrets_ = (self._secret, *self._former)
        is_ours = any(hmac.compare_digest(_key(secret, found), key) for secret in secrets_)
        return found if found and is_ours else None


def _key(secret: bytes, client: str) -> str:
    digest = hmac.new(secret, client.encode(), hashlib.sha256).hexdigest()
    return f"{client}.{digest[:32]}"
