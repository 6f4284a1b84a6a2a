"""Check what no single table can know: what devices, clients and addresses have of each other.

Two devices cannot read one line, and a topic belongs to one field of one device. What certainly
fails is a fault; what fails for some data only is a warning. Pure.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import combinations
from typing import NamedTuple

from sensord.config.channels import ChannelRules, rules_of
from sensord.config.device_ids import is_certain
from sensord.config.event_fields import is_event
from sensord.config.schema import Faults, Path
from sensord.config.scopes import Scope
from sensord.device.policy import Policy
from sensord.model.readings import Kind
from sensord.model.topics import fields_in

__all__ = ["Place", "check_derived", "check_devices", "check_openings", "overlap"]

RESERVED = "state/"
"""What clients share stands there, and no reading."""


class Place(NamedTuple):
    """A place that a reader's options occupy: only one device can."""

    key: str
    """The option that names it."""
    name: str
    """Equal for equal places; a path begins with a slash."""
    mend: str
    is_shared: bool = False
    """Whether a second one may work, as with a server that takes several connections."""


class Checked(NamedTuple):
    """What is looked at of one device."""

    name: str
    topic: str
    config: object
    """Of its reader."""
    channels: Mapping[str, ChannelRules]
    decoding: object = None
    """Of its decoder."""
    device: str = ""
    """The pattern that names the devices behind it."""
    scopes: Sequence[Scope] = ()
    """By the index of its filters; empty if none has rules of its own."""
    is_every: bool = False
    """Whether its channels publish every sample by default."""


class _Pattern(NamedTuple):
    """A topic pattern of a device, with the device's name put in."""

    device: str
    path: Path
    text: str


def check_devices(
    devices: Sequence[Checked], faults: Faults, resolve: Callable[[str], str]
) -> None:
    """Report devices that conflict with each other; ``resolve`` follows symbolic links."""
    _check_places(devices, faults, resolve)
    patterns = {device.name: list(_patterns(device)) for device in devices}
    for device in devices:
        for pattern in patterns[device.name]:
            if pattern.text.startswith(RESERVED):
                text = f"{RESERVED} is what clients share; begin the topic with another name"
                faults.add(pattern.path, text)
        _check_sources(device, faults)
        _check_shadows(device, faults)
        _check_ids(device, faults)
        _check_declared(device, faults)
        _check_events(device, faults)
    _check_known_topics(devices, patterns, faults)
    for one, other in combinations(devices, 2):
        _check_overlap(one, other, patterns, faults)


def check_openings(filters: Sequence[str], devices: Sequence[Checked], faults: Faults) -> None:
    """Report filters of ``[clients.topics]`` that open nothing, or what devices publish."""
    for later, earlier in ((b, a) for a, b in combinations(filters, 2)):
        if _covers(earlier, later):
            text = f"has no effect: {earlier} stands above it, and the first that fits counts"
            faults.warn(("clients", "topics", later), text)
    for opened in filters:
        taken = (d for d in devices if any(overlap(opened, p.text) for p in _patterns(d)))
        if (device := next(taken, None)) is not None:
            text = (
                f"clients may publish topics of the device {device.name} too, and then it cannot;"
                f" open a filter of its own, such as {opened.split('/')[0]}-clients/#"
            )
            faults.warn(("clients", "topics", opened), text)


def check_derived(topics: AbstractSet[str], devices: Sequence[Checked], faults: Faults) -> None:
    """Refuse a derived channel whose topic a device is known to make: only one of them could."""
    for device in devices:
        for topic in topics & _known_topics(device):
            faults.add(("derived", topic), f"{device.name} makes this topic; choose another one")


def _known_topics(device: Checked) -> set[str]:
    """Return the topics that a device makes for certain, whatever it sends."""
    decoding = device.decoding
    named = {name for name in getattr(decoding, "fields", ()) if name}
    if pattern := getattr(decoding, "pattern", ""):
        named |= set(re.compile(pattern).groupindex)
    named |= {name for name in device.channels if not _is_glob(name)}
    described: Callable[[], Iterable[tuple[str, str, object]]] | None
    described = getattr(device.config, "described", None)
    pairs = [(device.name, name) for name in named]
    pairs += [(unit, name) for unit, name, _ in described()] if described else []
    found = set()
    for one, name in pairs:
        rules = device.channels.get(name)
        patterns = [rules.topic] if rules is not None and rules.topic else []
        own = [getattr(a, "topic", "") for a in getattr(device.config, "topics", ())]
        for text in patterns or [topic or device.topic for topic in own or [""]]:
            topic = text.replace("{device}", one).replace("{field}", name)
            found |= {topic} if "{" not in topic else set()
    return found


