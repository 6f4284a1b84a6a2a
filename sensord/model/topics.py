"""Topics, filters with MQTT's wildcards, and two trees that match one against many.

A topic is levels joined by ``/``: ``plant/boiler/temperature``. In a filter ``+`` stands for
exactly one level and a final ``#`` for the level before it and everything below. As in MQTT, a
wildcard in the first place does not match topics that begin with ``$``.

Matching is needed both ways, and each way has its tree, so that 10,000 topics and 1,000 filters
cost a walk of a few levels instead of 10,000,000 comparisons:

* `FilterTree` holds filters; `match` finds those that a new topic satisfies.
* `TopicTree` holds topics; `match` finds those that a new filter selects, and `match_any` those
  that any of many filters selects: it walks the topics once, however many the filters are.

Source: MQTT 5.0 (OASIS Standard, 2019-03-07), section 4.7.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

__all__ = [
    "POSITIONS",
    "FilterTree",
    "TopicTree",
    "can_make",
    "expand",
    "fields_in",
    "filter_fault",
    "matches",
    "pattern_fault",
    "topic_fault",
]

T = TypeVar("T")

POSITIONS = "$sys/positions/"
"""What the topics begin with that hold how far sources were read."""

MAX_TOPIC_CHARACTERS = 256
"""Long enough for any real tree; keeps an announcement and an error message readable."""

MAX_LEVELS = 16
"""Bounds the depth of the trees, whatever a client sends."""


def topic_fault(topic: str) -> str | None:
    """Return what is wrong with a topic, or None if it is well formed."""
    if "+" in topic or "#" in topic:
        return "a topic may not contain the wildcards + and #"
    return _shape_fault(topic)


def filter_fault(pattern: str) -> str | None:
    """Return what is wrong with a filter, or None if it is well formed."""
    levels = pattern.split("/")
    if "#" in levels[:-1]:
        return "# may only be the last level of a filter"
    if any(("+" in level or "#" in level) and len(level) > 1 for level in levels):
        return "a wildcard must stand alone in its level, as in a/+/b or a/#"
    return _shape_fault(pattern)


def _shape_fault(text: str) -> str | None:
    levels = text.split("/")
    if not all(levels):
        return "no level may be empty"
    if len(text) > MAX_TOPIC_CHARACTERS:
        return f"at most {MAX_TOPIC_CHARACTERS} characters"
    if len(levels) > MAX_LEVELS:
        return f"at most {MAX_LEVELS} levels"
    if not text.isprintable():
        return "control characters and line breaks are not allowed"
    return None


def matches(pattern: str, topic: str) -> bool:
    """Return whether a well-formed filter selects a well-formed topic."""
    wanted, levels = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    if wanted[-1] == "#":
        wanted.pop()
        # `a/#` selects `a` too: MQTT 5.0, 4.7.1.2.
        if len(levels) < len(wanted):
            return False
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(
        want in {"+", level} for want, level in zip(wanted, levels, strict=True)
    )


_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_OURS = ("device", "field", "source")
_GIVEN = re.compile(r"device|field|source|[1-9][0-9]*")
_FIELD_PLACE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


def expand(pattern: str, values: Mapping[str, str]) -> str:
    """Make a topic from a pattern such as ``{device}/{field}``.

    Raises:
        KeyError: ``values`` lacks a placeholder of the pattern.
    """
    return _PLACEHOLDER.sub(lambda found: values[found[1]], pattern)


def pattern_fault(pattern: str) -> str | None:
    """Return what is wrong with a topic pattern, or None if it can make topics.

    Placeholders are ``{device}``, ``{field}``, ``{source}``, ``{1}``, ``{2}``, ... for the levels
    that matched the wildcards of a reader's own filter, and the names of decoded fields.
    """
    names = _PLACEHOLDER.findall(pattern)
    for name in names:
        if not _GIVEN.fullmatch(name) and not _is_field_place(name):
            known = "{device}, {field}, {source}, {1}, {2}, ... and fields, such as {id}"
            return f"unknown placeholder {{{name}}}; known are {known}"
    topic = expand(pattern, dict.fromkeys(names, "x"))
    if "{" in topic or "}" in topic:
        return "a placeholder is written {field}"
    if topic.startswith("$"):
        return "topics that begin with $ are sensord's own"
    return topic_fault(topic)


def _is_field_place(name: str) -> bool:
    """Return whether a placeholder may be a field's name, and not a misspelt built-in one."""
    is_near = difflib.get_close_matches(name, _OURS, n=1, cutoff=0.8)
    return _FIELD_PLACE.fullmatch(name) is not None and not is_near


def fields_in(pattern: str) -> frozenset[str]:
    """Return the decoded fields that are places in a topic pattern."""
    return frozenset(name for name in _PLACEHOLDER.findall(pattern) if not _GIVEN.fullmatch(name))


def can_make(pattern: str, topic: str) -> bool:
    """Return whether a topic pattern makes this topic for some values of its placeholders."""
    literal = (re.escape(part) for part in _PLACEHOLDER.split(pattern)[::2])
    return re.fullmatch(".+".join(literal), topic) is not None


class _Node(Generic[T]):
    __slots__ = ("children", "items")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.items: list[T] = []


def _add(root: _Node[T], path: str, item: T) -> None:
    node = root
    for level in path.split("/"):
        node = node.children.setdefault(level, _Node())
    node.items.append(item)


def _remove(root: _Node[T], path: str, item: T) -> None:
    trail: list[tuple[_Node[T], str]] = []
    node = root
    for level in path.split("/"):
        trail.append((node, level))
        node = node.children[level]
    node.items.remove(item)
    for parent, level in reversed(trail):
        child = parent.children[level]
        if child.items or child.children:
            break
        del parent.children[level]


