"""Whatever happens in whatever order, whoever asks about the past is answered exactly that."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sensord.model.readings import GOOD, Level, Quality
from sensord.wire.frames import JSON, MSGPACK
from tests.unit.server.askers import Asker
from tests.unit.server.monitors import EPOCH, KINDS, STALE, World

TOPICS = list(KINDS)
FILTERS = ["#", "+/x", "a/#", "a/x", "b/#", "c", "$sys/#"]
QUALITIES = [GOOD, GOOD, STALE, Quality(Level.BAD, "stale")]
INTERVALS = [0.1, 0.1, 0.3, 5.0]

SMALL = {
    "sensord.server.packets.FRAME_READINGS": 3,
    "sensord.server.packets.FRAME_BYTES": 150,
    "sensord.server.open.rows.FRAME_BYTES": 150,
    "sensord.server.open.rows.ROWS": 2,
    "sensord.server.open.listing.ROWS": 2,
    "sensord.server.packets.ANNOUNCED_AT_ONCE": 2,
    "sensord.log.cursor.PIECE_READINGS": 5,
    "sensord.log.memory.BLOCK": 4,
    "sensord.log.memory.REMEMBERED": 3,
}
"""What is done in portions is done in small ones, so that a few readings need several."""


class Run:
    """One random act after another, all from one seed."""

    def __init__(self, seed: int) -> None:
        self.patch = pytest.MonkeyPatch()
        for name, value in SMALL.items():
            self.patch.setattr(name, value)
        self._random = dice = random.Random(seed)
        self.world = World(
            dice.choice([8, 40, 400]), dice.choice([0, 1000]), has_journal=dice.random() < 0.5
        )
        self.askers = [
            Asker(self.world, codec, str(number))
            for number, codec in enumerate([MSGPACK, JSON, MSGPACK], 1)
        ]
        self._readings = dice.choice([2, 8, 30])

    def act(self) -> None:
        acts: dict[Any, int] = {self._publish: 20, self._go_on: 15, self._clog: 3, self._settle: 1}
        reading = [asker for asker in self.askers if not asker.wire.is_congested]
        if reading:
            self._one = self._random.choice(reading)
            acts[self._ask] = 8
            acts[self._one.ask_again] = 3
            if self._one.books:
                acts[self._cancel] = 2
        if len(reading) < len(self.askers):
            acts[self._unclog] = 8
        if self.world.shelf is not None:
            acts[self._journal] = 3
        (act,) = self._random.choices(list(acts), list(acts.values()))
        act()

    def end(self) -> None:
        self._settle()
        for asker in self.askers:
            asker.session.ended()
        self.world.publish("a")
        self.world.shared.sharing.close()
        self.world.loop.settle()
        assert self.world.loop.next_timer is None, "nobody listens any more"

    def _publish(self) -> None:
        dice = self._random
        for topic in dice.choices(TOPICS, k=dice.randint(1, self._readings)):
            quality, restates = dice.choice(QUALITIES), dice.random() < 0.2
            padding = dice.choice([0, 0, 60, 400])
            self.world.publish(topic, quality=quality, restates=restates, padding=padding)
        self._turns(dice.randint(0, 3))

    def _go_on(self) -> None:
        self.world.pass_time(self._random.choice([0.0, 0.01, 0.05, 0.2, 2.0]))
        self._turns(self._random.randint(0, 5))

    def _turns(self, number: int) -> None:
        for _ in range(number):
            self.world.loop.turn()

    def _ask(self) -> None:
        dice = self._random
        if len(self._one.books) >= 4:
            return
        filters = dice.sample(FILTERS, dice.choice([1, 1, 2]))
        if dice.random() < 0.2:
            self._one.ask({"op": "topics", "topics": filters, "follow": dice.random() < 0.5})
            return
        message: dict[str, Any] = {"op": "history", "topics": filters, "from": self._place(40)}
        if dice.random() < 0.6:
            message["interval"] = dice.choice(INTERVALS)
        if "interval" in message and dice.random() < 0.5:
            message["follow"] = True
        else:
            if dice.random() < 0.5:
                message["to"] = self._place(20)
            if dice.random() < 0.4:
                message["limit"] = dice.randint(1, 9)
        self._one.ask(message)

    def _place(self, most: int) -> dict[str, Any]:
        back = self._random.randint(0, most)
        if self._random.random() < 0.5:
            return {"epoch": EPOCH, "offset": max(0, self.world.log.tail - back)}
        return {"time_us": self.world.clock.now_wall_us - back * 1000}

    def _cancel(self) -> None:
        self._one.cancel(self._random.randrange(12))

    def _clog(self) -> None:
        wire = self._random.choice(self.askers).wire
        if not wire.is_congested:
            wire.clogs_after = self._random.randint(1, 6)

    def _unclog(self) -> None:
        congested = [asker for asker in self.askers if asker.wire.is_congested]
        asker = self._random.choice(congested)
        asker.wire.clogs_after = self._random.choice([None, 1, 2, 4])
        asker.unclog()

    def _journal(self) -> None:
        dice, shelf = self._random, self.world.shelf
        assert shelf is not None
        match dice.choice(["retire", "damage", "stick", "go on", "slow"]):
            case "retire":
                shelf.retire(dice.randint(1, 12))
            case "damage":
                place = max(shelf.first, self.world.log.first - dice.randint(0, 30))
                shelf.damage(place, dice.randint(1, 12))
            case "stick" if not shelf.is_stuck:
                shelf.stick()
            case "go on" if shelf.is_stuck:
                shelf.go_on()
            case "slow":
                shelf.turns = dice.randint(0, 3)

    def _settle(self) -> None:
        """Let everybody read, and time pass beyond the end of every interval."""
        for _ in range(30):
            for asker in self.askers:
                asker.wire.clogs_after = None
                if asker.wire.is_congested:
                    asker.unclog()
                asker.ask_again()
            self.world.pass_time(0.5)
            self.world.loop.settle()
        for asker in self.askers:
            asker.settle()


@pytest.mark.timeout(300)
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), acts=st.integers(50, 200))
def test_every_answer_is_what_was_asked_for(seed: int, acts: int) -> None:
    """Readings, summaries and topics, however they are interrupted, followed and gone on with."""
    run = Run(seed)
    try:
        for _ in range(acts):
            run.act()
        run.end()
    finally:
        run.patch.undo()