# -- places ----------------------------------------------------------------------------------------


def _check_places(
    devices: Sequence[Checked], faults: Faults, resolve: Callable[[str], str]
) -> None:
    holders: dict[str, str] = {}
    for device in devices:
        occupied: Callable[[], Iterable[Place]] | None
        occupied = getattr(device.config, "places", None)
        for place in () if occupied is None else occupied():
            name = resolve(place.name) if place.name.startswith("/") else place.name
            holder = holders.setdefault(name, device.name)
            if holder == device.name:
                continue
            alias = f" (it is {name})" if name != place.name and name.startswith("/") else ""
            path = ("devices", device.name, place.key)
            if place.is_shared:
                text = f"{holder} has {place.name} too; not every server takes two connections"
                faults.warn(path, text)
            else:
                faults.add(path, f"{holder} has {place.name} already{alias}: {place.mend}")


# -- topics ----------------------------------------------------------------------------------------


def _patterns(device: Checked) -> Iterator[_Pattern]:
    """Yield the patterns that make a device's topics: its own, its filters', its channels'."""
    path: Path = ("devices", device.name)
    maps: Sequence[object] = getattr(device.config, "topics", ())
    own = [getattr(one, "topic", "") for one in maps]
    if not own or not all(own):
        yield _Pattern(device.name, (*path, "topic"), _named(device.topic, device.name))
    for i, text in enumerate(own):
        if text:
            yield _Pattern(device.name, (*path, "topics", i, "topic"), _named(text, device.name))
    for name, rules in device.channels.items():
        if rules.topic:
            text = _named(rules.topic, device.name)
            if not _is_glob(name):
                text = text.replace("{field}", name)
            yield _Pattern(device.name, (*path, "channels", name, "topic"), text)


def _named(pattern: str, device: str) -> str:
    return pattern.replace("{device}", device)


def _is_glob(name: str) -> bool:
    return any(one in name for one in "*?[")


def _check_sources(device: Checked, faults: Faults) -> None:
    """Warn of a filter for many sources whose topics would all be one."""
    for i, one in enumerate(getattr(device.config, "topics", ())):
        wanted = getattr(one, "plain", "")
        levels = wanted.split("/")
        pattern = one.topic or device.topic
        is_one = not {"+", "#"} & set(levels) or bool(getattr(one, "merge", ""))
        if is_one or _by_source(_placed(device, i, pattern)):
            continue
        name = "{1}" if "+" in levels else "{source}"
        text = (
            f"{wanted} selects many topics, and {pattern} makes the same of all: the first one has"
            f" it; add {name}, as in {_with(pattern, name)}"
        )
        path = ("devices", device.name, "topics", i, "topic" if one.topic else "filter")
        faults.warn(path, text)


def _placed(device: Checked, index: int, pattern: str) -> str:
    """Return a pattern with those of the device's name and of the field filled in."""
    scope = device.scopes[index] if device.scopes else Scope()
    named = scope.device or device.device
    pattern = pattern.replace("{device}", named) if named else pattern
    return pattern.replace("{field}", scope.field) if scope.field else pattern


def _by_source(pattern: str) -> bool:
    """Return whether a pattern distinguishes the messages of several sources."""
    is_numbered = re.search(r"\{(source|[1-9][0-9]*)\}", pattern) is not None
    return is_numbered or bool(fields_in(pattern))


def _with(pattern: str, name: str) -> str:
    head, divider, last = pattern.rpartition("/")
    return f'topic = "{head}{divider}{name}/{last}"'


