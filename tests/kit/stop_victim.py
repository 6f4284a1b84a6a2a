"""A daemon in which one method fails from the moment on in which it begins to stop.

python -m tests.kit.stop_victim MODULE:CLASS.METHOD raises|hangs|blocks [at-once] FILE

With ``blocks-again`` for a function, MODULE:FUNCTION, every call after the first one hangs.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any

from sensord.app import App
from sensord.cli import main


class SurpriseError(Exception):
    """What nobody foresaw."""


def raises(*_: object, **__: object) -> Any:
    raise SurpriseError


async def hangs(*_: object, **__: object) -> None:
    await asyncio.Event().wait()


def blocks(*_: object, **__: object) -> Any:
    """Hold the thread for good, as a disk does that does not answer."""
    threading.Event().wait()


def blocks_again(act: Callable[..., Any]) -> Callable[..., Any]:
    called = threading.Event()

    def once(*args: object) -> Any:
        if called.is_set():
            blocks()
        called.set()
        return act(*args)

    return once


def prepare(where: str, fault: str, *, at_once: bool) -> None:
    """Break the method, now or as soon as the daemon is to stop."""
    module, _, path = where.partition(":")
    if fault == "blocks-again":
        owner: Any = importlib.import_module(module)
        setattr(owner, path, blocks_again(getattr(owner, path)))
        return
    name, _, method = path.partition(".")
    broken = {"raises": raises, "hangs": hangs, "blocks": blocks}[fault]
    owner = getattr(importlib.import_module(module), name)
    if at_once:
        setattr(owner, method, broken)
        return
    stop = App.stop

    def break_and_stop(app: App) -> None:
        setattr(owner, method, broken)
        stop(app)

    App.stop = break_and_stop  # type: ignore[method-assign,assignment]  # that is the point


if __name__ == "__main__":
    where, fault, *rest = sys.argv[1:-1]
    prepare(where, fault, at_once="at-once" in rest)
    sys.exit(main(["run", sys.argv[-1]]))
