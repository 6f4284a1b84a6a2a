"""Who alone may act, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.config.tree import Control as Options
from sensord.control import leases
from tests.unit.control.works import GRACE_S, Client, Works

SET = {"topic": "machine/valve", "value": 7}


def ask(works: Works, client: Client, op: str, **fields: Any) -> dict[str, Any]:
    """Ask, let the disk have it, and return the one answer."""
    number = client.send(op, **fields)
    works.settle()
    (answer,) = client.about(number)
    return answer


def take(works: Works, client: Client, subject: str = "machine", **fields: Any) -> dict[str, Any]:
    return ask(works, client, "take", subject=subject, **fields)


@pytest.mark.parametrize("subject", ["machine", "machine/valve"])
def test_while_one_holds_it_others_are_refused_with_the_name(subject: str) -> None:
    """The lease on a device holds for its topics and actions."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    lease = take(works, panel, subject)["lease"]
    assert lease["holder"] == {"id": panel.id, "name": "panel"}
    assert lease["until_us"] - lease["since_us"] == 60_000_000
    assert works.leases[subject]["holder"] == lease["holder"]
    for op, fields in (("set", SET), ("call", {"name": "machine/valve"})):
        refused = phone.ask(op, **fields)[0]
        assert refused["code"] == "held"
        assert f"panel ({panel.id})" in refused["message"]
        assert panel.ask(op, **fields)[0]["op"] == "result"
        assert works.audited(op) == ["held", "pending"]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("machine", "machine"),
        ("machine", "machine/valve"),
        ("machine/valve", "machine"),
        ("machine/valve", "machine/valve"),
    ],
)
def test_two_clients_cannot_hold_the_same_thing(mine: str, theirs: str) -> None:
    """Nor a thing and a part of it; a refusal is in the audit."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    take(works, panel, mine)
    assert take(works, phone, theirs)["code"] == "held"
    assert works.audited("lease") == ["taken", "held"]
    assert take(works, panel, theirs)["op"] == "result"


def test_taking_twice_renews() -> None:
    """So a client that lost the answer may ask again."""
    works = Works()
    panel = works.client("panel")
    first = take(works, panel)["lease"]
    works.pass_time(50)
    second = take(works, panel)["lease"]
    assert second["since_us"] == first["since_us"]
    assert second["until_us"] == first["until_us"] + 50_000_000
    works.pass_time(59)
    assert works.leases["machine"]["why"] == "renewed"
    works.pass_time(1.001)
    assert works.leases["machine"]["why"] == "expired"


def test_a_lease_that_is_not_renewed_expires() -> None:
    """Then anybody may act; and its holder is told that it holds nothing."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    take(works, panel, duration=10)
    works.pass_time(9)
    assert ask(works, panel, "renew", subject="machine", duration=5)["op"] == "result"
    works.pass_time(4.9)
    assert take(works, phone)["code"] == "held"
    works.pass_time(0.2)
    assert works.leases["machine"]["holder"] is None
    assert ask(works, panel, "renew", subject="machine")["code"] == "not_found"
    assert take(works, phone)["op"] == "result"
    assert ask(works, panel, "renew", subject="machine")["code"] == "held"
    assert works.audited("lease") == ["taken", "renewed", "held", "expired", "taken", "held"]


@pytest.mark.parametrize("op", ["take", "renew"])
def test_a_lease_never_ends_earlier_because_it_was_renewed(op: str) -> None:
    """Whoever forgets to say how long keeps what it has."""
    works = Works()
    panel = works.client("panel")
    first = take(works, panel, duration=600)["lease"]
    assert ask(works, panel, op, subject="machine")["lease"]["until_us"] == first["until_us"]
    works.pass_time(590)
    again = ask(works, panel, op, subject="machine")["lease"]
    assert again["until_us"] == first["until_us"] + 50_000_000


