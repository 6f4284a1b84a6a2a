"""A process that keeps things in a store until it is killed.

On stdout, a line for each change that it was told is on the disk: ``+KEY`` or ``-KEY``.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from sensord.sharing.store import Store

__all__ = ["value_of"]


def value_of(key: int) -> dict[str, object]:
    """Return the one value that a key may have."""
    return {"n": key, "text": "ü" * (key % 300)}


async def main(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    store = Store(folder, loop)
    store.open()
    first = max((int(key) for key in store.load("things")), default=-1) + 1
    sys.stdout.write(f"begin {first}\n")
    sys.stdout.flush()
    for key in itertools.count(first):
        told = loop.create_future()

        def done(
            error: Exception | None, key: int = key, told: asyncio.Future[None] = told
        ) -> None:
            assert error is None
            sys.stdout.write(f"+{key}\n")
            sys.stdout.flush()
            told.set_result(None)

        store.put("things", str(key), value_of(key), done)  # type: ignore[arg-type]  # plain JSON
        if key >= 50:
            store.delete("things", str(key - 50))
        if key % 7 == 0:
            await told


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
