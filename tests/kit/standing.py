"""A server's time that stands still until a test moves it.

So a slow machine makes nobody silent or lagging for too long, and a test waits for no time-out.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

from sensord.server.listener import Server

__all__ = ["StandingTime"]


class StandingTime:
    """The event loop as a server's time-outs see it from now on."""

    def __init__(self, server: Server) -> None:
        self._loop = server.shared.loop
        self.now_s = self._loop.time()
        server.shared = replace(server.shared, loop=cast("asyncio.AbstractEventLoop", self))

    def time(self) -> float:
        return self.now_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)
