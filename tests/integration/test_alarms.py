"""Alarms through the real daemon: raised, acknowledged, shelved, and kept across kills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Client, CommandError, Control
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.follower import Follower


def config(folder: Path) -> str:
    return f"""
[journal]
folder = "{folder / "journal"}"

[clients.topics."lab/+"]
retain = true

[alarms.hot]
topic = "lab/oven"
above = 80
hysteresis = 5
priority = "high"
text = "open the window"

[alarms.mute]
topic = "lab/never"
stale = "100ms"
"""


async def rows(daemon: Daemon) -> tuple[int, dict[str, Any]]:
    """Return the exit status of `sensord alarms` and its rows by name."""
    done = await in_thread(lambda: sensord("alarms", "--json", "--url", daemon.url))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {row["alarm"]: row for row in found}


@on_uvloop()
async def test_an_alarm_lives_through_kill_and_restart(tmp_path: Path) -> None:
    """Raised, killed, acknowledged, killed, cleared: each stands, and says who did it."""
    with Daemon(tmp_path, config(tmp_path)) as daemon:
        async with Client(daemon.url, name="Anna") as client:
            states = Follower(client.subscribe("$sys/alarms/hot"))
            events = Follower(client.subscribe("$sys/alarm_events/hot"))
            key = client.key
            await client.publish("lab/oven", 81.0)
            await events.update(lambda u: u.reading.value["event"] == "raised")  # type: ignore[index,call-overload]  # a map
            await states.update(lambda u: u.reading.value["state"] == "raised")  # type: ignore[index,call-overload]  # a map
        status, found = await rows(daemon)
        assert status == 1
        assert (found["hot"]["state"], found["hot"]["value"]) == ("raised", 81.0)
        await in_thread(daemon.kill)
        await in_thread(daemon.start)
        async with Client(daemon.url, name="Bert") as client:
            control = Control(client)
            assert (await rows(daemon))[1]["hot"]["state"] == "raised"
            args = {"act": "acknowledge", "alarm": "hot", "text": "is being mended"}
            assert await control.call("alarms", {**args}) == "acknowledged"
            (act,) = await client.get("$audit/alarm")
            assert act.reading.value["subject"] == "hot"  # type: ignore[index,call-overload]  # a map
            with pytest.raises(CommandError, match="nothing to acknowledge"):
                await control.call("alarms", {**args})
        await in_thread(daemon.kill)
        await in_thread(daemon.start)
        found = (await rows(daemon))[1]
        assert found["hot"]["state"] == "acknowledged"
        assert found["hot"]["acknowledged"]["by"]["name"] == "Bert"
        assert found["hot"]["acknowledged"]["text"] == "is being mended"
        async with Client(daemon.url, key=key) as client:
            states = Follower(client.subscribe("$sys/alarms/hot"))
            await client.publish("lab/oven", 76.0)
            await client.publish("lab/oven", 75.0)
            await states.update(lambda u: u.reading.value["state"] == "normal")  # type: ignore[index,call-overload]  # a map


@on_uvloop()
async def test_commands_act_on_alarms_that_exist_only(tmp_path: Path) -> None:
    """A misspelt alarm is refused with the nearest; a silent source is an alarm to shelve."""
    with Daemon(tmp_path, config(tmp_path)) as daemon:

        async def run(*arguments: str) -> str:
            done = await in_thread(lambda: sensord(*arguments, "--url", daemon.url))
            return f"{done.returncode} {done.stdout}{done.stderr}".strip()

        async with Client(daemon.url) as client:
            states = Follower(client.subscribe("$sys/alarms/mute"))
            await states.update(lambda u: u.reading.value["state"] == "raised")  # type: ignore[index,call-overload]  # a map
            assert "did you mean mute?" in await run("ack", "mut")
            assert (await run("ack", "hot")).startswith("4 ")
            assert await run("shelve", "mute", "no sensor yet", "--for", "1h") == "0 raised"
            assert (await run("alarms")).startswith("0 ")
            assert "shelved until" in await run("alarms")
            assert await run("unshelve", "mute") == "0 raised"
            assert (await run("unshelve", "mute")).startswith("4 ")
            assert (await run("alarms")).startswith("1 ")
            assert await run("shelve", "mute", "--for", "10ms") == "0 raised"
            await states.update(
                lambda u: u.reading.value["shelved"] is None and not u.reading.restates  # type: ignore[index,call-overload]  # a map
            )
            assert await run("ack", "mute", "seen") == "0 acknowledged"
            assert (await run("alarms")).startswith("0 ")
