"""What clients share with each other: presence, and what builds on it."""

from __future__ import annotations

import asyncio
import re
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from sensord.bus import Bus
from sensord.config.tree import Clients
from sensord.sharing.allowance import UNLIMITED, Allowance, Bounds
from sensord.sharing.audit import Audit
from sensord.sharing.deposits import Deposits
from sensord.sharing.identity import Issuer
from sensord.sharing.post import Post, PostOptions
from sensord.sharing.presence import Presence
from sensord.sharing.publications import Publishing
from sensord.sharing.state import State
from sensord.sharing.store import Store

__all__ = ["Sharing"]

QUIET = Clients(presence=False)

SECRET = "secret"  # noqa: S105  # a kind, not a secret
"""The kind of rows in the store: what signs clients' keys, under ``keys`` and `FORMER`."""

FORMER = "keys before "
"""Secrets of runs whose store came late, numbered."""

MOST_FORMER = 64
"""Beyond it the newest replaces one: each costs a digest for each unknown key that is shown."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """The parts, built in order."""

    audit: Audit
    store: Store
    issuer: Issuer
    presence: Presence
    post: Post
    publishing: Publishing
    deposits: Deposits
    state: State

    @classmethod
    def build(
        cls,
        bus: Bus,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        options: Clients,
        bounds: Bounds = UNLIMITED,
    ) -> Self:
        """Build the parts on a bus and a store; ``bounds`` limit what they write into the log."""
        audit = Audit(bus, Allowance(bus, loop.time, bounds))
        issuer = _issuer(store)
        presence = Presence(
            bus, audit, issuer, store, loop, options.grace, is_published=options.presence
        )
        kept = PostOptions(options.inbox_messages, options.inbox_bytes, options.inbox_age)
        post = Post(bus, presence, store, audit, loop, kept)
        publishing = Publishing(
            bus, audit, presence, store, loop, options.topics, options.max_topics
        )
        deposits = Deposits(bus, publishing, store, loop)
        state = State(bus, audit, store, options.max_state)
        sharing = cls(audit, store, issuer, presence, post, publishing, deposits, state)
        sharing._restore()
        return sharing

    @classmethod
    def quiet(cls, bus: Bus, loop: asyncio.AbstractEventLoop) -> Self:
        """Build parts that publish nothing by themselves and keep nothing."""
        return cls.build(bus, Store(None, loop), loop, QUIET)

    def _restore(self) -> None:
        """Load the store's rows; presence comes first, because the others use it."""
        self.presence.restore()
        self.post.restore()
        self.publishing.restore()
        self.deposits.restore()
        self.state.restore()

    def join(self) -> None:
        """Load rows that came late, beside what the parts have by then."""
        kept, former = _secrets(self.store)
        if kept is not None:
            before = self.issuer.change(kept, former)
            # Clients with these keys stay the same ones, also after a restart.
            self.store.put(SECRET, f"{FORMER}{len(former) % MOST_FORMER}", before.hex())
        self._restore()

    def close(self) -> None:
        """Stop all timers, and write pending changes to the disk."""
        # Each is closed whatever the others raise, in reverse order.
        with ExitStack() as steps:
            steps.callback(self.store.close)
            steps.callback(self.presence.close)
            steps.callback(self.publishing.close)
            steps.callback(self.post.close)


def _issuer(store: Store) -> Issuer:
    """Return what makes clients' keys; create its secret the first time."""
    kept, former = _secrets(store)
    if kept is None:
        kept = secrets.token_bytes(32)
        store.put(SECRET, "keys", kept.hex())
    return Issuer(kept, former)


def _secrets(store: Store) -> tuple[bytes | None, list[bytes]]:
    """Return the secret that signs clients' keys, if there is one, and former ones."""
    rows = {
        name: bytes.fromhex(value)
        for name, value in store.load(SECRET).items()
        if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)
    }
    return rows.pop("keys", None), [rows[name] for name in sorted(rows)]
