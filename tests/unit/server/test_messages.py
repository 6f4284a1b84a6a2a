"""Messages from client to client: `docs/protocol.md`, section 3.9, one session beside another."""

from __future__ import annotations

import pytest

from sensord.config.tree import Clients
from sensord.server.requests.messages import MESSAGES_AT_ONCE, RECEIPTS_AT_ONCE
from sensord.server.shared import Limits
from sensord.sharing import post
from sensord.sharing import post as bounds
from sensord.wire.frames import JSON, MSGPACK, Codec
from tests.unit.server.talkers import Office, Talker

EACH_CODEC = pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])

QUIET = Clients(presence=False)


def people(office: Office, *names: str) -> list[Talker]:
    """Let talkers come who receive."""
    found = [Talker(office, name) for name in names]
    for talker in found:
        talker.come()
        talker.receive()
    return found


def settle(office: Office) -> None:
    """Let everybody acknowledge what has come, until nothing more comes."""
    office.loop.settle()
    while [one for one in office.talkers if one.session and one.acknowledge()]:
        office.loop.settle()


# -- to one client ---------------------------------------------------------------------------------


@EACH_CODEC
def test_a_message_comes_with_who_sent_it_and_is_acknowledged(codec: Codec) -> None:
    """The server says who it is from, whatever the sender might say; then the sender is told."""
    office = Office()
    anna, ben = (Talker(office, name, codec) for name in ("Anna", "Ben"))
    anna.come()
    ben.come()
    ben.receive()
    body = {"text": "grüß dich", "n": [1, 2.5, None, True]}
    sent = anna.send({"client": ben.id}, body, **{"from": "somebody else"})
    office.loop.settle()
    (message,) = ben.messages
    assert message == {
        "op": "message",
        "id": 2,
        "message": message["message"],
        "from": {"id": anna.id, "name": "Anna"},
        "to": {"client": ben.id},
        "time_us": office.clock.now_wall_us,
        "body": body,
    }
    assert sent.answer == {
        "op": "result",
        "id": 2,
        "message": message["message"],
        "time_us": office.clock.now_wall_us,
        "receivers": 1,
        "repeated": False,
    }
    assert (sent.receipts, sent.has_ended) == ({}, False)
    acknowledged = ben.acknowledge()
    office.loop.settle()
    assert acknowledged is not None
    assert acknowledged.is_accepted
    assert sent.told == [(ben.id, "delivered")]
    assert sent.has_ended
    assert office.disk.kind("message") == {}
    assert office.disk.kind("inbox") == {}


def test_a_client_that_is_away_gets_it_when_it_is_back() -> None:
    """In order, each once; the sender is told that it waits, and then that it was delivered."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    sent = [anna.send({"client": ben.id}, n) for n in range(3)]
    office.loop.settle()
    assert [one.told for one in sent] == [[(ben.id, "away")]] * 3
    ben.come()
    ben.receive()
    settle(office)
    assert ben.had == [0, 1, 2]
    assert [one.told for one in sent] == [[(ben.id, "away"), (ben.id, "delivered")]] * 3
    assert all(one.has_ended for one in sent)


def test_a_client_that_does_not_receive_is_as_one_that_is_away() -> None:
    """A monitor that knows nothing of messages is not bothered with them."""
    office = Office()
    (anna,) = people(office, "Anna")
    ben = Talker(office, "Ben")
    ben.come()
    sent = anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    assert sent.told == [(ben.id, "away")]
    assert ben.had == []
    ben.receive()
    settle(office)
    assert ben.had == ["hello"]


@pytest.mark.parametrize("to", [{"client": "0123456789ab"}, {"client": "\u2028 no id"}])
def test_an_unknown_client_is_refused(to: dict[str, str]) -> None:
    """At once, and nothing is kept; so is one that was there and is gone."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    if "0" in to["client"]:
        sent = anna.send(to, "hello")
        assert sent.told == []
        office.loop.settle()
        assert sent.told == [(to["client"], "unknown")]
        assert sent.has_ended
    else:
        assert anna.send(to, "hello").error == "bad_request"
    ben.leave()
    office.pass_time(31)
    gone = anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    assert gone.told == [(ben.id, "unknown")]
    assert office.disk.kind("message") == {}


