"""What a client can ask about the past and about what there is."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from typing import Any

from sensord.client.inflow import Line, Opened, place
from sensord.client.messages import Inbox, Sending
from sensord.client.queries import History, Listing, Summaries
from sensord.client.services import Handler, Service
from sensord.model.readings import Position, Value

__all__ = ["Asking"]


class Asking(Line):
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
        options = _bounds(start, stop, limit, follow=follow)
        return self.opened(History(self.number(), topics, options, self))

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
        options = _bounds(start, stop, limit, follow=follow) | {"interval": interval_s}
        return self.opened(Summaries(self.number(), topics, options, self))

    def topics(self, *topics: str, follow: bool = False) -> Listing:
        """Ask which topics there are; iterate over rows, and with ``follow`` over changes."""
        return self._list({"op": "topics", "topics": list(topics) or ["#"]}, follow=follow)

    def devices(self, *, follow: bool = False) -> Listing:
        """Ask which devices there are and how they fare, as `topics` does."""
        return self._list({"op": "devices"}, follow=follow)

    def clients(self, *, follow: bool = False) -> Listing:
        """Ask who is there, as `topics` does."""
        return self._list({"op": "clients"}, follow=follow)

    def serve(
        self, name: str, handler: Handler, *, description: str = "", timeout_s: float = 30.0
    ) -> Service:
        """Offer a service: ``handler`` is called with each call, and returns its answer.

        Enter what is returned to wait until others can call it; leaving it takes the name back.
        """
        options = {"description": description, "timeout": timeout_s}
        return self.opened(Service(self.number(), name, handler, options, self))

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
        to = {kind: name for kind, name in kinds.items() if name}
        if len(to) != 1:
            raise ValueError("give one of client, group and watching")
        key = key or secrets.token_hex(16)
        options = {"to": to, "body": body, "key": key, "wait": wait_s}
        return self.opened(Sending(self.number(), options, self))

    def _list(self, message: dict[str, Any], *, follow: bool) -> Listing:
        message["follow"] = follow
        return self.opened(Listing(self.number(), message, self))


def _bounds(
    start: str | Position | int,
    stop: str | Position | int | None,
    limit: int | None,
    *,
    follow: bool,
) -> dict[str, Any]:
    if follow and not (stop is None and limit is None):
        raise ValueError("what is followed has no end: neither stop nor limit")
    options: dict[str, Any] = {"from": place(start)}
    if stop is not None:
        options["to"] = place(stop)
    if limit is not None:
        options["limit"] = limit
    if follow:
        options["follow"] = True
    return options
