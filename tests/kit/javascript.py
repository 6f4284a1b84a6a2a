"""Programs of the JavaScript client, run in Node."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.kit.node import node

__all__ = ["CLIENT", "Program", "program"]

CLIENT = Path(__file__).parents[2] / "sensord" / "web" / "client.js"

PROGRAMS = Path(__file__).parents[1] / "programs"

HEAD = """
import {{ createInterface }} from "node:readline";
import {{ Sensord, SensordError }} from "{module}";
const told = (value) => console.log(JSON.stringify(value));
const lines = createInterface({{ input: process.stdin }})[Symbol.asyncIterator]();
const heard = async () => (await lines.next()).value;
const connect = (name, more = {{}}) => new Sensord("{url}/v1", {{ name, ...more }});
"""


class Program:
    """A program that runs: what it prints, a JSON text a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self._process = process
        self._output, self._input = process.stdout, process.stdin

    async def told(self) -> Any:
        """Return the next thing that it prints."""
        line = await self._output.readline()
        if not line:
            assert self._process.stderr is not None
            raise AssertionError((await self._process.stderr.read()).decode())
        return json.loads(line)

    def tell(self, line: str = "") -> None:
        """Send it a line."""
        self._input.write(f"{line}\n".encode())


@contextlib.asynccontextmanager
async def program(folder: Path, url: str, name: str) -> AsyncIterator[Program]:
    """Run one of `tests/programs` until the block ends."""
    module = folder / "client.mjs"
    module.write_bytes(CLIENT.read_bytes())
    file = folder / "program.mjs"
    file.write_text(
        HEAD.format(module=module.as_uri(), url=url) + (PROGRAMS / f"{name}.mjs").read_text()
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *node(), str(file), stdin=pipe, stdout=pipe, stderr=pipe, limit=1 << 26
    )
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
