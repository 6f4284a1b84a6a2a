"""What can be called, and a call until its outcome."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sensord.device.calls import Call, CallQueue, Calls, Outcome, PromptQueue
from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.sharing.identity import Identity

WHO = Identity("a1", "panel")


class Valve:
    """A target that is done at once."""

    timeout_s = 5.0

    def __init__(self) -> None:
        self.queue = PromptQueue(self._start)

    def check(self, args: Mapping[str, Value]) -> Mapping[str, Value]:
        return args

    def _start(self, call: Call) -> None:
        call.acting()
        call.done(call.args["to"])


def call() -> Call:
    return Call("valve/open", {"to": 1}, WHO, "k", 10.0)


def test_the_first_outcome_counts_and_is_told_once() -> None:
    """A confirmation that comes after the deadline changes nothing."""
    told: list[Outcome] = []
    one = call()
    one.when_over(told.append)
    assert one.failed("unconfirmed", "look at the valve")
    assert not one.done(1)
    assert not one.failed("other", "")
    assert told == [Outcome(None, "unconfirmed", "look at the valve")]
    assert one.outcome == told[0]


def test_whoever_asks_after_the_outcome_is_told_at_once() -> None:
    """As a client that came back is."""
    told: list[Outcome] = []
    one = call()
    valve = Valve()
    valve.queue.add(one)
    assert one.outcome is None
    valve.queue.ready(one)
    one.when_over(told.append)
    assert told == [Outcome(1)]
    assert told[0].is_done


def test_a_call_that_fails_while_acting_may_have_acted() -> None:
    """Unless the target knows better."""
    waiting, under_way, refused = call(), call(), call()
    under_way.acting()
    refused.acting()
    waiting.failed("unavailable", "")
    under_way.failed("unavailable", "")
    refused.failed("rejected", "", may_have_acted=False)
    outcomes = [one.outcome for one in (waiting, under_way, refused)]
    assert [o.may_have_acted for o in outcomes if o] == [False, True, False]


def test_names_are_taken_once_and_given_back() -> None:
    """A second target under a name would take the calls of the first."""
    calls, valve = Calls(), Valve()
    calls.register("valve/open", valve)
    with pytest.raises(ProtocolError, match="taken"):
        calls.register("valve/open", Valve())
    calls.register("mean", valve)
    assert list(calls.names()) == ["mean", "valve/open"]
    assert calls.find("valve/open") is valve
    calls.unregister("valve/open")
    assert calls.find("valve/open") is None


def test_a_call_that_is_not_ready_holds_up_those_behind_it() -> None:
    """Until it is, or has ended."""
    woken: list[None] = []
    queue = CallQueue(lambda: woken.append(None))
    first, second, third = call(), call(), call()
    for one in (first, second, third):
        queue.add(one)
    queue.ready(second)
    queue.ready(third)
    assert queue.next() is None
    first.expire()
    assert first.outcome == Outcome(
        None, "expired", "its time was over before it was sent; nothing was done"
    )
    assert len(woken) == 3
    assert queue.next() is second
    queue.fail("unavailable", "gone")
    assert third.outcome == Outcome(None, "unavailable", "gone")
    assert (len(queue), queue.next()) == (0, None)
    assert second.outcome is None


def test_an_outcome_is_sent_to_followers_when_it_is_settled() -> None:
    """Once, to those that still follow; at once to those that come later."""
    told: list[Outcome] = []
    one = call()
    one.follow(told.append)
    gone: list[Outcome] = []
    one.follow(gone.append)
    one.unfollow(gone.append)
    one.unfollow(gone.append)
    one.done(1)
    assert told == []
    one.settle()
    one.follow(told.append)
    assert told == [Outcome(1), Outcome(1)]
    assert gone == []
