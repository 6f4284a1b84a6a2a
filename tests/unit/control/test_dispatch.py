"""From a request to act to its outcome."""

from __future__ import annotations

import pytest

from sensord.config.tree import Control as Options
from sensord.control import keys
from sensord.errors import ProtocolError
from sensord.model.readings import Position
from sensord.wire.frames import JSON, MSGPACK, Codec
from tests.unit.control.works import TIMEOUT_S, Works

SET = {"topic": "machine/valve", "value": 7}


def outcome_of(told: list[dict[str, object]]) -> dict[str, object]:
    (outcome,) = [one for one in told if one["op"] == "outcome"]
    return {key: value for key, value in outcome.items() if key not in {"op", "id"}}


@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=lambda codec: codec.subprotocol)
def test_a_set_is_pending_then_done_then_over(codec: Codec) -> None:
    """Three messages: result, outcome, end; and two events in the audit."""
    works = Works()
    panel = works.client("panel", codec)
    number = panel.send("set", **SET, key="k1")
    assert panel.about(number) == [
        {"op": "result", "id": number, "status": "pending", "repeated": False}
    ]
    works.settle()
    call = works.machine.act()
    assert call is not None
    call.done(7.5)
    works.settle()
    assert outcome_of(panel.about(number)) == {"status": "done", "value": 7.5}
    assert panel.about(number)[-1] == {"op": "end", "id": number}
    pending, done = works.audit
    assert pending["who"] == {"id": panel.id, "name": "panel", "address": "test"}
    assert (pending["subject"], pending["result"], pending["after"]) == (
        "machine/valve",
        "pending",
        7,
    )
    assert (done["result"], done["after"], done["key"]) == ("done", 7.5, "k1")


def test_nothing_is_sent_before_the_key_is_on_the_disk() -> None:
    """Or a crash would make a retry a second act."""
    works = Works()
    works.disk.is_slow = True
    panel = works.client("panel")
    panel.send("set", **SET, key="k1")
    works.settle()
    assert works.machine.waiting == []
    works.store.commit()
    works.settle()
    assert [call.key for call in works.machine.waiting] == ["k1"]


def test_without_a_key_nobody_waits_for_the_disk() -> None:
    """There is no promise to be kept."""
    works = Works()
    works.disk.is_slow = True
    panel = works.client("panel")
    number = panel.send("set", **SET)
    call = works.machine.act()
    assert call is not None
    call.done(7)
    assert outcome_of(panel.about(number)) == {"status": "done", "value": 7}
    assert works.disk.kind("act") == {}


@pytest.mark.parametrize("names", [("panel", "panel"), ("panel", "phone")])
def test_no_act_overtakes_another_on_its_way_to_the_disk(names: tuple[str, str]) -> None:
    """One without a key has nothing to wait for but those before it."""
    works = Works()
    works.disk.is_slow = True
    clients = {name: works.client(name) for name in set(names)}
    first, second = (clients[name] for name in names)
    first.send("set", topic="machine/valve", value=1, key="k1")
    second.send("set", topic="machine/valve", value=2)
    first.send("call", name="machine/valve", args={"to": 3}, key="k3")
    works.settle()
    assert works.machine.waiting == []
    works.store.commit()
    works.settle()
    assert [call.args for call in works.machine.waiting] == [{"value": 1}, {"value": 2}, {"to": 3}]


def test_an_act_that_ends_on_its_way_to_the_disk_holds_up_nobody() -> None:
    """Its time is over; the disk may hang for longer."""
    works = Works()
    works.disk.is_slow = True
    panel = works.client("panel")
    late = panel.send("set", **SET, key="k1", timeout=1)
    panel.send("set", topic="machine/valve", value=2, timeout=4)
    works.pass_time(1.5)
    assert [call.args for call in works.machine.waiting] == [{"value": 2}]
    works.store.commit()
    works.settle()
    assert outcome_of(panel.about(late))["reason"] == "expired"


