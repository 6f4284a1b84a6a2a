"""Messages between Python clients, and from the command line."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from sensord.client import Client, ClientError
from sensord.config.tree import Clients
from sensord.wire.ops.messages import Groups, Send
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.loops import on_each_loop
from tests.kit.station import Station


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
@on_each_loop
async def test_a_message_arrives_once_and_its_sender_is_told(encoding: str) -> None:
    """With the sender's true identity, and in order, across a lost connection."""
    async with (
        Station() as station,
        Client(station.url, name="Anna", encoding=encoding) as anna,
        Client(station.url, name="Bert") as bert,
    ):
        inbox = aiter(bert.messages())
        first = anna.send_to({"text": "hello"}, client=bert.id)
        message = await anext(inbox)
        assert (message.sender_id, message.sender_name, message.body) == (
            anna.id,
            "Anna",
            {"text": "hello"},
        )
        assert message.to == {"client": bert.id}
        second = anna.send_to("again", client=bert.id)
        assert (await anext(inbox)).body == "again"
        assert [r.status async for r in first][-1] == "delivered"
        third = anna.send_to("and again", client=bert.id)
        message = await anext(inbox)
        assert message.body == "and again"
        assert [r.status async for r in second][-1] == "delivered"
        await bert.ask(Groups(bert.number(), join=("operators",)))
        fourth = anna.send_to("all of you", group="operators")
        assert (await anext(inbox)).body == "all of you"
        await inbox.aclose()
        assert [r.status async for r in third][-1] == "delivered"
        fourth.close()


@on_each_loop
async def test_whom_nobody_knows_gets_nothing() -> None:
    """The sender is told, and an empty group is no receiver."""
    async with Station() as station, Client(station.url) as anna:
        (receipt,) = [r async for r in anna.send_to("x", client="nobody")]
        assert (receipt.status, receipt.reason) == ("refused", "unknown")
        assert [r async for r in anna.send_to("x", group="nobody")] == []
        with pytest.raises(ValueError, match="one of"):
            anna.send_to("x")


@on_uvloop()
async def test_a_command_sends_to_who_watches_and_waits_over_a_kill(tmp_path: Path) -> None:
    """What was accepted is delivered after kill -9 of the daemon, once."""
    config = f'[journal]\nfolder = "{tmp_path / "journal"}"\n'
    with Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url, name="Bert") as bert:
            subscription = bert.subscribe("plant/#")
            await anext(aiter(subscription))
            sent = await in_thread(
                lambda: sensord(
                    "send", "look", "--watching", "plant/x", "--wait", "200ms", "--url", daemon.url
                )
            )
            assert sent.stdout == f"{bert.id} kept: it is away, or does not receive\n"
            assert sent.returncode == 0
            await in_thread(daemon.kill)
            await in_thread(daemon.start)
            inbox = aiter(bert.messages())
            message = await asyncio.wait_for(anext(inbox), 30)
            assert (message.body, message.sender_name.partition(",")[0]) == ("look", "sensord send")
            await inbox.aclose()
        nobody = await in_thread(
            lambda: sensord("send", "x", "--group", "none", "--url", daemon.url)
        )
        assert (nobody.returncode, nobody.stderr) == (3, "no client to receive it\n")


async def back(*clients: Client) -> None:
    """Wait until clients are connected again: a ping may be lost with the old connection."""
    for client in clients:
        while True:
            with suppress(ClientError):
                await client.ping()
                break


