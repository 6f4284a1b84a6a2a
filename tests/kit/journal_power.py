"""A disk whose power can be cut: it forgets what was not synced, in part, as real ones do.

What it models, at its worst:

- of the pages written since the last sync of a file, any may be on the device, any not, and the
  last page may be there in part;
- a file may have grown without its new pages: they read as zeros;
- names change in order, and any number of the last changes may be lost until the folder is synced.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from sensord.mcap.disk import PAGE_BYTES, Disk

__all__ = ["PowerCut", "PowerDisk"]

SECTOR_BYTES = 512


class PowerCut(BaseException):  # not an error: nothing may handle it
    """The power went away."""


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    written: list[tuple[int, bytes]] = field(default_factory=list)
    """Since the last sync; a position alone (empty bytes) cuts the file there."""


class PowerDisk(Disk):
    """Works on a real folder, and can make another that looks as after a power cut."""

    def __init__(self, folder: Path, calls_left: int | None = None) -> None:
        super().__init__()
        self.calls_left = calls_left
        self.calls = 0
        self._folder = folder
        self._files: dict[str, _File] = {}
        """What the names mean to the running system."""
        self._open: dict[int, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._renames: list[dict[str, _File]] = []
        """Each state of the names since the folder was synced."""

    def _tick(self) -> None:
        self.calls += 1
        if self.calls_left is not None:
            if self.calls_left <= 0:
                raise PowerCut
            self.calls_left -= 1

    def _renamed(self) -> None:
        self._renames.append(dict(self._files))

    def create(self, path: Path) -> int:
        self._tick()
        descriptor = super().create(path)
        self._files[path.name] = self._open[descriptor] = _File()
        self._renamed()
        return descriptor

    def open(self, path: Path) -> int:
        self._tick()
        descriptor = super().open(path)
        self._open[descriptor] = self._files[path.name]
        return descriptor

    def close(self, descriptor: int) -> None:
        del self._open[descriptor]
        super().close(descriptor)

    def write(self, descriptor: int, data: bytes, position: int) -> None:
        self._tick()
        self._open[descriptor].written.append((position, data))
        super().write(descriptor, data, position)

    def sync(self, descriptor: int) -> None:
        self._tick()
        file = self._open[descriptor]
        for position, data in file.written:
            _apply(file.durable, position, data)
        file.written.clear()

    def truncate(self, descriptor: int, size: int) -> None:
        self._tick()
        self._open[descriptor].written.append((size, b""))
        super().truncate(descriptor, size)

    def replace(self, old: Path, new: Path) -> None:
        self._tick()
        super().replace(old, new)
        self._files[new.name] = self._files.pop(old.name)
        self._renamed()

    def remove(self, path: Path) -> None:
        self._tick()
        super().remove(path)
        if self._files.pop(path.name, None) is not None:
            self._renamed()

    def sync_folder(self, folder: Path) -> None:  # noqa: ARG002  # there is one
        self._tick()
        self._durable_names = dict(self._files)
        self._renames.clear()

    def adopt(self) -> None:
        """Take the files that stand in the folder as safely there."""
        for path in self._folder.iterdir():
            self._files[path.name] = _File(bytearray(path.read_bytes()))
        self._durable_names = dict(self._files)

    def leave(self, folder: Path, rng: random.Random) -> None:
        """Make ``folder`` what may be found when the power is back."""
        folder.mkdir()
        names = rng.choice([self._durable_names, *self._renames])
        for name, file in names.items():
            (folder / name).write_bytes(_torn(file, rng))
        for descriptor in list(self._open):
            self.close(descriptor)


def _apply(content: bytearray, position: int, data: bytes) -> None:
    if not data:
        del content[position:]
        return
    if len(content) < position:
        content.extend(bytes(position - len(content)))
    content[position : position + len(data)] = data


def _torn(file: _File, rng: random.Random) -> bytes:
    content = bytearray(file.durable)
    mood = rng.random()
    for position, data in file.written:
        if not data:
            if rng.random() < 0.5:
                del content[position:]
            continue
        at = 0
        while at < len(data):
            page_end = at + PAGE_BYTES - (position + at) % PAGE_BYTES
            part = data[at:page_end]
            chance = rng.random()
            if chance < mood:
                _apply(content, position + at, part)
            elif chance < mood + 0.1:
                _apply(content, position + at, part[: rng.randrange(8) * SECTOR_BYTES + 1])
            elif chance < mood + 0.2:
                # The file has grown, its page has not arrived.
                end = position + at + len(part)
                content.extend(bytes(max(0, end - len(content))))
            at = page_end
    return bytes(content)