def test_a_disk_that_does_not_take_the_key_stops_the_act() -> None:
    """It fails, and nothing is sent."""
    works = Works()
    panel = works.client("panel")
    works.disk.is_full = True
    number = panel.send("set", **SET, key="k1")
    works.settle()
    told = outcome_of(panel.about(number))
    assert (told["reason"], told["may_have_acted"]) == ("unavailable", False)
    assert works.machine.acted == []


def test_the_same_key_is_the_same_act() -> None:
    """While it is under way, afterwards, and after a restart."""
    works = Works()
    panel = works.client("panel")
    first, second = (panel.send("set", **SET, key="k1") for _ in range(2))
    works.settle()
    call = works.machine.act()
    assert call is not None
    call.done(7)
    works.settle()
    third = panel.send("set", **SET, key="k1")
    works.crash()
    panel.connect()
    fourth = panel.send("set", **SET, key="k1")
    for number in (first, second, third, fourth):
        assert outcome_of(panel.about(number)) == {"status": "done", "value": 7}
        assert panel.about(number)[0]["repeated"] is (number != first)
    assert len(works.machine.acted) == 1
    assert works.audited("set") == ["pending", "done"]


def test_another_client_may_use_the_same_key() -> None:
    """Keys are each client's own."""
    works = Works()
    for name in ("panel", "phone"):
        works.client(name).send("set", **SET, key="k1")
    works.settle()
    assert len(works.machine.waiting) == 2


def test_a_key_is_for_one_act_only() -> None:
    """Another value under the same key is a mistake, not a retry."""
    works = Works()
    panel = works.client("panel")
    panel.send("set", **SET, key="k1")
    for op, fields in (
        ("set", {**SET, "value": 8}),
        ("call", {"name": "machine/valve", "args": {"value": 7}}),
    ):
        (told,) = panel.ask(op, **fields, key="k1")
        assert (told["op"], told["code"]) == ("error", "bad_request")


def test_a_refusal_is_not_remembered() -> None:
    """The same key may be tried again when the device is there."""
    works = Works()
    panel = works.client("panel")
    works.machine.refusal = ProtocolError("unavailable", "the machine is down")
    (told,) = panel.ask("set", **SET, key="k1")
    assert told["code"] == "unavailable"
    works.machine.refusal = None
    (told,) = panel.ask("set", **SET, key="k1")
    assert told["status"] == "pending"
    assert works.audited("set") == ["unavailable", "pending"]


def test_what_was_not_sent_in_time_expires() -> None:
    """Nothing was done, and that is told."""
    works = Works()
    panel = works.client("panel")
    number = panel.send("set", **SET, timeout=2.0)
    works.pass_time(1.9)
    assert len(panel.about(number)) == 1
    works.pass_time(0.2)
    told = outcome_of(panel.about(number))
    assert (told["reason"], told["may_have_acted"]) == ("expired", False)
    assert works.machine.act() is None


def test_what_was_sent_and_not_confirmed_may_have_acted() -> None:
    """A confirmation that comes later is too late; a client cannot ask for more time."""
    works = Works()
    panel = works.client("panel")
    number = panel.send("call", name="machine/valve", key="k1", timeout=1000)
    works.settle()
    call = works.machine.act()
    assert call is not None
    works.pass_time(TIMEOUT_S)
    call.done(7)
    works.settle()
    told = outcome_of(panel.about(number))
    assert (told["reason"], told["may_have_acted"]) == ("unconfirmed", True)
    assert works.audited("call", "k1") == ["pending", "failed"]
    assert works.audit[-1]["detail"] == "unconfirmed"


def test_an_act_goes_on_when_its_client_goes() -> None:
    """Its outcome is remembered for when it comes back."""
    works = Works()
    panel = works.client("panel")
    panel.send("set", **SET, key="k1")
    works.settle()
    panel.leave()
    call = works.machine.act()
    assert call is not None
    call.failed("rejected", "locked by hand", may_have_acted=False)
    works.settle()
    panel.connect()
    told = outcome_of(panel.ask("set", **SET, key="k1"))
    assert told == {
        "status": "failed",
        "reason": "rejected",
        "message": "locked by hand",
        "may_have_acted": False,
    }


