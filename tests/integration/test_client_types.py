"""The types of the Python client, as a type checker finds them for a user's program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio

from sensord.client import Client, Update


async def main() -> None:
    async with Client("ws://127.0.0.1:8765", name="my monitor") as client:
        async for item in client.subscribe("plant/#"):
            if isinstance(item, Update):
                reveal_type(item.reading.time_us)
                print(item.topic, item.reading.value)


asyncio.run(main())
"""


def test_a_program_elsewhere_finds_the_types_of_the_client(tmp_path: Path) -> None:
    """In the environment that scripts/setup makes, strictly, and not as Any."""
    program = tmp_path / "monitor.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'Revealed type is "int"' in done.stdout or '"builtins.int"' in done.stdout
