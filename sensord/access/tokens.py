"""Tokens: what a program shows to be let in.

Pure but for the random bits. A token is ``sd1_<id>_<secret>`` with 256 random bits; the server
keeps its SHA-256. A slow hash would protect guessable passwords, which these are not, and would
let strangers keep the processor busy.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from sensord.access.rights import ACTIONS, Rights

__all__ = ["Token", "cookie_of", "is_cookie_of", "make_token", "token_id"]

_TOKEN = re.compile(r"sd1_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
_COOKIE = re.compile(r"sc1_([0-9a-f]{8})_([0-9]{1,16})_[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the server keeps it."""

    id: str
    name: str
    digest: str
    """SHA-256 of the whole token, in hexadecimal."""
    rights: Rights
    created_us: int
    expires_us: int | None = None

    def is_same(self, text: str) -> bool:
        """Return whether this is the token, in a time that says nothing about it."""
        return hmac.compare_digest(self.digest, _digest(text))

    def is_over(self, now_us: int) -> bool:
        """Return whether it has expired."""
        return self.expires_us is not None and now_us >= self.expires_us

    def write(self) -> dict[str, Any]:
        """Return it as the file has it."""
        rights: dict[str, Any] = {one: list(self.rights.of(one)) for one in ACTIONS}
        rights["admin"] = self.rights.admin
        written: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return written | {"rights": rights}

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Read it from the file.

        Raises:
            KeyError, TypeError, ValueError: It is not one.
        """
        given = found["rights"]
        read, write, call, send, serve = (tuple(map(str, given[one])) for one in ACTIONS)
        rights = Rights(read, write, call, send, serve, admin=given["admin"] is True)
        if any(rights.faults()):
            raise ValueError("a filter is invalid")
        expires = found["expires_us"]
        return cls(
            str(found["id"]),
            str(found["name"]),
            str(found["digest"]),
            rights,
            int(found["created_us"]),
            None if expires is None else int(expires),
        )


def make_token(
    name: str, rights: Rights, now_us: int, expires_us: int | None = None
) -> tuple[str, Token]:
    """Make a token; return the text, which nothing keeps, and what the server keeps."""
    identity = secrets.token_hex(4)
    text = f"sd1_{identity}_{secrets.token_urlsafe(32)}"
    return text, Token(identity, name, _digest(text), rights, now_us, expires_us)


def token_id(text: str) -> str | None:
    """Return the id in a token or a cookie, or None if it is neither."""
    found = _TOKEN.fullmatch(text) or _COOKIE.fullmatch(text)
    return None if found is None else found[1]


def cookie_of(token: Token, until_us: int) -> str:
    """Return what a browser sends in the place of a token: it ends with the token, or before."""
    return f"sc1_{token.id}_{until_us}_{_mac(token, until_us)}"


def is_cookie_of(token: Token, text: str, now_us: int) -> bool:
    """Return whether a cookie was made of a token and has not ended."""
    found = _COOKIE.fullmatch(text)
    if found is None:
        return False
    until_us = int(found[2])
    made = hmac.compare_digest(cookie_of(token, until_us), text)
    return made and now_us < until_us


def _mac(token: Token, until_us: int) -> str:
    about = f"{token.id} {until_us}".encode()
    return hmac.new(bytes.fromhex(token.digest), about, hashlib.sha256).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