def test_an_act_that_a_crash_interrupts_is_unknown_and_never_repeated() -> None:
    """Whether it had been sent or not, for nobody knows."""
    works = Works()
    panel = works.client("panel")
    panel.send("set", **SET, key="k1")
    works.settle()
    works.machine.act()
    works.crash()
    assert works.audited("set", "k1") == ["pending", "failed"]
    assert works.audit[-1]["detail"] == "unknown"
    panel.connect()
    told = outcome_of(panel.ask("set", **SET, key="k1"))
    assert (told["reason"], told["may_have_acted"]) == ("unknown", True)
    assert len(works.machine.acted) == 1


def test_a_stop_tells_what_it_knows() -> None:
    """What waited was not sent; of what was sent nobody knows. The journal has it too."""
    works = Works()
    panel = works.client("panel")
    sent, waiting = (panel.send("set", **SET, key=key) for key in ("k1", "k2"))
    works.settle()
    works.machine.act()
    works.restart()
    assert outcome_of(panel.about(sent))["reason"] == "unknown"
    assert outcome_of(panel.about(waiting))["reason"] == "unavailable"
    assert works.audited("set", "k1") == works.audited("set", "k2") == ["pending", "failed"]
    panel.connect()
    assert outcome_of(panel.ask("set", **SET, key="k2"))["reason"] == "unavailable"


def test_a_cancelled_act_goes_on() -> None:
    """Only its outcome is not told."""
    works = Works()
    panel = works.client("panel")
    number = panel.send("set", **SET, key="k1")
    works.settle()
    panel.ask("cancel", request=number)
    call = works.machine.act()
    assert call is not None
    call.done(7)
    works.settle()
    assert [one["op"] for one in panel.about(number)] == ["result", "end"]
    assert works.audited("set") == ["pending", "done"]


def test_a_client_that_does_not_read_is_told_when_it_does() -> None:
    """An outcome is held back like anything else."""
    works = Works()
    panel = works.client("panel")
    number = panel.send("set", **SET)
    panel.wire.clog()
    call = works.machine.act()
    assert call is not None
    call.done(7)
    works.settle()
    assert len(panel.about(number)) == 1
    panel.wire.unclog()
    assert outcome_of(panel.about(number))["status"] == "done"


def test_keys_are_forgotten_by_age_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is bounded, on the disk too; what is under way is never forgotten."""
    monkeypatch.setattr(keys, "MAX_OF_CLIENT", 3)
    monkeypatch.setattr(keys, "MAX_OF_ALL", 5)
    works = Works(Options(remember=60.0))
    panel, phone = works.client("panel"), works.client("phone")

    def done(client: object, *names: str) -> None:
        for name in names:
            client.send("set", **SET, key=name)  # type: ignore[attr-defined]  # a Client
            works.settle()
            call = works.machine.act()
            assert call is not None
            call.done(7)
            works.settle()

    def kept() -> set[str]:
        return {one["who"][1] + one["key"] for one in works.disk.kind("act").values()}

    done(panel, "1", "2", "3", "4")
    assert kept() == {"panel2", "panel3", "panel4"}
    done(phone, "1", "2", "3")
    assert kept() == {"panel3", "panel4", "phone1", "phone2", "phone3"}
    panel.send("set", **SET, key="slow", timeout=5)
    works.pass_time(61)
    done(phone, "4")
    assert kept() == {"panelslow", "phone4"}
    works.crash()
    assert kept() == {"panelslow", "phone4"}
    works.pass_time(100)
    phone.connect()
    assert phone.ask("set", **SET, key="4")[0]["repeated"] is False


def test_large_values_shorten_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that answers with much must not fill the memory."""
    monkeypatch.setattr(keys, "MAX_BYTES", 100)
    works = Works()
    panel = works.client("panel")
    for name in "abc":
        panel.send("call", name="machine/valve", key=name)
        works.settle()
        call = works.machine.act()
        assert call is not None
        call.done("x" * 40)
        works.settle()
    assert {one["key"] for one in works.disk.kind("act").values()} == {"b", "c"}