def test_a_lease_that_is_given_back_is_free() -> None:
    """Only its holder can."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    take(works, panel)
    assert ask(works, phone, "give_back", subject="machine")["code"] == "held"
    assert ask(works, panel, "give_back", subject="machine")["op"] == "result"
    assert ask(works, panel, "give_back", subject="machine")["code"] == "not_found"
    assert take(works, phone)["op"] == "result"


def test_a_client_that_is_away_keeps_it_for_the_grace_time() -> None:
    """Whoever comes back has lost nothing; whoever does not has lost it."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    take(works, panel, duration=600)
    for _ in range(3):
        panel.leave()
        works.pass_time(GRACE_S - 1)
        panel.connect()
    assert take(works, phone)["code"] == "held"
    panel.leave()
    works.pass_time(GRACE_S + 1)
    assert works.leases["machine"]["why"] == "gone"
    assert take(works, phone)["op"] == "result"


@pytest.mark.parametrize("ends", ["crash", "restart"])
def test_a_lease_survives_the_server(ends: str) -> None:
    """And its holder has the grace time to come back."""
    works = Works()
    panel = works.client("panel")
    take(works, panel, duration=600)
    getattr(works, ends)()
    phone = works.client("phone")
    assert works.leases["machine"]["holder"]["name"] == "panel"
    assert phone.ask("set", **SET)[0]["code"] == "held"
    works.pass_time(GRACE_S - 1)
    panel.connect()
    works.pass_time(2)
    assert take(works, phone)["code"] == "held"
    getattr(works, ends)()
    phone.connect()
    works.pass_time(GRACE_S + 1)
    assert take(works, phone)["op"] == "result"


def test_a_lease_that_ended_while_the_server_was_away_is_free() -> None:
    """Its time goes on."""
    works = Works()
    panel = works.client("panel")
    take(works, panel, duration=10)
    works.store.crash()
    works.clock.move(11_000_000)
    works.crash()
    assert take(works, works.client("phone"))["op"] == "result"


def test_a_lease_is_answered_when_it_is_on_the_disk() -> None:
    """Others are refused before; what was not answered may be lost in a crash."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    works.disk.is_slow = True
    number = panel.send("take", subject="machine")
    works.settle()
    assert panel.about(number) == []
    assert phone.ask("take", subject="machine")[0]["code"] == "held"
    assert panel.ask("cancel", request=number)[0]["code"] == "not_found"
    works.store.commit()
    works.settle()
    assert panel.about(number)[0]["op"] == "result"


def test_a_lease_that_the_disk_does_not_take_is_not_held() -> None:
    """It could not be promised."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    works.disk.is_full = True
    assert take(works, panel)["code"] == "unavailable"
    assert (works.leases, works.audited("lease")) == ({}, [])
    works.disk.is_full = False
    works.settle()
    assert take(works, phone)["op"] == "result"


def test_nobody_holds_for_longer_than_the_configuration_allows() -> None:
    """Whatever was asked for."""
    works = Works(Options(longest_lease=100.0))
    lease = take(works, works.client("panel"), duration=86_400)["lease"]
    assert lease["until_us"] - lease["since_us"] == 100_000_000


def test_only_what_is_declared_can_be_held() -> None:
    """Each thing that was ever held is a topic for ever."""
    works = Works()
    assert take(works, works.client("panel"), "kitchen")["code"] == "not_found"
    assert works.leases == {}


def test_a_command_accepted_before_is_still_sent() -> None:
    """A lease is about what is asked from then on."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    number = phone.send("set", **SET)
    take(works, panel)
    call = works.machine.act()
    assert call is not None
    call.done(7)
    works.settle()
    assert phone.about(number)[1]["status"] == "done"


def test_a_clock_that_begins_in_1970_gives_nobody_a_lease_for_ever() -> None:
    """After a restart the end of a lease may lie decades ahead."""
    works = Works(Options(longest_lease=100.0))
    panel = works.client("panel")
    take(works, panel, duration=100)
    works.clock.now_wall_us = 0
    works.crash()
    panel.connect()
    works.pass_time(101)
    assert works.leases["machine"]["why"] == "expired"


PUT = {"topic": "state/plan", "value": "mine"}
PUBLISH = {"topic": "sums/count", "value": 1}


@pytest.mark.parametrize(
    ("op", "fields"), [("put", PUT), ("delete", {"topic": "state/plan"}), ("publish", PUBLISH)]
)
def test_what_clients_write_can_be_held_too(op: str, fields: dict[str, Any]) -> None:
    """Until the lease is over; a topic beside it is free."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    assert ask(works, panel, "put", topic="state/plan", value=1)["op"] == "result"
    subject = fields["topic"]
    take(works, panel, subject)
    refused = ask(works, phone, op, **fields)
    assert (refused["code"], f"panel ({panel.id})" in refused["message"]) == ("held", True)
    assert ask(works, phone, "put", topic="state/plans", value=1)["op"] == "result"
    assert ask(works, panel, op, **fields)["op"] == "result"
    works.pass_time(61)
    assert works.leases[subject]["why"] == "expired"
    assert ask(works, phone, "take", subject=subject)["op"] == "result"


