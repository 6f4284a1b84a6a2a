"""What clients were promised, compared with what they were told, what was done, and the audit.

For a `Storm` of `tests/integration/test_clients_and_kills.py`, which wrote everything down.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any, Protocol

from sensord.model.topics import FilterTree
from tests.kit.crew import Ask, Books, Command, Sent, now_us
from tests.kit.instrument import Instrument

__all__ = ["FLAG", "GROUPS", "WATCHES", "Comparison", "Story", "compare_counter"]

WATCHES = {"panel": "plant/#", "desk": "plant/a", "ann": "plant/+", "bob": "weather", "cy": "#"}
GROUPS = {"panel": ["g"], "desk": ["g", "h"], "ann": ["h"], "bob": ["g"], "cy": []}
FLAG = "state/flag"

LATE_US = 3_000_000
"""So much later than an event a kill may still take it: the commit interval, and more, as a machine
that is busy commits late."""


class Story(Protocol):
    """What happened."""

    books: Books
    instrument: Instrument
    is_strict: bool
    kills_us: list[int]

    @property
    def ends(self) -> int:
        """How often the server was killed or stopped."""
        ...

    def is_old(self, sent: Sent) -> bool:
        """Tell whether the key of a message may be forgotten."""
        ...


class Comparison:
    """Compares what was asked, told, done and audited."""

    def __init__(self, storm: Story, audit: list[tuple[str, dict[str, Any]]]) -> None:
        self._storm = storm
        self._books = storm.books
        self._audit = audit
        self._had: dict[Any, list[tuple[str, int, str]]] = {}
        for name, messages in self._books.had.items():
            for number, sender, body in messages:
                self._had.setdefault(body, []).append((name, number, sender))
        lines = Counter(int(line.split()[1]) for line in storm.instrument.lines)
        self._acted = lines + Counter(self._books.served)

    def compare(self) -> None:
        assert not self._books.faults, self._books.faults
        for sent in self._books.sent:
            self._compare_message(sent)
        self._compare_order()
        for command in self._books.commands:
            self._compare_command(command)
        self._compare_leases()
        self._compare_changes()

    def _is_lost(self, since_us: int, until_us: int) -> bool:
        """Tell whether a kill may have taken what the audit had of that time."""
        return any(since_us <= kill <= until_us + LATE_US for kill in self._storm.kills_us)

    # -- messages ----------------------------------------------------------------------------------

    def _compare_message(self, sent: Sent) -> None:
        had = self._had.get(sent.body, [])
        ids = self._books.ids
        assert {sender for _, _, sender in had} <= {ids[sent.sender]}
        is_old = self._storm.is_old(sent)
        names = Counter(name for name, _, _ in had)
        meant = self._meant(sent)
        assert set(names) <= meant, f"{sent} reached {names}"
        if is_old:
            return
        assert max(names.values(), default=1) == 1, f"{sent} came twice: {had}"
        # One that nobody was to get leaves its key free for another one.
        asks = [ask for ask in sent.asks if not is_void(ask, len(meant))]
        accepted = [ask for ask in asks if ask.answer or ask.has_ended or ask.receipts]
        if not any(ask.began_us for ask in sent.asks):
            assert not had, f"{sent} was never sent"
        if all(ask.refusal for ask in sent.asks):
            assert not had, f"{sent} was refused, and came"
        numbers = {ask.answer["message"] for ask in sent.asks if ask.answer} - {None}
        numbers |= {number for _, number, _ in had}
        assert len(numbers) <= 1, f"{sent} has several numbers: {numbers}"
        new = [ask for ask in asks if ask.answer and not ask.answer["repeated"]]
        assert len(new) <= 1, f"{sent} was accepted twice"
        if not accepted:
            return
        told: dict[str, set[str]] = {}
        for ask in asks:
            for client, status in ask.receipts.items():
                told.setdefault(self._books.name_of(client), set()).add(status)
            if ask.answer and self._storm.is_strict:
                assert ask.answer["receivers"] == len(meant), f"{sent} {ask.answer}"
        for name in meant:
            self._compare_receipts(sent, name in names, told.get(name, set()))
        if self._storm.is_strict:
            assert set(names) == meant, f"{sent} was accepted, and reached only {set(names)}"
        for number in numbers:
            self._compare_message_audit(sent, number, len(names))

    def _compare_receipts(self, sent: Sent, has_it: bool, told: set[str]) -> None:
        assert told <= {"away", "delivered", "expired", "full"}, f"{sent} {told}"
        if "delivered" in told:
            assert has_it, f"{sent} was not delivered"
            assert not told & {"expired", "full"}, f"{sent} {told}"
        if "full" in told:
            assert not has_it, f"{sent} was refused and delivered"
        if sent.key and sent.asks[-1].has_ended:
            # The last time it was asked until all was known.
            assert told & {"delivered", "expired", "full"}, f"{sent} {told}"
            if not has_it:
                assert told & {"expired", "full"}, f"{sent} {told}"

    def _compare_message_audit(self, sent: Sent, number: int, had: int) -> None:
        events = [e for what, e in self._audit if what == "message" and e.get("key") == str(number)]
        over = [event for event in events if event["result"] != "accepted"]
        began = min(ask.began_us for ask in sent.asks if ask.began_us)
        if self._is_lost(began, now_us()):
            assert len(events) <= 2 + self._storm.ends
        else:
            assert over, f"{sent} {events}"
            assert len(events) == 2, f"{sent} {events}"
        if over:
            counts = over[-1]["after"]
            expired, delivered = counts.get("expired", 0), counts.get("delivered", 0)
            # One that has expired may have arrived, but was not acknowledged in time.
            assert delivered <= had <= delivered + expired, f"{sent} {counts}, {had} had it"
        for event in events:
            assert event["who"]["id"] == self._books.ids[sent.sender]

    def _meant(self, sent: Sent) -> set[str]:
        ((kind, name),) = sent.to.items()
        if kind == "client":
            return {self._books.name_of(name)}
        if kind == "group":
            return {one for one, groups in GROUPS.items() if name in groups} - {sent.sender}
        tree: FilterTree[str] = FilterTree()
        for one, topic in WATCHES.items():
            tree.add(topic, one)
        return set(tree.match(name)) - {sent.sender}

    def _compare_order(self) -> None:
        """One that was accepted before another one was sent comes before it."""
        for name in WATCHES:
            known = []
            for sent in self._books.sent:
                if sent.sender != name or self._storm.is_old(sent):
                    continue
                numbers = {number for _, number, _ in self._had.get(sent.body, [])}
                asks = [ask for ask in sent.asks if not is_void(ask, len(self._meant(sent)))]
                times = [ask.answered_us or ask.reported_us for ask in asks]
                began = [ask.began_us for ask in asks if ask.began_us]
                if numbers and any(times):
                    known.append((min(filter(None, times)), min(began), numbers.pop()))
            for (done, _, first), (_, began_us, second) in combinations(known, 2):
                if done < began_us:
                    assert first < second, f"{name} sent {first} before {second}"

    # -- commands ----------------------------------------------------------------------------------

    def _compare_command(self, command: Command) -> None:
        acted = self._acted[command.number]
        assert acted <= 1, f"{command} acted {acted} times"
        asks = [ask for ask in command.asks if ask.began_us]
        told = [ask.outcome for ask in asks if ask.outcome is not None]
        outcomes = {
            (
                one["status"],
                one.get("reason", ""),
                one.get("may_have_acted", True),
                one.get("value"),
            )
            for one in told
        }
        assert len(outcomes) <= 1, f"{command} ended in several ways: {outcomes}"
        if all(ask.refusal for ask in asks) or (command.key and asks[-1].refusal):
            # Asked at the end, it is refused: so it was never accepted.
            assert not acted, f"{command} was refused, and acted"
            assert not told, f"{command} was refused, and is over"
        for ask in asks:
            if ask.refusal is not None:
                code = ask.refusal.code
                assert code in {"held", "unavailable", "too_many", "not_found"}, f"{command} {code}"
        new = [ask for ask in asks if ask.answer and not ask.answer["repeated"]]
        if new:
            # A kill before the key was on the disk: nothing was sent, and it is free again.
            kills = [one for one in self._storm.kills_us if one > new[0].began_us]
            assert len(new) <= 1 + len(kills), f"{command} was accepted twice"
        for status, reason, may_have_acted, _ in outcomes:
            if status == "done":
                assert acted == 1, f"{command} is done, and was not"
            elif not may_have_acted:
                assert acted == (reason == "rejected"), f"{command} is {reason}, acted {acted}"
            self._compare_command_audit(command, status, reason)

    def _compare_command_audit(self, command: Command, status: str, reason: str) -> None:
        events = [event for what, event in self._audit if what == command.op]
        after = command.number if command.op == "set" else {"n": command.number}
        mine = [
            event
            for event in events
            if event["who"]["id"] == self._books.ids[command.who]
            and event["subject"] == command.name
        ]
        begun = [one for one in mine if one["result"] == "pending" and one.get("after") == after]
        keys = {command.key} if command.key else {one["key"] for one in begun}
        ends = [
            (one["result"], one.get("detail", ""))
            for one in mine
            if one.get("key") in keys and one["result"] in {"done", "failed"}
        ]
        assert set(ends) <= {(status, reason)}, f"{command} is {status} {reason}, audit: {ends}"
        first = min(ask.began_us for ask in command.asks if ask.began_us)
        if self._is_lost(first, min(ask.reported_us for ask in command.asks if ask.reported_us)):
            assert len(ends) <= 1 + self._storm.ends
        else:
            assert len(begun) == 1, f"{command} audit: {begun}"
            assert len(ends) == 1, f"{command} {status} {reason}, audit: {ends}"

    # -- leases ------------------------------------------------------------------------------------

    def _compare_leases(self) -> None:
        """What one held for certain nobody else acted on, or was granted."""
        for grant in self._books.grants:
            for command in self._books.commands:
                if command.who == grant.who or not covers(grant.subject, command.name):
                    continue
                for since, until in accepted(command):
                    is_within = grant.since_us < since and until < grant.until_us
                    assert not is_within, f"{command} was accepted while {grant} held"
            for other in self._books.grants:
                if other.who != grant.who and (
                    covers(grant.subject, other.subject) or covers(other.subject, grant.subject)
                ):
                    is_within = grant.since_us < other.asked_us and other.since_us < grant.until_us
                    assert not is_within, f"{other} was granted while {grant} held"

    # -- shared state ------------------------------------------------------------------------------

    def _compare_changes(self) -> None:
        changes = self._books.changes
        versions = [change.version for change in changes]
        assert len(versions) == len(set(versions)), "versions are unique"
        began = Counter((c.topic, c.expected) for c in changes if c.expected)
        assert max(began.values(), default=1) == 1, "two changes of one version"
        assert all(change.version > change.expected for change in changes)
        flags = Counter(change.op for change in changes if change.topic == FLAG)
        assert flags["put"] <= flags["delete"] + self._books.unsure_deletes + 1
        for change in changes:
            events = [
                event
                for what, event in self._audit
                if what == "state" and (event.get("after") or {}).get("version") == change.version
            ]
            if change.op == "put" and not self._is_lost(change.version - LATE_US, change.version):
                assert len(events) == 1, f"{change} {events}"
                assert events[0]["who"]["id"] == self._books.ids[change.who]


def is_void(ask: Ask, receivers: int) -> bool:
    """Tell whether a message was kept for nobody, for all had too many already."""
    if ask.answer is not None:
        return ask.answer["message"] is None
    return len(ask.receipts) == receivers and set(ask.receipts.values()) == {"full"}


def accepted(command: Command) -> list[tuple[int, int]]:
    """Return between which times a command was accepted, where that is certain."""
    times = [
        (ask.began_us, ask.answered_us)
        for ask in command.asks
        if ask.answer and not ask.answer["repeated"]
    ]
    first = command.asks[0]
    if first.outcome and not first.answer:  # of a `Client`, which keeps the answer to itself
        times.append((first.began_us, first.reported_us))
    return times


def covers(subject: str, name: str) -> bool:
    """Tell whether who holds a subject holds that too."""
    return name == subject or name.startswith(f"{subject}/")


def compare_counter(books: Books, topic: str, value: Any) -> None:
    """No increment is lost, and none is made twice."""
    tokens = value["tokens"] if value else []
    assert len(tokens) == len(set(tokens)) == (value["count"] if value else 0)
    mine = [one for one in books.increments if one.topic == topic]
    done = {one.token for one in mine if one.is_done}
    unsure = {one.token for one in mine if one.is_unsure}
    assert done <= set(tokens), f"lost: {done - set(tokens)}"
    assert set(tokens) <= done | unsure, f"never told: {set(tokens) - done - unsure}"