def test_a_session_has_a_bound_on_what_it_waits_for() -> None:
    """Beyond it nothing is accepted that nobody could be told of."""
    works = Works()
    panel = works.client("panel")
    most = works.shared.limits.requests
    for _ in range(most):
        assert panel.ask("set", **SET)[0]["op"] == "result"
    assert panel.ask("set", **SET)[0]["code"] == "too_many"
    assert len(works.machine.waiting) == most
    assert panel.ask("take", subject="machine")[0]["code"] == "too_many"


@pytest.mark.parametrize(
    ("op", "fields"),
    [("set", {"topic": "machine/door", "value": 1}), ("call", {"name": "machine/door"})],
)
def test_what_nobody_declares_is_not_there(op: str, fields: dict[str, object]) -> None:
    """And the refusal is in the audit."""
    works = Works()
    (told,) = works.client("panel").ask(op, **fields)
    assert told["code"] == "not_found"
    assert works.audited(op) == ["not_found"]


def test_what_is_no_memory_of_an_act_is_thrown_away() -> None:
    """A store from another version must not stop the server."""
    works = Works()
    works.disk.entries["act", "a/b"] = '{"what": "paint"}'
    works.disk.entries["lease", "machine"] = "7"
    works.crash()
    works.settle()
    assert works.disk.kind("act") == works.disk.kind("lease") == {}


def test_an_outcome_that_the_audit_has_lost_is_said_again() -> None:
    """The key was on the disk, the log was not; what was committed is not said twice."""
    works = Works()
    panel = works.client("panel")
    for value, key in ((7, "k1"), (8, "k2")):
        panel.send("set", topic="machine/valve", value=value, key=key)
        works.settle()
        call = works.machine.act()
        assert call is not None
        if key == "k2":
            works.committed = works.bus.log.position
        call.done(value)
        works.settle()
    works.crash()
    assert works.audited("set", "k1") == ["pending", "done"]
    assert works.audited("set", "k2") == ["pending", "done", "done"]
    assert works.audit[-1]["after"] == 8
    works.committed = Position("e", 100)
    works.crash()
    assert works.audited("set", "k2") == ["pending", "done", "done"]


def test_an_outcome_of_another_log_is_not_said_again() -> None:
    """Offsets mean nothing there."""
    works = Works()
    panel = works.client("panel")
    panel.send("set", **SET, key="k1")
    works.settle()
    call = works.machine.act()
    assert call is not None
    call.done(7)
    works.settle()
    works.committed = Position("another", 0)
    works.crash()
    assert works.audited("set", "k1") == ["pending", "done"]


@pytest.mark.parametrize(
    ("op", "fields", "hint"),
    [
        ("set", {"topic": "machine/valv", "value": 1}, "did you mean machine/valve?"),
        ("call", {"name": "machine/valves"}, "did you mean machine/valve?"),
        ("call", {"name": "kitchen/light"}, "$sys/control/#"),
    ],
)
def test_who_asks_for_what_is_not_there_is_told_what_is(
    op: str, fields: dict[str, object], hint: str
) -> None:
    """Or where that stands."""
    refused = Works().client("panel").ask(op, **fields)[0]
    assert refused["code"] == "not_found"
    assert hint in refused["message"]


def test_an_act_whose_outcome_is_on_its_way_to_the_disk_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many others end meanwhile: who asks again waits for the same outcome."""
    monkeypatch.setattr(keys, "MAX_OF_CLIENT", 2)
    works = Works()
    panel = works.client("panel")
    fields = [{"topic": "machine/valve", "value": n, "key": f"k{n}"} for n in range(6)]
    numbers = [panel.send("set", **one) for one in fields]
    works.settle()
    works.disk.is_slow = True
    for value in range(6):
        call = works.machine.act()
        assert call is not None
        call.done(value)
    again = panel.send("set", **fields[0])
    works.settle()
    assert [told["op"] for told in panel.about(again)] == ["result"]
    assert panel.about(again)[0]["repeated"]
    works.disk.is_slow = False
    works.store.commit()
    works.settle()
    told = [outcome_of(panel.about(number))["value"] for number in (*numbers, again)]
    assert told == [0, 1, 2, 3, 4, 5, 0]
    assert len(works.machine.acted) == 6
