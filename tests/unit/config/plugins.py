"""Readers and decoders to be named in a configuration; nothing of them runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["DECODERS", "READERS", "CsvConfig", "PlainConfig", "PortConfig"]


@dataclass(frozen=True)
class PlainConfig:
    """A reader whose samples need no decoder."""

    speed: int = 1
    needs_decoder = False


@dataclass(frozen=True)
class PortConfig:
    """A reader of bytes; what it sends must be decoded."""

    port: str
    baud: int = 9600

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.baud == 300:
            yield "baud", "is too slow"


@dataclass(frozen=True)
class CsvConfig:
    """A decoder with an option."""

    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plugin:
    """What a registry finds."""

    config: type[Any]


@dataclass(frozen=True)
class Registry:
    """Finds plugins by name."""

    plugins: dict[str, Plugin]

    def find(self, name: str, /) -> Plugin | None:
        return self.plugins.get(name)

    def names(self) -> list[str]:
        return sorted(self.plugins)


READERS = Registry({"plain": Plugin(PlainConfig), "port": Plugin(PortConfig)})
DECODERS = Registry({"csv": Plugin(CsvConfig), "json": Plugin(CsvConfig)})
