"""Each program in docs/client.md runs, and prints what the page says."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensord.client import Client, Update
from tests.kit.daemon import REPOSITORY, Daemon

TEXT = (REPOSITORY / "docs" / "client.md").read_text()

PROGRAM = re.compile(
    r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE
)

PROGRAMS = [(found[1], found[2]) for found in PROGRAM.finditer(TEXT)]

URL = "ws://127.0.0.1:8765"

MADE_UP = re.compile(r"\b[0-9a-f]{12}\b|\d{4}-\d\d-\d\dT[0-9:.]+Z")
"""Ids and times."""

DEADLINE_S = 120.0

# The topics of `sensord demo`, for that is what the page has its readers run, with fixed values.
CONFIG = """
[devices.boiler]
reader = "simulated"
interval = "50ms"
topic = "plant/boiler/{field}"
signals.temperature = { shape = "constant", low = 61.5 }
channels.temperature = { unit = "Cel", decimals = 2, publish = { policy = "every" } }

[devices.heating]
reader = "simulated"
interval = "50ms"
topic = "plant/heating/{field}"
signals.setpoint = { shape = "constant", low = 20, high = 30 }
channels.setpoint = { unit = "Cel", decimals = 1 }
writable.setpoint = { range = [5, 30] }
actions.night = { sets = { setpoint = 16 } }

[clients.topics."derived/#"]
decimals = 2
"""


def title(program: tuple[str, str | None]) -> str:
    """Name a program by the heading that it stands under."""
    before = TEXT[: TEXT.index(program[0])]
    return before.rpartition("\n## ")[2].partition("\n")[0]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with Daemon(tmp_path, CONFIG) as daemon:
        asyncio.run(values_are_there(daemon.url))
        yield daemon.url


async def values_are_there(url: str) -> None:
    """Wait until each device has said something, and leave no trace among the clients."""
    missing = {"plant/boiler/temperature", "plant/heating/setpoint"}
    async with asyncio.timeout(DEADLINE_S), Client(url, is_ephemeral=True) as client:
        async for item in client.subscribe(*missing):
            if isinstance(item, Update):
                missing.discard(item.topic)
            if not missing:
                return


def said(code: str, url: str, folder: Path) -> str:
    """Run a program of the page to its end; return what it printed."""
    assert URL in code
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code.replace(URL, url)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=title)
def test_a_program_prints_what_the_page_says(
    program: tuple[str, str | None], url: str, tmp_path: Path
) -> None:
    """Only ids and times are others each time; the devices here say what the page shows."""
    code, wanted = program
    text = said(code, url, tmp_path)
    assert MADE_UP.sub("…", text) == MADE_UP.sub("…", wanted or "")


def test_every_task_of_the_page_has_its_program() -> None:
    """One that the pattern misses would not be run."""
    assert len(PROGRAMS) == TEXT.count("```python") > 0


def test_a_later_run_goes_on_where_the_one_before_was(url: str, tmp_path: Path) -> None:
    """And is the same client."""
    (resumes,) = (code for code, _ in PROGRAMS if "position.json" in code)
    positions = []
    for _ in range(2):
        said(resumes, url, tmp_path)
        positions.append(json.loads((tmp_path / "position.json").read_text()))
    assert positions[0]["epoch"] == positions[1]["epoch"]
    assert positions[0]["offset"] < positions[1]["offset"]
    (identified,) = (code for code, _ in PROGRAMS if "client.key" in code)
    assert said(identified, url, tmp_path) == said(identified, url, tmp_path)
    assert (tmp_path / "client.key").stat().st_mode & 0o777 == 0o600
