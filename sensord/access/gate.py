"""The gate: decides what a session may do, by its token or by where it comes from.

Owns the tokens in memory and when each was last used; reads the file again when it has changed.
Knows no socket and no clock: the time is an argument.
"""

from __future__ import annotations

import contextlib
import enum
import logging
from dataclasses import dataclass
from pathlib import Path

from sensord.access.rights import EVERYTHING, NOTHING, Rights
from sensord.access.token_file import TokenFile, TokenFileError, Version
from sensord.access.tokens import Token, cookie_of, is_cookie_of, token_id
from sensord.errors import SensordError

__all__ = ["Entry", "Gate", "GateWithin", "Origin", "RefusedError"]

log = logging.getLogger("sensord.access")

COOKIE_US = 30 * 86_400_000_000
"""A browser logs in again after this, or when its token ends."""

USES_EVERY_US = 60_000_000
"""Last uses are written so often at most: each one would wear the disk."""


class Origin(enum.Enum):
    """Where a connection comes from."""

    NETWORK = enum.auto()
    LOOPBACK = enum.auto()
    OWNER = enum.auto()
    """The Unix socket, from root, the daemon's own user or a member of the configured group."""


class RefusedError(SensordError):
    """A token that is present and not valid; it never makes an anonymous session."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class Entry:
    """A session's rights, and the token that gave them."""

    rights: Rights
    token: Token | None = None


class Gate:
    """Decides what each session may do."""

    def __init__(
        self,
        tokens: Path | None = None,
        local: Rights = EVERYTHING,
        anonymous: Rights = EVERYTHING,
    ) -> None:
        """``local`` is what the loopback may do without a token, ``anonymous`` the network."""
        self._file = None if tokens is None else TokenFile(tokens)
        self._anonymous = {
            Origin.NETWORK: anonymous,
            Origin.LOOPBACK: local,
            Origin.OWNER: EVERYTHING,
        }
        self._tokens: dict[str, Token] = {}
        self._version: Version | None = None
        self._fault = ""
        self._uses: dict[str, int] = {}
        self._are_written = True
        self._written_us = 0

    def refresh(self) -> bool:
        """Read the tokens again if their file has changed; return whether it has.

        While the file cannot be used, no token is valid.
        """
        if self._file is None:
            return False
        fault = ""
        try:
            version = self._file.version()
            if version == self._version and not self._fault:
                return False
            self._tokens = self._file.read()
            self._version = version
        except TokenFileError as exc:
            self._tokens, fault = {}, str(exc)
        if fault and fault != self._fault:
            log.error("no token is valid", extra={"reason": fault})
        self._fault = fault
        return True

    def anonymous(self, origin: Origin) -> Entry:
        """Return what may be done without a token."""
        return Entry(self._anonymous[origin])

    def enter(self, text: str, now_us: int) -> Entry:
        """Return what a token, or the cookie made of one, allows.

        Raises:
            RefusedError: It is not valid; the sentence is for the one who sent it.
        """
        if self._file is None:
            raise RefusedError("this server has no tokens: leave it out, or set access.tokens")
        self.refresh()
        identity = token_id(text)
        token = self._tokens.get(identity or "")
        if token is None or not (token.is_same(text) or is_cookie_of(token, text, now_us)):
            raise RefusedError("the token is unknown, revoked or mistyped")
        if token.is_over(now_us):
            raise RefusedError("the token has expired; ask for a new one")
        self._uses[token.id] = now_us
        self._are_written = False
        return Entry(token.rights, token)

    def cookie(self, entry: Entry, now_us: int) -> tuple[str, int]:
        """Return the cookie for a browser, and its life in seconds."""
        assert entry.token is not None, "made of a token"
        until_us = now_us + COOKIE_US
        if entry.token.expires_us is not None:
            until_us = min(until_us, entry.token.expires_us)
        return cookie_of(entry.token, until_us), (until_us - now_us) // 1_000_000

    def ended(self, entry: Entry, now_us: int) -> str | None:
        """Return why an admitted session must end now, or None."""
        if entry.token is None:
            return None
        token = self._tokens.get(entry.token.id)
        if token is None or token.digest != entry.token.digest:
            return "the token was revoked"
        if token.is_over(now_us):
            return "the token has expired"
        if token.rights != entry.rights:
            return "the rights of the token have changed"
        return None

    def write_uses(self, now_us: int, *, is_last: bool = False) -> None:
        """Keep when tokens were last used, at most once a minute."""
        is_due = is_last or now_us - self._written_us >= USES_EVERY_US
        if self._file is None or self._are_written or not is_due:
            return
        self._written_us = now_us
        kept = self._file.uses() | self._uses
        with contextlib.suppress(OSError):
            self._file.write_uses({one: kept[one] for one in kept if one in self._tokens})
            self._are_written = True

    @staticmethod
    def closed() -> Gate:
        """Return a gate that admits no client from the network."""
        return Gate(None, EVERYTHING, NOTHING)


class GateWithin(Gate):
    """A gate to what is below a first level of topics, such as a gateway at a hub."""

    def __init__(self, gate: Gate, name: str) -> None:
        super().__init__()
        self._gate = gate
        self._name = name

    def refresh(self) -> bool:
        """Read the tokens again if their file has changed; return whether it has."""
        return self._gate.refresh()

    def anonymous(self, origin: Origin) -> Entry:
        """Return what may be done without a token."""
        return self._narrowed(self._gate.anonymous(origin))

    def enter(self, text: str, now_us: int) -> Entry:
        """Return what a token, or the cookie made of one, allows.

        Raises:
            RefusedError: It is not valid.
        """
        return self._narrowed(self._gate.enter(text, now_us))

    def cookie(self, entry: Entry, now_us: int) -> tuple[str, int]:
        """Return the cookie for a browser, and its life in seconds."""
        return self._gate.cookie(entry, now_us)

    def ended(self, entry: Entry, now_us: int) -> str | None:
        """Return why an admitted session must end now, or None."""
        if entry.token is None:
            return None
        return self._gate.ended(Entry(entry.token.rights, entry.token), now_us)

    def write_uses(self, now_us: int, *, is_last: bool = False) -> None:
        """Keep when tokens were last used, at most once a minute."""
        self._gate.write_uses(now_us, is_last=is_last)

    def _narrowed(self, entry: Entry) -> Entry:
        return Entry(entry.rights.within(self._name), entry.token)