def test_what_was_kept_for_a_client_that_is_gone_still_reaches_it() -> None:
    """It comes back late, with its key."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    anna.send({"client": ben.id}, "hello")
    office.pass_time(60)
    assert office.sharing.presence.find(ben.id) is None
    ben.come()
    ben.receive()
    settle(office)
    assert ben.had == ["hello"]


def test_a_client_may_write_to_itself() -> None:
    """A reminder."""
    office = Office()
    (anna,) = people(office, "Anna")
    sent = anna.send({"client": anna.id}, "remember")
    settle(office)
    assert anna.had == ["remember"]
    assert sent.has_ended


def test_a_body_is_bounded() -> None:
    """As JSON text, whatever the encoding; one at the bound is sent."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    assert anna.send({"client": ben.id}, "ü" * 8191).error is None
    assert anna.send({"client": ben.id}, "ü" * 8192).error == "bad_request"
    settle(office)
    assert ben.had == ["ü" * 8191]


# -- acknowledging ---------------------------------------------------------------------------------


def test_what_is_not_acknowledged_comes_again_after_a_reconnect() -> None:
    """Unless the client says that it had it: `after`."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    sent = anna.send({"client": ben.id}, 1)
    office.loop.settle()
    ben.leave()
    ben.come()
    ben.receive(from_memory=False)
    office.loop.settle()
    assert (ben.had, ben.again) == ([1], 1)
    ben.leave()
    office.loop.settle()
    assert sent.told == [(ben.id, "away")] * 2  # between, it was on its way again
    ben.come()
    ben.receive()
    office.loop.settle()
    assert (ben.had, ben.again) == ([1], 1)
    assert sent.told[-1] == (ben.id, "delivered")


def test_one_acknowledgement_stands_for_all_before_it() -> None:
    """And an older one for nothing more."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    sent = [anna.send({"client": ben.id}, n) for n in range(3)]
    office.loop.settle()
    first, second, _ = (message["message"] for message in ben.messages)
    assert ben.ask("ack", message=second).is_accepted
    assert ben.ask("ack", message=first).is_accepted
    office.loop.settle()
    assert [one.has_ended for one in sent] == [True, True, False]


@pytest.mark.parametrize("number", [0, 2, 10**9])
def test_what_was_never_sent_cannot_be_acknowledged(number: int) -> None:
    """It would be lost."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    stranger = Talker(office, "stranger")
    stranger.come()
    assert stranger.ask("ack", message=number).error == "not_found"
    anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    asked = ben.ask("ack", message=number)
    assert asked.error == ("not_found" if number else None)
    assert not office.sharing.post._inboxes[ben.id].acknowledged


def test_a_client_that_remembers_another_server_gets_what_waits() -> None:
    """Its number was never given here: of a store that was put back from a copy, perhaps."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    ben.come()
    ben.ask("receive", after=10**9)
    office.loop.settle()
    assert ben.had == ["hello"]


def test_only_the_newest_session_of_a_client_receives() -> None:
    """The other one is told that its request is over, and gets no more."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    other = Talker(office, "Ben's other window")
    other.key = ben.key
    other.come()
    assert other.id == ben.id
    other.receive()
    office.loop.settle()
    assert ben.asked[2].has_ended
    sent = anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    assert (ben.had, other.had) == ([], ["hello"])
    ben.leave()
    other.acknowledge()
    office.loop.settle()
    assert sent.told == [(ben.id, "delivered")]


def test_a_session_that_receives_twice_receives_once() -> None:
    """With the newer request."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    ben.receive()
    assert ben.asked[2].has_ended
    anna.send({"client": ben.id}, "hello")
    settle(office)
    assert ben.had == ["hello"]


