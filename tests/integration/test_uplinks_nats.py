"""Readings delivered to JetStream: each once and in order, whatever is killed."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from tests.integration.test_uplinks import config, micros, recorded, status, until
from tests.kit.daemon import Daemon, sensord
from tests.kit.nats import JetStream

STREAM = "plant"


def uplink(server: JetStream, more: str = "") -> str:
    return f"""
type = "nats"
servers = ["{server.url}"]
stream = "{STREAM}"
subject = "works.{{topic}}"
interval = "50ms"
start = "oldest"
{more}
"""


def stored(server: JetStream) -> list[dict[str, Any]]:
    """Return the readings in the stream, in order."""
    return [json.loads(one.data or b"") for one in server.messages(STREAM)]


def newest(daemon: Daemon) -> int:
    """Return the offset of the newest reading in the log."""
    url = f"http://{daemon.address}/api/readings?topics=plant/level"
    with urllib.request.urlopen(url, timeout=30) as answer:
        offset: int = json.loads(answer.read())["readings"][0]["offset"]
        return offset


def levels(rows: list[dict[str, Any]]) -> dict[int, float]:
    return {
        micros(row["time"]): row["value"]
        for row in rows
        if row["topic"] == "plant/level" and "restated" not in row and row["quality"] == "good"
    }


@pytest.mark.timeout(300)
def test_every_reading_is_in_the_stream_once_and_in_order_though_both_sides_are_killed(
    tmp_path: Path,
) -> None:
    """The duplicate window is the shortest there is: it is not what prevents doubles."""
    with JetStream(tmp_path) as server:

        async def prepare(client: Client) -> None:
            await client.jetstream().add_stream(
                name=STREAM, subjects=["works.>"], duplicate_window=0.1
            )

        server.ask(prepare)
        with Daemon(tmp_path, config(tmp_path, uplink(server), interval="5ms")) as daemon:
            for kills in range(4):
                daemon.wait_for_log("uplink is up")
                before = server.count(STREAM)
                until(lambda before=before: server.count(STREAM) > before + 50)  # type: ignore[misc]
                if kills != 1:
                    server.kill()
                if kills != 2:
                    daemon.kill()
                    daemon.start()
                if kills != 1:
                    server.start()
            daemon.wait_for_log("uplink is up")
            held = recorded(daemon)
            until(lambda: status(daemon)["pending"] < 50)
            until(lambda: max(held) <= max(levels(stored(server))))
            rows = stored(server)
    offsets = [row["offset"] for row in rows]
    assert offsets == sorted(set(offsets)), "each once, in order"
    found = levels(rows)
    assert {time: found.get(time) for time in held} == held
    assert {row["unit"] for row in rows if row["topic"] == "plant/level"} == {"Cel"}


def test_delivery_resumes_after_the_last_message_of_the_stream_not_after_the_saved_position(
    tmp_path: Path,
) -> None:
    """A store that was lost, or restored from a copy, repeats nothing."""
    with JetStream(tmp_path) as server:
        text = config(tmp_path, uplink(server))
        with Daemon(tmp_path, text) as daemon:
            until(lambda: server.count(STREAM) > 50)
            daemon.kill()
            for file in (tmp_path / "journal").glob("store*"):
                file.unlink()
            before = server.count(STREAM)
            daemon.start()
            until(lambda: server.count(STREAM) > before + 50)
            rows = stored(server)
    offsets = [row["offset"] for row in rows]
    assert offsets == sorted(set(offsets))


def test_a_reading_larger_than_the_server_accepts_costs_itself_alone(tmp_path: Path) -> None:
    """The batch is halved until it is found; the others arrive."""
    more = 'clients.topics."plant/note" = { type = "string" }\n'
    with JetStream(tmp_path, "max_payload: 2048") as server:
        with Daemon(tmp_path, config(tmp_path, uplink(server), more=more)) as daemon:
            daemon.wait_for_log("uplink is up")
            for note in ("x" * 5000, "short"):
                done = sensord("publish", "plant/note", note, "--url", daemon.url)
                assert done.returncode == 0, done.stderr
            line = daemon.wait_for_log("reading refused by the other side")
            assert "topic=plant/note" in line
            assert "the server accepts 2048" in line
            held = recorded(daemon)
            until(lambda: set(levels(stored(server))) >= set(held))
            assert (status(daemon)["state"], status(daemon)["rejected"]) == ("up", 1)
        notes = [
            row["value"]
            for row in stored(server)
            if row["topic"] == "plant/note" and "restated" not in row
        ]
    assert notes == ["short"]


def test_another_writer_in_the_stream_delays_but_neither_loses_nor_repeats(tmp_path: Path) -> None:
    """The sequence is not what was expected: the stream is asked again where it is."""
    with (
        JetStream(tmp_path) as server,
        Daemon(tmp_path, config(tmp_path, uplink(server))) as daemon,
    ):
        until(lambda: server.count(STREAM) > 10)

        async def publish(client: Client) -> None:
            await client.jetstream().publish("works.plant.level", b'{"topic": "x"}', headers={})

        server.ask(publish)
        until(lambda: "is not from sensord" in status(daemon)["detail"])

        async def remove(client: Client) -> None:
            source = client.jetstream()
            await source.delete_msg(STREAM, (await source.stream_info(STREAM)).state.last_seq)

        server.ask(remove)
        held = recorded(daemon)
        until(lambda: set(levels(stored(server))) >= set(held))
        offsets = [row["offset"] for row in stored(server)]
    assert offsets == sorted(set(offsets))


def test_credentials_that_the_server_refuses_are_named(tmp_path: Path) -> None:
    """A password comes from a file of its own."""
    (tmp_path / "secret").write_text("right\n")
    more = f'user = "u"\npassword_file = "{tmp_path / "secret"}"'
    with (
        JetStream(tmp_path, "authorization { user: u, password: right }") as server,
        Daemon(tmp_path, config(tmp_path, uplink(server, more))) as daemon,
    ):
        daemon.wait_for_log("uplink is up")
        assert daemon.stop()[0] == 0
        (tmp_path / "secret").write_text("wrong\n")
        daemon.start()
        assert "uthorization" in daemon.wait_for_log("uplink is down")


def test_what_has_left_the_log_is_named_in_a_gap_and_delivery_resumes_behind_it(
    tmp_path: Path,
) -> None:
    """Also after a kill: the stream's last message may be the gap."""
    text = "log.ring = 2048\n" + config(tmp_path, uplink(server := JetStream(tmp_path)))
    text = text.replace("[journal]\n", "[journal]\nenabled = false\n").replace("20ms", "1ms")
    with server, Daemon(tmp_path, text) as daemon:
        until(lambda: server.count(STREAM) > 10)
        assert sensord("uplinks", "pause", "cloud", "--url", daemon.url).returncode == 0
        daemon.wait_for_log("uplink is paused")
        begun = newest(daemon)
        until(lambda: newest(daemon) > begun + 8000)
        assert sensord("uplinks", "resume", "cloud", "--url", daemon.url).returncode == 0
        until(lambda: status(daemon)["gaps"] > 0)
        until(lambda: bool(stored(server)[-1]["topic"] == "plant/level"))
        rows = stored(server)
    [at] = [i for i, row in enumerate(rows) if row["topic"] == "$gap/cloud"]
    gap = rows[at]["value"]
    assert gap["count"] is None or gap["count"] > 0
    before, after = rows[at - 1]["offset"], rows[at + 1]["offset"]
    assert before < gap["from"] < gap["to"] <= after
    offsets = [row["offset"] for row in rows]
    assert offsets == sorted(set(offsets))
