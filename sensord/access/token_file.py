"""The file of tokens: read whole, written whole or not at all, readable by its owner only."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from sensord.access.tokens import Token
from sensord.errors import SensordError
from sensord.host.files import read_text

__all__ = ["TokenFile", "TokenFileError", "Version"]

OWNER_ONLY = 0o600
VERSION = 1

Version = tuple[int, int, int]
"""Inode, size and time of change: another one means another content."""


class TokenFileError(SensordError):
    """The file of tokens cannot be used."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__()
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class TokenFile:
    """Tokens by id, and beside it when each was last used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._uses = path.with_name(f"{path.name}.used")

    def version(self) -> Version | None:
        """Return what distinguishes this content from another, or None without a file."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise TokenFileError(self.path, exc.strerror or str(exc)) from exc
        return found.st_ino, found.st_size, found.st_mtime_ns

    def read(self) -> dict[str, Token]:
        """Return the tokens.

        Raises:
            TokenFileError: It cannot be read, others can read it, or it is damaged.
        """
        try:
            mode = self.path.stat().st_mode
            text = read_text(self.path)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as exc:
            raise TokenFileError(self.path, f"cannot be read: {exc}") from exc
        if mode & 0o077:
            raise TokenFileError(self.path, f"others can read it; run chmod 600 {self.path}")
        try:
            tokens = [Token.read(found) for found in json.loads(text)["tokens"]]
        except (KeyError, TypeError, ValueError) as exc:
            raise TokenFileError(self.path, "not a file of tokens, or damaged") from exc
        return {token.id: token for token in tokens}

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[str, Token]]:
        """Change the tokens; commands that do so at the same time take turns."""
        lock = self.path.with_name(f"{self.path.name}.lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        except OSError as exc:
            raise TokenFileError(self.path, f"cannot be written: {exc.strerror}") from exc
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            tokens = self.read()
            yield tokens
            self._write(tokens)
        finally:
            os.close(held)

    def _write(self, tokens: Mapping[str, Token]) -> None:
        written = {"version": VERSION, "tokens": [token.write() for token in tokens.values()]}
        text = json.dumps(written, indent=1) + "\n"
        try:
            owner = self.path.stat() if self.path.exists() else self.path.parent.stat()
            _replace(self.path, text, owner)
        except OSError as exc:
            raise TokenFileError(self.path, f"cannot be written: {exc.strerror}") from exc

    def uses(self) -> dict[str, int]:
        """Return when each token was last used; what cannot be read was never used."""
        try:
            found = json.loads(read_text(self._uses))
            return {str(one): int(used_us) for one, used_us in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def write_uses(self, uses: Mapping[str, int]) -> None:
        """Keep when each token was last used.

        Raises:
            OSError: It cannot be written.
        """
        _replace(self._uses, json.dumps(dict(uses)) + "\n", None)


def _replace(path: Path, text: str, owner: os.stat_result | None) -> None:
    """Write a file beside the old one, and put it in its place when it is on the disk."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if owner is not None and os.geteuid() == 0:
            # Made by root in the daemon's folder, it must be the daemon's.
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        file.write(text)
        file.flush()
        if owner is not None:
            os.fsync(descriptor)
    new.replace(path)
    if owner is not None:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
