"""The services that clients offer: calls of a name go to its client, until it withdraws it.

An offer is a target like a device's action: what holds for `call` holds for both. When an offer
ends, its calls end: those that were sent to the client as ``unknown``, the others as
``unavailable``. One retained topic lists all offers. It is published a little after they change, so
a client that offers and withdraws all day does not fill the log.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from functools import partial

from sensord.bus import Bus
from sensord.control.leases import Leases
from sensord.device.calls import Call, Calls, Outcome, PromptQueue
from sensord.errors import ProtocolError
from sensord.model.readings import Metadata, Reading, Value, ValueType
from sensord.sharing.allowance import Rank
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity

__all__ = ["MOST_OPEN", "MOST_SERVICES", "TOPIC", "Offer", "Services"]

TOPIC = "$sys/services"

MOST_SERVICES = 256
"""Of all clients: the topic that lists them stays under 128 KiB."""

MOST_OPEN = 64
"""Calls of one service that may be under way; more of them are refused."""

TELL_S = 0.1
"""The delay between a change and its publication, with all changes made meanwhile."""

GONE = "the service is gone; it was not asked"
GONE_AFTER = "the service went away before it answered; find out before you try again"


class Offer:
    """A service that a client offers, with its calls in progress.

    ``ask`` is called for each call with its number: it must send it to the client, and call
    `acting` just before. ``end`` is called when the client has offered the name elsewhere.
    """

    def __init__(
        self,
        name: str,
        who: Identity,
        description: str,
        timeout_s: float,
        ask: Callable[[int, Call], None],
        end: Callable[[], None],
    ) -> None:
        self.name = name
        self.who = who
        self.description = description
        self.timeout_s = timeout_s
        self.end = end
        self.since_us = 0
        self.numbers = itertools.count(1)
        self._ask = ask
        self._open: dict[int, Call] = {}
        self._is_over = False
        self.queue = PromptQueue(self._start)

    def check(self, args: Mapping[str, Value]) -> Mapping[str, Value]:
        """Accept any arguments.

        Raises:
            ProtocolError: It has too many calls.
        """
        if len(self._open) + len(self.queue) >= MOST_OPEN:
            raise ProtocolError("too_many", f"{MOST_OPEN} calls of {self.name} are under way")
        return args

    def _start(self, call: Call) -> None:
        if self._is_over:
            call.failed("unavailable", GONE)
            return
        number = next(self.numbers)
        self._open[number] = call
        call.when_over(partial(self._forget, number))
        self._ask(number, call)

    def _forget(self, number: int, _outcome: Outcome) -> None:
        del self._open[number]

    def find(self, number: int) -> Call | None:
        """Return a call that is under way, or None."""
        call = self._open.get(number)
        return call if call is not None and call.is_acting else None

    def close(self) -> None:
        """Accept no more calls."""
        self._is_over = True

    def fail(self) -> None:
        """End the calls: no client is left to answer."""
        self.queue.fail("unavailable", GONE)
        for call in tuple(self._open.values()):
            if call.is_acting:
                call.failed("unknown", GONE_AFTER)
            else:
                call.failed("unavailable", GONE)


class Services:
    """What is offered, by name."""

    def __init__(
        self, calls: Calls, leases: Leases, audit: Audit, bus: Bus, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._calls = calls
        self._leases = leases
        self._audit = audit
        self._bus = bus
        self._loop = loop
        self._offers: dict[str, Offer] = {}
        self._numbers = itertools.count(1)
        self._telling: asyncio.Handle | None = None
        self._is_closed = False

    def begin(self) -> None:
        """Publish that nothing is offered, if a log from before the start reports otherwise."""
        if self._bus.find(TOPIC) is not None:
            self._publish()

    def offer(self, offer: Offer) -> None:
        """Allow clients to call it.

        Raises:
            ProtocolError: The name is taken, or there are too many.
        """
        try:
            self._register(offer)
        except ProtocolError as refusal:
            self._audit.note(
                "serve",
                offer.who,
                offer.name,
                refusal.code,
                detail=refusal.message,
                is_minor=True,
            )
            raise
        # Unique among all offers, so that no number is mistaken for another call's.
        offer.numbers = self._numbers
        offer.since_us = self._bus.now_us()
        self._offers[offer.name] = offer
        self._audit.note("serve", offer.who, offer.name, "begin")
        self._changed()

    def is_offered(self, name: str) -> bool:
        """Return whether a client offers a service of this name."""
        return name in self._offers

    def withdraw(self, offer: Offer) -> None:
        """Withdraw a name, and end its calls in the loop's next turn.

        Not at once: a caller may be the very session that is ending.
        """
        if self._offers.get(offer.name) is not offer:
            return
        offer.close()
        del self._offers[offer.name]
        self._calls.unregister(offer.name)
        self._audit.note("serve", offer.who, offer.name, "end")
        self._changed()
        self._loop.call_soon(offer.fail)

    def close(self) -> None:
        """Stop the timer; no one is left to notify."""
        self._is_closed = True
        if self._telling is not None:
            self._telling.cancel()

    # -- inside ------------------------------------------------------------------------------------

    def _register(self, offer: Offer) -> None:
        self._audit.allowance.admit(offer.who.id, Rank.ACT)
        if self._leases.is_declared(offer.name):
            raise ProtocolError("already", f"{offer.name} is what a device is called")
        present = self._offers.get(offer.name)
        if present is not None:
            if present.who.id != offer.who.id:
                raise ProtocolError("already", f"{offer.name} is taken by {present.who.name}")
            present.end()  # a client that came back before its old connection was given up
        if len(self._offers) >= MOST_SERVICES:
            raise ProtocolError("too_many", f"{MOST_SERVICES} services are offered")
        self._calls.register(offer.name, offer)

    def _changed(self) -> None:
        if self._telling is None and not self._is_closed:
            self._telling = self._loop.call_later(TELL_S, self._publish)

    def _publish(self) -> None:
        self._telling = None
        metadata = Metadata(ValueType.JSON, description="services that clients offer, by name")
        value: dict[str, Value] = {
            name: {
                "id": offer.who.id,
                "name": offer.who.name,
                "since_us": offer.since_us,
                "description": offer.description,
            }
            for name, offer in sorted(self._offers.items())
        }
        reading = Reading(self._bus.now_us(), value)
        self._audit.allowance.publish("", self._bus.channel(TOPIC, metadata), reading)