def _check_declared(device: Checked, faults: Faults) -> None:
    """Warn of fields that are left to their first value beside others that are declared."""
    decoding = device.decoding
    named: Collection[str] = [name for name in getattr(decoding, "fields", ()) if name]
    if pattern := getattr(decoding, "pattern", ""):
        named = re.compile(pattern).groupindex
    if not any(rules.type or rules.is_number for rules in device.channels.values()):
        return
    texts = getattr(decoding, "text_fields", None)
    if texts is None:
        return  # its decoder knows types, or its messages do
    left = [name for name in named if name not in texts and not _is_declared(device, name)]
    if left:
        text = (
            f"{', '.join(left)}: no type and no unit is declared, so the first value decides"
            " whether this is a number or a text"
        )
        faults.warn(("devices", device.name, "decoder"), text)


def _is_declared(device: Checked, name: str) -> bool:
    rules = rules_of(device.channels, name)
    return rules is not None and (rules.type is not None or rules.is_number)


def _check_events(device: Checked, faults: Faults) -> None:
    """Warn of what looks like an event where only changes are published."""
    path: Path = ("devices", device.name)
    decoding = device.decoding
    named: list[str] = [name for name in getattr(decoding, "fields", ()) if name]
    if pattern := getattr(decoding, "pattern", ""):
        named += re.compile(pattern).groupindex
    found = [((*path, "channels", name), name) for name in device.channels if not _is_glob(name)]
    found += [((*path, "decoder"), name) for name in named if name not in device.channels]
    for at, name in found:
        if is_event(name) and not _counts_each(device.channels, name, device):
            faults.warn(at, _SWALLOWED.format(name=name))
    for i, one in enumerate(getattr(device.config, "topics", ())):
        last = getattr(one, "plain", "").rpartition("/")[2]
        scope = device.scopes[i] if device.scopes else Scope()
        channels = {**device.channels, **scope.channels}
        names = [scope.field.rpartition("/")[2], last, "value"]
        if is_event(last) and not any(_counts_each(channels, one, device) for one in names):
            faults.warn((*path, "topics", i, "filter"), _SWALLOWED.format(name=last))


_SWALLOWED = (
    "{name} looks like an event, and the same value said twice is published once;"
    ' if each one counts, give its channel kind = "event"'
)


def _counts_each(channels: Mapping[str, ChannelRules], name: str, device: Checked) -> bool:
    rules = rules_of(channels, name)
    if rules is None:
        return device.is_every
    is_own = rules.publish != Policy()
    is_every = rules.publish.policy == "every" if is_own else device.is_every
    return rules.kind is Kind.EVENT or is_every


def _check_ids(device: Checked, faults: Faults) -> None:
    """Warn of a stream of several devices, whose values would alternate in one channel."""
    path: Path = ("devices", device.name)
    if device.device or fields_in(device.topic) or any(one.device for one in device.scopes):
        return  # their topics differ
    for i, one in enumerate(getattr(device.config, "topics", ())):
        levels = getattr(one, "plain", "").split("/")
        if fields_in(getattr(one, "topic", "")):
            continue
        if levels[0] == "rtl_433" and levels[-1] == "events":
            text = (
                "brings the messages of all sensors under one topic; take those of each instead:"
                f' filter = "{"/".join(levels[:-1])}/devices/#", topic = "{{source}}/{{field}}"'
            )
            faults.warn((*path, "topics", i, "filter"), text)
    if getattr(device.config, "topics", ()):
        return  # each device has topics of its own there, mostly
    named: Collection[str] = getattr(device.decoding, "fields", ())
    if pattern := getattr(device.decoding, "pattern", ""):
        named = re.compile(pattern).groupindex
    ids = [name for name in named if is_certain(name)]
    if ids and len(named) > 1:
        text = (
            f"{ids[0]} names one of several devices, and the values of all would share channels;"
            " see docs/decoders.md#several-devices-in-one-stream"
        )
        faults.warn((*path, "decoder"), text)


def _check_shadows(device: Checked, faults: Faults) -> None:
    """Warn of a table of channels that an earlier pattern leaves nothing."""
    globs = [name for name in device.channels if _is_glob(name)]
    for earlier, later in combinations(globs, 2):
        if fnmatch.fnmatchcase(later, earlier):
            text = f'has no effect: "{earlier}" stands above it, and the first that fits counts'
            faults.warn(("devices", device.name, "channels", later), text)


