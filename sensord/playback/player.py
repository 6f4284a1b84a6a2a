"""Play recordings: each reading is passed on when it is due.

Theory of operation. Pieces of the recordings come from a thread, one ahead. Readings that are due
are passed on together, at most `TURN` in one turn of the loop; then the player sleeps until the
next one is due. At the end of a looped recording it starts again, with all times shifted so that
they never go back.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensord.errors import SensordError
from sensord.log.journal import Hole
from sensord.model.clocks import Clock
from sensord.model.readings import Record
from sensord.playback.clock import PlayedClock
from sensord.playback.pace import LONGEST_WAIT_S, Pace
from sensord.playback.pieces import Pieces
from sensord.recordings import Recording, RecordingError, Selection, Span

__all__ = ["MAX", "Options", "Player", "Progress", "State"]

MAX = float("inf")
"""The speed of one that waits for nothing but those who receive."""

TURN = 1024
"""Readings passed on in one turn of the loop: publishing them takes some 5 ms."""

ROUND_US = 1_000_000
"""From the last reading of a round to the first of the next."""


class State(enum.StrEnum):
    """What a player does."""

    PLAYING = "playing"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Options:
    """How to play. ``speed`` 1 is as recorded, `MAX` as fast as the receivers can accept it."""

    speed: float = 1.0
    is_looping: bool = False
    is_shifted: bool = False
    """Whether the times are moved so that the first reading is one of now."""
    selection: Selection = Selection()
    longest_wait_s: float = LONGEST_WAIT_S


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a player has come."""

    state: State
    reason: str
    path: Path
    offset: int | None
    """The offset that the newest reading has in the recording."""
    log_us: int | None
    """When it was logged, by the recording."""
    shift_us: int
    """What is added to all times."""
    round: int
    """How often the end was reached."""
    readings: int
    holes: int
    lost: int
    """Readings missing in the holes, as far as they could be counted."""
    skipped_us: int


HandOn = Callable[[Sequence[Record], int], None]
"""Receives readings as recorded, and the shift to add to their times."""


async def _no_wait() -> None:
    """Yield to other tasks."""
    await asyncio.sleep(0)


class Player:
    """Plays some recordings, given in their order."""

    def __init__(
        self,
        recordings: Sequence[tuple[Recording, Span]],
        options: Options,
        clock: Clock,
        hand_on: HandOn,
        *,
        on_hole: Callable[[Hole], None] = lambda _: None,
        room: Callable[[], Awaitable[None]] = _no_wait,
    ) -> None:
        """``room`` waits, at the speed `MAX`, until the receivers can accept more."""
        begins = [span.start_us for _, span in recordings if span.end > span.first]
        first_us = max(min(begins, default=0), options.selection.since_us or 0)
        self._recordings = recordings
        self._options = options
        self._clock = clock
        self._hand_on = hand_on
        self._on_hole = on_hole
        self._room = room
        self._shift_us = 0
        self._pace = Pace(options.speed, int(options.longest_wait_s * 1e6))
        self._state, self._reason = State.PLAYING, ""
        self._path = recordings[0][0].path
        self._offset: int | None = None
        self._log_us: int | None = None
        self._begin_us: int | None = None  # of this round
        self._end_us = 0
        self._round = self._readings = self._holes = self._lost = 0
        start_us = clock.wall_us() if options.is_shifted else first_us
        self.clock = PlayedClock(clock, start_us)
        """The time that is being replayed."""

    def progress(self) -> Progress:
        """Return the progress."""
        return Progress(
            state=self._state,
            reason=self._reason,
            path=self._path,
            offset=self._offset,
            log_us=self._log_us,
            shift_us=self._shift_us,
            round=self._round,
            readings=self._readings,
            holes=self._holes,
            lost=self._lost,
            skipped_us=self._pace.skipped_us,
        )

    async def run(self) -> None:
        """Play to the end, or in an endless loop.

        Raises:
            SensordError: A recording cannot be read further.
        """
        try:
            while await self._play_round() and self._options.is_looping:
                assert self._begin_us is not None
                self._shift_us += self._end_us - self._begin_us + ROUND_US
                self._begin_us = None
        except OSError as error:
            self._fail(f"cannot be read: {error.strerror}")
            raise RecordingError(self._path, self._reason) from error
        except SensordError as error:
            self._fail(str(error))
            raise
        self._state = State.ENDED

    def _fail(self, reason: str) -> None:
        self._state, self._reason = State.FAILED, reason

    async def _play_round(self) -> bool:
        """Play all once; return whether there were any readings."""
        is_empty = True
        async with Pieces(self._recordings, self._options.selection) as pieces:
            async for piece in pieces:
                self._path = piece.path
                if piece.hole is not None:
                    self._pass_over(piece.hole)
                if piece.records:
                    is_empty = False
                    self._note_times(piece.records)
                    await self._play(piece.records)
        self._round += 1
        return not is_empty

    def _note_times(self, records: Sequence[Record]) -> None:
        if self._begin_us is None:
            self._begin_us = self._end_us = records[0].log_us
            if self._options.is_shifted and not self._readings:
                self._shift_us = self._clock.wall_us() - self._begin_us
        self._end_us = max(self._end_us, *(record.log_us for record in records))

    def _pass_over(self, hole: Hole) -> None:
        self._holes += 1
        self._lost += hole.count
        if not self._round:
            self._on_hole(hole)

    async def _play(self, records: Sequence[Record]) -> None:
        if self._options.speed == MAX:
            for start in range(0, len(records), TURN):
                self._deliver(records[start : start + TURN])
                await self._room()
            return
        shift_us, now_us = self._shift_us, self._clock.monotonic_us()
        begin, due_us = 0, self._pace.due_us(records[0].log_us + shift_us, now_us)
        while begin < len(records):
            if due_us > now_us:
                await self._wait(due_us - now_us, records[begin].log_us + shift_us)
                now_us = self._clock.monotonic_us()
                continue
            end = begin
            while due_us <= now_us and end - begin < TURN:
                end += 1
                if end == len(records):
                    break
                due_us = self._pace.due_us(records[end].log_us + shift_us, now_us)
            self._deliver(records[begin:end])
            begin = end
            await asyncio.sleep(0)
            now_us = self._clock.monotonic_us()

    async def _wait(self, wait_us: int, until_us: int) -> None:
        self.clock.go_on(self._options.speed, until_us)
        await asyncio.sleep(wait_us / 1e6)

    def _deliver(self, records: Sequence[Record]) -> None:
        self._hand_on(records, self._shift_us)
        newest = records[-1]
        self._offset, self._log_us = newest.offset, newest.log_us
        self._readings += len(records)
        self.clock.reached(newest.log_us + self._shift_us)
