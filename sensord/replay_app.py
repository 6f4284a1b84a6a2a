"""ReplayApp: recordings served as a running daemon serves its devices.

Log, bus and server are those of the daemon; a player replaces the devices. Its clock is that of the
recording, so for a monitor "the last ten minutes" are ten recorded minutes. ``$sys/replay`` reports
the progress of the replay.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sensord.access.origins import Origins
from sensord.bus import Bus
from sensord.device.conform import Rules, conform
from sensord.errors import SensordError, StartError
from sensord.log import Log
from sensord.log.journal import Hole
from sensord.model.clocks import Clock, SystemClock
from sensord.model.readings import (
    Channel,
    Metadata,
    Reading,
    Record,
    Value,
    ValueType,
    make_reading,
)
from sensord.model.topics import matches, topic_fault
from sensord.playback import MAX, Options, Player, Progress
from sensord.recordings import Recording, Span
from sensord.server.listener import Server
from sensord.server.shared import Limits

__all__ = ["STATUS_TOPIC", "TOPICS", "ReplayApp"]

log = logging.getLogger("sensord.replay")

STATUS_TOPIC = "$sys/replay"
STATUS_S = 1.0

TOPICS = ("#", "$sys/devices/#")
"""Replayed unless other topics are asked for: the devices' readings and states."""

_SESSIONS = ("$sys/sessions/+",)
_OURS = (STATUS_TOPIC, "$sys/sessions/#", "$sys/clients/#", "$inbox/#")
"""Topics that this server itself publishes are never replayed from a recording."""

RING = 1 << 18
"""Readings held for monitors that lag or look back: some 80 MiB when full."""

BURST = RING // 4
"""Readings handed on between two looks at the sessions at the speed `MAX`, if there are any.

The server notes once a second who lags, so none that does can lose what the ring holds."""

MOST_TAKEN = 100_000
LOOK_S = 1.0
SESSIONS_STOP_S = 5.0
"""How long monitors have to receive the last readings before the server closes."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A recorded channel as the bus knows it, and what its values have to be made to fit."""

    channel: Channel
    rules: Rules


