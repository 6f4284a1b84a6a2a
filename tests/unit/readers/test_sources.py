"""Filters and routes of message systems, as levels."""

from __future__ import annotations

import pytest

from sensord.readers.sources import (
    MAX_ROUTES,
    SourceMap,
    Sources,
    dotted_filter,
    dotted_source,
    source_faults,
)


@pytest.mark.parametrize(
    ("wanted", "subject", "found"),
    [
        ("plant.*.temp", "plant.boiler.temp", ("boiler",)),
        ("plant.>", "plant.boiler.temp", ("boiler/temp",)),
        ("plant.#", "plant.boiler.temp", ("boiler/temp",)),
        ("plant.*.temp", "plant.boiler.level", None),
        ("plant.*", "plant.a/b", ("a%2Fb",)),
        ("plant.*", "plant.+", ("%2B",)),
    ],
)
def test_wildcards_are_captured(wanted: str, subject: str, found: tuple[str, ...] | None) -> None:
    """Tokens are levels; what a level cannot hold is escaped."""
    route = Sources([SourceMap(wanted)]).route(dotted_source(subject))
    assert (None if route is None else route.captures) == found


def test_the_first_filter_wins() -> None:
    """Its index is the scope of the route, for a decoder of its own."""
    sources = Sources([SourceMap("a.b", "one"), SourceMap("a.>", "two/{1}", merge="m/{1}")])
    first, second = sources.route("a/b"), sources.route("a/c")
    assert first is not None
    assert second is not None
    assert (first.scope, first.pattern, first.group) == (0, "one", "")
    assert (second.scope, second.pattern, second.group) == (1, "two/{1}", "m/c")


def test_what_is_remembered_is_bounded() -> None:
    """A system may make up names without end."""
    sources = Sources([SourceMap(">")])
    for number in range(MAX_ROUTES + 10):
        sources.route(f"a/{number}")
    assert len(sources._routes) == MAX_ROUTES


def test_faults_are_named() -> None:
    """Filters that are missing or doubled, and places that no wildcard fills."""
    assert [key for key, _ in source_faults(())] == ["topics"]
    assert [key for key, _ in source_faults((SourceMap("a"), SourceMap("a")))] == ["topics"]
    assert [key for key, _ in SourceMap("a.*", "x/{2}").faults()] == ["topic"]
    assert not list(SourceMap("a.*", "x/{1}").faults())
    assert dotted_filter("a.*.>") == "a/+/#"
