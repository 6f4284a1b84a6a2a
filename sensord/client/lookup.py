"""What a client can ask about the past and about what there is."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from dataclasses import replace

from sensord.client.inflow import Line, Opened, place_of
from sensord.client.messages import Inbox, Sending
from sensord.client.queries import History, Listing, Summaries
from sensord.client.services import Handler, Service
from sensord.model.readings import Position, Value
from sensord.wire.ops import queries
from sensord.wire.ops.messages import Send
from sensord.wire.ops.services import Serve

__all__ = ["Lookup"]


class Lookup(Line):
    """The client's questions; each is answered by an iterator."""

    @abstractmethod
    def opened(self, inflow: Opened) -> Opened:
        """Ask what an iterator brings the answer of."""

    @abstractmethod
    def number(self) -> int:
        """Return the id for another request."""

    def history(
        self,
        *topics: str,
        start: str | Position | int,
        stop: str | Position | int | None = None,
        limit: int | None = None,
        follow: bool = False,
    ) -> History:
        """Ask for readings of the past; iterate over them.

        ``start`` and ``stop`` are ``"-10m"``, a `Position`, or a time in µs. With ``follow``, which
        allows neither ``stop`` nor ``limit``, it goes on with what comes later.
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
        """Ask what the readings of each interval come to; iterate over that.

        The bounds are those of `history`; with ``follow`` each later interval comes when it is
        complete.
        """
        asked = self._past(topics, start, stop, limit, follow=follow)
        return self.opened(Summaries(replace(asked, interval_s=interval_s), self))

    def topics(self, *topics: str, follow: bool = False) -> Listing:
        """Ask which topics there are; iterate over rows, and with ``follow`` over changes."""
        asked = queries.Topics(self.number(), topics or ("#",), follow)
        return self.opened(Listing(asked, self))

    def devices(self, *, follow: bool = False) -> Listing:
        """Ask which devices there are and how they fare, as `topics` does."""
        return self.opened(Listing(queries.Devices(self.number(), follow), self))

    def clients(self, *, follow: bool = False) -> Listing:
        """Ask who is there, as `topics` does."""
        return self.opened(Listing(queries.Clients(self.number(), follow), self))

    def serve(
        self, name: str, handler: Handler, *, description: str = "", timeout_s: float = 30.0
    ) -> Service:
        """Offer a service: ``handler`` is called with each call, and returns its answer.

        Enter what is returned to wait until others can call it; leaving it takes the name back.
        """
        asked = Serve(self.number(), name, description, timeout_s)
        return self.opened(Service(asked, handler, self))

    def messages(self) -> Inbox:
        """Have the messages for this client; iterate over them."""
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
        """Send a message to a client, a group, or all who watch a topic; iterate over receipts.

        ``key`` makes it one message however often it is sent; one is made up otherwise.
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
