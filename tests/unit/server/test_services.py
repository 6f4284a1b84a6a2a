"""Services: each call ends once, whatever service and caller do."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.control.services import MOST_OPEN, MOST_SERVICES, TELL_S, TOPIC
from sensord.device.calls import MOST_PARTS
from sensord.model.readings import Record, Value
from sensord.server.session import Session
from sensord.server.shared import Limits
from sensord.wire.frames import JSON, MSGPACK, Codec, Message
from tests.unit.server.monitors import Wire, World, payload_of

LIMITS = Limits(requests=10_000)


class Party:
    """A client that offers services, calls them, or both; it keeps its books."""

    def __init__(self, world: World, codec: Codec, name: str, key: str = "") -> None:
        self.name = name
        self.wire = Wire(self._arrived)
        self.session = Session(
            name=name, slot=1, address="test", codec=codec, outlet=self.wire, shared=world.shared
        )
        self.wire.session = self.session
        self.answers: dict[int, Message] = {}
        """By id, the `result` or `error` of each request."""
        self.outcomes: dict[int, Message] = {}
        self.parts: dict[int, list[Message]] = {}
        """By id, the parts of the answers to its calls."""
        self.ended: set[int] = set()
        self.requests: list[Message] = []
        """The calls that it was asked to do."""
        self.calls: list[int] = []
        """Ids of the calls that it made."""
        self.serving: list[int] = []
        self.has_left = False
        self._codec = codec
        self._ids = itertools.count(1)
        self._inbox: deque[Message] = deque()
        answer = self.answers[self.ask(op="hello", client=name, key=key)]
        self.key: str = answer["client"]["key"]

    def ask(self, **fields: Any) -> int:
        """Send a request; it is served when the wire is not congested, as a connection does it."""
        number = next(self._ids)
        self._inbox.append({**fields, "id": number})
        self._serve()
        return number

    def told(self, **fields: Any) -> Message:
        """Send a request; return its answer."""
        return self.answers[self.ask(**fields)]

    def serve(self, name: str, **more: Any) -> int:
        """Offer a service."""
        number = self.ask(op="serve", name=name, **more)
        self.serving.append(number)
        return number

    def call(self, name: str, **more: Any) -> int:
        """Call one."""
        number = self.ask(op="call", name=name, **more)
        self.calls.append(number)
        return number

    def unclog(self) -> None:
        """Read what is there."""
        self.wire.unclog()
        self._serve()

    def leave(self) -> None:
        """Break the connection."""
        self.has_left = True
        self._inbox.clear()
        self.session.ended()

    def _serve(self) -> None:
        while self._inbox and not self.wire.is_congested and not self.has_left:
            payload = self._codec.message(self._inbox.popleft())
            self.session.received(payload, is_text=self._codec.is_text)

    def _arrived(self, packet: bytes) -> None:
        assert not self.has_left, "nothing is written after the end"
        message = self._codec.decode(payload_of(packet)[1])
        assert isinstance(message, dict)
        match message["op"]:
            case "result" | "error":
                assert message["id"] not in self.answers, "answered once"
                self.answers[message["id"]] = message
            case "part":
                assert not self.wire.is_congested, "a part for a client that does not read"
                assert self.answers[message["id"]]["op"] == "result"
                assert message["id"] not in self.outcomes, "parts come before the outcome"
                assert message["id"] not in self.ended
                self.parts.setdefault(message["id"], []).append(message)
            case "outcome":
                assert message["id"] not in self.outcomes, "it ends once"
                assert self.answers[message["id"]]["op"] == "result"
                self.outcomes[message["id"]] = message
            case "request":
                assert not self.wire.is_congested, "a call for a client that does not read"
                assert message["id"] not in self.ended
                self.requests.append(message)
            case "end":
                assert message["id"] not in self.ended
                self.ended.add(message["id"])
            case other:
                raise AssertionError(other)


class Ear:
    """Keeps what is published under some topics."""

    def __init__(self, world: World, *topics: str) -> None:
        self.values: list[Any] = []
        world.bus.attach(list(topics), self)

    def selected(self, _channel: object) -> None:
        """Nothing to do."""

    def push(self, record: Record) -> None:
        self.values.append(record.reading.value)


@pytest.fixture(params=[MSGPACK, JSON], ids=["msgpack", "json"])
def codec(request: pytest.FixtureRequest) -> Codec:
    found: Codec = request.param
    return found


def test_a_call_reaches_the_service_and_its_answer_the_caller(codec: Codec) -> None:
    """With what the caller sent, who it is, and the time that is left."""
    world = World(limits=LIMITS)
    service, caller = Party(world, codec, "mean"), Party(world, JSON, "panel")
    offered = service.serve("mean", timeout=5)
    asked = caller.call("mean", args={"numbers": [2, 3]}, timeout=2)
    (request,) = service.requests
    assert (request["id"], request["name"]) == (offered, "mean")
    assert request["args"] == {"numbers": [2, 3]}
    assert request["from"] == {"id": caller.session.identity.id, "name": "panel"}
    assert request["timeout"] == 2
    assert caller.answers[asked]["status"] == "pending"
    assert service.told(op="answer", call=request["call"], value={"mean": 2.5})["op"] == "result"
    assert caller.outcomes[asked]["value"] == {"mean": 2.5}
    assert asked in caller.ended
    again = service.told(op="answer", call=request["call"], value=0)
    assert again["code"] == "not_found"


def test_a_service_says_why_it_did_not_do_it(codec: Codec) -> None:
    """And whether it may have done it all the same."""
    world = World(limits=LIMITS)
    service, caller = Party(world, codec, "mean"), Party(world, codec, "panel")
    service.serve("mean")
    asked = caller.call("mean")
    error = {"reason": "no_numbers", "message": "send some", "may_have_acted": False}
    service.ask(op="answer", call=service.requests[0]["call"], error=error)
    told = caller.outcomes[asked]
    assert told == {"op": "outcome", "id": asked, "status": "failed", **error}


def told_parts(party: Party, number: int) -> list[tuple[int, Value]]:
    """Return number and value of each part of a call."""
    return [(part["number"], part["value"]) for part in party.parts.get(number, [])]


def test_parts_of_an_answer_come_before_the_outcome(codec: Codec) -> None:
    """In order, counted from 0; the service is told how many have each."""
    world = World(limits=LIMITS)
    service, caller = Party(world, codec, "report"), Party(world, codec, "panel")
    service.serve("report")
    asked = caller.call("report")
    call = service.requests[0]["call"]
    assert service.told(op="yield", call=call, value={"rows": [1]})["receivers"] == 1
    assert service.told(op="yield", call=call, value=None)["receivers"] == 1
    service.ask(op="answer", call=call, value=2)
    assert told_parts(caller, asked) == [(0, {"rows": [1]}), (1, None)]
    assert caller.outcomes[asked]["value"] == 2
    assert service.told(op="yield", call=call, value=1)["code"] == "not_found"


def test_parts_wait_for_a_caller_that_does_not_read() -> None:
    """So does the service that waits for their results, and only so many are held."""
    world = World(limits=LIMITS)
    service, caller = Party(world, JSON, "report"), Party(world, JSON, "panel")
    service.serve("report")
    asked = caller.call("report")
    call = service.requests[0]["call"]
    caller.wire.clog()
    telling = [service.ask(op="yield", call=call, value=n) for n in range(MOST_PARTS)]
    assert not any(number in service.answers for number in telling)
    assert service.told(op="yield", call=call, value=99)["code"] == "too_many"
    service.ask(op="answer", call=call, value="done")
    assert asked not in caller.outcomes
    caller.unclog()
    assert told_parts(caller, asked) == [(n, n) for n in range(MOST_PARTS)]
    assert caller.outcomes[asked]["value"] == "done"
    assert [service.answers[number]["receivers"] for number in telling] == [1] * MOST_PARTS


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_service_learns_that_nobody_waits_for_its_parts(*, is_cancelled: bool) -> None:
    """Those that were held for a caller that has left are answered, too."""
    world = World(limits=LIMITS)
    service, caller = Party(world, JSON, "report"), Party(world, JSON, "panel")
    service.serve("report")
    asked = caller.call("report")
    call = service.requests[0]["call"]
    if is_cancelled:
        caller.ask(op="cancel", request=asked)
    else:
        caller.wire.clog()
        held = service.ask(op="yield", call=call, value=1)
        caller.leave()
        world.loop.settle()
        assert service.answers[held]["receivers"] == 0
    assert service.told(op="yield", call=call, value=2)["receivers"] == 0
    assert service.told(op="answer", call=call)["op"] == "result"


def test_whoever_asks_again_hears_the_parts_from_then_on() -> None:
    """Their numbers say what it has missed; once the outcome is known there are none."""
    world = World(limits=LIMITS)
    service, caller = Party(world, JSON, "report"), Party(world, JSON, "panel")
    service.serve("report")
    first = caller.call("report", key="k")
    world.loop.settle()
    call = service.requests[0]["call"]
    service.ask(op="yield", call=call, value="a")
    back = Party(world, JSON, "panel", caller.key)
    again = back.call("report", key="k")
    assert service.told(op="yield", call=call, value="b")["receivers"] == 2
    service.ask(op="answer", call=call, value="c")
    world.loop.settle()
    late = back.call("report", key="k")
    world.loop.settle()
    assert told_parts(caller, first) == [(0, "a"), (1, "b")]
    assert told_parts(back, again) == [(1, "b")]
    assert told_parts(back, late) == []
    assert back.outcomes[again]["value"] == back.outcomes[late]["value"] == "c"


def test_a_session_that_tells_itself_parts_may_end() -> None:
    """While they are held for itself."""
    world = World(limits=LIMITS)
    both = Party(world, JSON, "both")
    both.serve("report")
    asked = both.call("report", timeout=10)
    call = both.requests[0]["call"]
    assert both.told(op="yield", call=call, value=1)["receivers"] == 1
    both.wire.clogs_after = 1
    telling = [both.ask(op="yield", call=call, value=n) for n in (2, 3)]
    assert telling[1] not in both.answers
    both.leave()
    world.loop.settle()
    assert told_parts(both, asked) == [(0, 1), (1, 2)]


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_callers_are_told_when_a_service_goes_away(*, is_cancelled: bool) -> None:
    """What it was asked may have been done; what it was not asked was not; the name is free."""
    world = World(limits=LIMITS)
    service, caller = Party(world, JSON, "mean"), Party(world, JSON, "panel")
    offered = service.serve("mean")
    sent = caller.call("mean")
    service.wire.clog()
    waiting = caller.call("mean")
    if is_cancelled:
        service.ask(op="cancel", request=offered)
        service.wire.is_congested = False  # the cancellation is read before the calls are written
        service._serve()
    else:
        service.leave()
    world.loop.settle()
    assert caller.outcomes[sent]["reason"] == "unknown"
    assert caller.outcomes[sent]["may_have_acted"]
    assert caller.outcomes[waiting]["reason"] == "unavailable"
    assert not caller.outcomes[waiting]["may_have_acted"]
    assert caller.told(op="call", name="mean")["code"] == "not_found"
    assert caller.told(op="serve", name="mean")["op"] == "result"


def test_a_session_that_calls_itself_may_end() -> None:
    """Nobody is told anything, and nothing breaks."""
    world = World(limits=LIMITS)
    both = Party(world, JSON, "both")
    both.call("mean")
    both.serve("mean")
    both.call("mean")
    assert len(both.requests) == 1
    both.leave()
    world.loop.settle()
    assert both.outcomes == {}


def test_a_slow_service_is_sent_its_calls_when_it_reads() -> None:
    """In order; those whose time is over meanwhile are not sent and were not made."""
    world = World(limits=LIMITS)
    service, caller = Party(world, JSON, "mean"), Party(world, JSON, "panel")
    service.serve("mean")
    service.wire.clog()
    short, *long = [caller.call("mean", args={"n": n}, timeout=1 + n) for n in range(3)]
    world.loop.run_until(world.loop.time() + 1.5)
    service.unclog()
    assert [request["args"]["n"] for request in service.requests] == [1, 2]
    assert caller.outcomes[short]["reason"] == "expired"
    assert not any(number in caller.outcomes for number in long)
    world.loop.run_until(world.loop.time() + 5)
    assert [caller.outcomes[number]["reason"] for number in long] == ["unconfirmed"] * 2
    late = service.told(op="answer", call=service.requests[0]["call"], value=1)
    assert late["code"] == "not_found"


def test_a_name_is_taken_once_and_not_that_of_a_device() -> None:
    """But a client that comes back may offer it again, while its old session seems alive."""
    world = World(limits=LIMITS)
    world.shared.control.leases.declare("boiler")
    first, other = Party(world, JSON, "mean"), Party(world, JSON, "other")
    offered = first.serve("mean")
    assert other.told(op="serve", name="mean")["code"] == "already"
    assert first.told(op="serve", name="mean")["code"] == "already"
    assert other.told(op="serve", name="boiler")["code"] == "already"
    asked = other.call("mean")
    back = Party(world, JSON, "mean", first.key)
    assert back.told(op="serve", name="mean")["op"] == "result"
    world.loop.settle()
    assert offered in first.ended
    assert other.outcomes[asked]["reason"] == "unknown"
    other.call("mean")
    assert (len(first.requests), len(back.requests)) == (1, 1)
    first.leave()
    world.loop.settle()
    other.call("mean")
    assert len(back.requests) == 2


def test_calls_under_way_and_services_are_bounded() -> None:
    """Whoever asks for more is refused."""
    world = World(limits=LIMITS)
    service, caller = Party(world, JSON, "mean"), Party(world, JSON, "panel")
    service.serve("s0")
    for _ in range(MOST_OPEN):
        caller.call("s0")
    assert caller.told(op="call", name="s0")["code"] == "too_many"
    service.ask(op="answer", call=service.requests[0]["call"])
    assert caller.told(op="call", name="s0")["op"] == "result"
    for number in range(1, MOST_SERVICES):
        assert service.told(op="serve", name=f"s{number}")["op"] == "result"
    assert service.told(op="serve", name="one more")["code"] == "too_many"


def test_what_is_offered_is_told_in_one_topic_and_in_the_audit() -> None:
    """With everything that has changed within a moment."""
    world = World(limits=LIMITS)
    listed, audit = Ear(world, TOPIC), Ear(world, "$audit/serve")
    service = Party(world, JSON, "mean")
    offered = service.serve("mean", description="of numbers")
    service.serve("sum")
    service.told(op="serve", name="sum")
    assert listed.values == []
    world.loop.run_until(world.loop.time() + TELL_S)
    (told,) = listed.values
    assert list(told) == ["mean", "sum"]
    identity = service.session.identity
    assert (told["mean"]["id"], told["mean"]["name"]) == (identity.id, "mean")
    assert told["mean"]["description"] == "of numbers"
    service.ask(op="cancel", request=offered)
    world.loop.run_until(world.loop.time() + TELL_S)
    assert list(listed.values[-1]) == ["sum"]
    assert [(event["subject"], event["result"]) for event in audit.values] == [
        ("mean", "begin"),
        ("sum", "begin"),
        ("mean", "end"),
    ]


# -- whatever they do ------------------------------------------------------------------------------

PARTIES, NAMES = 3, ("a", "b")
WHO = st.integers(0, PARTIES - 1)
ACTS = st.one_of(
    st.tuples(st.just("serve"), WHO, st.sampled_from(NAMES)),
    st.tuples(st.just("call"), WHO, st.sampled_from(NAMES)),
    st.tuples(st.just("call"), WHO, st.sampled_from(NAMES)),
    st.tuples(st.just("call_with_key"), WHO, st.sampled_from(NAMES)),
    st.tuples(st.just("answer"), WHO, st.integers(0, 5)),
    st.tuples(st.just("answer"), WHO, st.integers(0, 5)),
    st.tuples(st.just("refuse"), WHO, st.integers(0, 5)),
    st.tuples(st.just("yield"), WHO, st.integers(0, 5)),
    st.tuples(st.just("yield"), WHO, st.integers(0, 5)),
    st.tuples(st.just("withdraw"), WHO, st.integers(0, 2)),
    st.tuples(st.just("cancel"), WHO, st.integers(0, 5)),
    st.tuples(st.sampled_from(["clog", "unclog", "leave", "come_back"]), WHO, st.just(0)),
    st.tuples(st.just("clog_after"), WHO, st.integers(1, 3)),
    st.tuples(st.just("pass"), WHO, st.sampled_from([0, 1, 20])),
    st.tuples(st.just("turn"), WHO, st.just(0)),
)


class Company:
    """Several parties, and what each of them does."""

    def __init__(self) -> None:
        self.world = World(capacity=8192, limits=LIMITS)
        self.audit = Ear(self.world, "$audit/call")
        self.everybody: list[Party] = []
        self.accepted: dict[int, Any] = {}
        """By the number of a call, the answer of its service that was taken."""
        self.cancelled: set[tuple[Party, int]] = set()
        self.answered: list[tuple[Party, int, int, Any]] = []
        self.told: list[tuple[Party, int]] = []
        """Who told a part in which request; its place is the part's value."""
        self.parties = [self._join(f"p{i}", "") for i in range(PARTIES)]

    def _join(self, name: str, key: str) -> Party:
        party = Party(self.world, JSON if len(self.everybody) % 2 else MSGPACK, name, key)
        self.everybody.append(party)
        return party

    def act(self, what: str, who: int, detail: Any) -> None:
        """Do one thing."""
        party = self.parties[who]
        does: dict[str, Callable[[], object]] = {
            "serve": lambda: party.serve(detail),
            "call": lambda: party.call(detail, timeout=10),
            "call_with_key": lambda: party.call(detail, key=f"k{detail}"),
            "answer": lambda: self._answer(party, detail, {"value": detail}),
            "yield": lambda: self._tell(party, detail),
            "refuse": lambda: self._answer(party, detail, {"error": {"reason": "no"}}),
            "withdraw": lambda: self._cancel(party, party.serving, detail),
            "cancel": lambda: self._cancel(party, party.calls, detail),
            "clog": party.wire.clog,
            "unclog": party.unclog,
            "leave": party.leave,
            "turn": self.world.loop.turn,
            "pass": lambda: self.world.loop.run_until(self.world.loop.time() + detail),
        }
        if what == "come_back":
            self.parties[who] = self._join(party.name, party.key)
        elif what == "clog_after":
            party.wire.clogs_after = detail
        elif what in {"turn", "pass"} or not party.has_left:
            does[what]()

    def _answer(self, party: Party, index: int, fields: dict[str, Any]) -> None:
        """Answer one of the calls, perhaps again; or one that never was."""
        known = [request["call"] for request in party.requests]
        number = known[index] if index < len(known) else 10**6
        asked = party.ask(op="answer", call=number, **fields)
        self.answered.append((party, asked, number, fields))

    def _tell(self, party: Party, index: int) -> None:
        """Tell a part of a call, each another one; or of one that is over, or never was."""
        known = [request["call"] for request in party.requests]
        number = known[index] if index < len(known) else 10**6
        self.told.append((party, party.ask(op="yield", call=number, value=len(self.told))))

    def _cancel(self, party: Party, of: list[int], index: int) -> None:
        if index < len(of):
            party.ask(op="cancel", request=of[index])
            self.cancelled.add((party, of[index]))

    def settle(self) -> None:
        """Let everybody read and all time-outs pass."""
        for _ in range(3):
            for party in self.everybody:
                party.wire.clogs_after = None
                if party.wire.is_congested and not party.has_left:
                    party.unclog()
            self.world.loop.run_until(self.world.loop.time() + 60)


