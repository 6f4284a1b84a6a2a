"""Tokens, their file, and the gate that knows them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from sensord.access.gate import COOKIE_US, Gate, Origin, RefusedError
from sensord.access.rights import EVERYTHING, NOTHING, Rights
from sensord.access.token_file import TokenFile, TokenFileError
from sensord.access.tokens import Token, cookie_of, is_cookie_of, make_token, token_id

READ = Rights(read=("plant/#",))


def test_a_token_is_known_by_its_digest_alone() -> None:
    """What the server keeps does not contain it."""
    text, token = make_token("panel", READ, 1)
    assert text.startswith(f"sd1_{token.id}_")
    assert len(text) == len("sd1_01234567_") + 43
    assert token_id(text) == token.id
    assert token.is_same(text)
    assert not token.is_same(text[:-1] + ("A" if text[-1] != "A" else "B"))
    assert text.rpartition("_")[2] not in json.dumps(token.write())
    assert Token.read(token.write()) == token


def test_two_tokens_differ() -> None:
    """Each has 256 random bits."""
    assert len({make_token("x", READ, 1)[0] for _ in range(100)}) == 100


def test_a_cookie_stands_for_its_token_until_it_ends() -> None:
    """Changed in any place it stands for nothing."""
    _, token = make_token("panel", READ, 1)
    _, other = make_token("other", READ, 1)
    cookie = cookie_of(token, 1000)
    assert is_cookie_of(token, cookie, 999)
    assert not is_cookie_of(token, cookie, 1000)
    assert not is_cookie_of(token, cookie.replace("_1000_", "_2000_"), 999)
    assert not is_cookie_of(other, cookie, 999)


def test_the_file_is_its_owners_and_is_replaced_whole(tmp_path: Path) -> None:
    """A change that fails leaves the tokens as they were."""
    file = TokenFile(tmp_path / "tokens.json")
    assert file.read() == {}
    _, token = make_token("panel", READ, 1)
    with file.changing() as tokens:
        tokens[token.id] = token
    assert file.path.stat().st_mode & 0o777 == 0o600
    before = file.version()
    with contextlib.suppress(RuntimeError), file.changing() as tokens:
        tokens.clear()
        raise RuntimeError
    assert file.read() == {token.id: token}
    assert file.version() == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tokens": [{}]}', '{"tokens": 1}', "\0"])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, text: str) -> None:
    """And the commands name it instead of replacing it."""
    path = tmp_path / "tokens.json"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(TokenFileError, match=r"tokens\.json"):
        TokenFile(path).read()
    with pytest.raises(RefusedError):
        Gate(path, NOTHING, NOTHING).enter(make_token("x", EVERYTHING, 1)[0], 1)
    assert path.read_text() == text


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """Whoever read it could log in with a cookie made of it."""
    file = TokenFile(tmp_path / "tokens.json")
    with file.changing():
        pass
    file.path.chmod(0o640)
    with pytest.raises(TokenFileError, match="chmod 600"):
        file.read()


class _Gate:
    def __init__(self, folder: Path, expires_us: int | None = None) -> None:
        self.file = TokenFile(folder / "tokens.json")
        self.text, self.token = make_token("panel", READ, 1, expires_us)
        with self.file.changing() as tokens:
            tokens[self.token.id] = self.token
        self.gate = Gate(self.file.path, NOTHING, NOTHING)


def test_a_wrong_token_never_becomes_anonymous(tmp_path: Path) -> None:
    """Also where an anonymous session may do something."""
    made = _Gate(tmp_path)
    gate = Gate(made.file.path, EVERYTHING, EVERYTHING)
    for wrong in (
        "",
        "sd1_",
        made.text[:-1],
        made.text + "x",
        "Bearer",
        "sd1_00000000_" + "a" * 43,
    ):
        with pytest.raises(RefusedError, match="unknown, revoked or mistyped"):
            gate.enter(wrong, 1)
    assert gate.enter(made.text, 1).rights == READ
    with pytest.raises(RefusedError, match="no tokens"):
        Gate().enter(made.text, 1)


def test_revocation_expiry_and_other_rights_end_a_session(tmp_path: Path) -> None:
    """Renewal does not."""
    made = _Gate(tmp_path, expires_us=100)
    gate = made.gate
    entry = gate.enter(made.text, 99)
    assert gate.ended(entry, 99) is None
    assert gate.ended(entry, 100) == "the token has expired"
    with pytest.raises(RefusedError, match="expired"):
        gate.enter(made.text, 100)
    token = made.token
    with made.file.changing() as tokens:
        tokens[token.id] = Token(token.id, token.name, token.digest, READ, 1, 200)
    assert gate.refresh()
    assert gate.ended(entry, 100) is None
    with made.file.changing() as tokens:
        tokens[token.id] = Token(token.id, token.name, token.digest, EVERYTHING, 1, 200)
    assert gate.refresh()
    assert "changed" in (gate.ended(entry, 100) or "")
    with made.file.changing() as tokens:
        tokens.clear()
    assert gate.refresh()
    assert gate.ended(entry, 100) == "the token was revoked"


def test_a_cookie_ends_with_its_token(tmp_path: Path) -> None:
    """Or after a month."""
    made = _Gate(tmp_path, expires_us=5_000_000)
    cookie, seconds = made.gate.cookie(made.gate.enter(made.text, 1), 1_000_000)
    assert seconds == 4
    assert made.gate.enter(cookie, 4_999_999).rights == READ
    (tmp_path / "other").mkdir()
    endless = _Gate(tmp_path / "other")
    _, seconds = endless.gate.cookie(endless.gate.enter(endless.text, 1), 0)
    assert seconds == COOKIE_US // 1_000_000


def test_last_uses_are_kept_once_a_minute(tmp_path: Path) -> None:
    """They wear no disk, and the last ones are written at the stop."""
    made = _Gate(tmp_path)
    made.gate.enter(made.text, 70_000_000)
    made.gate.write_uses(70_000_000)
    made.gate.enter(made.text, 80_000_000)
    made.gate.write_uses(80_000_000)
    assert made.file.uses() == {made.token.id: 70_000_000}
    made.gate.write_uses(80_000_000, is_last=True)
    assert made.file.uses() == {made.token.id: 80_000_000}


def test_the_owner_may_do_everything_over_the_socket() -> None:
    """The others what is configured for where they are."""
    gate = Gate(None, READ, NOTHING)
    assert gate.anonymous(Origin.OWNER).rights == EVERYTHING
    assert gate.anonymous(Origin.LOOPBACK).rights == READ
    assert gate.anonymous(Origin.NETWORK).rights == NOTHING
