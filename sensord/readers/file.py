"""Read files at an interval: 1-wire thermometers, hwmon, IIO, thermal zones.

Each file that a pattern finds is a source of its own: its message is the whole content. Files of
``/sys`` may take a second to read, so they are read in a thread. A file that is gone, or cannot be
read, is away: exactly its channels turn bad, until it is back.
"""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from sensord.config.schema import Duration, Printable, Size, Within
from sensord.device.backoff import LOCAL, Limits
from sensord.device.reader import Link, Route
from sensord.errors import DeviceError
from sensord.readers.blocking import Ending, in_thread
from sensord.readers.ticks import next_tick

__all__ = ["Config", "Reader", "captures_of"]

MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class Config:
    """Which files: ``path`` may have ``*``, whose matches are ``{1}``, ``{2}``, ... in patterns."""

    path: Printable
    interval: Annotated[Duration, Within(0.01, 86_400)] = 10.0
    max_bytes: Annotated[Size, Within(1, 2**20)] = 4096

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield a path that cannot be."""
        if not self.path.startswith("/"):
            yield "path", "expected an absolute path, such as /sys/class/hwmon/hwmon*/temp1_input"
        if "**" in self.path:
            yield "path", "** is not a pattern here: one * stands for a part of one level"


class _Read(NamedTuple):
    """The result for one file: its content, or why there is none."""

    path: str
    content: bytes
    error: str
    is_gone: bool = False


def _at_once(path: str, flags: int) -> int:
    """Open a file; a fifo holds up no other one, and on regular ones this has no effect."""
    return os.open(path, flags | os.O_NONBLOCK)


class Reader:
    """Reads the files that a pattern finds."""

    limits: Limits = LOCAL

    def __init__(self, config: Config) -> None:
        self._config = config
        self._routes: dict[str, Route] = {}
        self._away: set[str] = set()

    async def run(self, link: Link) -> None:
        """Read at each tick, for as long as there is a file.

        Raises:
            DeviceError: No file is there, or none can be read.
        """
        config, ending = self._config, Ending()
        due, is_open = time.monotonic(), False
        while True:
            found = await in_thread(f"read:{config.path}", self._read)
            if all(one.error for one in found):
                raise _nothing(config.path, found)
            if not is_open:
                link.opened(f"{sum(not one.error for one in found)} files, {config.path}")
                is_open = True
            self._hand_on(link, found)
            due, _ = next_tick(due, config.interval, time.monotonic())
            await ending.wait(timeout_s=max(0.0, due - time.monotonic()))

    def _read(self) -> list[_Read]:
        """Read all files, known ones that are gone included; in a thread."""
        paths = dict.fromkeys([*sorted(glob.glob(self._config.path))[:MOST_FILES], *self._routes])  # noqa: PTH207  # of an absolute pattern
        return [self._read_one(path) for path in paths]

    def _read_one(self, path: str) -> _Read:
        try:
            with open(path, "rb", opener=_at_once) as file:  # that of Path has no opener
                content = file.read(self._config.max_bytes) or b""
        except OSError as exc:
            is_gone = isinstance(exc, FileNotFoundError)
            return _Read(path, b"", exc.strerror or str(exc), is_gone)
        return _Read(path, content, "" if content.strip() else "it is empty")

    def _hand_on(self, link: Link, found: list[_Read]) -> None:
        for path, content, error, _ in found:
            route = self._routes.get(path)
            if route is None:
                captures = captures_of(self._config.path, path)
                route = self._routes[path] = Route(path, captures=captures, depends_on=(path,))
            if error:
                if path not in self._away:
                    link.fault("cannot read", f"{path}: {error}")
                self._away.add(path)
                link.availability(path, is_there=False)
                continue
            if path in self._away:
                self._away.discard(path)
                link.availability(path, is_there=True)
            link.message(route, content)


def _nothing(pattern: str, found: list[_Read]) -> DeviceError:
    if all(one.is_gone for one in found):
        return DeviceError(
            "no such file", f"{pattern}: is the device plugged in, its driver loaded?"
        )
    return DeviceError("cannot read", f"{found[0].path}: {found[0].error}")


def captures_of(pattern: str, path: str) -> tuple[str, ...]:
    """Return what the wildcards of a pattern matched in a path that it found."""
    parts = [re.escape(part) for part in re.split(r"[*]", pattern)]
    found = re.fullmatch("([^/]*)".join(parts).replace(r"\?", "."), path)
    return found.groups() if found else ()
