"""Tokens at a running server: hello, Bearer, cookies, revocation, the Unix socket, the commands."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import sensord.access.guesses
from sensord.access.gate import Gate
from sensord.access.rights import EVERYTHING, NOTHING, Rights
from sensord.access.token_file import TokenFile
from sensord.access.tokens import Token, make_token
from sensord.client import Client, ClientError
from sensord.server.shared import Limits
from tests.integration.test_http import exchange, read
from tests.kit.daemon import REPOSITORY, SENSORD, Daemon
from tests.kit.loops import on_each_loop
from tests.kit.monitor import Closed, monitor
from tests.kit.station import EPOCH, Station

READ = Rights(read=("plant/#",))


class Keys:
    """A file of tokens, and a gate that lets nobody in without one."""

    def __init__(self, folder: Path) -> None:
        self.file = TokenFile(folder / "tokens.json")

    def make(self, rights: Rights = READ, name: str = "panel") -> tuple[str, Token]:
        text, token = make_token(name, rights, 1)
        self.put(token)
        return text, token

    def put(self, token: Token) -> None:
        with self.file.changing() as tokens:
            tokens[token.id] = token

    def revoke(self, token: Token) -> None:
        with self.file.changing() as tokens:
            del tokens[token.id]

    def gate(self, local: Rights = NOTHING) -> Gate:
        return Gate(self.file.path, local, NOTHING)


@on_each_loop
async def test_a_token_in_hello_lets_a_client_in(tmp_path: Path) -> None:
    """With its rights and no more."""
    keys = Keys(tmp_path)
    text, _ = keys.make()
    async with Station(gate=keys.gate()) as station:
        station.publish("plant/a", 1.5)
        station.publish("house/a", 2.5)
        async with Client(station.url, token=text) as client:
            assert [item.topic for item in await client.get("#")] == ["plant/a"]


@on_each_loop
@pytest.mark.parametrize("local", [NOTHING, EVERYTHING])
async def test_a_wrong_token_is_refused_with_a_code_of_its_own(
    tmp_path: Path, local: Rights
) -> None:
    """It never becomes an anonymous session, even where one could do everything."""
    keys = Keys(tmp_path)
    text, _ = keys.make()
    async with Station(gate=keys.gate(local)) as station:
        async with monitor(station.url, says_hello=False) as client:
            answer = await client.ask("hello", token=text[:-1] + "~")
            assert answer["code"] == "unauthorized"
            assert answer["message"] == "the token is unknown, revoked or mistyped"
            assert (await client.closed()).code == 4203
        with pytest.raises(ClientError, match="unknown, revoked or mistyped") as caught:
            async with Client(station.url, token="nonsense"):
                raise AssertionError("it was let in")
        assert caught.value.code == 4203


@on_each_loop
async def test_without_a_token_nothing_is_allowed_by_default(tmp_path: Path) -> None:
    """On any path in, and the refusal names what is missing."""
    async with Station(gate=Keys(tmp_path).gate()) as station:
        station.publish("plant/a", 1.5)
        with pytest.raises(ClientError, match="send a token"):
            async with Client(station.url):
                raise AssertionError("it was let in")
        for target, expected in (("/api/readings", 403), ("/metrics", 403), ("/healthz", 200)):
            status, told = read(await exchange(station, _get(target)))
            assert status == expected
            assert "epoch" not in told


def _get(target: str, *headers: str, method: str = "GET") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()


@on_each_loop
async def test_a_bearer_token_is_for_pages_and_upgrades(tmp_path: Path) -> None:
    """A wrong one gets 401 on both."""
    keys = Keys(tmp_path)
    text, _ = keys.make()
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    upgrade += [
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: sensord.v1.json",
    ]
    async with Station(gate=keys.gate()) as station:
        station.publish("plant/a", 1.5)
        station.publish("house/a", 2.5)
        bearer = f"Authorization: Bearer {text}"
        status, told = read(await exchange(station, _get("/api/readings", bearer)))
        assert (status, [one["topic"] for one in told["readings"]]) == (200, ["plant/a"])
        for more in ([], upgrade):
            target = "/v1" if more else "/api/readings"
            answer = await exchange(station, _get(target, f"{bearer}x", *more))
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert b"WWW-Authenticate: Bearer" in answer
            assert b"unknown, revoked or mistyped" in answer


@on_each_loop
async def test_a_browser_trades_its_token_for_a_cookie(tmp_path: Path) -> None:
    """Which no script reads and no other site's page sends, and which a log-out takes back."""
    keys = Keys(tmp_path)
    text, token = keys.make()
    async with Station(gate=keys.gate()) as station:
        station.publish("plant/a", 1.5)
        assert (await exchange(station, _get("/login", method="POST"))).startswith(b"HTTP/1.1 401 ")
        head = await exchange(
            station, _get("/login", f"Authorization: Bearer {text}", method="POST")
        )
        assert head.startswith(b"HTTP/1.1 204 ")
        [cookie] = [one for one in head.decode().split("\r\n") if one.startswith("Set-Cookie: ")]
        assert "; HttpOnly; SameSite=Strict; Max-Age=" in cookie
        assert text.rpartition("_")[2] not in cookie
        value = cookie.removeprefix("Set-Cookie: ").partition(";")[0]
        status, told = read(await exchange(station, _get("/api/readings", f"Cookie: {value}")))
        assert (status, len(told["readings"])) == (200, 1)
        gone = await exchange(station, _get("/logout", f"Cookie: {value}", method="POST"))
        assert b"Set-Cookie: sensord=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0" in gone
        keys.revoke(token)
        status, _ = read(await exchange(station, _get("/api/readings", f"Cookie: {value}")))
        assert status == 403


