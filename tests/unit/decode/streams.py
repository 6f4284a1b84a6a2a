"""Ways to cut a stream, and to read a configuration as the daemon does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hypothesis import strategies as st

from sensord.config.schema import Faults, structure
from sensord.decode.base import Fault, Framer

__all__ = ["config_faults", "cut_points", "feed_in_pieces", "pieces"]

cut_points = st.lists(st.integers(0, 2000), max_size=12)
"""Where a stream is cut; points past its end do nothing."""


def pieces(data: bytes, points: list[int]) -> Iterator[bytes]:
    """Yield ``data`` cut at ``points``; some pieces may be empty."""
    ends = [*sorted(min(point, len(data)) for point in points), len(data)]
    start = 0
    for end in ends:
        yield data[start:end]
        start = end


def feed_in_pieces(framer: Framer, parts: Iterator[bytes]) -> tuple[list[bytes], list[Fault]]:
    """Return everything that a framer makes of the parts."""
    messages: list[bytes] = []
    faults: list[Fault] = []
    for part in parts:
        framed = framer.feed(part)
        messages += framed.messages
        faults += framed.faults
    return messages, faults


def config_faults(cls: type[object], table: Mapping[str, object]) -> list[str]:
    """Return the faults of a table as ``key: message``; empty when it is right."""
    faults = Faults()
    structure(cls, table, (), faults)
    return [f"{'.'.join(map(str, path))}: {message}" for path, message in faults.found]
