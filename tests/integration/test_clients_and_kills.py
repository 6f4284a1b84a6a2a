"""What clients are promised holds over real sockets, whatever dies in the middle of it.

Some clients come through proxies that cut their connections, and do one random thing after another
while the daemon is killed and stopped. Then everybody comes back, and the books are compared.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from sensord.client import Client, Gap, SharedState, Update
from sensord.errors import ProtocolError
from tests.kit.comparison import FLAG, GROUPS, WATCHES, Comparison, compare_counter
from tests.kit.crew import (
    Actor,
    Books,
    Change,
    Command,
    Grant,
    Hand,
    Increment,
    LostError,
    Panel,
    Sent,
    now_us,
)
from tests.kit.cutter import Cutter, How, Way
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.follower import Follower
from tests.kit.instrument import Instrument

SERVICES = {"panel": "mixer", "ann": "oven"}
TOPICS = ["plant/a", "plant/b", "weather"]
COMMANDS = [
    ("set", "valve/position"),
    ("set", "valve/level"),
    ("call", "valve/flush"),
    ("call", "mixer"),
    ("call", "oven"),
]
SUBJECTS = ["valve", "valve/position", "valve/flush"]
COUNTERS = ["state/a", "state/b"]

BUSY = 40
"""Things that may be under way; with more of them the next one waits."""


def config(port: Path, folder: Path, clients: str) -> str:
    return f"""
        journal = {{ folder = "{folder}", commit_interval = "50ms", min_free = 0 }}
        clients = {{ grace = "10m", {clients} }}
        [devices.valve]
        reader = "serial"
        port = "{port}"
        decoder = "key_value"
        stall = 0
        [devices.valve.writable.position]
        send = "POS {{value:d}}\\n"
        type = "int"
        answer = "^OK"
        refusal = "^NO"
        [devices.valve.writable.level]
        send = "LVL {{value:d}}\\n"
        type = "int"
        answer = "^OK"
        refusal = "^NO"
        [devices.valve.actions.flush]
        send = "FLUSH {{n:d}}\\n"
        arguments.n = {{ type = "int" }}
        answer = "^OK"
        refusal = "^NO"
    """


class Storm:
    """Clients who do random things, while their connections and their server come and go."""

    def __init__(self, seed: int, tmp_path: Path) -> None:
        self.dice = dice = random.Random(seed)
        self.is_strict = dice.random() < 0.6
        """Whether everything that is accepted is delivered: nothing expires, no inbox is full."""
        self.age_us = 3_600_000_000 if self.is_strict else 4_000_000
        size = 10_000 if self.is_strict else 5
        self.instrument = Instrument(tmp_path / "tty", self._answer, after_s=0.01)
        clients = f'inbox_messages = {size}, inbox_age = "{self.age_us // 1_000_000}s"'
        text = config(self.instrument.path, tmp_path / "journal", clients)
        self.daemon = Daemon(tmp_path, text)
        self.books = Books()
        self.hands: list[Hand] = []
        self.panels: list[Panel] = []
        self.kills_us: list[int] = []
        self.stops_us: list[int] = []
        self.acts = 0
        self._numbers = iter(range(1, 1_000_000))
        self._is_calm = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._gave_back: dict[tuple[str, str], int] = {}
        self._giving_back: set[tuple[str, str]] = set()
        # Some runs are calm and some are not.
        self._troubles = dice.choice([2, 5, 10])
        self._kills = dice.choice([2, 4, 8])

    @property
    def actors(self) -> list[Actor]:
        return [*self.panels, *self.hands]

    @property
    def ends(self) -> int:
        """How often the server was killed or stopped."""
        return len(self.kills_us) + len(self.stops_us)

    @property
    def cuts(self) -> int:
        return sum(actor.cutter.cuts for actor in self.actors)

    @asynccontextmanager
    async def here(self) -> AsyncIterator[None]:
        """Start the server and let everybody come; in the end all go."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self.instrument)
            stack.push_async_callback(in_thread, self.daemon.kill)
            await in_thread(self.daemon.start)
            for name, watches in WATCHES.items():
                cutter = await stack.enter_async_context(Cutter(lambda: self.daemon.address))
                groups, service = GROUPS[name], SERVICES.get(name, "")
                common: dict[str, Any] = {
                    "watches": watches,
                    "groups": groups,
                    "service": service,
                }
                if name in {"panel", "desk"}:
                    encoding = self.dice.choice(["json", "msgpack"])
                    panel = Panel(name, cutter, self.books, self.dice, encoding=encoding, **common)
                    self.panels.append(await stack.enter_async_context(panel))
                else:
                    hand = Hand(name, cutter, self.books, self.dice, **common)
                    self.hands.append(await stack.enter_async_context(hand))
            stack.push_async_callback(self._leave)
            async with Client(self.daemon.url) as client:
                await is_up(client)
                # Who is in which group, and who watches what, is on the disk when this is.
                await self._all_watch(client)
                await SharedState(client).put("state/begin", 1)
            yield

    async def _all_watch(self, client: Client) -> None:
        there: dict[str, list[str]] = {}
        async for row in client.clients(follow=True):
            there[row.fields.get("name", "")] = row.fields.get("watches", [])  # type: ignore[union-attr]
            if all(there.get(name) == [topic] for name, topic in WATCHES.items()):
                return

    async def _leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _answer(self, _line: str) -> str | None:
        """Answer as instruments do: mostly."""
        luck = 0.0 if self._is_calm else self.dice.random()
        return "OK\n" if luck < 0.85 else "NO\n" if luck < 0.93 else None

    # -- what may happen ---------------------------------------------------------------------------

    async def act(self) -> None:
        """Do one thing more."""
        troubles = self._troubles
        acts: dict[Callable[[], None], int] = {
            self._send: 40,
            self._send_again: 10,
            self._command: 40,
            self._command_again: 12,
            self._increment: 16,
            self._toggle: 6,
            self._hold: 20,
            self._receive: 2,
            self._acknowledge: 4,
            self._cut: troubles,
            self._cut_later: troubles,
            self._release: troubles,
            self._refuse: troubles,
            self._allow: 4 * troubles,
            self._crash: troubles,
            self._come: 4 * troubles,
            self.end_server: self._kills,
        }
        (act,) = self.dice.choices(list(acts), list(acts.values()))
        act()
        self.acts += 1
        # Not for something to happen: the moment is what is tried.
        await asyncio.sleep(self.dice.choice([0.0, 0.002, 0.02, 0.05]))
        if self._ending is not None and not self._ending.done():
            await asyncio.sleep(0.1)  # else most would happen while the server is not there
        if len(self._tasks) > BUSY:
            # They may all wait for somebody to be let in.
            for actor in self.actors:
                actor.cutter.is_refusing = False
            await self._some_end()

    def _begin(self, actor: Actor, once: Callable[[], Awaitable[None]], *, is_keyed: bool) -> None:
        """Do something, again whenever the connection was lost, unless it was forgotten."""

        async def persist() -> None:
            crashes = actor.crashes
            while actor.crashes == crashes:
                try:
                    await once()
                except ProtocolError:
                    return
                except LostError:
                    if not is_keyed or self.dice.random() < 0.3:
                        return
                    await actor.here()
                else:
                    return

        task = asyncio.create_task(persist(), name=actor.name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _some_end(self) -> None:
        """Wait until something is over, or for a while; not for a server that does not start."""
        await asyncio.wait(self._tasks, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        assert not self.books.faults, self.books.faults

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.books.faults.append(f"{task.get_name()}: {error!r}")

    def _actor(self) -> Actor:
        here = [actor for actor in self.actors if actor.is_here]
        return self.dice.choice(here)

    def _send(self) -> None:
        dice, actor = self.dice, self._actor()
        to = dice.choice(
            [
                {"client": self.books.ids[dice.choice(list(WATCHES))]},
                {"client": self.books.ids[dice.choice(list(WATCHES))]},
                {"group": dice.choice(["g", "h"])},
                {"watching": dice.choice(TOPICS)},
            ]
        )
        body = next(self._numbers)
        sent = Sent(body, actor.name, to, f"m{body}" if dice.random() < 0.6 else "")
        self.books.sent.append(sent)
        self._ask(actor, sent)

    def _ask(self, actor: Actor, sent: Sent) -> None:
        wait_s = self.dice.choice([0.0, 0.5, 5.0])
        self._begin(actor, lambda: actor.send(sent, wait_s), is_keyed=bool(sent.key))

    def _send_again(self) -> None:
        actor = self._actor()
        known = [
            sent
            for sent in self.books.sent[-30:]
            if sent.key and sent.sender == actor.name and not self.is_old(sent)
        ]
        if known:
            self._ask(actor, self.dice.choice(known))

    def is_old(self, sent: Sent) -> bool:
        """Tell whether the key of a message may be forgotten."""
        times = [time for ask in sent.asks for time in (ask.began_us, ask.reported_us) if time]
        is_open = any(not ask.has_ended and ask.refusal is None for ask in sent.asks)
        end = now_us() if is_open or not times else max(times)
        return bool(times) and end - min(times) > self.age_us // 2

    def _command(self) -> None:
        dice, actor = self.dice, self._actor()
        op, name = dice.choice(COMMANDS)
        number = next(self._numbers)
        key = f"k{number}" if dice.random() < 0.7 else ""
        timeout_s = dice.choice([0.05, 0.5, 2.0, 5.0])
        command = Command(number, actor.name, op, name, key, timeout_s)
        self.books.commands.append(command)
        self._begin(actor, lambda: actor.act(command), is_keyed=bool(key))

    def _command_again(self) -> None:
        actor = self._actor()
        known = [one for one in self.books.commands[-30:] if one.key and one.who == actor.name]
        if known:
            command = self.dice.choice(known)
            self._begin(actor, lambda: actor.act(command), is_keyed=True)

    def _increment(self) -> None:
        actor = self._actor()
        increment = Increment(self.dice.choice(COUNTERS), next(self._numbers), actor.name)
        self.books.increments.append(increment)
        version, tokens = 0, list[int]()

        async def once() -> None:
            nonlocal version, tokens
            while True:
                value = {"count": len(tokens) + 1, "tokens": [*tokens, increment.token]}
                try:
                    await self._put(actor, increment, value, version)
                except ProtocolError as exc:
                    if exc.code != "conflict":
                        raise
                    present = cast("dict[str, Any]", exc.present)
                    version = present["version"]
                    tokens = present["value"]["tokens"] if version else []
                    if increment.token in tokens:
                        # It was done by a request whose answer was lost.
                        assert increment.is_unsure, increment
                        increment.is_done, increment.is_unsure = True, False
                        return
                    increment.is_unsure = False
                else:
                    return

        self._begin(actor, once, is_keyed=True)

    async def _put(
        self, actor: Actor, increment: Increment, value: dict[str, Any], version: int
    ) -> None:
        fields = {"topic": increment.topic, "value": value, "version": version}
        try:
            answer = await actor.ask("put", fields)
        except LostError:
            increment.is_unsure = True
            raise
        except asyncio.CancelledError:
            increment.is_unsure = True
            raise
        increment.is_done, increment.is_unsure = True, False
        change = Change(increment.topic, "put", actor.name, version, answer["version"])
        self.books.changes.append(change)

    def _toggle(self) -> None:
        """Make what is not there, or delete what is."""
        actor = self._actor()
        books = self.books

        async def once() -> None:
            try:
                made = await actor.ask("put", {"topic": FLAG, "value": 1, "version": 0})
                books.changes.append(Change(FLAG, "put", actor.name, 0, made["version"]))
            except ProtocolError as exc:
                version = cast("dict[str, Any]", exc.present)["version"]
                try:
                    gone = await actor.ask("delete", {"topic": FLAG, "version": version})
                except LostError:
                    books.unsure_deletes += 1
                    raise
                change = Change(FLAG, "delete", actor.name, version, gone["version"])
                books.changes.append(change)

        self._begin(actor, once, is_keyed=False)

    def _hold(self) -> None:
        actor = self._actor()
        op = self.dice.choice(["take", "take", "renew", "give_back"])
        subject = self.dice.choice(SUBJECTS)
        once = self._give_back if op == "give_back" else self._take
        self._begin(actor, lambda: once(actor, op, subject), is_keyed=False)

    async def _take(self, actor: Actor, op: str, subject: str) -> None:
        asked_us, it = now_us(), (actor.name, subject)
        answer = await actor.ask(op, {"subject": subject, "duration": 1})
        lease = answer["lease"]
        assert lease["holder"]["id"] == self.books.ids[actor.name], lease
        if it not in self._giving_back and self._gave_back.get(it, 0) < asked_us:
            grant = Grant(actor.name, subject, asked_us, now_us(), lease["until_us"])
            self.books.grants.append(grant)

    async def _give_back(self, actor: Actor, op: str, subject: str) -> None:
        it = (actor.name, subject)
        self._gave_back[it] = now = now_us()
        # While the answer is out nobody can say what of it was when.
        self._giving_back.add(it)
        for grant in self.books.grants:
            if (grant.who, grant.subject) == it:
                grant.until_us = min(grant.until_us, now)
        with suppress(ProtocolError):
            await actor.ask(op, {"subject": subject})
        self._giving_back.discard(it)

    def _receive(self) -> None:
        if here := [hand for hand in self.hands if hand.is_here]:
            self.dice.choice(here).receive()

    def _acknowledge(self) -> None:
        self.dice.choice(self.hands).acknowledge()

    def _how(self) -> How:
        hows: list[How] = ["close", "reset", "half"]
        return self.dice.choice(hows)

    def _cut(self) -> None:
        self.dice.choice(self.actors).cutter.cut(self._how())

    def _cut_later(self) -> None:
        ways: list[Way] = ["up", "down"]
        count = self.dice.choice([1, 3, 30, 300, 3000])
        cutter = self.dice.choice(self.actors).cutter
        cutter.cut_after(self.dice.choice(ways), self.dice.randint(1, count), self._how())

    def _release(self) -> None:
        self.dice.choice(self.actors).cutter.release()

    def _refuse(self) -> None:
        cutter = self.dice.choice(self.actors).cutter
        cutter.is_refusing = True
        cutter.cut("reset")

    def _allow(self) -> None:
        self.dice.choice(self.actors).cutter.is_refusing = False

    def _crash(self) -> None:
        self.dice.choice(self.hands).crash()

    def _come(self) -> None:
        self.dice.choice(self.hands).come()

    def end_server(self) -> None:
        """Kill or stop it, unless that is under way, and start it again."""
        if self._ending is None or self._ending.done():
            is_kill = self.dice.random() < 0.7
            self._ending = asyncio.create_task(self._ends(is_kill=is_kill), name="end")
            self._tasks.add(self._ending)
            self._ending.add_done_callback(self._ended)

    async def _ends(self, *, is_kill: bool) -> None:
        if is_kill:
            await in_thread(self.daemon.kill)
            self.kills_us.append(now_us())
        else:
            status, _ = await in_thread(self.daemon.stop)
            self.stops_us.append(now_us())
            assert status == 0
        self._giving_back.clear()
        await in_thread(self.daemon.start)

    # -- and then ----------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Let everybody come back and have everything; repeat what has a key."""
        self._is_calm = True
        for actor in self.actors:
            actor.is_calm = True
            actor.cutter.is_refusing = False
            actor.cutter.release()
        for hand in self.hands:
            hand.come()
        while self._tasks:
            await self._some_end()
        for hand in self.hands:
            await hand.here()
            hand.receive()
            hand.acknowledge()
        async with Client(self.daemon.url, name="auditor") as client:
            await is_up(client)
            await asyncio.gather(*(self._repeat(actor) for actor in self.actors))
            for name in WATCHES:
                await self._flush(client, self.books.ids[name])
            Comparison(self, await audit_of(client)).compare()
            for topic in COUNTERS:
                entry = await SharedState(client).get(topic)
                compare_counter(self.books, topic, entry.value if entry else None)

    async def _repeat(self, actor: Actor) -> None:
        for command in self.books.commands:
            if command.who == actor.name and command.key and command.asks:
                await self._surely(actor, partial(actor.act, command))
        for sent in self.books.sent:
            if sent.sender == actor.name and sent.key and sent.asks and not self.is_old(sent):
                await self._surely(actor, partial(actor.send, sent, 600.0))

    async def _surely(self, actor: Actor, once: Callable[[], Awaitable[None]]) -> None:
        while True:
            await actor.here()
            try:
                await once()
            except LostError:
                continue  # the last cut that waited for its byte
            except ProtocolError:
                return
            else:
                return

    async def _flush(self, client: Client, receiver: str) -> None:
        """Wait until a client has everything: what comes last comes behind it."""
        while True:
            async for receipt in client.send_to("flush", client=receiver, wait_s=600.0):
                if receipt.status == "delivered":
                    return


async def is_up(client: Client) -> None:
    """Wait until the instrument is there."""
    following = Follower(client.subscribe("$sys/devices/+"))
    await following.update(
        lambda update: (
            isinstance(update.reading.value, dict) and update.reading.value["state"] == "up"
        )
    )


async def audit_of(client: Client) -> list[tuple[str, dict[str, Any]]]:
    """Return the audit: what kind of act, and the event."""
    events = []
    async for item in client.history("$audit/#", start="-1h"):
        if isinstance(item, Update):
            value = item.reading.value
            assert isinstance(value, dict)
            events.append((item.topic.removeprefix("$audit/"), dict(value)))
        elif isinstance(item, Gap):
            assert item.reason == "missing", item
    return events


async def run(tmp_path: Path, seed: int, acts: int) -> None:
    """Do so many random things, and compare."""
    storm = Storm(seed, tmp_path)
    try:
        async with storm.here():
            for number in range(acts):
                if number == acts // 2:
                    storm.end_server()
                await storm.act()
            await storm.finish()
    except BaseException as exc:
        exc.add_note(f"seed {seed}, {acts} acts")
        raise
    books = storm.books
    asked = sum(len(one.asks) for one in books.sent) + sum(len(o.asks) for o in books.commands)
    done = [one for one in books.commands if any(ask.outcome for ask in one.asks)]
    told = sum(any(ask.answer or ask.receipts for ask in one.asks) for one in books.sent)
    sys.stderr.write(
        f"seed {seed}: {storm.acts} acts, {len(books.sent)} messages, {told} accepted, "
        f"{sum(map(len, books.had.values()))} had, {books.again} again; {len(books.commands)} "
        f"commands, {len(done)} over, {asked} asks; {len(books.increments)} increments, "
        f"{len(books.grants)} leases; {len(storm.kills_us)} kills of {storm.ends} ends, "
        f"{storm.cuts} cuts, {sum(hand.crashes for hand in storm.hands)} crashes\n"
    )


@pytest.mark.slow  # starts some processes
@pytest.mark.parametrize("seed", [1, 2])
@on_uvloop(280.0)
async def test_what_clients_are_promised_holds_whatever_dies(tmp_path: Path, seed: int) -> None:
    """Messages, commands, leases, shared state and their audit."""
    await run(tmp_path, seed, 80)


@pytest.mark.trial
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 130))
@on_uvloop(580.0)
async def test_what_clients_are_promised_holds_in_many_storms(tmp_path: Path, seed: int) -> None:
    """The same, longer; a seed that fails is run again with ``-k``."""
    await run(tmp_path, seed, 300)