@on_each_loop
async def test_a_revoked_token_ends_its_sessions(tmp_path: Path) -> None:
    """And no others; renewal ends none."""
    keys = Keys(tmp_path)
    text, token = keys.make()
    other, other_token = keys.make(EVERYTHING, "other")
    async with (
        Station(gate=keys.gate()) as station,
        monitor(station.url, says_hello=False) as client,
        monitor(station.url, says_hello=False) as stays,
    ):
        await client.ask("hello", token=text)
        await stays.ask("hello", token=other)
        keys.put(replace(other_token, expires_us=1 << 60))
        keys.revoke(token)
        closed = await client.closed()
        assert (closed.code, closed.reason) == (4203, "the token was revoked")
        assert (await stays.ask("ping"))["op"] == "result"


@on_each_loop
async def test_the_audit_names_the_token_of_each_act(tmp_path: Path) -> None:
    """A client chooses its name; two that chose the same one are told apart by their tokens."""
    keys = Keys(tmp_path)
    rights = Rights(read=("$audit/#",), write=("state/#",))
    texts = [keys.make(rights, name)[0] for name in ("panel", "phone")]
    async with Station(gate=keys.gate()) as station:
        async with monitor(station.url, says_hello=False) as client:
            await client.ask("hello", client="anna", token=texts[0])
            await client.ask("put", topic="state/a", value=1)
        async with monitor(station.url, says_hello=False) as client:
            await client.ask("hello", client="anna", token=texts[1])
            await client.ask("put", topic="state/a", value=2)
            answer = await client.ask(
                "history", topics=["$audit/state"], **{"from": {"epoch": EPOCH, "offset": 0}}
            )
            story = client.story_of(answer["id"])
            await client.until(lambda: story.is_ended)
        by = [reading.value["who"] for reading in story.readings]
        assert [(one["name"], one["token"]) for one in by] == [("anna", "panel"), ("anna", "phone")]


@on_each_loop
async def test_other_rights_take_effect_on_sessions_that_are_open(tmp_path: Path) -> None:
    """They are closed with a code that has them come back."""
    keys = Keys(tmp_path)
    text, token = keys.make()
    async with (
        Station(gate=keys.gate()) as station,
        monitor(station.url, says_hello=False) as client,
    ):
        await client.ask("hello", token=text)
        keys.put(replace(token, rights=Rights(read=("house/#",))))
        assert (await client.closed()).code == 4004


@on_each_loop
async def test_guessing_slows_down_the_one_who_guesses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers wait; the others' do not."""
    monkeypatch.setattr(sensord.access.guesses, "FIRST_S", 30.0)
    monkeypatch.setattr(sensord.access.guesses, "LONGEST_S", 30.0)
    keys = Keys(tmp_path)
    text, _ = keys.make()
    async with Station(gate=keys.gate()) as station:
        async with monitor(station.url, says_hello=False) as guesser:
            await guesser.send({"op": "hello", "id": 1, "token": "sd1_x"})
            async with Client(station.url, token=text) as client:
                await client.ping()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await guesser.receive()
        await asyncio.sleep(0)


