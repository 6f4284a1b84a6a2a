"""The reports of an availability topic: whether a device behind a broker is there. Pure.

A device's last will, or its gateway, publishes a word to a topic of its own. Which devices a topic
speaks for follows from the filter that brings their values: in the pattern of the availability
topic, ``{1}`` is what the filter's first wildcard stands for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sensord.model.topics import filter_fault

__all__ = ["Availability", "Witness"]

ANY = "*"
"""In ``online``: every word that is not in ``offline``."""

_PLACES = re.compile(r"\{([^{}]*)\}|[+#]")


@dataclass(frozen=True, slots=True)
class Availability:
    """Where a device or its last will reports whether it is there, and in which words.

    ``filter`` is a topic in which ``{1}``, ``{2}``, ... are what the wildcards of the values'
    filter stood for; a ``+`` or ``#`` is the next of these. A message that is a JSON object has the
    word in ``field``, whose levels are joined by ``/``. ``"*"`` in ``online`` is any other word: so
    one topic brings values and the word that there is none. In ``offline`` it is any message.
    """

    filter: str
    online: tuple[str, ...] = ("online", "true", "connected", "1")
    offline: tuple[str, ...] = ("offline", "false", "disconnected", "0")
    field: str = "state"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if not self.filter:
            yield "filter", 'may not be empty; write for example "tele/{1}/LWT"'
        for key in ("online", "offline"):
            if not all(word.strip() for word in getattr(self, key)) or not getattr(self, key):
                yield key, f'needs words, such as ["{key}"]'
        both = _folded(self.online) & _folded(self.offline)
        if both:
            yield "offline", f'"{min(both)}" is a word of online too'

    def pattern_fault(self, wildcards: int) -> str | None:
        """Return what is wrong with the pattern for a filter with so many wildcards, or None."""
        for found, name in enumerate(self._names(), 1):
            if name == "source":
                continue
            if not re.fullmatch("[1-9][0-9]?", name):
                return f"unknown placeholder {{{name}}}; known are {{source}}, {{1}}, {{2}}, ..."
            if int(name) > wildcards:
                return f"place {found} is {{{name}}}, but the filter has {wildcards} wildcards"
        bare = _PLACES.sub("x", self.filter)
        if "{" in bare or "}" in bare:
            return "a placeholder is written {1}"
        return filter_fault("/".join(level or "x" for level in bare.split("/")))

    def _names(self) -> list[str]:
        """Return the meaning of each place: the number of a wildcard, or ``source``."""
        names: list[str] = []
        wild = 0
        for found in _PLACES.finditer(self.filter):
            wild += found[1] is None
            names.append(str(wild) if found[1] is None else found[1])
        return names

    def pattern(self) -> str:
        """Return the filter with a placeholder in each place."""
        names = iter(self._names())
        return _PLACES.sub(lambda _: f"{{{next(names)}}}", self.filter)

    def is_there(self, payload: bytes) -> bool | None:
        """Return what a message reports, or None if it is in no known words."""
        if ANY in self.offline:
            return False
        word = self._word(payload)
        if word is None:
            return True if self.is_beside_values else None
        word = word.strip().casefold()
        if word in _folded(self.online):
            return True
        if word in _folded(self.offline):
            return False
        return True if self.is_beside_values else None

    @property
    def is_beside_values(self) -> bool:
        """Whether what is not in ``offline`` may be a value."""
        return ANY in self.online

    def _word(self, payload: bytes) -> str | None:
        text = payload.decode("utf-8", "replace").strip("\0\ufeff \t\r\n")
        if not text.startswith(("{", '"')):
            return text
        try:
            node = json.loads(text)
        except (ValueError, RecursionError):
            return None
        for level in self.field.split("/") if isinstance(node, dict) else ():
            node = node.get(level) if isinstance(node, dict) else None
        if isinstance(node, str):
            return node
        return json.dumps(node) if isinstance(node, bool | int) else None


def _folded(words: Iterable[str]) -> set[str]:
    return {word.strip().casefold() for word in words}


class Witness:
    """One availability pattern with one filter of values."""

    def __init__(self, availability: Availability, values: str) -> None:
        self.availability = availability
        self._pattern = availability.pattern()
        wild = [level for level in values.split("/") if level in {"+", "#"}]
        any_of = {"source": ".*"}
        any_of |= {str(i): ".*" if one == "#" else "[^/]*" for i, one in enumerate(wild, 1)}
        parts = re.split(r"\{([^{}]*)\}", self._pattern)
        self._names = parts[1::2]
        self._matches = re.compile(
            "".join(any_of[p] if i % 2 else re.escape(p) for i, p in enumerate(parts)), re.DOTALL
        ).fullmatch
        self.filter = self._subscription(any_of)
        """What to subscribe to: it selects every topic of the pattern, and maybe others."""

    def _subscription(self, any_of: dict[str, str]) -> str:
        levels: list[str] = []
        for level in self._pattern.split("/"):
            names = re.findall(r"\{([^{}]*)\}", level)
            if any(any_of[name] == ".*" for name in names):
                return "/".join([*levels, "#"])
            levels.append("+" if names else level)
        return "/".join(levels)

    def topic(self, source: str, captures: Iterable[str]) -> str:
        """Return the availability topic of one source of values."""
        values = {"source": source} | {str(i): text for i, text in enumerate(captures, 1)}
        return re.sub(r"\{([^{}]*)\}", lambda found: values[found[1]], self._pattern)

    def speaks_in(self, topic: str) -> bool:
        """Return whether ``topic`` matches the pattern."""
        return self._matches(topic) is not None
