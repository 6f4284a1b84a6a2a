"""Lines of styled text, and the shapes that stand before a value. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from sensord.terminal.cells import clean, cut, width_of

__all__ = ["PLAIN_MARKS", "Line", "Marks", "Span", "Style", "bounded"]

_PLAIN = str.maketrans({"●": "*", "○": ".", "✗": "x", "↑": "^", "↓": "v", "…": ".", "·": "-"})


class Style(enum.Enum):
    """How a piece of text stands out, if the terminal can show it."""

    PLAIN = "plain"
    FAINT = "faint"
    STRONG = "strong"
    BAR = "bar"
    FRESH = "fresh"
    DOUBTFUL = "doubtful"
    BAD = "bad"
    PLOT = "plot"


class Span(NamedTuple):
    """A piece of a line."""

    text: str
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the screen."""

    spans: tuple[Span, ...] = ()
    is_selected: bool = False

    @property
    def text(self) -> str:
        """Its text without styles."""
        return "".join(span.text for span in self.spans)


@dataclass(frozen=True, slots=True)
class Marks:
    """The shapes that stand before a value."""

    changed: str = "●"
    same: str = "○"
    confirmed: str = "="
    doubtful: str = "?"
    bad: str = "✗"
    stale: str = "~"
    is_plain: bool = False


PLAIN_MARKS = Marks(changed="*", same=".", confirmed="=", bad="x", is_plain=True)
"""For a terminal without Unicode."""


def bounded(line: Line, width: int, *, is_plain: bool) -> Line:
    """Cut a line to the width, and replace what the terminal cannot show."""
    left, spans = width, []
    for span in line.spans:
        text = clean(span.text)
        if is_plain:
            text = text.translate(_PLAIN).encode("ascii", "replace").decode()
        text = _cut(text, left)
        left -= width_of(text)
        spans.append(Span(text, span.style))
    return Line(tuple(spans), line.is_selected)


def _cut(text: str, width: int) -> str:
    return text if width_of(text) <= width else cut(text, width + 1)[:-1] if width > 0 else ""
