"""What a key wants from the daemon; the command carries it out."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Acknowledge", "Look", "Quit", "Shelve", "Unshelve", "Wish"]


@dataclass(frozen=True, slots=True)
class Quit:
    """End the program."""


@dataclass(frozen=True, slots=True)
class Look:
    """Request the past of a topic."""

    topic: str
    span_s: float


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Acknowledge an alarm."""

    alarm: str
    text: str


@dataclass(frozen=True, slots=True)
class Shelve:
    """Silence an alarm for some time."""

    alarm: str
    for_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Unshelve:
    """End the silence of an alarm."""

    alarm: str


Wish = Quit | Look | Acknowledge | Shelve | Unshelve
