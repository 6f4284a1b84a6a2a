"""Corruptions of a journal's folder, by name: what disks, cards, people and other programs do.

Each takes the folder and a random generator, and changes files; a folder that has nothing for it to
damage is left as it is. `each` are those that a test goes through.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from sensord.mcap import records as mcap
from sensord.mcap.records import FOOTER_BYTES, Opcode

__all__ = ["CORRUPTIONS", "Corruption", "damage", "flip_bit", "records_of", "registry_lines"]

PAGE = 4096

Corruption = Callable[[Path, random.Random], None]


def flip_bit(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def registry_lines(folder: Path, text: str) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the registry's lines that hold a text."""
    at = 0
    for line in (folder / "registry").read_bytes().split(b"\n"):
        if text.encode() in line:
            yield at, at + len(line)
        at += len(line) + 1


def records_of(path: Path, opcode: Opcode) -> list[tuple[int, int]]:
    """List where the contents of a segment's records of one kind begin and end."""
    data = path.read_bytes()
    found = mcap.records(data, len(mcap.MAGIC))
    return [(start, end) for code, start, end in found if code == opcode]


def _sealed(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mcap"))


def _open(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mcap.open"))


def _flip_between(path: Path, start: int, end: int, rng: random.Random) -> None:
    flip_bit(path, rng.randrange(start, end), rng.randrange(8))


def _flip_in(path: Path, opcode: Opcode, rng: random.Random) -> None:
    found = records_of(path, opcode)
    if found:
        _flip_between(path, *rng.choice(found), rng)


def _truncate(path: Path, rng: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(rng.randrange(path.stat().st_size))


def _overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def _zero_page(path: Path, rng: random.Random) -> None:
    size = path.stat().st_size
    at = rng.randrange(max(1, size // PAGE)) * PAGE
    _overwrite(path, at, bytes(min(PAGE, size - at)))


def _line(text: str) -> Corruption:
    def flip(folder: Path, rng: random.Random) -> None:
        lines = list(registry_lines(folder, text))
        if lines:
            _flip_between(folder / "registry", *rng.choice(lines), rng)

    return flip


def _of(
    files: Callable[[Path], list[Path]], act: Callable[[Path, random.Random], None]
) -> Corruption:
    def on_one(folder: Path, rng: random.Random) -> None:
        found = files(folder)
        if found:
            act(rng.choice(found), rng)

    return on_one


def _named(name: str, act: Callable[[Path, random.Random], None]) -> Corruption:
    return _of(lambda folder: [folder / name] if (folder / name).exists() else [], act)


def _in(opcode: Opcode) -> Callable[[Path, random.Random], None]:
    return lambda path, rng: _flip_in(path, opcode, rng)


def _delete(path: Path, _rng: random.Random) -> None:
    path.unlink()


def _empty(path: Path, _rng: random.Random) -> None:
    path.write_bytes(b"")


def _flip(path: Path, rng: random.Random) -> None:
    _flip_between(path, 0, path.stat().st_size, rng)


def _flip_summary(path: Path, rng: random.Random) -> None:
    size = path.stat().st_size
    start, _ = mcap.footer_of(path.read_bytes()[-FOOTER_BYTES:]) or (size - FOOTER_BYTES, 0)
    _flip_between(path, start, size, rng)


def _append_garbage(path: Path, rng: random.Random) -> None:
    with path.open("ab") as file:
        file.write(rng.randbytes(rng.randrange(1, 3 * PAGE)))


def _swap_pages(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    count = len(data) // PAGE
    if count > 1:
        one, two = (at * PAGE for at in rng.sample(range(count), 2))
        _overwrite(path, one, data[two : two + PAGE])
        _overwrite(path, two, data[one : one + PAGE])


def _cut_lines(path: Path, rng: random.Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: rng.randrange(len(lines))]))


def _flip_frame_head(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    slots = [at for at in range(0, len(data), PAGE) if data[at : at + 4] == b"SJF1"]
    if slots:
        at = rng.choice(slots)
        _flip_between(path, at, at + 64, rng)


def _flip_frame_body(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    slots = [at for at in range(0, len(data), PAGE) if data[at : at + 4] == b"SJF1"]
    if slots:
        at = rng.choice(slots)
        _flip_between(path, at + 64, min(at + 256, len(data)), rng)


def _middle_gone(folder: Path, rng: random.Random) -> None:
    files = _sealed(folder)[1:]
    if files:
        rng.choice(files).unlink()


CORRUPTIONS: dict[str, Corruption] = {
    "registry: bit in a channel": _line('"channel"'),
    "registry: bit in a sealed segment": _line('"sealed"'),
    "registry: bit in the epoch": _line('"epoch"'),
    "registry: bit anywhere": _named("registry", _flip),
    "registry: deleted": _named("registry", _delete),
    "registry: emptied": _named("registry", _empty),
    "registry: cut": _named("registry", _truncate),
    "registry: last lines gone": _named("registry", _cut_lines),
    "registry: page of zeros": _named("registry", _zero_page),
    "ring: bit in a header": _named("ring", _flip_frame_head),
    "ring: bit in a body": _named("ring", _flip_frame_body),
    "ring: deleted": _named("ring", _delete),
    "ring: emptied": _named("ring", _empty),
    "ring: cut": _named("ring", _truncate),
    "ring: page of zeros": _named("ring", _zero_page),
    "ring: pages swapped": _named("ring", _swap_pages),
    "sealed: bit in a chunk": _of(_sealed, _in(Opcode.CHUNK)),
    "sealed: bit in an index": _of(_sealed, _in(Opcode.MESSAGE_INDEX)),
    "sealed: bit in a channel": _of(_sealed, _in(Opcode.CHANNEL)),
    "sealed: bit in the summary": _of(_sealed, _flip_summary),
    "sealed: bit anywhere": _of(_sealed, _flip),
    "sealed: cut": _of(_sealed, _truncate),
    "sealed: emptied": _of(_sealed, _empty),
    "sealed: garbage behind": _of(_sealed, _append_garbage),
    "sealed: page of zeros": _of(_sealed, _zero_page),
    "sealed: pages swapped": _of(_sealed, _swap_pages),
    "sealed: one is gone": _middle_gone,
    "open: bit in a chunk": _of(_open, _in(Opcode.CHUNK)),
    "open: bit in an index": _of(_open, _in(Opcode.MESSAGE_INDEX)),
    "open: bit in a channel": _of(_open, _in(Opcode.CHANNEL)),
    "open: bit anywhere": _of(_open, _flip),
    "open: cut": _of(_open, _truncate),
    "open: emptied": _of(_open, _empty),
    "open: garbage behind": _of(_open, _append_garbage),
    "open: page of zeros": _of(_open, _zero_page),
    "open: pages swapped": _of(_open, _swap_pages),
    "open: gone": _of(_open, _delete),
}


def damage(folder: Path, name: str, seed: int) -> None:
    """Corrupt a folder; the same seed does the same."""
    CORRUPTIONS[name](folder, random.Random(zlib.crc32(name.encode()) ^ seed))
