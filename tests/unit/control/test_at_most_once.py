"""Whatever reconnects, retries, expires and crashes in whatever order: a key acts at most once.

Real sessions and real bytes over a manual clock, a machine and a disk that the test drives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sensord.device.calls import Call
from tests.unit.control.works import GRACE_S, TIMEOUT_S, Client, Works

NAMES = ("panel", "phone")
KEYS = ("k1", "k2")
SUBJECTS = ("machine", "machine/valve")

keys = st.sampled_from(KEYS)
subjects = st.sampled_from(SUBJECTS)
names = st.sampled_from(NAMES)


def step(method: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Say how a step is made."""
    return st.tuples(st.just(method), st.tuples(*arguments))


STEPS = st.one_of(
    step("ask", names, keys),
    step("ask", names, keys),
    step("begin"),
    step("begin"),
    step("finish", st.sampled_from(["done", "rejected", "silent"])),
    step("end", st.booleans(), st.booleans()),
    step("come_or_go", names),
    step("take", names, subjects, st.sampled_from([5, 60])),
    step("give_back", names, subjects),
    step("pass_time", st.sampled_from([0.1, TIMEOUT_S, GRACE_S + 1])),
    step("disk_is_slow", st.booleans()),
    step("disk_is_full", st.booleans()),
)


@dataclass
class Grant:
    """A lease that a client was told to hold."""

    client: Client
    subject: str
    until: float
    is_over: bool = False


def overlap(one: str, other: str) -> bool:
    return one == other or "machine" in (one, other)