def test_receiving_can_be_cancelled() -> None:
    """What comes then waits."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    assert ben.ask("cancel", request=2).is_accepted
    assert ben.asked[2].has_ended
    sent = anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    assert sent.told == [(ben.id, "away")]


# -- groups and topics -----------------------------------------------------------------------------


def test_a_group_is_told_without_the_sender() -> None:
    """Those who are away get it later; who has left the group does not."""
    office = Office()
    anna, ben, carl, dora = people(office, "Anna", "Ben", "Carl", "Dora")
    for talker in (anna, ben, carl, dora):
        answer = talker.ask("groups", join=["operators", "night"]).answer
        assert answer is not None
        assert answer["groups"] == ["night", "operators"]
    assert dora.ask("groups", leave=["operators", "never joined"]).answer == {
        "op": "result",
        "id": 4,
        "groups": ["night"],
    }
    carl.leave()
    sent = anna.send({"group": "operators"}, "look at the boiler")
    settle(office)
    assert sent.answer is not None
    assert sent.answer["receivers"] == 2
    assert set(sent.told) == {(ben.id, "delivered"), (carl.id, "away")}
    carl.come()
    carl.receive()
    settle(office)
    assert (anna.had, ben.had, carl.had, dora.had) == (
        [],
        ["look at the boiler"],
        ["look at the boiler"],
        [],
    )
    assert sent.has_ended
    assert carl.messages[0]["to"] == {"group": "operators"}


def test_groups_are_said_in_hello_too() -> None:
    """A client that says none keeps those that it has; an empty list is none."""
    office = Office()
    (anna,) = people(office, "Anna")
    ben = Talker(office, "Ben")
    ben.come(groups=["b", "a", "b"])
    group = office.sharing.presence.group
    assert [member.identity.id for member in group("a")] == [ben.id]
    ben.leave()
    ben.come()
    assert [member.identity.id for member in group("b")] == [ben.id]
    ben.leave()
    ben.come(groups=[])
    assert group("a") == group("b") == []
    sent = anna.send({"group": "a"}, "anybody?")
    office.loop.settle()
    assert sent.answer is not None
    assert sent.answer["receivers"] == 0
    assert sent.has_ended


def test_a_client_is_in_so_many_groups_and_no_more() -> None:
    """Sixteen, counted over all requests."""
    office = Office()
    (anna,) = people(office, "Anna")
    names = [f"g{i}" for i in range(16)]
    assert anna.ask("groups", join=names).is_accepted
    assert anna.ask("groups", join=["another"]).error == "too_many"
    assert anna.ask("groups", join=["another"], leave=["g0"]).is_accepted


def test_all_who_watch_a_topic_are_told() -> None:
    """By any of their filters; also who was cut off a moment ago."""
    office = Office()
    anna, ben, carl, dora = people(office, "Anna", "Ben", "Carl", "Dora")
    ben.ask("subscribe", topics=["plant/+/temperature", "plant/#"])
    carl.ask("subscribe", topics=["plant/boiler/#"])
    dora.ask("subscribe", topics=["weather/#"])
    carl.leave()
    sent = anna.send({"watching": "plant/boiler/temperature"}, "I am changing the setpoint")
    settle(office)
    assert set(sent.told) == {(ben.id, "delivered"), (carl.id, "away")}
    assert len(ben.had) == 1
    assert dora.had == []


def test_messages_cannot_be_read_by_others_nor_are_they_recorded() -> None:
    """No topic ever has a body; the audit has who, to whom, how large and what became of it."""
    office = Office(Clients())
    anna, ben = people(office, "Anna", "Ben")
    anna.send({"client": ben.id}, {"secret": "hidden-in-the-body"})
    settle(office)
    assert ben.had == [{"secret": "hidden-in-the-body"}]
    assert "hidden" not in repr(office.logged)
    assert len(office.logged) > 2
    accepted, delivered = office.audit
    number = str(ben.messages[0]["message"])
    assert accepted == {
        "who": {"id": anna.id, "name": "Anna", "address": "test"},
        "subject": f"client/{ben.id}",
        "result": "accepted",
        "key": number,
        "before": None,
        "after": {"bytes": 31, "receivers": 1, "to": [ben.id]},
    }
    assert (delivered["result"], delivered["key"]) == ("delivered", number)
    assert delivered["after"] == {"bytes": 31, "delivered": 1}


# -- keys ------------------------------------------------------------------------------------------


def test_a_retry_with_the_same_key_is_the_same_message() -> None:
    """Whether the first one is still on its way, delivered, or was sent before a restart."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    first = anna.send({"client": ben.id}, "once", key="k")
    again = anna.send({"client": ben.id}, "once", key="k")
    settle(office)
    assert first.answer is not None
    assert again.answer is not None
    assert first.answer["message"] == again.answer["message"]
    assert (first.answer["repeated"], again.answer["repeated"]) == (False, True)
    assert first.told == again.told == [(ben.id, "delivered")]
    office.loop.settle()
    office.restart()
    anna.come()
    ben.come()
    ben.receive()
    later = anna.send({"client": ben.id}, "once", key="k")
    settle(office)
    assert later.told == [(ben.id, "delivered")]
    assert later.has_ended
    assert ben.had == ["once"]
    assert ben.again == 0


