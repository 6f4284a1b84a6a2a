"""A key proves who a client is, and nobody can make one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.sharing.identity import Issuer

SECRET = b"s" * 32
ISSUER = Issuer(SECRET)


def test_a_key_has_its_clients_id() -> None:
    """Also for a server that was restarted with the same secret."""
    key = ISSUER.issue()
    assert Issuer(SECRET).id_of(key) == key.partition(".")[0]


def test_ids_are_different() -> None:
    """Whoever comes."""
    assert len({ISSUER.id_of(ISSUER.issue()) for _ in range(1000)}) == 1000


def test_a_key_of_another_server_is_none() -> None:
    """Its secret is another one."""
    assert Issuer(b"t" * 32).id_of(ISSUER.issue()) is None


def test_the_id_of_one_key_does_not_fit_the_signature_of_another() -> None:
    """Who knows an id, as everybody does, has no key to it."""
    mine, theirs = ISSUER.issue(), ISSUER.issue()
    forged = f"{theirs.partition('.')[0]}.{mine.partition('.')[2]}"
    assert ISSUER.id_of(forged) is None


@pytest.mark.parametrize("key", ["", ".", "a", "a.", ".b", "\ud800", "ä.b", "a.\udfff", "x" * 200])
def test_what_is_no_key_is_refused(key: str) -> None:
    """Nothing raises, whatever a client sends."""
    assert ISSUER.id_of(key) is None


@given(st.text(st.characters()))
def test_no_text_is_a_key_by_chance(text: str) -> None:
    """Surrogates included, for JSON has them."""
    assert ISSUER.id_of(text) is None


@given(st.data())
def test_a_key_with_a_changed_character_is_none(data: st.DataObject) -> None:
    """Every one of them counts."""
    key = ISSUER.issue()
    at = data.draw(st.integers(0, len(key) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != key[at]))
    assert ISSUER.id_of(key[:at] + other + key[at + 1 :]) is None
