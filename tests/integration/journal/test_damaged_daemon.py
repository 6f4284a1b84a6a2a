"""No damage of its journal ends the daemon, and whoever asks gets what is whole and named gaps."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.journal import Killed, killed_journal
from tests.kit.journal_damage import CORRUPTIONS, damage
from tests.kit.monitor import Story, monitor

EVERYTHING = ["plant/#", "mixed/#", "unknown/#"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A journal whose writer was killed."""
    return killed_journal(tmp_path_factory.mktemp("killed") / "journal", mixed=True)


class Damaged(NamedTuple):
    """A daemon on a copy of it, and what was recorded there."""

    daemon: Daemon
    folder: Path
    killed: Killed


@pytest.fixture
def copy(killed: Killed, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed.folder, tmp_path / "journal"))


@pytest.fixture
def damaged(killed: Killed, copy: Path, tmp_path: Path) -> Iterator[Damaged]:
    journal = f'journal = {{ folder = "{copy}", commit_interval = "50ms", min_free = 0 }}'
    text = f"{journal}\nlog.ring = 1024\n"
    with _Later(tmp_path, text) as daemon:
        yield Damaged(daemon, copy, killed)
        print("".join(daemon.log), file=sys.stderr)  # noqa: T201  # pytest shows it


class _Later(Daemon):
    """Is started by the test, when it has damaged the folder."""

    def __enter__(self) -> Self:
        return self


def check(story: Story, killed: Killed) -> set[int]:
    """See that no reading is wrong or comes twice; return the offsets that gaps name."""
    given = sorted(killed.given.items())
    named: set[int] = set()
    for gap in story.gaps:
        named |= set(range(gap["from"] or 0, gap["to"]))
    expected = [row for offset, row in given if offset not in named]
    assert [seen.topic for seen in story.readings] == [row.topic for row in expected]
    for one, row in zip(story.readings, expected, strict=True):
        if one.reason == "not_sendable":
            assert abs(int(row.value)) >= 2**63
        else:
            assert repr(one.value) == row.value
    return named & killed.given.keys()


async def history(damaged: Damaged) -> Story:
    start: dict[str, Any] = {"from": {"time_us": 0}}
    async with monitor(damaged.daemon.url) as client:
        story = await client.story("history", topics=EVERYTHING, **start)
        await client.until(lambda: story.is_ended)
        return story


def health(daemon: Daemon) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{daemon.address}/healthz", timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def warnings(daemon: Daemon) -> list[str]:
    return [line for line in daemon.log if "damage in the journal" in line]


@on_uvloop()
async def test_a_stray_is_warned_of_and_stands_in_health_and_status(damaged: Damaged) -> None:
    """It was an info line of the log that nobody reads."""
    (damaged.folder / "x.mcap").mkdir()
    await in_thread(damaged.daemon.start)
    line = damaged.daemon.wait_for_log("not part of the journal")
    assert "warning" in line
    assert 'file=x.mcap reason="is not a regular file"' in line
    told = await in_thread(health, damaged.daemon)
    assert told["journal"]["strays"] == 1
    async with monitor(damaged.daemon.url) as client:
        story = await client.subscribe("$sys/journal")
        await client.until(lambda: bool(story.readings))
    assert story.readings[0].value["strays"] == ["x.mcap"]
    done = await in_thread(sensord, "status", "--url", damaged.daemon.url)
    assert "not part of it, left alone: x.mcap" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name.startswith("registry")])
@on_uvloop()
async def test_a_damaged_registry_costs_no_reading_of_a_segment(
    damaged: Damaged, name: str
) -> None:
    """It is made again from the segments; a KeyError for an old device ended the daemon."""
    damage(damaged.folder, name, 1)
    await in_thread(damaged.daemon.start)
    lost = check(await history(damaged), damaged.killed)
    told = await in_thread(health, damaged.daemon)
    assert not lost
    assert told["journal"]["lost"] == 0
    assert await in_thread(damaged.daemon.stop)
