"""Whatever happens in whatever order, every accepted message is delivered once, or reported."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sensord.config.tree import Clients
from sensord.wire.frames import JSON, MSGPACK
from tests.unit.server.talkers import Asked, Office, Talker

AGE_S = 200.0
GRACE_S = 30.0

OPTIONS = Clients(
    presence=False, grace=GRACE_S, inbox_messages=8, inbox_bytes=20_000, inbox_age=AGE_S
)

GROUPS = ["g", "h"]
TOPICS = ["plant/a", "plant/b", "weather"]
FILTERS = ["plant/#", "plant/a", "#"]


@dataclass
class Sent:
    """One message that somebody meant to send, however often it was asked for."""

    body: int
    sender: Talker
    to: dict[str, str]
    key: str
    attempts: list[Asked] = field(default_factory=list)
    is_too_old: bool = False
    """Whether its key may be forgotten."""

    @property
    def accepted(self) -> list[Asked]:
        return [asked for asked in self.attempts if asked.is_accepted]


class Scene:
    """Talkers who do one random thing after another, while the daemon lives and dies."""

    def __init__(self, seed: int) -> None:
        self._dice = dice = random.Random(seed)
        self.office = Office(OPTIONS)
        self.talkers = [
            Talker(self.office, name, dice.choice([MSGPACK, JSON])) for name in "ABCDE"[:4]
        ]
        self.sent: list[Sent] = []
        for talker in self.talkers:
            talker.come(groups=dice.sample(GROUPS, dice.randint(0, 2)))
            if dice.random() < 0.8:
                talker.receive()
        # Some runs are calm and some are not.
        self._troubles = dice.choice([0, 1, 3])
        self._clogs = dice.choice([0, 2, 6])

    def act(self) -> None:
        acts = {
            self._send: 20,
            self._retry: 4,
            self._receive: 4,
            self._acknowledge: 12,
            self._turn: 15,
            self._settle: 2,
            self._leave: 3,
            self._come: 6,
            self._subscribe: 2,
            self._join: 2,
            self._clog: self._clogs,
            self._unclog: self._clogs * 2,
            self._fill: self._troubles,
            self._slow: self._troubles,
            self._restart: self._troubles,
            self._crash: self._troubles,
            self._pass_time: 1,
        }
        (act,) = self._dice.choices(list(acts), list(acts.values()))
        act()

    # -- what may happen ---------------------------------------------------------------------------

    def _here(self) -> Talker | None:
        here = [talker for talker in self.talkers if talker.session]
        return self._dice.choice(here) if here else None

    def _send(self) -> None:
        dice, talker = self._dice, self._here()
        if talker is None:
            return
        to = dice.choice(
            [
                {"client": dice.choice(self.talkers).id},
                {"client": dice.choice(self.talkers).id},
                {"group": dice.choice(GROUPS)},
                {"watching": dice.choice(TOPICS)},
            ]
        )
        body = len(self.sent)
        key = f"k{body}" if dice.random() < 0.6 else ""
        sent = Sent(body, talker, to, key)
        self.sent.append(sent)
        self._ask(sent)

    def _ask(self, sent: Sent) -> None:
        fields: dict[str, Any] = {"wait": self._dice.choice([0, 60, 86_400])}
        if sent.key:
            fields["key"] = sent.key
        sent.attempts.append(sent.sender.send(sent.to, sent.body, **fields))

    def _retry(self) -> None:
        known = [one for one in self.sent if one.key and one.sender.session and not one.is_too_old]
        if known:
            self._ask(self._dice.choice(known[-10:]))

    def _receive(self) -> None:
        if talker := self._here():
            talker.receive(from_memory=self._dice.random() < 0.8)

    def _acknowledge(self) -> None:
        if talker := self._here():
            talker.acknowledge()

    def _turn(self) -> None:
        self.office.loop.turn()

    def _settle(self) -> None:
        self.office.loop.settle()

    def _leave(self) -> None:
        if talker := self._here():
            talker.leave()

    def _come(self) -> None:
        away = [talker for talker in self.talkers if not talker.session]
        if away:
            talker = self._dice.choice(away)
            talker.come()
            if self._dice.random() < 0.7:
                talker.receive()

    def _subscribe(self) -> None:
        if talker := self._here():
            talker.ask("subscribe", topics=[self._dice.choice(FILTERS)])

    def _join(self) -> None:
        if talker := self._here():
            talker.ask("groups", **{self._dice.choice(["join", "leave"]): GROUPS[:1]})

    def _clog(self) -> None:
        if (talker := self._here()) and not talker.wire.is_congested:
            talker.wire.clogs_after = self._dice.randint(1, 4)

    def _unclog(self) -> None:
        if (talker := self._here()) and talker.wire.is_congested:
            talker.wire.clogs_after = self._dice.choice([None, 1, 3])
            talker.unclog()

    def _fill(self) -> None:
        self.office.disk.is_full = not self.office.disk.is_full

    def _slow(self) -> None:
        self.office.disk.is_slow = not self.office.disk.is_slow
        if self._dice.random() < 0.7:
            self.office.store.commit()

    def _restart(self) -> None:
        self.office.disk.is_full = False
        self.office.restart()

    def _crash(self) -> None:
        self.office.crash()

    def _pass_time(self) -> None:
        seconds = self._dice.choice([1.0, GRACE_S + 1, AGE_S / 2, 2 * AGE_S])
        if seconds > GRACE_S:
            for sent in self.sent:
                sent.is_too_old = sent.is_too_old or seconds >= AGE_S / 2
        self.office.pass_time(seconds)

    # -- what must hold ----------------------------------------------------------------------------

    def finish(self) -> None:
        """Let everybody be there and have everything; then look at the books."""
        office = self.office
        office.disk.is_full = office.disk.is_slow = False
        office.store.commit()
        for talker in self.talkers:
            if not talker.session:
                talker.come()
            talker.wire.clogs_after = None
            if talker.wire.is_congested:
                talker.unclog()
            talker.receive()
        self._settle_all()
        for sent in self.sent:
            if sent.key and not sent.is_too_old:
                fields = {"key": sent.key, "wait": 86_400}
                last = sent.sender.send(sent.to, sent.body, **fields)
                sent.attempts.append(last)
                self._settle_all()
                assert last.is_accepted, last
                assert last.has_ended, "everything is known by now"
        for sent in self.sent:
            self._check(sent)
        for talker in self.talkers:
            fresh = [body for body in talker.had if not self.sent[body].is_too_old]
            assert max(Counter(fresh).values(), default=1) == 1, "nothing comes twice"
        assert not office.sharing.post._open, "nothing waits any more"
        assert not office.sharing.post._bytes
        assert office.disk.kind("inbox") == {}
        office.restart()
        office.pass_time(2 * AGE_S + 1)
        assert office.disk.kind("message") == {}, "nothing is kept for ever"
        assert len(office.sharing.post._remembered) == 0

    def _settle_all(self) -> None:
        self.office.loop.settle()
        while [talker for talker in self.talkers if talker.acknowledge()]:
            self.office.loop.settle()

    def _check(self, sent: Sent) -> None:
        had = {talker.id for talker in self.talkers if sent.body in talker.had}
        if not sent.attempts or all(asked.error for asked in sent.attempts):
            assert not had, "what was refused nobody got"
            return
        numbers = {asked.answer["message"] for asked in sent.accepted if asked.answer}
        kept = numbers - {None}
        # What lay in the buffers of a client that did not read may be asked for very late.
        assert len(kept) <= 1 or sent.is_too_old, "one message, however often it was asked for"
        for number in kept:
            self._check_kept(sent, number, None if sent.is_too_old else had)
        for asked in sent.accepted:
            for client, status in asked.receipts.items():
                if status == "delivered":
                    assert client in had
                elif not kept and all(one.answer for one in sent.attempts):
                    assert client not in had

    def _check_kept(self, sent: Sent, number: int, had: set[str] | None) -> None:
        events = [event for event in self.office.audit if event.get("key") == str(number)]
        over = [event for event in events if event["result"] != "accepted"]
        assert over, f"{sent} was accepted, and nobody was told what became of it"
        if had is None:
            return
        counts = over[-1]["after"]
        expired, delivered = counts.get("expired", 0), counts.get("delivered", 0)
        # One that has expired may have arrived, but was not acknowledged in time.
        assert delivered <= len(had) <= delivered + expired
        # A crash may come between the disk and the word that the disk has it.
        for event in events:
            assert event["result"] != "accepted" or had <= set(event["after"]["to"])


@pytest.mark.timeout(300)
@settings(
    max_examples=150,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), acts=st.integers(20, 250))
def test_every_accepted_message_is_delivered_once_or_reported(seed: int, acts: int) -> None:
    """Under reconnects, retries, crashes of clients and of the server, and full disks."""
    scene = Scene(seed)
    for _ in range(acts):
        scene.act()
    scene.finish()