@on_each_loop
async def test_a_refused_token_serves_no_request_that_follows(tmp_path: Path) -> None:
    """Though it came in the same packet."""
    keys = Keys(tmp_path)
    async with (
        Station(gate=keys.gate()) as station,
        monitor(station.url, says_hello=False) as client,
    ):
        await client.send({"op": "hello", "id": 1, "token": "x"})
        await client.send({"op": "subscribe", "id": 2, "topics": ["#"]})
        with pytest.raises(Closed):
            await client.until(lambda: 2 in client.answers)
        assert client.answers[1]["code"] == "unauthorized"


@on_each_loop
async def test_one_machine_cannot_have_all_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is sent away, until another of them has ended."""
    monkeypatch.setattr("sensord.server.listener.is_loopback", lambda _: False)
    async with Station(replace(Limits(), sessions_of_address=2)) as station:
        async with (
            monitor(station.url),
            monitor(station.url),
            monitor(station.url, says_hello=False) as third,
        ):
            assert (await third.closed()).code == 4101
        # The end of each has been noticed when its close was answered.
        async with monitor(station.url) as again, monitor(station.url):
            assert (await again.ask("ping"))["op"] == "result"


CONFIG = """
server.tokens = "{folder}/tokens.json"
server.socket = "{folder}/sensord.sock"
[devices.tank]
reader = "simulated"
topic = "tank/{{field}}"
signals.level = {{ shape = "constant", low = 4 }}
"""


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SENSORD, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=REPOSITORY,
        env=os.environ | environment,
    )


def test_commands_make_tokens_that_let_commands_in(tmp_path: Path) -> None:
    """And on the board none is needed: the kernel says who calls."""
    file = ("--file", str(tmp_path / "tokens.json"))
    with Daemon(tmp_path, CONFIG.format(folder=tmp_path)) as daemon:
        socket = f"unix:{tmp_path}/sensord.sock"
        assert json.loads(_run("get", "tank/#", "--json", "--url", socket).stdout)["value"] == 4
        refused = _run("get", "tank/#", "--url", daemon.url)
        assert refused.returncode == 4
        assert "send a token" in refused.stderr
        made = _run("token", "create", "panel", "--read", "tank/#", "--json", *file)
        token = json.loads(made.stdout)["token"]
        got = _run("get", "tank/#", "--json", "--url", daemon.url, SENSORD_TOKEN=token)
        assert json.loads(got.stdout)["value"] == 4
        secret = tmp_path / "secret"
        secret.write_text(f"{token}\n")
        got = _run("get", "#", "--json", "--url", daemon.url, "--token-file", str(secret))
        assert json.loads(got.stdout)["topic"] == "tank/level"
        listed = json.loads(_run("token", "list", "--json", *file).stdout)
        assert [one["name"] for one in listed] == ["panel"]
        assert "digest" not in listed[0]
        assert _run("token", "revoke", "panel", *file).returncode == 0
        refused = _run("get", "tank/#", "--url", daemon.url, SENSORD_TOKEN=token)
        assert "unknown, revoked or mistyped" in refused.stderr
        assert token not in "".join(daemon.log)
        daemon.stop()
        assert not (tmp_path / "sensord.sock").exists()


def test_a_socket_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    """One of a living daemon, and a file, are left alone."""
    with Daemon(tmp_path, CONFIG.format(folder=tmp_path)) as daemon:
        daemon.kill()
        assert (tmp_path / "sensord.sock").exists()
        daemon.start()
        second = tmp_path / "second.toml"
        config = CONFIG.format(folder=tmp_path)
        second.write_text(f'server.listen = ["127.0.0.1:0"]\njournal.enabled = false\n{config}')
        done = _run("run", str(second))
        assert done.returncode == 1
        assert "is another sensord running" in done.stderr


def test_a_token_needs_a_name_and_rights(tmp_path: Path) -> None:
    """The commands say what is missing."""
    for arguments, text in (
        (["create"], "name the token"),
        (["create", "x"], "without rights"),
        (["create", "x", "--read", "a#"], "--read"),
        (["revoke", "x", "--file", str(tmp_path / "tokens.json")], "no token x"),
        (["create", "x", "--admin", "--file", "/proc/x/tokens.json"], "cannot be written"),
    ):
        done = _run("token", *arguments)
        assert done.returncode in {1, 2}
        assert text in done.stderr