def test_a_key_belongs_to_one_message_of_one_client() -> None:
    """Another body or receiver with it is a mistake; another client's is its own."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    anna.send({"client": ben.id}, "once", key="k")
    assert anna.send({"client": ben.id}, "twice", key="k").error == "bad_request"
    assert anna.send({"client": anna.id}, "once", key="k").error == "bad_request"
    assert ben.send({"client": ben.id}, "mine", key="k").error is None
    settle(office)
    assert ben.had == ["once", "mine"]


def test_a_key_of_what_nobody_got_is_free_again() -> None:
    """Nothing was accepted, so a retry may do better."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    office.pass_time(60)
    anna.send({"client": ben.id}, "hello", key="k")
    ben.come()
    ben.receive()
    anna.send({"client": ben.id}, "hello", key="k")
    settle(office)
    assert ben.had == ["hello"]


def test_keys_are_forgotten_after_a_time_and_beyond_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So memory is bounded; the newest of each client are remembered."""
    monkeypatch.setattr(bounds, "MAX_OF_CLIENT", 3)
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    for n in range(5):
        anna.send({"client": ben.id}, n, key=str(n))
        settle(office)
    assert len(office.disk.kind("message")) == 3
    assert all(row["body"] is None for row in office.disk.kind("message").values())
    anna.send({"client": ben.id}, 4, key="4")
    anna.send({"client": ben.id}, 0, key="0")
    settle(office)
    assert ben.had == [0, 1, 2, 3, 4, 0]
    office.pass_time(QUIET.inbox_age + 1)
    assert office.disk.kind("message") == {}
    assert len(office.sharing.post._remembered) == 0


@pytest.mark.parametrize(("bound", "most"), [("MAX_OF_ALL", 5), ("MAX_RECEIVERS", 2)])
def test_all_keys_together_are_bounded(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    """By their number, and by the receivers that are remembered with them."""
    monkeypatch.setattr(bounds, bound, most)
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    for n in range(10):
        sender, receiver = (anna, ben) if n % 2 else (ben, anna)
        sender.send({"client": receiver.id}, n, key=str(n))
        settle(office)
    assert len(office.sharing.post._remembered) == most


# -- bounds ----------------------------------------------------------------------------------------


def test_a_full_inbox_refuses() -> None:
    """One client's; others get theirs. Room comes with what is acknowledged."""
    office = Office(Clients(presence=False, inbox_messages=2))
    anna, ben, carl = people(office, "Anna", "Ben", "Carl")
    for talker in (ben, carl):
        talker.ask("groups", join=["g"])
    ben.leave()
    for n in range(2):
        anna.send({"group": "g"}, n)
    settle(office)
    sent = anna.send({"group": "g"}, 2)
    settle(office)
    assert set(sent.told) == {(ben.id, "full"), (carl.id, "delivered")}
    assert sent.has_ended
    ben.come()
    ben.receive()
    settle(office)
    sent = anna.send({"group": "g"}, 3)
    settle(office)
    assert ben.had == [0, 1, 3]
    assert carl.had == [0, 1, 2, 3]


