"""The cases that a start finds on the disk, and what it does about each.

Pure, and data: each table has a row for each fact, a column for each case, and a decision for each
column. Exactly one case holds for any combination of facts. `docs/journal.md` shows these tables,
and each label has its test (`tests/unit/log/journal/test_cases.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["EPOCH", "REGISTRY", "RING", "SEGMENT", "TABLES", "Case", "Cases"]
__all__ += ["EpochDecision", "RegistryDecision", "RingDecision", "SegmentDecision"]

YES, NO, ANY = True, False, None


class SegmentDecision(enum.Enum):
    """What is done about a segment's file."""

    LEAVE = "leave it alone, and name it"
    TRUST = "trust it until it is read"
    ENTER = "enter it into the registry"
    WALK = "read it without its summary, and name it"
    RESUME = "cut after the last whole chunk, then seal"
    COPY = "copy what is whole to new segments"


class RingDecision(enum.Enum):
    """Where the log continues."""

    BEGIN = "begin at offset 0"
    SKIP = "continue 2^25 offsets after all that is known"
    CONTINUE = "continue where the log was closed"
    RESERVED = "continue at the reservation"
    CUT = "name the newest frame's readings, continue at the reservation"


class RegistryDecision(enum.Enum):
    """Where channels are found."""

    TRUST = "use its channels"
    READ_UNLISTED = "add those of the segments that it does not list"
    READ_ALL = "add those of all segments"


class EpochDecision(enum.Enum):
    """Which epoch the log is in."""

    RING = "the ring's"
    REGISTRY = "the registry's last"
    NEW = "a new one"


D = TypeVar("D", bound=enum.Enum)


@dataclass(frozen=True, slots=True)
class Case(Generic[D]):
    """A column: its label, the facts that make it, and the decision."""

    label: str
    facts: tuple[bool | None, ...]
    """In the order of the rows; None if it does not matter."""
    decision: D


@dataclass(frozen=True, slots=True)
class Cases(Generic[D]):
    """A table."""

    title: str
    rows: tuple[str, ...]
    """The facts, as sentences."""
    columns: tuple[Case[D], ...]

    def case(self, *facts: bool) -> Case[D]:
        """Return the case that holds; of any facts there is exactly one."""
        (found,) = self.holding(*facts)
        return found

    def holding(self, *facts: bool) -> list[Case[D]]:
        """Return every case that agrees with the facts."""
        return [
            case
            for case in self.columns
            if all(wanted in {ANY, fact} for wanted, fact in zip(case.facts, facts, strict=True))
        ]

    def lines(self) -> Iterator[str]:
        """Draw it, as Markdown."""
        yield "| " + " | ".join([self.title, *(f"`{case.label}`" for case in self.columns)]) + " |"
        yield "| --- |" + " --- |" * len(self.columns)
        for i, row in enumerate(self.rows):
            yield "| " + " | ".join([row, *(_word(case.facts[i]) for case in self.columns)]) + " |"
        decisions = [f"*{case.decision.value}*" for case in self.columns]
        yield "| " + " | ".join(["**decision**", *decisions]) + " |"


def _word(fact: bool | None) -> str:  # noqa: FBT001  # a cell
    return {YES: "yes", NO: "no", ANY: ""}[fact]


SEGMENT = Cases(
    "a segment",
    (
        "it can be read",
        "its name ends with `.open`",
        "the registry has it with this size",
        "its summary is whole",
        "all that is whole precedes the damage",
    ),
    (
        Case("unreadable", (NO, ANY, ANY, ANY, ANY), SegmentDecision.LEAVE),
        Case("listed", (YES, NO, YES, ANY, ANY), SegmentDecision.TRUST),
        Case("unlisted", (YES, NO, NO, YES, ANY), SegmentDecision.ENTER),
        Case("bare", (YES, NO, NO, NO, ANY), SegmentDecision.WALK),
        Case("torn", (YES, YES, ANY, ANY, YES), SegmentDecision.RESUME),
        Case("broken", (YES, YES, ANY, ANY, NO), SegmentDecision.COPY),
    ),
)

RING = Cases(
    "the ring",
    (
        "it has a frame with a whole header",
        "there is a segment, or a registry with an epoch",
        "the newest frame closed the log",
        "the newest frame is whole",
    ),
    (
        Case("new", (NO, NO, ANY, ANY), RingDecision.BEGIN),
        Case("lost", (NO, YES, ANY, ANY), RingDecision.SKIP),
        Case("closed", (YES, ANY, YES, ANY), RingDecision.CONTINUE),
        Case("killed", (YES, ANY, NO, YES), RingDecision.RESERVED),
        Case("cut", (YES, ANY, NO, NO), RingDecision.CUT),
    ),
)

REGISTRY = Cases(
    "the registry",
    ("it has an epoch", "all its lines are whole", "it lists each sealed segment with its size"),
    (
        Case("whole", (YES, YES, YES), RegistryDecision.TRUST),
        Case("absent", (NO, YES, YES), RegistryDecision.READ_UNLISTED),
        Case("behind", (ANY, YES, NO), RegistryDecision.READ_UNLISTED),
        Case("scratched", (ANY, NO, ANY), RegistryDecision.READ_ALL),
    ),
)

EPOCH = Cases(
    "the epoch",
    ("the ring has a frame with a whole header", "the registry has an epoch"),
    (
        Case("of the ring", (YES, ANY), EpochDecision.RING),
        Case("of the registry", (NO, YES), EpochDecision.REGISTRY),
        Case("unknown", (NO, NO), EpochDecision.NEW),
    ),
)

TABLES = (SEGMENT, RING, REGISTRY, EPOCH)