def test_nobody_changes_shared_state_once_its_lease_is_answered() -> None:
    """Changes of others that wait for the disk come before, or not at all; the audit says so."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    works.disk.is_slow = True
    first, second = (phone.send("put", topic="state/plan", value=value) for value in (1, 2))
    taking = panel.send("take", subject="state/plan")
    while not panel.about(taking):
        works.store.commit()
        works.loop.turn()
    assert phone.about(first)[0]["op"] == "result"
    works.disk.is_slow = False
    works.settle()
    assert phone.about(second)[0]["code"] == "held"
    entry = works.shared.sharing.state.find("state/plan")
    assert entry is not None
    assert entry.value == 1
    assert works.audited("state") == ["done", "held"]


def test_the_lease_makes_another_client_the_publisher() -> None:
    """The one before is refused, and the audit says when it ended."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    assert ask(works, phone, "publish", **PUBLISH)["op"] == "result"
    assert ask(works, panel, "publish", **PUBLISH)["code"] == "held"
    take(works, panel, "sums/count")
    assert ask(works, panel, "publish", **PUBLISH)["op"] == "result"
    assert ask(works, panel, "give_back", subject="sums/count")["op"] == "result"
    assert ask(works, phone, "publish", **PUBLISH)["code"] == "held"
    assert works.audited("publish") == ["begin", "end", "begin"]


@pytest.mark.parametrize("ends", ["crash", "restart"])
def test_the_lease_on_shared_state_survives_the_server(ends: str) -> None:
    """As one on a device does."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    take(works, panel, "state/plan", duration=600)
    getattr(works, ends)()
    phone.connect()
    assert ask(works, phone, "put", **PUT)["code"] == "held"
    panel.connect()
    assert ask(works, panel, "put", **PUT)["op"] == "result"


def test_so_many_topics_that_clients_write_can_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stands under a topic for ever; one that was held before can be held again."""
    monkeypatch.setattr(leases, "MOST_WRITTEN", 2)
    works = Works()
    panel = works.client("panel")
    for subject in ("state/a", "state/b"):
        take(works, panel, subject)
        ask(works, panel, "give_back", subject=subject)
    assert take(works, panel, "state/c")["code"] == "too_many"
    assert take(works, panel, "state/a")["op"] == "result"
    assert take(works, panel)["op"] == "result"
    works.crash()
    panel.connect()
    assert take(works, panel, "state/b")["op"] == "result"
    assert take(works, panel, "state/c")["code"] == "too_many"