def test_all_inboxes_together_are_bounded_in_bytes() -> None:
    """The request is refused, and later it is not."""
    office = Office(Clients(presence=False, inbox_bytes=5000))
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    sent = [anna.send({"client": ben.id}, "x" * 1000) for _ in range(5)]
    office.loop.settle()
    assert [one.error for one in sent] == [None, None, "too_many", "too_many", "too_many"]
    ben.come()
    ben.receive()
    settle(office)
    assert len(ben.had) == 2
    assert anna.send({"client": ben.id}, "x" * 1000).error is None


def test_a_message_that_waits_too_long_expires() -> None:
    """The sender is told, the audit has it, and nothing is left of it."""
    office = Office(Clients(presence=False, inbox_age=100.0))
    anna, ben, carl = people(office, "Anna", "Ben", "Carl")
    for talker in (ben, carl):
        talker.ask("groups", join=["g"])
    ben.leave()
    sent = anna.send({"group": "g"}, "hello", wait=1000)
    settle(office)
    office.pass_time(99)
    assert sent.receipts[ben.id] == "away"
    office.pass_time(2)
    assert sent.told[-1] == (ben.id, "expired")
    assert sent.has_ended
    assert office.audit[-1]["result"] == "partly"
    assert office.audit[-1]["after"] == {"bytes": 7, "delivered": 1, "expired": 1}
    assert office.disk.kind("message") == {}
    assert office.disk.kind("inbox") == {}
    ben.come()
    ben.receive()
    settle(office)
    assert ben.had == []


def test_a_sender_is_told_for_as_long_as_it_wants_to_know() -> None:
    """Then its request ends, and the message goes on; with the key it can ask again."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    none = anna.send({"client": ben.id}, 1, wait=0)
    some = anna.send({"client": ben.id}, 2, wait=5, key="k")
    office.loop.settle()
    assert (none.told, none.has_ended) == ([(ben.id, "away")], True)
    assert not some.has_ended
    office.pass_time(6)
    assert (some.told, some.has_ended) == ([(ben.id, "away")], True)
    ben.come()
    ben.receive()
    settle(office)
    assert ben.had == [1, 2]
    asked = anna.send({"client": ben.id}, 2, key="k")
    settle(office)
    assert (asked.told, asked.has_ended) == ([(ben.id, "delivered")], True)


def test_a_sender_that_cancels_is_told_no_more() -> None:
    """The message goes on."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    sent = anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    assert anna.ask("cancel", request=sent.message["id"]).is_accepted
    assert sent.has_ended
    settle(office)
    assert ben.had == ["hello"]
    assert sent.told == []


def test_a_sender_with_too_many_open_requests_sends_nothing() -> None:
    """What it could not follow."""
    office = Office(limits=Limits(requests=3))
    anna, ben = people(office, "Anna", "Ben")
    sent = [anna.send({"client": ben.id}, n) for n in range(4)]
    settle(office)
    assert [one.error for one in sent] == [None, None, "too_many", "too_many"]
    assert ben.had == [0, 1]


# -- the disk --------------------------------------------------------------------------------------


