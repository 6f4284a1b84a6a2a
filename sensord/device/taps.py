"""Hold one device's taps: by source, then by field, within a cap that all sources share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping

from sensord.config.tree import Device
from sensord.decode.base import NOTHING, UNREAD, Fault, Sample
from sensord.device.fitting import NOT_A_NUMBER
from sensord.device.route import Route, field_excerpt, from_source, sample_excerpt
from sensord.device.tap import Tap, TapMaker

__all__ = ["Taps"]

SHARE = 4
"""One MQTT topic, or one message of a stream, gets at most one part in this many of a device's
channels: what has thousands of keys must leave room for the others."""

MIN_SHARE = 16
"""However small ``max_channels`` is."""

MOST_TAKERS = 3
"""So many are named of those that have a device's channels."""


class Taps:
    """The taps of one device."""

    def __init__(self, device: Device, on_fault: Callable[[Fault], None]) -> None:
        self._device = device
        self._on_fault = on_fault
        self.by_source: dict[Hashable, dict[str, Tap | None]] = {}
        """By `Route.key`, then by field; None stands for a field that was refused."""
        self.timed: list[Tap] = []
        """Those in which something may become due without a sample."""
        self._dependents: dict[str, list[Hashable]] = {}
        """By availability topic, the sources that have taps."""
        self._known = 0  # fields in all of them
        self._share = max(MIN_SHARE, device.max_channels // SHARE)
        self._room = device.max_channels
        """How many new fields the message at hand may still bring."""
        self._message = 0
        """The number of the message at hand, as of when a field was last opened."""
        self.refused: list[str] = []
        """New fields of the message at hand that there is no room for."""
        self._takers = ""

    def dependents(self, name: str) -> Iterator[Tap | None]:
        """Yield the taps of the sources whose availability ``name`` reports."""
        for source in self._dependents.get(name, ()):
            yield from self.by_source[source].values()

    def open(
        self,
        taps: dict[str, Tap | None],
        maker: TapMaker,
        route: Route,
        sample: Sample,
        *,
        message: int,
        is_answer: bool,
    ) -> Tap | None:
        """Make the tap of a new field, among those of its source.

        ``message`` numbers the messages, for each gets its share.
        A device that sends garbage must not fill the bus with channels, nor this table with
        refusals: past the cap nothing is remembered. What says nothing of its field opens nothing.
        """
        field_ = sample.field
        if field_ in taps:
            return None  # refused before, and counted then
        if maker.ignores(field_):
            return None
        rules = maker.rules(field_, route.device)
        if sample.quality is NOTHING and not rules.missing:
            return None
        if sample.quality is UNREAD and not (rules.type or rules.is_number or rules.missing):
            if sample.text is not None and not is_answer:
                quoted = sample_excerpt(sample, maker.encoding)
                self._on_fault(from_source(Fault(NOT_A_NUMBER, quoted), route))
            return None
        if message != self._message:
            self._message, self._room = message, self._share
        room = self._share - len(taps) if route.source else self._room
        if room <= 0 or self._known >= self._device.max_channels:
            self.refused.append(field_)
            return None
        self._known += 1
        self._room -= 1
        if not taps:
            self.by_source[route.key] = taps
            for name in route.depends_on:
                self._dependents.setdefault(name, []).append(route.key)
        tap = taps[field_] = maker.make(route, sample, rules)
        if tap is not None and tap.is_timed:
            self.timed.append(tap)
        return tap

    def take_refused(self, route: Route) -> tuple[Fault, int]:
        """Return what to report of the fields that got no channel, and how many they are.

        It names the holders of the channels, and a remedy.
        """
        refused, self.refused = self.refused, []
        most = self._device.max_channels
        if self._known >= most:
            # Nothing changes any more, so the list need be made but once.
            self._takers = self._takers or ", ".join(_takers(self.by_source))
            reason, detail = "too many channels", f"max_channels = {most} are taken: {self._takers}"
        else:
            who = route.source or "one message"
            reason = "too many fields"
            detail = f"{who} brings more than {self._share}, its share of max_channels = {most}"
        detail += "; leave out what is not wanted with ignore"
        detail += " or ignore_topics" if route.source else ""
        detail += ", or raise max_channels"
        return Fault(reason, field_excerpt(route, refused[0]), detail), len(refused)


def _takers(taps: Mapping[Hashable, Mapping[str, object]]) -> list[str]:
    """Return who has the most channels: topics, or where each has few, the trees that they form."""
    counts: Counter[str] = Counter()
    for key, taken in taps.items():
        counts[str(key[0] if isinstance(key, tuple) else key)] += len(taken)
    total, sources = counts.total(), counts
    for depth in range(8, 0, -1):
        if max(counts.values()) * 2 * MOST_TAKERS > total:
            break
        trees: Counter[str] = Counter()
        for source, count in sources.items():
            levels = source.split("/")
            trees["/".join([*levels[:depth], "#"]) if len(levels) > depth else source] += count
        counts = trees
    named = counts.most_common(MOST_TAKERS)
    return [f"{source or 'the device itself'} has {count}" for source, count in named]