class FilterTree(Generic[T]):
    """Filters, each with an item; finds the items whose filter selects a topic."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, pattern: str, item: T) -> None:
        """Add ``item`` under ``pattern``; the same pair may be added more than once."""
        _add(self._root, pattern, item)

    def remove(self, pattern: str, item: T) -> None:
        """Undo one `add` of the same pair.

        Raises:
            KeyError, ValueError: The pair was not added.
        """
        _remove(self._root, pattern, item)

    def match(self, topic: str) -> Iterator[T]:
        """Yield the item of every filter that selects ``topic``; one item may come twice."""
        levels = topic.split("/")
        yield from self._walk(self._root, levels, 0, wild=not topic.startswith("$"))

    def _walk(self, node: _Node[T], levels: list[str], depth: int, *, wild: bool) -> Iterator[T]:
        if wild and (rest := node.children.get("#")) is not None:
            yield from rest.items
        if depth == len(levels):
            yield from node.items
            return
        if (exact := node.children.get(levels[depth])) is not None:
            yield from self._walk(exact, levels, depth + 1, wild=True)
        if wild and (any_one := node.children.get("+")) is not None:
            yield from self._walk(any_one, levels, depth + 1, wild=True)


class TopicTree(Generic[T]):
    """Topics, each with an item; finds the items whose topic a filter selects."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, topic: str, item: T) -> None:
        """Hold ``item`` under ``topic``."""
        _add(self._root, topic, item)

    def match(self, pattern: str) -> Iterator[T]:
        """Yield the item of every topic that ``pattern`` selects, each once."""
        yield from self._walk(self._root, pattern.split("/"), 0)

    def match_any(self, patterns: Iterable[str]) -> Iterator[T]:
        """Yield the item of every topic that any of the patterns selects, each once.

        Topics may be added while it is walked; whether those come too is left open.
        """
        filters: _Node[bool] = _Node()
        for pattern in patterns:
            _add(filters, pattern, True)  # noqa: FBT003  # an item like any other
        # What is still to be visited: wanted with all below it, or as far as somebody wants it.
        whole: list[_Node[T]] = []
        partly: list[tuple[_Node[T], _Wanted]] = []
        first, plain = _Wanted((filters,)), _Wanted((filters,), is_wild=False)
        for level, node in self._root.children.items():
            wanted = plain if level.startswith("$") else first
            if wanted.is_all:
                whole.append(node)
            elif (below := wanted.after(level)) is not None:
                partly.append((node, below))
        while whole or partly:
            if whole:
                node = whole.pop()
                if node.children:
                    whole += node.children.values()
                yield from node.items
                continue
            node, below = partly.pop()
            if below.is_all:
                whole.append(node)
                continue
            if node.children:
                partly += below.within(node.children)
            if below.is_end:
                yield from node.items

    def _walk(self, node: _Node[T], wanted: list[str], depth: int) -> Iterator[T]:
        if depth == len(wanted):
            yield from node.items
            return
        level = wanted[depth]
        if level == "#":
            if depth:
                yield from node.items
            for name, child in node.children.items():
                if depth or not name.startswith("$"):
                    yield from self._below(child)
        elif level == "+":
            for name, child in node.children.items():
                if depth or not name.startswith("$"):
                    yield from self._walk(child, wanted, depth + 1)
        elif (child := node.children.get(level)) is not None:  # type: ignore[assignment]  # optional here, plain above
            yield from self._walk(child, wanted, depth + 1)

    def _below(self, node: _Node[T]) -> Iterator[T]:
        yield from node.items
        for child in node.children.values():
            yield from self._below(child)


class _Wanted:
    """What any of some filters wants below a topic's first levels: their nodes, made one.

    Each level that follows is looked up once for all the topics that have it, so a topic costs as
    much under a hundred filters as under one.
    """

    __slots__ = ("_after", "_any_one", "_nodes", "is_all", "is_end")

    def __init__(self, nodes: tuple[_Node[bool], ...], *, is_wild: bool = True) -> None:
        self._nodes = nodes
        self.is_all = is_wild and any("#" in node.children for node in nodes)
        """Whether the levels so far and everything below is wanted."""
        self.is_end = any(node.items for node in nodes)
        """Whether the levels so far are themselves a topic that is wanted."""
        plus = tuple(node.children["+"] for node in nodes if is_wild and "+" in node.children)
        self._any_one = plus
        # By level; what no filter names goes the way of those that name none.
        names = {name for node in nodes for name in node.children} - {"+", "#"}
        self._after: dict[str | None, _Wanted | None] = dict.fromkeys(names)
        self._after[None] = _Wanted(plus) if plus else None

    def after(self, level: str) -> _Wanted | None:
        """Return the selection below one more level; None if it is empty."""
        known = self._after
        if level not in known:
            return known[None]
        found = known[level]
        if found is None:
            nodes = (node.children[level] for node in self._nodes if level in node.children)
            found = known[level] = _Wanted((*nodes, *self._any_one))
        return found

    def within(self, children: dict[str, _Node[T]]) -> list[tuple[_Node[T], _Wanted]]:
        """Return the selected children of a topic's node, with the selection of each."""
        known, after = self._after, self.after
        other = known[None]
        if other is None:
            # Whichever is fewer: the children there are, or those that are named.
            named = known if len(known) <= len(children) else children
            levels = [level for level in named if level in children and level in known]
        elif len(known) == 1:
            return [(child, other) for child in children.values()]
        else:
            levels = list(children)
        pairs = [(children[level], after(level)) for level in levels]
        return [(child, below) for child, below in pairs if below is not None]
