"""A TCP proxy that cuts the connections through it: at a byte, at a moment, or on one side only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

__all__ = ["Cutter", "How", "Way"]

Way = Literal["up", "down"]
"""Up is to the server."""

How = Literal["close", "reset", "half"]
"""``close`` lets out what is under way, ``reset`` drops it; after ``half`` the server does not know
that the client is gone, until `Cutter.release`."""

CHUNK_BYTES = 65_536


class Cutter:
    """Joins each connection to the address that ``target`` tells at that moment."""

    def __init__(self, target: Callable[[], str]) -> None:
        self.is_refusing = False
        """Whether it hangs up on whoever connects."""
        self.cuts = 0
        """Connections that it has ended, those that are to end at a byte included."""
        self._target = target
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()
        return f"ws://{host}:{port}"

    def cut(self, how: How) -> None:
        """End the connections that are there."""
        for link in tuple(self._links):
            self.cuts += link.cut(how)

    def cut_after(self, way: Way, count: int, how: How) -> None:
        """End the connections that are there when so many more bytes have gone one way."""
        for link in self._links:
            self.cuts += link.cut_after(way, count, how)

    def release(self) -> None:
        """Let the server learn of those that were cut on one side only."""
        for link in tuple(self._links):
            link.release()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._target().rpartition(":")
        try:
            if self.is_refusing:
                return
            try:
                far_reader, far_writer = await asyncio.open_connection(host, int(port))
            except OSError:
                return  # the server is not there
            link = _Link(reader, writer, far_reader, far_writer)
            self._links.add(link)
            try:
                await link.run()
            finally:
                self._links.discard(link)
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


class _Link:
    """One connection through the proxy."""

    def __init__(
        self,
        near_reader: asyncio.StreamReader,
        near_writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self._near, self._far = near_writer, far_writer
        self._readers = {"up": near_reader, "down": far_reader}
        self._ends: dict[Way, tuple[int, How]] = {}
        self._is_cut = False
        self._is_half = False

    async def run(self) -> None:
        """Carry bytes both ways until it is cut, or one side has ended it."""
        try:
            await asyncio.gather(self._carry("up", self._far), self._carry("down", self._near))
        finally:
            self._far.transport.abort()
            with suppress(OSError):
                await self._far.wait_closed()

    def cut(self, how: How) -> bool:
        """End it; return whether it was whole."""
        if self._is_cut:
            return False
        self._is_cut = True
        if how == "half":
            self._is_half = True
            self._near.transport.abort()
        else:
            for writer in (self._near, self._far):
                if how == "close":
                    writer.close()
                else:
                    writer.transport.abort()
        return True

    def cut_after(self, way: Way, count: int, how: How) -> bool:
        """End it at a byte; return whether that is new."""
        is_new = not self._is_cut and not self._ends
        if is_new:
            self._ends[way] = (count, how)
        return is_new

    def release(self) -> None:
        """Let the server learn that the client is gone."""
        if self._is_half:
            self._far.transport.abort()

    async def _carry(self, way: Way, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # reset by either side
            while data := await self._readers[way].read(CHUNK_BYTES):
                if self._is_half:
                    continue  # nobody is there to have it
                left, how = self._ends.get(way, (len(data) + 1, "reset"))
                if left <= len(data):
                    writer.write(data[:left])
                    self.cut(how)
                    continue
                if way in self._ends:
                    self._ends[way] = (left - len(data), how)
                writer.write(data)
                await writer.drain()
        if not self._is_half:
            self.cut("close")