class AtMostOnce(RuleBasedStateMachine):
    """Drives a server; the invariants look after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.works = Works()
        self.clients = {name: self.works.client(name) for name in NAMES}
        self.asked: dict[tuple[str, int], str] = {}
        """The key of each request, by client and id."""
        self.under_way: list[Call] = []
        self.grants: list[Grant] = []
        self.taking: dict[tuple[str, int], tuple[str, float]] = {}
        self.was_full: set[tuple[str, str]] = set()
        """Keys that ended while the disk was full: their outcome may be forgotten by a crash."""

    # One rule, for Hypothesis leaves rules out at random, and these mean something together only.
    @rule(step=STEPS)
    def do(self, step: tuple[str, tuple[Any, ...]]) -> None:
        """Do one thing of whichever kind."""
        method, arguments = step
        getattr(self, method)(*arguments)

    # -- clients -----------------------------------------------------------------------------------

    def come_or_go(self, name: str) -> None:
        client = self.clients[name]
        if client.is_there:
            client.leave()
        else:
            client.connect()

    def ask(self, name: str, key: str) -> None:
        """Ask for an act, or ask again: each key has one command."""
        client = self.clients[name]
        if not client.is_there:
            return
        held = self.holder_of("machine/valve") or self.holder_of("machine")
        if key == "k2":
            number = client.send("call", name="machine/valve", args={"how": key}, key=key)
        else:
            number = client.send("set", topic="machine/valve", value=key, key=key)
        self.asked[name, number] = key
        (first, *_) = client.about(number)
        if first["op"] == "result" and not first["repeated"]:
            assert held in (None, client.id), "accepted although another one holds it"

    def holder_of(self, subject: str) -> str | None:
        lease = self.works.shared.control.leases.find(subject)
        return None if lease is None else lease.holder.id

    # -- leases ------------------------------------------------------------------------------------

    def take(self, name: str, subject: str, duration: float) -> None:
        client = self.clients[name]
        if client.is_there:
            number = client.send("take", subject=subject, duration=duration)
            self.taking[name, number] = (subject, self.works.now + duration)

    def give_back(self, name: str, subject: str) -> None:
        client = self.clients[name]
        if client.is_there:
            client.send("give_back", subject=subject)
            for grant in self.grants:
                grant.is_over |= grant.client is client and grant.subject == subject
            for asked, (wanted, _) in tuple(self.taking.items()):
                if (asked[0], wanted) == (name, subject):
                    del self.taking[asked]  # given back before it was answered

    # -- the machine -------------------------------------------------------------------------------

    def begin(self) -> None:
        call = self.works.machine.act()
        if call is not None:
            self.under_way.append(call)

    def finish(self, how: str) -> None:
        """Confirm the oldest, perhaps much too late, or never."""
        if not self.under_way:
            return
        call = self.under_way.pop(0)
        if how == "done":
            call.done(call.key)
        elif how == "rejected":
            call.failed("rejected", "no", may_have_acted=False)

    # -- the world ---------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        self.works.pass_time(seconds)

    def disk_is_slow(self, is_slow: bool) -> None:
        self.works.disk.is_slow = is_slow
        self.works.store.commit()

    def disk_is_full(self, is_full: bool) -> None:
        self.works.disk.is_full = is_full
        if not is_full:
            self.works.store.commit()

    def end(self, in_order: bool, is_retried: bool) -> None:
        """Crash, or stop in order, and start again; clients come back and ask what they asked."""
        self.note_grants()
        self.under_way.clear()
        (self.works.restart if in_order else self.works.crash)()
        if not is_retried:
            return
        for name, key in sorted({(name, key) for (name, _), key in self.asked.items()}):
            if not self.clients[name].is_there:
                self.clients[name].connect()
            self.ask(name, key)

    # -- what must hold ----------------------------------------------------------------------------

    def note_grants(self) -> None:
        """Look at what clients were told of leases; two cannot hold the same at once."""
        for (name, number), (subject, until) in tuple(self.taking.items()):
            client = self.clients[name]
            told = client.about(number)
            if not told:
                continue
            del self.taking[name, number]
            if told[0]["op"] != "result":
                continue
            for other in self.grants:
                if other.client is not client and overlap(other.subject, subject):
                    assert self.is_over(other), "granted to two"
            self.grants = [g for g in self.grants if (g.client, g.subject) != (client, subject)]
            self.grants.append(Grant(client, subject, until))

    def is_over(self, grant: Grant) -> bool:
        now, client = self.works.now, grant.client
        is_gone = not client.is_there and now - client.seen_at >= GRACE_S
        if grant.is_over or now >= grant.until or is_gone:
            grant.is_over = True
        return grant.is_over

    @invariant()
    def what_is_told_is_true(self) -> None:
        self.works.settle()
        for grant in self.grants:
            self.is_over(grant)
        self.note_grants()
        if self.works.disk.is_full:
            self.was_full |= {(client.id, key) for client in self.clients.values() for key in KEYS}
        acted = self.works.machine.acted
        assert len(acted) == len(set(acted)), "a key has acted twice"
        for name, client in self.clients.items():
            for key in KEYS:
                self.check(name, client, key)

    def check(self, name: str, client: Client, key: str) -> None:
        numbers = {n for (who, n), asked in self.asked.items() if (who, asked) == (name, key)}
        told = [m for m in client.told if m["op"] == "outcome" and m["id"] in numbers]
        audited = [
            one
            for one in self.works.audit
            if one["who"]["id"] == client.id
            and one.get("key") == key
            and one["result"] in {"done", "failed"}
        ]
        for outcome in told:
            said = (outcome["status"], outcome.get("reason", ""))
            assert said in [(one["result"], one.get("detail", "")) for one in audited]
            if outcome["status"] == "done":
                assert outcome["value"] == key
                assert (client.id, key) in self.works.machine.acted
            elif not outcome["may_have_acted"] and outcome["reason"] != "rejected":
                assert (client.id, key) not in self.works.machine.acted or self.is_spoilt(
                    client, key
                )
        if not self.is_spoilt(client, key):
            assert len({repr(strip(outcome)) for outcome in told}) <= 1, "two outcomes of one act"
            # A server that ends before an outcome is on the disk says the same one again.
            assert len({(one["result"], one.get("detail", "")) for one in audited}) <= 1

    def is_spoilt(self, client: Client, key: str) -> bool:
        return (client.id, key) in self.was_full


def strip(outcome: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in outcome.items() if field != "id"}


AtMostOnce.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAtMostOnce = AtMostOnce.TestCase