def test_a_renewal_that_the_disk_does_not_take_changes_nothing() -> None:
    """What was held before is held still, and ends when it would have."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    lease = take(works, panel, duration=60)["lease"]
    works.disk.is_full = True
    answer = ask(works, panel, "renew", subject="machine", duration=600)
    assert (answer["code"], "you hold still" in answer["message"]) == ("unavailable", True)
    assert works.leases["machine"]["until_us"] == lease["until_us"]
    assert works.audited("lease") == ["taken"]
    works.disk.is_full = False
    assert phone.ask("take", subject="machine")[0]["code"] == "held"
    works.pass_time(61)
    assert take(works, phone)["op"] == "result"
    assert works.audited("lease") == ["taken", "held", "expired", "taken"]


def test_several_renewals_that_the_disk_does_not_take_change_nothing() -> None:
    """Whichever of them is told first."""
    works = Works()
    panel = works.client("panel")
    take(works, panel, duration=60)
    works.disk.is_slow = True
    renewals = [panel.send("renew", subject="machine", duration=d) for d in (100, 200)]
    works.disk.is_full = True
    works.store.commit()
    works.settle()
    assert [panel.about(number)[0]["code"] for number in renewals] == ["unavailable"] * 2
    works.disk.is_slow = works.disk.is_full = False
    works.pass_time(61)
    assert works.leases["machine"]["why"] == "expired"
    assert works.audited("lease") == ["taken", "expired"]


def test_a_lease_that_is_over_before_the_disk_has_it_is_told_as_both() -> None:
    """The client is gone, and the disk hangs for longer than its grace time."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    works.disk.is_slow = True
    panel.send("take", subject="machine", duration=600)
    panel.leave()
    works.pass_time(GRACE_S + 1)
    assert works.leases == {}
    works.store.commit()
    works.disk.is_slow = False
    works.settle()
    assert works.leases["machine"]["holder"] is None
    assert works.audited("lease") == ["taken", "gone"]
    assert take(works, phone)["op"] == "result"
    works.crash()
    panel.connect()
    assert take(works, panel)["code"] == "held"


def test_acts_on_leases_that_follow_each_other_at_once_are_all_in_the_audit() -> None:
    """In order, whichever are on their way to the disk together."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    works.disk.is_slow = True
    panel.send("take", subject="machine")
    panel.send("renew", subject="machine", duration=100)
    panel.send("give_back", subject="machine")
    phone.send("take", subject="machine")
    works.disk.is_slow = False
    works.store.commit()
    works.settle()
    assert works.audited("lease") == ["taken", "renewed", "given_back", "taken"]
    names = [one["who"]["name"] for one in works.audit if one["what"] == "lease"]
    assert names == ["panel", "panel", "panel", "phone"]
    assert works.leases["machine"]["holder"]["name"] == "phone"


def test_a_lease_that_the_disk_refused_uses_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody ever held it."""
    monkeypatch.setattr(leases, "MOST_WRITTEN", 2)
    works = Works()
    panel = works.client("panel")
    works.disk.is_full = True
    for number in range(3):
        assert take(works, panel, f"state/{number}")["code"] == "unavailable"
    works.disk.is_full = False
    assert take(works, panel, "state/a")["op"] == "result"
    assert take(works, panel, "state/b")["op"] == "result"
    assert take(works, panel, "state/c")["code"] == "too_many"


def test_a_lease_that_ended_while_the_server_was_away_is_told_as_over() -> None:
    """A monitor that saw it taken comes back, too."""
    works = Works()
    panel = works.client("panel")
    take(works, panel, duration=10)
    works.store.crash()
    works.clock.move(11_000_000)
    works.crash()
    assert works.leases["machine"]["why"] == "expired"
    assert works.audited("lease") == ["taken", "expired"]


def test_a_lease_whose_holder_nobody_waits_for_is_free_after_a_restart() -> None:
    """An ephemeral client is gone with the server that it was connected to."""
    works = Works()
    panel, phone = works.client("panel"), works.client("phone")
    assert panel.ask("bye")[0]["op"] == "result"
    take(works, panel, duration=600)
    works.settle()
    panel.leave()
    assert works.leases["machine"]["why"] == "gone"
    panel.connect()
    panel.ask("bye")
    take(works, panel, duration=600)
    works.settle()
    works.crash()
    assert works.leases["machine"]["why"] == "gone"
    phone.connect()
    assert take(works, phone)["op"] == "result"


def test_nobody_holds_a_service_by_an_open_topic_of_its_name() -> None:
    """They are two things."""
    works = Works(topics=["words"])
    panel, phone, service = (works.client(name) for name in ("panel", "phone", "service"))
    assert ask(works, service, "serve", name="words")["op"] == "result"
    assert take(works, panel, "words")["op"] == "result"
    assert phone.ask("call", name="words")[0]["op"] == "result"
    assert ask(works, phone, "publish", topic="words", value=1)["code"] == "held"
