"""The JavaScript client passes the test vectors of the protocol, as far as they exist in JSON."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.kit.node import node
from tests.kit.vectors import FOLDER, FRAMES, MESSAGES

CLIENT = Path(__file__).parents[3] / "sensord" / "web" / "client.js"
PROGRAM = Path(__file__).with_name("vectors.mjs")

LEVELS = ["good", "uncertain", "bad"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the client makes of every vector."""
    module = tmp_path_factory.mktemp("client") / "client.mjs"
    module.write_bytes(CLIENT.read_bytes())
    return run(module)


@cache
def run(module: Path) -> dict[str, Any]:
    command = [*node(), str(PROGRAM), module.as_uri(), str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def in_text(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    cases = [pytest.param(one, id=one["name"]) for one in vectors if one["json"] is not None]
    return pytest.mark.parametrize("vector", cases)


def value_of(wanted: dict[str, Any]) -> Any:
    """Return a vector's value as JavaScript has it: one type of numbers, exact below 2^53."""
    [(kind, value)] = [(kind, value) for kind, value in wanted.items() if kind != "bits"]
    if kind == "null":
        return None
    if kind == "int":
        return float(value)
    return "-0" if wanted.get("bits") == "8000000000000000" else value


@pytest.mark.parametrize("phase", ["snapshot", "live"])
@in_text(FRAMES["frames"] + FRAMES["also_read"])
def test_a_frame_brings_the_readings_of_its_vector(
    vector: dict[str, Any], phase: str, made: dict[str, Any]
) -> None:
    """With quality, times and whether it is a last value."""
    wanted, event = vector["frame"], made[f"{phase} {vector['name']}"]
    assert (event["op"], event["id"], event["cursor"]) == ("readings", 5, wanted["cursor"])
    assert len(event["items"]) == len(wanted["readings"])
    for item, told in zip(event["items"], wanted["readings"], strict=True):
        assert item["channel"] == told["channel"]
        assert (item["time_us"], item["reported_us"]) == (told["time_us"], told["reported_us"])
        assert (item["quality"], item["reason"]) == (LEVELS[told["level"]], told["reason"])
        assert (item["age"] is not None) is told["restates"]
        assert item["is_last_value"] is (phase == "snapshot")
        value = item["value"]
        assert (float(value) if "int" in told["value"] else value) == value_of(told["value"])


@in_text(FRAMES["frames"])
def test_a_frame_of_a_stream_that_ended_brings_nothing(
    vector: dict[str, Any], made: dict[str, Any]
) -> None:
    """It was on its way when the stream ended."""
    assert made[f"ended {vector['name']}"] is None


@in_text(FRAMES["refused"])
def test_an_invalid_frame_is_refused(vector: dict[str, Any], made: dict[str, Any]) -> None:
    """As a fault of the server; the next one is read."""
    refusal, event = made[f"refused {vector['name']}"]
    assert refusal == {"error": "bad_message"}
    assert [item["value"] for item in event["items"]] == [1.5]


@in_text(MESSAGES["messages"])
def test_a_message_is_read_as_it_is(vector: dict[str, Any], made: dict[str, Any]) -> None:
    """Every field of it."""
    assert made[f"message {vector['name']}"] == vector["message"]


@in_text(MESSAGES["announcements"])
def test_an_announced_channel_is_known(vector: dict[str, Any], made: dict[str, Any]) -> None:
    """With its defaults filled in."""
    wanted = [{k: v for k, v in one.items() if v is not None} for one in vector["channels"]]
    assert made[f"announcement {vector['name']}"] == wanted


@in_text(MESSAGES["refused_announcements"])
def test_an_invalid_announcement_is_refused(vector: dict[str, Any], made: dict[str, Any]) -> None:
    """As a fault of the server."""
    assert made[f"refused announcement {vector['name']}"] == {"error": "bad_message"}