def test_nothing_is_accepted_or_delivered_before_the_disk_has_it() -> None:
    """What was said to be accepted survives a crash; what was not may not."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    office.loop.settle()
    office.disk.is_slow = True
    sent = anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    assert sent.answer is None
    assert ben.had == []
    office.store.commit()
    office.loop.settle()
    assert sent.is_accepted
    assert ben.had == ["hello"]


def test_a_message_that_is_cancelled_on_its_way_to_the_disk_is_sent() -> None:
    """And answered; only what becomes of it is not told."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    office.loop.settle()
    office.disk.is_slow = True
    sent = anna.send({"client": ben.id}, "hello")
    assert anna.ask("cancel", request=sent.message["id"]).is_accepted
    assert sent.answer is None
    office.store.commit()
    office.loop.settle()
    assert (sent.is_accepted, sent.has_ended, sent.told) == (True, True, [])
    assert ben.had == ["hello"]
    ben.acknowledge()
    office.loop.settle()
    assert sent.told == []


def test_a_full_disk_refuses_and_nobody_gets_it() -> None:
    """With the reason; its key is free, and the next one is taken when there is room."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    office.loop.settle()
    office.disk.is_full = True
    sent = anna.send({"client": ben.id}, "hello", key="k")
    again = anna.send({"client": ben.id}, "hello", key="k")
    office.loop.settle()
    assert sent.error == again.error == "unavailable"
    assert not office.sharing.post._bytes
    office.disk.is_full = False
    anna.send({"client": ben.id}, "hello", key="k")
    settle(office)
    assert ben.had == ["hello"]


def test_an_accepted_message_survives_a_crash() -> None:
    """With its sender, its order, its age, and what became of it with each receiver."""
    office = Office(Clients(presence=False, inbox_age=100.0))
    anna, ben, carl = people(office, "Anna", "Ben", "Carl")
    for talker in (ben, carl):
        talker.ask("groups", join=["g"])
    carl.leave()
    for n in range(3):
        anna.send({"group": "g"}, n, key=str(n))
    settle(office)
    assert ben.had == [0, 1, 2]
    office.pass_time(50)
    office.crash()
    for talker in (anna, ben, carl):
        talker.come()
        talker.receive(from_memory=False)
    asked = [anna.send({"group": "g"}, n, key=str(n)) for n in range(3)]
    settle(office)
    assert ben.again == 0
    assert carl.had == [0, 1, 2]
    assert carl.messages[0]["from"] == {"id": anna.id, "name": "Anna"}
    assert all(
        one.receipts == {ben.id: "delivered", carl.id: "delivered"} and one.has_ended
        for one in asked
    )
    assert office.disk.kind("inbox") == {}
    office.pass_time(101)
    assert office.disk.kind("message") == {}


def test_a_message_ages_while_the_server_is_off() -> None:
    """By the wall clock, if that can be believed."""
    office = Office(Clients(presence=False, inbox_age=100.0))
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    office.clock.move(101_000_000)
    office.restart()
    office.pass_time(0.1)
    assert office.disk.kind("message") == {}
    assert office.audit[-1]["result"] == "expired"


def test_numbers_rise_over_restarts_and_crashes() -> None:
    """Else a client would take a new message for one that it had."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    for n in range(6):
        anna.send({"client": ben.id}, n)
        settle(office)
        if n % 2:
            office.restart()
        else:
            office.crash()
        for talker in (anna, ben):
            talker.come()
            talker.receive()
    settle(office)
    assert ben.had == list(range(6))


