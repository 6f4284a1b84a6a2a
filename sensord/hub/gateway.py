"""One gateway at the hub: its stream, its log in memory, and the server of its monitors.

A task follows the stream for as long as the hub runs. Each gateway has a server of its own, so its
monitors have the gateway's topics, epochs and offsets: a monitor that moves from the gateway to a
hub, or from hub to hub, resumes where it was.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from sensord.access.gate import Gate
from sensord.access.origins import Origins
from sensord.device.backoff import REMOTE, Backoff
from sensord.hub.arrivals import Arrival, Missing
from sensord.hub.forward import Forward
from sensord.hub.mirror import Mirror, ReplacedError
from sensord.hub.past import StreamArchive
from sensord.hub.stream import Stream, StreamError
from sensord.model.clocks import Clock
from sensord.model.readings import Value
from sensord.server.listener import Server
from sensord.server.shared import Limits

__all__ = ["Gateway"]

log = logging.getLogger("sensord.hub")


class Gateway:
    """A gateway, as its stream has it."""

    def __init__(
        self,
        name: str,
        stream: Stream,
        clock: Clock,
        ring: int,
        limits: Limits,
        origins: Origins,
        gate: Gate,
    ) -> None:
        self.name = name
        self.server: Server | None = None
        """What serves its monitors; None until its stream has been read."""
        self.on_change: Callable[[Gateway], None] | None = None
        """Called when its state or its server has changed."""
        self._stream = stream
        self._clock = clock
        self._ring = ring
        self._limits = limits
        self._origins = origins
        self._gate = gate
        self._mirror: Mirror | None = None
        self._archive: StreamArchive | None = None
        self._floor = 1
        """The first sequence of the log that is served."""
        self._state = "connecting"
        self._detail = ""

    def status(self) -> Value:
        """Return what ``$sys/gateways/<name>`` shows."""
        log_ = None if self._mirror is None else self._mirror.log
        return {
            "state": self._state,
            "detail": self._detail,
            "stream": self._stream.name,
            "sequence": None if self._mirror is None else self._mirror.sequence,
            "epoch": None if log_ is None else log_.epoch,
            "offset": None if log_ is None else log_.tail,
            "sessions": 0 if self.server is None else self.server.statistics().sessions,
            "strangers": self._stream.strangers,
        }

    async def run(self) -> None:
        """Follow the stream for ever."""
        backoff = Backoff(REMOTE, random.random)
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._follow()
            except StreamError as exc:
                self._enter("down", str(exc))
            except ReplacedError:
                self._forget("the gateway has begun another log; reconnect")
            await asyncio.sleep(backoff.after(loop.time() - began))

    async def close(self, deadline_s: float) -> None:
        """End the sessions of its monitors."""
        if self.server is not None:
            await self.server.close(deadline_s)
        if self._archive is not None:
            await self._archive.close()

    # -- following ---------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Follow the stream until it cannot be read, or is of another log.

        Raises:
            StreamError: It cannot be read.
            ReplacedError: The gateway has begun another log.
        """
        if self._mirror is None:
            await self._begin()
        else:
            assert self._archive is not None, "made with it"
            await self._archive.look(self._floor)
        mirror = self._mirror
        if mirror is None:
            self._enter("empty", "nothing was received yet")
            await self._received(1, lambda _: False)
            return
        self._enter("up", "")
        replaced: list[ReplacedError] = []

        def received(found: Sequence[Arrival | Missing]) -> bool:
            try:
                for one in found:
                    if mirror.add(one) and self.server is not None:
                        # Its monitors find the gap when they resume.
                        self.server.renew()
                mirror.log.reached()
            except ReplacedError as exc:
                replaced.append(exc)
            return not replaced

        await self._received(mirror.sequence + 1, received)
        raise replaced[0]

    async def _received(
        self, sequence: int, received: Callable[[Sequence[Arrival | Missing]], bool]
    ) -> None:
        """Pass on what the stream has from a sequence on, until ``received`` returns false.

        Raises:
            StreamError: It cannot be read.
        """

        def hand_on(found: Sequence[Arrival | Missing]) -> None:
            if not received(found):
                following.cancel()

        following = asyncio.ensure_future(self._stream.follow(sequence, hand_on))
        try:
            await asyncio.wait({following})
        finally:
            following.cancel()
        if not following.cancelled():
            following.result()

    async def _begin(self) -> None:
        """Read what the stream has, and begin to serve it."""
        extent = await self._stream.extent()
        if extent.is_empty:
            return
        loop = asyncio.get_running_loop()
        start = max(extent.first, extent.last - self._ring + 1)
        first = await self._stream.at(start, extent.last)
        oldest = await self._stream.at(extent.first, extent.last)
        if first is None or oldest is None:
            return
        # Messages before the ring belong to the same log, unless their offsets are higher.
        self._floor = oldest.sequence if oldest.offset <= first.offset else first.sequence
        mirror = Mirror(first.epoch, first.offset, self._ring, self._clock)
        mirror.log.epochs.add(oldest.epoch if self._floor == oldest.sequence else first.epoch)
        for one in await self._stream.last_of_each():
            if isinstance(one, Arrival) and one.sequence < first.sequence:
                mirror.remember(one)
        sequence = first.sequence
        while sequence <= extent.last:
            found = await self._stream.stretch(sequence, 4096)
            if not found:
                break
            for one in found:
                mirror.add(one)
            sequence = found[-1].sequence + 1
            await asyncio.sleep(0)
        archive = StreamArchive(self._stream, mirror.bus.channel, loop)
        await archive.look(self._floor)
        self._mirror, self._archive = mirror, archive
        self.server = Server(
            mirror.bus, loop, self._limits, archive, origins=self._origins, gate=self._gate
        )
        control = self.server.shared.control
        control.sets.elsewhere = Forward("set", self._stream)
        control.calls.elsewhere = Forward("call", self._stream)
        self._changed()

    def _forget(self, why: str) -> None:
        """Serve no more what is of the former log."""
        log.warning("the gateway has begun another log", extra={"gateway": self.name})
        server, self.server = self.server, None
        self._mirror = self._archive = None
        self._enter("connecting", why)
        if server is not None:
            server.renew()
            server.refuse()

    def _enter(self, state: str, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            level = logging.WARNING if state == "down" else logging.INFO
            fields = {"gateway": self.name, "state": state, "detail": detail}
            log.log(level, "gateway", extra=fields)
        self._state, self._detail = state, detail
        self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change(self)
