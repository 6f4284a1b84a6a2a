"""Messages between Python clients, and from the command line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sensord.client import Client
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
        mail = await anext(inbox)
        assert (mail.sender_id, mail.sender_name, mail.body) == (anna.id, "Anna", {"text": "hello"})
        assert mail.to == {"client": bert.id}
        second = anna.send_to("again", client=bert.id)
        assert (await anext(inbox)).body == "again"
        assert [r.status async for r in first][-1] == "delivered"
        third = anna.send_to("and again", client=bert.id)
        mail = await anext(inbox)
        assert mail.body == "and again"
        assert [r.status async for r in second][-1] == "delivered"
        await bert.ask("groups", {"join": ["operators"]})
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
            assert sent.stdout == f"{bert.id} away\n"
            assert sent.returncode == 0
            await in_thread(daemon.kill)
            await in_thread(daemon.start)
            inbox = aiter(bert.messages())
            mail = await asyncio.wait_for(anext(inbox), 30)
            assert (mail.body, mail.sender_name) == ("look", "sensord send")
            await inbox.aclose()
        nobody = await in_thread(
            lambda: sensord("send", "x", "--group", "none", "--url", daemon.url)
        )
        assert (nobody.returncode, nobody.stderr) == (1, "nobody is there to get it\n")