def test_what_is_no_message_in_the_store_is_left_out() -> None:
    """A newer version wrote it, or a hand."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    ((key, good),) = [(k, v) for k, v in office.disk.entries.items() if k[0] == "message"]
    bad: list[tuple[str, str]] = [
        ("x", good),
        ("7", "{}"),
        ("8", "null"),
        ("9", good.replace('"client"', '"nobody"')),
        ("10", good.replace('"away"', '"lost"')),
        ("11", good.replace(f'"client": "{ben.id}"', '"client": 5')),
    ]
    office.disk.entries |= {("message", number): text for number, text in bad}
    office.disk.entries |= {("inbox", ben.id): '"x"', ("counter", "message"): '"x"'}
    office.restart()
    office.loop.settle()
    assert [key for key in office.disk.entries if key[0] == "message"] == [key]
    ben.come()
    ben.receive()
    settle(office)
    assert ben.had == ["hello"]


# -- flow control ----------------------------------------------------------------------------------


def test_a_client_that_does_not_read_gets_no_more_and_loses_nothing() -> None:
    """Others do not notice."""
    office = Office()
    anna, ben, carl = people(office, "Anna", "Ben", "Carl")
    ben.wire.clogs_after = 2
    for n in range(50):
        anna.send({"client": ben.id}, n, wait=0)
        anna.send({"client": carl.id}, n, wait=0)
        settle(office) if n % 10 else None
    assert len(ben.had) == 2
    settle(office)
    assert carl.had == list(range(50))
    while ben.wire.is_congested:
        ben.wire.clogs_after = 5
        ben.unclog()
        settle(office)
    assert ben.had == list(range(50))


def test_a_sender_that_does_not_read_is_told_later() -> None:
    """Only the last word on each receiver."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    anna.wire.clogs_after = 1
    sent = anna.send({"client": ben.id}, "hello")
    office.loop.settle()
    assert sent.is_accepted
    ben.come()
    ben.receive()
    settle(office)
    assert sent.told == []
    anna.unclog()
    assert sent.told == [(ben.id, "delivered")]
    assert sent.has_ended


def test_a_sender_that_is_clogged_before_it_is_answered_is_answered_later() -> None:
    """And a wait that is over meanwhile ends it then."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    office.loop.settle()
    office.disk.is_slow = True
    sent = anna.send({"client": ben.id}, "hello", wait=1)
    anna.wire.clog()
    office.store.commit()
    office.pass_time(10)
    assert sent.answer is None
    assert ben.had == ["hello"]
    anna.unclog()
    office.pass_time(0.5)
    assert sent.is_accepted
    anna.wire.clog()
    office.pass_time(10)
    ben.leave()
    office.loop.settle()
    anna.unclog()
    assert sent.has_ended


def test_many_receivers_are_served_and_told_in_portions() -> None:
    """So no turn of the loop is long, and no answer large."""
    office = Office()
    (anna,) = people(office, "Anna")
    count = 2 * RECEIPTS_AT_ONCE + 50
    crowd = people(office, *(f"c{n}" for n in range(count)))
    for talker in crowd:
        talker.ask("groups", join=["crowd"])
    office.loop.settle()
    sent = anna.send({"group": "crowd"}, "hello")
    turns: list[int] = []
    while sum(len(talker.had) for talker in crowd) < count:
        before = sum(len(talker.had) for talker in crowd)
        office.loop.turn()
        turns.append(sum(len(talker.had) for talker in crowd) - before)
    assert 0 < max(turns) <= post.WOKEN_AT_ONCE
    settle(office)
    assert set(sent.receipts.values()) == {"delivered"}
    assert len(sent.receipts) == count
    assert sent.has_ended


def test_a_long_inbox_is_read_in_portions() -> None:
    """A client that comes back to a hundred messages delays nobody."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    ben.leave()
    for n in range(40):
        anna.send({"client": ben.id}, n, wait=0)
    office.loop.settle()
    ben.come()
    ben.receive()
    assert len(ben.had) == MESSAGES_AT_ONCE
    office.loop.turn()
    assert len(ben.had) == 2 * MESSAGES_AT_ONCE
    settle(office)
    assert ben.had == list(range(40))


def test_after_everybody_has_left_nothing_is_left() -> None:
    """No timer, no inbox, no follower."""
    office = Office()
    anna, ben = people(office, "Anna", "Ben")
    anna.send({"client": ben.id}, "hello")
    settle(office)
    for talker in (anna, ben):
        talker.leave()
    office.shared.control.close()
    office.sharing.close()
    assert not office.sharing.post._inboxes
    assert not office.sharing.post._open
    assert office.loop.is_idle
    assert office.loop.next_timer is None
