"""The cost of live groups, and whose subscriptions are held back above it. Pure.

A group costs the loop's time: to collect its records and to send its frames. Each member is charged
its share, so a group of a hundred members charges each of them little. If all groups together cost
more than the daemon can spend, one level is set for all clients: those below it keep all they have,
those above give up their costliest subscriptions until they reach it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

__all__ = ["CHANNEL_BYTES", "LIVE_SHARE", "Budget", "Charge", "is_too_wide", "level", "to_hold"]

M = TypeVar("M")

CHANNEL_BYTES = 150
"""The memory of a channel in a group: in its list and numbers, in the bus, in its announcements."""

MOST_LIST_BYTES = 64 * 1024 * 1024
"""For the channels of all groups; a client that shares none of them gets half."""

LIVE_SHARE = 0.5
"""Of the loop's time: more than this is too much for live groups, if the loop is late."""

ROOM_SHARE = 0.35
"""Until groups cost so much, subscriptions that were held back may join theirs again."""

LATE_S = 0.01
"""A loop that is later than this is felt by live clients."""

LATENESSES = 5
"""Reviews for which a lateness counts."""

HALF_LIFE_S = 5.0
"""What a subscription that is held back is believed to cost halves in this time: things change."""

MAX_STRIKES = 4
"""Each time it was held back again, it halves in twice the time; at most so often."""

CAUTION_S = 2.0
"""So long after the groups cost too much no further group is live at once."""

RELEASES = 8
"""Most that join again in one review: what they cost is known in the next one."""


class Charge(NamedTuple, Generic[M]):
    """What one member of a group costs, as a share of the loop's time."""

    member: M
    client: object
    share: float


class _Held(NamedTuple):
    share: float
    since_s: float
    strikes: int


def is_too_wide(all_bytes: int, own_bytes: int) -> bool:
    """Return whether the channels of all groups, or those of one client, use too much memory."""
    return all_bytes > MOST_LIST_BYTES or own_bytes > MOST_LIST_BYTES // 2


def level(totals: Iterable[float], most: float) -> float:
    """Return the level to which totals must be cut down so that they are ``most`` together."""
    left, ascending = most, sorted(totals)
    for place, total in enumerate(ascending):
        even = left / (len(ascending) - place)
        if total > even:
            return even
        left -= total
    return float("inf")


def to_hold(charges: Sequence[Charge[M]], most: float) -> list[Charge[M]]:
    """Return what is held back so that the rest costs ``most``, costliest first.

    No client below the level loses anything; no more is held back than need be.
    """
    totals: dict[object, float] = {}
    for charge in charges:
        totals[charge.client] = totals.get(charge.client, 0.0) + charge.share
    cut = level(totals.values(), most)
    excess = sum(totals.values()) - most
    held = []
    for charge in sorted(charges, key=lambda charge: charge.share, reverse=True):
        if excess <= 0.0:
            break
        if totals[charge.client] > cut:
            totals[charge.client] -= charge.share
            excess -= charge.share
            held.append(charge)
    return held


class Budget(Generic[M]):
    """Records which clients are held back, and for how long that is fair."""

    def __init__(self) -> None:
        self._held: dict[M, _Held] = {}
        self._strikes: dict[M, int] = {}
        self._lateness: deque[float] = deque(maxlen=LATENESSES)
        self._over_s = -float("inf")
        self._loaned: deque[tuple[float, float]] = deque()  # until when, and which share

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[M]:
        return iter(self._held)

    def __contains__(self, member: object) -> bool:
        return member in self._held

    def is_over(self, share: float, late_s: float, now_s: float) -> bool:
        """Return whether the groups have cost too much since the last review."""
        self._lateness.append(late_s)
        is_over = share > LIVE_SHARE and max(self._lateness) > LATE_S
        if is_over:
            self._over_s = now_s
        return is_over

    def is_cautious(self, now_s: float) -> bool:
        """Return whether no further subscription may be live at once."""
        return now_s - self._over_s < CAUTION_S

    def hold(self, member: M, share: float, now_s: float) -> None:
        """Note that a subscription is held back, and what it cost."""
        strikes = min(self._strikes.get(member, -1) + 1, MAX_STRIKES)
        self._strikes[member] = strikes
        self._held[member] = _Held(share, now_s, strikes)

    def released(self, share: float, now_s: float, ready: Container[M]) -> list[M]:
        """Return those for whom there is room again; they are no longer held back.

        Of those that are ready: who cannot even keep up with that has no use for more.
        """
        while self._loaned and self._loaned[0][0] <= now_s:
            self._loaned.popleft()
        if self.is_cautious(now_s) or max(self._lateness, default=0.0) > LATE_S:
            return []
        room = ROOM_SHARE - share - sum(loan for _, loan in self._loaned)
        found: list[M] = []
        # Those first that have waited longest: hold() appends.
        for member, held in self._held.items():
            if len(found) == RELEASES or room <= 0.0:
                break
            if member not in ready:
                continue
            cost = held.share * 0.5 ** ((now_s - held.since_s) / HALF_LIFE_S / 2**held.strikes)
            if cost <= room:
                room -= cost
                # Until it has joined and been reviewed.
                self._loaned.append((now_s + 1.0, cost))
                found.append(member)
        for member in found:
            del self._held[member]
        return found

    def forget(self, member: M) -> None:
        """Forget a subscription: it is closed."""
        self._held.pop(member, None)
        self._strikes.pop(member, None)