@on_each_loop
async def test_messages_that_wait_for_the_program_are_not_lost_with_it(tmp_path: Path) -> None:
    """A connection that was lost meanwhile does not make them delivered; none comes twice."""
    async with (
        Station(clients=Clients(), folder=tmp_path) as station,
        Client(station.url, name="Anna") as anna,
    ):

        async def send(*bodies: int) -> None:
            for body in bodies:
                await anna.ask(Send(anna.number(), "client", bert.id, body))
            await bert.ping()  # they are there before its answer

        async with Client(station.url, name="Bert") as bert:
            reading = aiter(bert.messages())
            await send(0, 1, 2)
            assert [(await anext(reading)).body for _ in range(2)] == [0, 1]
            await station.restart()
            await back(anna, bert)
            await send(3)
            assert (await anext(reading)).body == 2
            await bert.ping()  # what it had before is acknowledged
            await reading.aclose()
        # Its program ended while it handled one, with another before it.
        async with Client(station.url, name="Bert", key=bert.key) as bert:
            reading = aiter(bert.messages())
            assert [(await anext(reading)).body for _ in range(2)] == [2, 3]
            await reading.aclose()


@on_each_loop
async def test_what_a_former_server_gave_is_not_acknowledged_to_another() -> None:
    """One that forgot its clients counts its messages anew: a number means another message."""
    async with Station(clients=Clients()) as station, Client(station.url) as bert:
        reading = aiter(bert.messages())
        async with Client(station.url) as anna:
            for body in ("old 1", "old 2"):
                await anna.ask(Send(anna.number(), "client", bert.id, body))
            await bert.ping()
        me = bert.id
        await station.restart()
        with suppress(ClientError):
            await bert.ping()
        await bert.ping()
        assert bert.id != me
        async with Client(station.url) as anna:
            await anna.ask(Send(anna.number(), "client", bert.id, "new"))
        assert [(await anext(reading)).body for _ in range(3)] == ["old 1", "old 2", "new"]
        await bert.ping()
        await reading.aclose()
        assert (await anext(aiter(bert.messages()))).body == "new"


@on_each_loop
async def test_messages_that_expire_together_end_nothing_but_themselves(tmp_path: Path) -> None:
    """Also while the server is away, and beside those that are remembered by their keys."""
    short = Clients(inbox_age=0.2)
    async with Station(clients=short, folder=tmp_path) as station:
        async with Client(station.url, name="Bert") as bert:
            pass
        async with Client(station.url, name="Anna") as anna:
            for _ in range(2):
                sending = [anna.send_to(n, client=bert.id) for n in range(20)]
                told = [[r.status async for r in one] for one in sending]
                assert {one[-1] for one in told} == {"expired"}
            for number in range(20):
                await anna.ask(Send(anna.number(), "client", bert.id, number, f"k{number}"))
            await station.stop()
            await asyncio.sleep(short.inbox_age)  # they expire while nobody looks
            await station.start(station.address)
            await anna.ping()


@on_each_loop
async def test_a_message_may_be_acknowledged_before_the_next_is_asked_for() -> None:
    """It counts once, also where the server has forgotten everybody meanwhile."""
    async with Station(clients=Clients()) as station, Client(station.url) as bert:
        inbox = bert.messages()
        reading = aiter(inbox)
        for is_before in (True, False):
            async with Client(station.url) as anna:
                for body in range(3):
                    sending = anna.send_to(body, client=bert.id)
                    message = await anext(reading)
                    await inbox.acknowledge(message)
                    assert [r.status async for r in sending] == ["delivered"]
                    assert (message.body, sending.receivers) == (body, 1)
            if is_before:
                await station.restart()
                with suppress(ClientError):
                    await bert.ping()
                await bert.ping()


@on_each_loop
async def test_a_sender_can_tell_nobody_from_not_yet() -> None:
    """By how many are to get it."""
    async with Station() as station, Client(station.url) as anna, Client(station.url) as bert:
        nobody = anna.send_to("x", group="nobody")
        assert ([r async for r in nobody], nobody.receivers) == ([], 0)
        reading = aiter(bert.messages())
        await bert.ping()
        waiting = anna.send_to("x", client=bert.id, wait_s=0.05)
        assert (await anext(reading)).body == "x"
        assert ([r async for r in waiting], waiting.receivers) == ([], 1)
        await reading.aclose()
