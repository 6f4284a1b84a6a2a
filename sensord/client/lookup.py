"""The client's requests for the past, listings, services and messages."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from dataclasses import replace

from sensord.client.inflow import Line, Opened, place_of
from sensord.client.messages import Inbox, Sending
from sensord.client.queries import History, Listing, Summaries
from sensord.client.services import Handler, Service
from sensord.client.sniff import Sniffing
from sensord.model.readings import Position, Value
from sensord.wire.ops import queries
from sensord.wire.ops.messages import Send
from sensord.wire.ops.services import Serve
from sensord.wire.ops.sniff import Sniff

__all__ = ["Lookup"]


class Lookup(Line):
    """The client's requests whose answers are iterators."""

    @abstractmethod
    def opened(self, inflow: Opened) -> Opened:
        """Send the request of an iterator, and return the iterator."""

    @abstractmethod
    def number(self) -> int:
        """Return the id for the next request."""

    def history(
        self,
        *topics: str,
        start: str | Position | int,
        stop: str | Position | int | None = None,
        limit: int | None = None,
        follow: bool = False,
    ) -> History:
        """Request past readings, and return an iterator over them.

        ``start`` and ``stop`` are ``"-10m"``, a `Position`, or a time in µs. With ``follow``, which
        allows neither ``stop`` nor ``limit``, it keeps following.
        """
        asked = self._past(topics, start, stop, limit, follow=follow)
        return self.opened(History(asked, self))

    def summaries(
        self,
        *topics: str,
        interval_s: float,
        start: str | Position | int,
        stop: str | Position | int | None = None,
        limit: int | None = None,
        follow: bool = False,
    ) -> Summaries:
        """Request a summary per interval, and return an iterator over them.

        The bounds are those of `history`; with ``follow``, each later interval is yielded when it
        is complete.
        """
        asked = self._past(topics, start, stop, limit, follow=follow)
        return self.opened(Summaries(replace(asked, interval_s=interval_s), self))

    def topics(self, *topics: str, follow: bool = False) -> Listing:
        """List topics: iterate over rows, and with ``follow`` over changes."""
        asked = queries.Topics(self.number(), topics or ("#",), follow)
        return self.opened(Listing(asked, self))

    def devices(self, *, follow: bool = False) -> Listing:
        """List devices and their states, as `topics` does."""
        return self.opened(Listing(queries.Devices(self.number(), follow), self))

    def clients(self, *, follow: bool = False) -> Listing:
        """List clients, as `topics` does."""
        return self.opened(Listing(queries.Clients(self.number(), follow), self))

    def sniff(self, device: str) -> Sniffing:
        """Look at what a device's connection carries: iterate over sights, from now on.

        It needs the right ``admin``.
        """
        return self.opened(Sniffing(Sniff(self.number(), device), self))

    def serve(
        self, name: str, handler: Handler, *, description: str = "", timeout_s: float = 30.0
    ) -> Service:
        """Offer a service, whose ``handler`` is called with each call and returns the answer.

        Entering the result waits until others can call it; leaving it withdraws the offer.
        """
        asked = Serve(self.number(), name, description, timeout_s)
        return self.opened(Service(asked, handler, self))

    def messages(self) -> Inbox:
        """Receive the messages for this client, and return an iterator over them."""
        return self.opened(Inbox(self.number(), self))

    def send_to(
        self,
        body: Value,
        *,
        client: str = "",
        group: str = "",
        watching: str = "",
        key: str = "",
        wait_s: float = 60.0,
    ) -> Sending:
        """Send a message to a client, a group, or a topic's watchers; iterate over receipts.

        Messages with the same ``key`` are one message. By default the key is random.
        """
        kinds = {"client": client, "group": group, "watching": watching}
        given = [(kind, receiver) for kind, receiver in kinds.items() if receiver]
        if len(given) != 1:
            raise ValueError("give one of client, group and watching")
        ((kind, receiver),) = given
        key = key or secrets.token_hex(16)
        return self.opened(Sending(Send(self.number(), kind, receiver, body, key, wait_s), self))

    def _past(
        self,
        topics: tuple[str, ...],
        start: str | Position | int,
        stop: str | Position | int | None,
        limit: int | None,
        *,
        follow: bool,
    ) -> queries.History:
        if follow and not (stop is None and limit is None):
            raise ValueError("what is followed has no end: neither stop nor limit")
        return queries.History(
            self.number(),
            topics,
            place_of(start),
            None if stop is None else place_of(stop),
            limit,
            is_following=follow,
        )
