"""Notes about what a person could mistake for silence: a misspelt topic, a lost daemon."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Collection, Sequence

from sensord.client import Client, Row
from sensord.model.topics import matches

__all__ = ["absent", "note", "note_absent", "note_losses"]

EVERYTHING = ("#", "$sys/#", "$audit/#")


def note(text: str) -> None:
    """Print a note where it does not mix with readings."""
    print(f"-- {text}", file=sys.stderr, flush=True)


def absent(topics: Sequence[str], known: Collection[str]) -> list[str]:
    """Return a note for each filter that selects none of the known topics."""
    return [
        f"{wanted}: no such topic{_meant(wanted, known)}"
        for wanted in topics
        if not any(matches(wanted, topic) for topic in known)
    ]


def _meant(wanted: str, known: Collection[str]) -> str:
    """Return the nearest filter that selects something, as a question."""
    levels = wanted.split("/")
    nearest = difflib.get_close_matches(wanted, known, n=1)
    if len(levels) == 1 and (below := _below(wanted, known)):
        return f"; did you mean {below}?"
    if not {"+", "#"} & set(levels):
        if not nearest:  # the last level alone, as people name it
            by_last = {topic.rpartition("/")[2]: topic for topic in known}
            nearest = [by_last[one] for one in difflib.get_close_matches(levels[-1], by_last, n=1)]
        return f"; did you mean {nearest[0]}?" if nearest else ""
    mended = _mended(levels, [topic.split("/") for topic in known])
    return "" if mended is None else f"; did you mean {mended}?"


def _below(name: str, known: Collection[str]) -> str:
    """Return the filter of all topics below a level of this name, as people name a device."""
    for topic in sorted(known):
        levels = topic.split("/")
        if not topic.startswith("$") and name in levels[:-1]:
            return "/".join([*levels[: levels.index(name) + 1], "#"])
    return ""


def _mended(levels: Sequence[str], known: Sequence[Sequence[str]]) -> str | None:
    """Replace each level of a filter by the nearest known name, from the first on."""
    mended: list[str] = []
    for i, level in enumerate(levels):
        names = {topic[i] for topic in known if len(topic) > i}
        if level == "#":
            mended.append(level)
            break
        if level != "+":
            near = difflib.get_close_matches(level, names, n=1)
            if not near:
                return None
            level = near[0]  # noqa: PLW2901  # as it was meant
            known = [topic for topic in known if len(topic) > i and topic[i] == level]
        mended.append(level)
    found = "/".join(mended)
    return found if any(matches(found, "/".join(topic)) for topic in known) else None


async def note_absent(client: Client, topics: Sequence[str]) -> bool:
    """Note the filters that select no topic of the daemon; return whether there are any."""
    selected = await _topics(client, topics)
    lacking = [one for one in topics if not any(matches(one, topic) for topic in selected)]
    if not lacking or lacking == ["#"]:
        return False
    for one in absent(lacking, await _topics(client, EVERYTHING)):
        note(one)
    return True


async def _topics(client: Client, filters: Sequence[str]) -> set[str]:
    rows = client.topics(*filters)
    return {str(item.fields["topic"]) async for item in rows if isinstance(item, Row)}


def note_losses(client: Client) -> None:
    """Note when the daemon is away, and when it is back."""
    since = 0.0

    def lost(reason: str) -> None:
        nonlocal since
        since = time.monotonic()
        note(f"the daemon is away ({reason}); trying again")

    def back() -> None:
        note(f"the daemon is back after {time.monotonic() - since:.1f} s")

    client.on_lost, client.on_back = lost, back
