"""No token reads, changes or finds out more than its filters allow, over the real wire.

Random tokens, filters and operations, each compared with a model of a few lines.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from sensord.access.gate import Gate
from sensord.access.rights import NOTHING, Rights
from sensord.access.token_file import TokenFile
from sensord.access.tokens import make_token
from sensord.config.tree import Clients, OpenTopic
from sensord.model.topics import matches
from tests.integration.test_http import exchange, read
from tests.kit.loops import run
from tests.kit.monitor import Monitor, monitor
from tests.kit.station import EPOCH, Station

TOPICS = ["a/x", "a/y", "a/y/z", "b/x", "b/c/z", "c", "open/x", "open/y", "$sys/own", "$sys/a/x"]
FILTERS = ["#", "+/x", "+/#", "a/#", "a/+", "a/y", "b/#", "b/+/z", "+", "c", "open/#", "open/y"]
FILTERS += [
    "$sys/#",
    "$sys/+",
    "$sys/a/x",
    "nothing/#",
    "state/#",
    "state/p",
    "group/q",
    "go",
    "went",
]

READS = ["subscribe", "live", "get", "history", "summaries", "topics", "http"]
ACTS = ["put", "publish", "set", "call", "send", "serve", "take", "clients", "devices", "join"]

OPERATIONS_OF_A_TOKEN = 20


def may(filters: tuple[str, ...], topic: str) -> bool:
    return any(matches(one, topic) for one in filters)


class Case:
    """One token at work."""

    def __init__(self, station: Station, chance: random.Random, rights: Rights, text: str) -> None:
        self.station, self.chance, self.rights, self.text = station, chance, rights, text

    async def play(self) -> None:
        async with monitor(self.station.url, says_hello=False) as client:
            answer = await client.ask("hello", client="case", ephemeral=True, token=self.text)
            if self.rights.is_empty:
                assert answer["code"] == "unauthorized", self
                return
            assert answer["op"] == "result", answer
            for _ in range(OPERATIONS_OF_A_TOKEN):
                operation = self.chance.choice(READS + ACTS)
                asked = self.chance.sample(FILTERS, self.chance.randint(1, 3))
                if operation in READS:
                    await self.read(client, operation, asked)
                else:
                    await self.act(client, operation)

    async def read(self, client: Monitor, operation: str, asked: list[str]) -> None:
        own = self.rights.read
        wanted = {t for t in TOPICS if may(tuple(asked), t) and may(own, t)}
        seen = await getattr(self, f"_{operation}")(client, asked)
        # What others do meanwhile stands under topics that are not in the model's list.
        leaked = {topic for topic in seen if not (may(own, topic) and may(tuple(asked), topic))}
        assert not leaked, (operation, self.rights, asked)
        assert seen & {*TOPICS} == wanted, (operation, self.rights, asked)

    async def _story(self, client: Monitor, op: str, **fields: Any) -> Any:
        answer = await client.ask(op, **fields)
        if answer["op"] == "error":
            assert answer["code"] == "forbidden", answer
            return None
        return client.story_of(answer["id"])

    async def _subscribe(self, client: Monitor, asked: list[str]) -> set[str]:
        story = await self._story(client, "subscribe", topics=asked)
        if story is None:
            return set()
        await client.live(story)
        await client.ask("cancel", request=client.number(story))
        return {reading.topic for reading in story.readings}

    async def _live(self, client: Monitor, asked: list[str]) -> set[str]:
        story = await self._story(client, "subscribe", topics=asked, **{"from": "now"})
        if story is None:
            return set()
        await client.live(story)
        for topic in TOPICS:
            self.station.publish(topic, self.chance.random())
        self.station.server.shared.groups.flush()
        await client.ask("ping")
        await client.ask("cancel", request=client.number(story))
        return {reading.topic for reading in story.readings}

    async def _get(self, client: Monitor, asked: list[str]) -> set[str]:
        return await self._past(client, "get", asked)

    async def _history(self, client: Monitor, asked: list[str]) -> set[str]:
        return await self._past(client, "history", asked, **_BEGINNING)

    async def _past(self, client: Monitor, op: str, asked: list[str], **more: Any) -> set[str]:
        story = await self._story(client, op, topics=asked, **more)
        if story is None:
            return set()
        await client.until(lambda: story.is_ended)
        lost = {topic for gap in story.gaps for topic in gap["lost"] or ()}
        return lost | {reading.topic for reading in story.readings}

    async def _summaries(self, client: Monitor, asked: list[str]) -> set[str]:
        story = await self._story(client, "history", topics=asked, interval=3600.0, **_BEGINNING)
        if story is None:
            return set()
        await client.until(lambda: story.is_ended)
        return {client.channels[row["channel"]]["topic"] for row in story.rows}

    async def _topics(self, client: Monitor, asked: list[str]) -> set[str]:
        story = await self._story(client, "topics", topics=asked)
        if story is None:
            return set()
        await client.until(lambda: story.is_ended)
        return {row["topic"] for row in story.rows}

    async def _http(self, _: Monitor, asked: list[str]) -> set[str]:
        query = "&".join(f"topics={one.replace('#', '%23')}" for one in asked)
        request = (
            f"GET /api/readings?{query} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self.text}\r\n\r\n"
        )
        status, told = read(await exchange(self.station, request.encode()))
        if status == 403:
            return set()
        return {reading["topic"] for reading in told["readings"]}

    async def act(self, client: Monitor, operation: str) -> None:
        number, rights = self.chance.randrange(3), self.rights
        name = "go" if operation == "serve" else ("a/x", "open/x", "went")[number]
        state = ("state/p", "state/q", "state/a/x")[number]
        fields: dict[str, Any]
        match operation:
            case "put":
                fields = {"topic": state, "value": 1, "version": 77}
                allowed = may(rights.write, state)
            case "publish" | "set":
                fields, allowed = {"topic": name, "value": 1.0}, may(rights.write, name)
            case "call" | "serve":
                own = rights.call if operation == "call" else rights.serve
                fields, allowed = {"name": name}, may(own, name)
            case "take":
                fields, allowed = {"subject": name, "duration": 1.0}, may(rights.write, name)
            case "send":
                fields = {"to": {"group": "q"}, "body": 1}
                allowed = may(rights.send, "group/q")
            case "join":
                operation, fields = "groups", {"join": ["q"]}
                allowed = may(rights.send, "group/q")
            case _:
                fields, allowed = {}, rights.covers(f"$sys/{operation}/#")
        answer = await client.ask(operation, **fields)
        assert (answer.get("code") == "forbidden") is not allowed, (operation, rights, answer)
        if not may(rights.read, state):
            assert "present" not in answer, (operation, rights, answer)


_BEGINNING = {"from": {"epoch": EPOCH, "offset": 0}}


async def play(folder: Path, seed: int, tokens: int) -> None:
    chance = random.Random(seed)
    file = TokenFile(folder / "tokens.json")
    made = []
    for number in range(tokens):
        own = [tuple(chance.sample(FILTERS, chance.randint(0, 3))) for _ in range(5)]
        made.append(make_token(str(number), Rights(own[0], own[1], own[2], own[3], own[4]), 1))
    with file.changing() as kept:
        kept |= {token.id: token for _, token in made}
    clients = Clients(topics={"open/#": OpenTopic()})
    async with Station(clients=clients, gate=Gate(file.path, NOTHING, NOTHING)) as station:
        for topic in TOPICS:
            station.publish(topic, 1.0)
        for text, token in made:
            await Case(station, chance, token.rights, text).play()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
@pytest.mark.parametrize("seed", range(4))
def test_no_token_sees_or_does_more_than_it_may(tmp_path: Path, backend: str, seed: int) -> None:
    """In snapshots, live, history, summaries, listings, pages, acts and the texts of errors."""
    run(backend, play(tmp_path, seed, 6))


@pytest.mark.trial
@pytest.mark.timeout(600)
def test_ten_thousand_operations_leak_nothing(tmp_path: Path) -> None:
    """The same, five hundred tokens with twenty operations each."""
    for seed in range(25):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run("uvloop", play(folder, 100 + seed, 20))