@given(st.lists(ACTS, max_size=60))
def test_every_call_ends_once(acts: list[tuple[str, int, Any]]) -> None:
    """And as its service said, if that was taken; the audit says the same."""
    company = Company()
    for what, who, detail in acts:
        company.act(what, who, detail)
    company.settle()

    taken = [
        (number, fields)
        for party, asked, number, fields in company.answered
        if party.answers.get(asked, {}).get("op") == "result"
    ]
    assert len({number for number, _ in taken}) == len(taken), "one answer counts"
    for party in company.parties:
        if not party.has_left:
            for number in party.calls:
                answer = party.answers[number]
                if answer["op"] == "result":
                    assert number in party.ended
                    assert number in party.outcomes or (party, number) in company.cancelled
    ends = [event for event in company.audit.values if event["result"] in {"done", "failed"}]
    begun = [event["key"] for event in company.audit.values if event["result"] == "pending"]
    assert sorted(event["key"] for event in ends) == sorted(begun)
    done = [event["after"] for event in ends if event["result"] == "done" and "after" in event]
    said = [fields["value"] for _, fields in taken if "value" in fields]
    assert sorted(done) == sorted(said), "the audit says what the services said"
    refused = [event for event in ends if event.get("detail") == "no"]
    assert len(refused) == sum("error" in fields for _, fields in taken)

    heard: Counter[int] = Counter()
    for party in company.everybody:
        for parts in party.parts.values():
            assert [p["number"] for p in parts] == sorted({p["number"] for p in parts})
            assert [p["value"] for p in parts] == sorted(p["value"] for p in parts)
            heard.update(part["value"] for part in parts)
    for value, (party, asked) in enumerate(company.told):
        answer = party.answers.get(asked, {"op": "none"})
        if answer["op"] == "result":
            assert heard[value] == answer["receivers"]
        elif answer["op"] == "error":
            assert answer["code"] in {"not_found", "too_many"}
            assert not heard[value]
        else:
            assert party.has_left, "each is answered"

    numbers = [request["call"] for party in company.everybody for request in party.requests]
    assert len(numbers) == len(set(numbers)), "a call is sent once"
    services = company.world.shared.control.services
    assert not any(offer._open for offer in services._offers.values())
    offering = {
        name
        for party in company.everybody
        for number in party.serving
        if number in party.session.ongoing
        for name in [party.session.ongoing[number].offer.name]  # type: ignore[attr-defined]
    }
    assert set(services._offers) == offering
