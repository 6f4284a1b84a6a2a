"""A range of absent offsets."""

from __future__ import annotations

from collections import Counter

from sensord.log.gap import EXPIRED, Gap
from sensord.model.readings import Channel, Metadata


def test_what_is_lost_is_counted_by_topic_where_it_is_known() -> None:
    """Only of the channels that the reader wants, and only those that lost something."""
    channels = [Channel(n, topic, Metadata()) for n, topic in enumerate(("a", "b", "c"))]
    gap = Gap(5, 9, EXPIRED, counts=Counter({0: 3, 2: 1}))
    assert gap.lost(channels) == Counter({"a": 3, "c": 1})
    assert gap.lost(channels[1:2]) == Counter()
    assert Gap(5, 9, "missing").lost(channels) is None