class ReplayApp:
    """Serves recordings, given in their order."""

    def __init__(
        self,
        recordings: Sequence[tuple[Recording, Span]],
        options: Options,
        listen: Sequence[str],
        *,
        is_exiting: bool,
        origins: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        """``is_exiting`` ends it with the recordings, instead of serving the last values on."""
        self._options = options
        self._listen = listen
        self._origins = origins
        self._is_exiting = is_exiting
        self._files = [str(recording.path) for recording, _ in recordings]
        # sensord's values were given their type when they were recorded; others' may be anything.
        self._is_ours = all(span.epoch for _, span in recordings)
        self._stop = asyncio.Event()
        self._taken: dict[Channel, _Taken | None] = {}
        self._burst = 0
        self.player = Player(
            recordings,
            options,
            clock or SystemClock(),
            self._publish,
            on_hole=_report_hole,
            room=self._room,
        )
        self._bus = Bus(Log(secrets.token_hex(8), RING), self.player.clock)
        self._status = self._bus.channel(
            STATUS_TOPIC, Metadata(ValueType.JSON, description="how far the replay has come")
        )
        self._laggards = _Laggards()
        self._bus.attach(_SESSIONS, self._laggards)
        self._server: Server | None = None

    def _allowed(self) -> Origins:
        named = [address.rpartition(":")[0].strip("[]") for address in self._listen]
        return Origins.of(self._origins, named, socket.gethostname)

    async def run(self, on_ready: Callable[[list[str]], None] | None = None) -> None:
        """Serve until stopped; ``on_ready`` is called with the addresses once it listens.

        Raises:
            StartError: It cannot listen.
            SensordError: A recording could not be read to its end.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.stop)
        self._server = server = Server(self._bus, loop, Limits(), origins=self._allowed())
        try:
            await server.listen(self._listen)
        except StartError as exc:
            raise StartError(f"{exc}; choose another with --listen HOST:PORT") from exc
        self._publish_progress()
        if on_ready is not None:
            on_ready(server.addresses)
        failure: SensordError | None = None
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._keep_publishing(), name="replay:status")
            playing = group.create_task(self._play(), name="replay:player")
            await self._stop.wait()
            telling.cancel()
            playing.cancel()
            await asyncio.wait((telling, playing))
            if not playing.cancelled():
                failure = playing.result()
        await server.close(SESSIONS_STOP_S)
        if failure is not None:
            raise failure

    def stop(self) -> None:
        """Begin to stop."""
        self._stop.set()

    async def _play(self) -> SensordError | None:
        """Play; return the error, if any: the last values are served all the same."""
        failure = None
        try:
            await self.player.run()
        except SensordError as exc:
            log.error("the recording cannot be read on", extra={"reason": str(exc)})
            failure = exc
        else:
            log.info("the replay has ended", extra={"readings": self.player.progress().readings})
        self._publish_progress()
        if self._is_exiting:
            self.stop()
        return failure

    async def _room(self) -> None:
        """Wait until no monitor lags."""
        await asyncio.sleep(0)
        assert self._server is not None
        if self._burst < BURST or not self._server.statistics().sessions:
            return
        self._burst = 0
        await asyncio.sleep(LOOK_S)
        await self._laggards.none.wait()

    # -- readings ----------------------------------------------------------------------------------

    def _publish(self, records: Sequence[Record], shift_us: int) -> None:
        taken, publish = self._taken, self._bus.publish
        reached = self.player.clock.reached
        self._burst += len(records)
        for _, log_us, recorded, reading in records:
            known = taken.get(recorded)
            if known is None:
                if recorded in taken:
                    continue
                known = self._take(recorded)
                if known is None:
                    continue
            time_us, value, quality, restates = reading
            if value is not None:
                # The gate of the live way: a file may hold what no encoder can write.
                value, quality = conform(known.rules, value, quality)
            moved = make_reading((time_us + shift_us, value, quality, restates))
            reached(log_us + shift_us)  # the bus asks this clock
            publish(known.channel, moved)

    def _take(self, recorded: Channel) -> _Taken | None:
        """Make the bus's channel for a recorded one, or none if it cannot be one."""
        # Others write topics with a slash in front.
        topic, metadata = recorded.topic.strip("/"), recorded.metadata
        found = None
        if fault := topic_fault(topic):
            log.warning("topic left out", extra={"topic": recorded.topic, "reason": fault})
        elif not any(matches(ours, topic) for ours in _OURS):
            rules = Rules() if self._is_ours else Rules(type=metadata.type)
            found = _Taken(self._bus.channel(topic, metadata), rules)
        if len(self._taken) >= MOST_TAKEN:
            self._taken.clear()  # some recordings create their channels again in each round
        self._taken[recorded] = found
        return found

    # -- progress -------------------------------------------------------------------------------

    async def _keep_publishing(self) -> None:
        published = self.player.progress()
        while True:
            await asyncio.sleep(STATUS_S)
            progress = self.player.progress()
            if progress != published:
                published = progress
                self._publish_progress()

    def _publish_progress(self) -> None:
        value = self._describe(self.player.progress())
        self._bus.publish(self._status, Reading(self._bus.now_us(), value))

    def _describe(self, progress: Progress) -> Value:
        speed = self._options.speed
        return {
            "state": progress.state.value,
            "reason": progress.reason,
            "file": str(progress.path),
            "files": [*self._files],
            "offset": progress.offset,
            "time_us": progress.log_us,
            "shift_us": progress.shift_us,
            "speed": "max" if speed == MAX else speed,
            "loop": self._options.is_looping,
            "rounds": progress.round,
            "readings": progress.readings,
            "holes": progress.holes,
            "lost": progress.lost,
            "skipped_us": progress.skipped_us,
        }


class _Laggards:
    """Records which sessions lag, from the server's reports."""

    def __init__(self) -> None:
        self.none = asyncio.Event()
        """Set while none lags."""
        self.none.set()
        self._lagging: set[Channel] = set()

    def selected(self, channel: Channel) -> None:
        """Add a session's topic."""

    def push(self, record: Record) -> None:
        """Record how a session fares."""
        value = record.reading.value
        if isinstance(value, dict) and value.get("state") == "lagging":
            self._lagging.add(record.channel)
            self.none.clear()
        else:
            self._lagging.discard(record.channel)
            if not self._lagging:
                self.none.set()


def _report_hole(hole: Hole) -> None:
    fields = {"first": hole.first, "count": hole.count, "reason": hole.reason}
    log.warning("hole in the recording", extra=fields)