def _check_known_topics(
    devices: Sequence[Checked], patterns: Mapping[str, Sequence[_Pattern]], faults: Faults
) -> None:
    """Refuse two declared channels of one topic."""
    owners: dict[str, tuple[str, str]] = {}
    for device in devices:
        is_sure = len(getattr(device.config, "topics", ())) <= 1
        shared = [p for p in patterns[device.name] if p.path[2] != "channels"]
        for name, rules in device.channels.items():
            if _is_glob(name):
                continue
            if rules.topic:
                path: Path = ("devices", device.name, "channels", name, "topic")
                made = [_Pattern(device.name, path, _named(rules.topic, device.name))]
            else:
                made = shared
            for pattern in made:
                topic = pattern.text.replace("{field}", name)
                if "{" in topic:
                    continue
                owner = owners.setdefault(topic, (device.name, name))
                if owner != (device.name, name):
                    add = faults.add if is_sure or rules.topic else faults.warn
                    add(pattern.path, _taken(topic, owner, (device.name, name), pattern.text))


def _taken(topic: str, owner: tuple[str, str], other: tuple[str, str], pattern: str) -> str:
    if owner[0] == other[0]:
        mend = "" if "{field}" in pattern else "; add {field}"
        return f"{owner[1]} and {other[1]} would both get the topic {topic}{mend}"
    return f"{owner[0]} and {other[0]} both make the topic {topic}; add {{device}}"


def _check_overlap(
    one: Checked,
    other: Checked,
    patterns: Mapping[str, Sequence[_Pattern]],
    faults: Faults,
) -> None:
    """Warn once of two devices whose patterns can make one topic."""
    known = [{name for name in d.channels if not _is_glob(name)} for d in (one, other)]
    if all(known) and not known[0] & known[1]:
        return  # each has declared what it has
    for a in patterns[one.name]:
        for b in patterns[other.name]:
            if _by_source(a.text) and _by_source(b.text):
                continue  # what their filters select differs, and with it mostly the topics
            if "{" in f"{a.text}{b.text}" and overlap(a.text, b.text):
                text = (
                    f"can make a topic of {one.name} ({a.text}), and the first one has it;"
                    " add {device}"
                )
                faults.warn(b.path, text)
                return


# -- patterns and filters --------------------------------------------------------------------------

_PLACE = re.compile(r"\{[^{}]*\}")


def overlap(one: str, other: str) -> bool:
    """Return whether some topic matches both; each is a topic pattern or a filter.

    ``{source}`` stands for any number of levels, any other placeholder for one or a part of one.
    """
    a, b = one.split("/"), other.split("/")

    @functools.cache
    def fits(i: int, j: int) -> bool:
        if i == len(a) or j == len(b):
            rest = a[i:] + b[j:]
            return all(level == "#" for level in rest)
        for wide, at, other_end in ((a, i, len(b) - j), (b, j, len(a) - i)):
            if _is_wide(wide[at]):
                least = 0 if wide[at] == "#" else 1
                steps = range(least, other_end + 1)
                if wide is a:
                    return any(fits(i + 1, j + n) for n in steps)
                return any(fits(i + n, j + 1) for n in steps)
        return _levels_fit(a[i], b[j]) and fits(i + 1, j + 1)

    return fits(0, 0)


def _is_wide(level: str) -> bool:
    return level == "#" or "{source}" in level


def _levels_fit(one: str, other: str) -> bool:
    parts = [_PLACE.split("{x}" if level == "+" else level) for level in (one, other)]
    if len(parts[0]) == 1 or len(parts[1]) == 1:
        fixed, loose = (one, parts[1]) if len(parts[0]) == 1 else (other, parts[0])
        return re.fullmatch(".+".join(map(re.escape, loose)), fixed) is not None
    heads, tails = [p[0] for p in parts], [p[-1] for p in parts]
    return (heads[0].startswith(heads[1]) or heads[1].startswith(heads[0])) and (
        tails[0].endswith(tails[1]) or tails[1].endswith(tails[0])
    )


def _covers(wide: str, narrow: str) -> bool:
    """Return whether a filter selects all that another one does."""
    a, b = wide.split("/"), narrow.split("/")
    if a[-1] == "#":
        a.pop()
        b = b[: len(a)] if len(b) > len(a) else [one for one in b if one != "#"]
    return len(a) == len(b) and all(
        x == y or (x == "+" and y != "#") for x, y in zip(a, b, strict=True)
    )
