"""Run an async test on asyncio in debug mode and on uvloop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

__all__ = ["on_each_loop", "run"]

Test = Callable[..., Coroutine[Any, Any, None]]

DEADLINE_S = 120.0
"""Longer than any of these tests takes on a busy machine; a test that waits in vain ends here."""

_FACTORIES: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def run(backend: str, main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on one of the two loops."""

    async def in_time() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await main

    with asyncio.Runner(debug=backend == "asyncio", loop_factory=_FACTORIES[backend]) as runner:
        runner.run(in_time())


def on_each_loop(test: Test) -> Callable[..., None]:
    """Make an async test run once on each loop; its fixtures stay what they are."""

    @functools.wraps(test)
    def on_loop(backend: str, **fixtures: Any) -> None:
        run(backend, test(**fixtures))

    signature = inspect.signature(test)
    backend = inspect.Parameter("backend", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [backend, *signature.parameters.values()]
    # pytest reads the fixtures it has to bring from here.
    on_loop.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # as documented in PEP 362
    mark = pytest.mark.parametrize("backend", list(_FACTORIES))
    marked: Callable[..., None] = mark(on_loop)
    return marked
