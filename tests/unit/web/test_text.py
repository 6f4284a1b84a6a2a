"""The texts of the page: each has one name, and each name has one text."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import sensord

WEB = Path(sensord.__file__).parent / "web"
TEXTS = (WEB / "text.js").read_text()


def names() -> list[str]:
    """Return the names of the texts, those of nested ones left out."""
    found, depth = [], 0
    for line in TEXTS.splitlines():
        plain = re.sub(r"\"[^\"]*\"|`[^`]*`", '""', line)
        if depth == 1 and not plain.lstrip().startswith("//"):
            flat = re.sub(r"\{[^{}]*\}|\[[^\[\]]*\]|\([^()]*\)", '""', plain)
            found += re.findall(r"(?:^|, )\s*(\w+): ", flat)
        depth += plain.count("{") - plain.count("}")
    return found


def test_no_text_takes_the_name_of_another() -> None:
    """The later one won silently: beside a value that can be set stood "Back to the present"."""
    assert len(names()) > 80
    assert [name for name, count in Counter(names()).items() if count > 1] == []


def test_every_text_that_the_page_uses_is_there_and_none_is_left_over() -> None:
    """A missing one would be shown as "undefined"."""
    used = set()
    for file in WEB.glob("*.js"):
        used |= set(re.findall(r"\btext\.(?!js)(\w+)", file.read_text()))
    for file in WEB.glob("*.html"):
        used |= set(re.findall(r'data-(?:text|label)="(\w+)"', file.read_text()))
    assert used <= set(names())
    assert set(names()) <= used
