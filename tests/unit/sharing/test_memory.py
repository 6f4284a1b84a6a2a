"""What clients asked for, by client and key."""

from __future__ import annotations

import math

from sensord.sharing.memory import Memory


def memory(
    of_client: int = 9, of_all: int = 9, weight: int = 99, keep_s: float = 60
) -> Memory[str]:
    return Memory(of_client=of_client, of_all=of_all, weight=weight, keep_s=keep_s)


def test_an_open_item_is_never_forgotten() -> None:
    """Whatever else ends, and however late it is."""
    kept = memory(of_client=1, of_all=1, weight=1)
    kept.add("anna", "open", "a")
    for n in range(3):
        kept.add("anna", f"{n}", f"{n}")
        kept.end("anna", f"{n}", 0, weight=1)
    assert kept.expire(math.inf) == ["2"]
    assert kept.find("anna", "open") == "a"
    assert len(kept) == 1


def test_an_ended_item_is_forgotten_when_its_time_is_over() -> None:
    """Not before."""
    kept = memory(keep_s=60)
    assert kept.due == math.inf
    for n in range(2):
        kept.add("anna", f"{n}", f"{n}")
        assert kept.end("anna", f"{n}", 10.0 * n, weight=1) == []
    assert list(kept.ended()) == ["0", "1"]
    assert kept.due == 60
    assert kept.expire(59.9) == []
    assert kept.expire(60) == ["0"]
    assert kept.find("anna", "0") is None
    assert kept.due == 70


def test_too_many_of_a_client_cost_nobody_else() -> None:
    """Its own oldest ended one is forgotten."""
    kept = memory(of_client=2)
    for client, key in (("ben", "1"), ("anna", "1"), ("anna", "2")):
        kept.add(client, key, client + key)
        assert kept.end(client, key, 0, weight=1) == []
    kept.add("anna", "3", "anna3")
    assert kept.end("anna", "3", 0, weight=1) == ["anna1"]
    assert list(kept.ended()) == ["ben1", "anna2", "anna3"]


def test_the_number_and_weight_of_all_are_bounded() -> None:
    """One that alone is too heavy is not kept at all."""
    kept = memory(of_all=2, weight=10)
    for n, weight, forgotten in ((0, 1, []), (1, 1, []), (2, 1, ["0"]), (3, 9, ["1"]), (4, 11, [])):
        kept.add("anna", f"{n}", f"{n}")
        found = kept.end("anna", f"{n}", 0, weight=weight)
        assert found == (forgotten if n < 4 else ["2", "3", "4"])
    assert len(kept) == 0


def test_what_is_forgotten_frees_its_key() -> None:
    """Open or ended."""
    kept = memory()
    kept.add("anna", "1", "open")
    assert kept.forget("anna", "1") == "open"
    kept.add("anna", "1", "again")
    assert kept.end("anna", "1", 0, weight=1) == []
    assert kept.forget("anna", "1") == "again"
    assert kept.find("anna", "1") is None
    assert kept.due == math.inf
