"""The worst-case cost of a regular expression, computed from the pattern alone.

Python's engine tries one way of matching after the other. Where a repetition may match characters
that the part after it may match too, as in ``.*,``, there are as many ways as the line has
characters, and each such repetition multiplies. A repetition of something that can itself match in
several ways, as in ``(a+)+``, doubles the ways with every character: no line is short enough for
that.

Theory of operation. The pattern's tree is walked from its end to its beginning, with the set of
characters that may come next. The `Cost` of each part is computed for a line of ``n`` characters:
in how many ways it can match, at most ``factor * n ** ways``, and how many steps it needs until all
of them have failed, at most ``factor * n ** steps``. A success ends the search; only failing is
repeated. It errs on the side of too many.
"""

from __future__ import annotations

import math
import re
import re._constants as op  # type: ignore[import-not-found]  # the tree that `re` itself works on
import re._parser as parser  # type: ignore[import-not-found]  # the same
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["STEPS", "TooManyWaysError", "longest_line"]

STEPS = 2e7
"""Tried for one line at most: some tenths of a second, a second or two on a small board."""

Node = Any
"""A piece of the engine's tree, which has no types of its own."""

Characters = frozenset[int]
"""Codes of ASCII, and beyond it the kinds that Python's categories distinguish."""

ASCII_END = 128
SPACE, DIGIT, LETTER, OTHER = range(ASCII_END, ASCII_END + 4)

NONE: Characters = frozenset()
BEYOND: Characters = frozenset({SPACE, DIGIT, LETTER, OTHER})
ALL: Characters = frozenset(range(ASCII_END)) | BEYOND

BOUNDED = 64
"""A repetition that may be longer counts as one without end."""


class TooManyWaysError(Exception):
    """The pattern repeats without end what can be matched in several ways."""


class Cost(NamedTuple):
    """In how many ways a part can match, and in how many steps it fails: powers of the length."""

    ways: int = 0
    steps: int = 0
    factor: float = 1.0

    @property
    def is_one_way(self) -> bool:
        """Whether it matches in one way only."""
        return not self.ways and self.factor == 1

    def and_then(self, other: Cost) -> Cost:
        """Return the cost of both in a row: the other is tried after each way of this one."""
        steps = max(self.steps, self.ways + other.steps)
        return Cost(self.ways + other.ways, steps, self.factor * other.factor)


class _Part(NamedTuple):
    """What is known of a part: its cost, what it may begin with, whether it may be empty."""

    cost: Cost
    first: Characters
    is_nullable: bool
    can_fail: bool = True

    def before(self, follow: Characters) -> Characters:
        """Return what may come where this part begins, if ``follow`` may come after it."""
        return self.first | follow if self.is_nullable else self.first


class _After(NamedTuple):
    """What comes after a part: which characters may, and whether it is sure to succeed."""

    follow: Characters
    is_sure: bool


def longest_line(pattern: str) -> float:
    """Return how many characters a line may have for the pattern to be done with it in time.

    Raises:
        TooManyWaysError: There is no such number.
        re.error: It is no regular expression.
    """
    tree = parser.parse(pattern)
    items, flags = list(tree), tree.state.flags
    # With (?a) the categories part what is beyond ASCII in another way: then nothing is.
    is_ascii = bool(re.search(r"\(\?[a-zA-Z]*a", pattern))
    cost = _Walk(is_ascii=is_ascii).sequence(items, _After(NONE, is_sure=True)).cost
    starts = 0 if _is_anchored(items, flags) else 1
    return float((STEPS / cost.factor) ** (1 / max(1, starts + cost.steps)))


def _is_anchored(items: Sequence[Node], flags: int) -> bool:
    if not items or items[0][0] is not op.AT:
        return False
    where = items[0][1]
    is_begin = where is op.AT_BEGINNING and not flags & re.MULTILINE
    return bool(is_begin or where is op.AT_BEGINNING_STRING)


class _Walk:
    """One walk through a pattern's tree."""

    def __init__(self, *, is_ascii: bool) -> None:
        self._beyond = BEYOND if is_ascii else NONE

    def sequence(self, items: Sequence[Node], after: _After) -> _Part:
        """Look at parts in a row."""
        whole = _Part(Cost(), NONE, is_nullable=True, can_fail=False)
        for kind, value in reversed(items):
            is_sure = after.is_sure and not whole.can_fail
            part = self._part(kind, value, _After(whole.before(after.follow), is_sure))
            whole = _Part(
                part.cost.and_then(whole.cost),
                part.before(whole.first),
                is_nullable=part.is_nullable and whole.is_nullable,
                can_fail=part.can_fail or whole.can_fail,
            )
        return whole

    def _part(self, kind: Node, value: Node, after: _After) -> _Part:
        if (characters := self._one(kind, value)) is not None:
            return _Part(Cost(), characters, is_nullable=False)
        if kind is op.AT:
            return _Part(Cost(), NONE, is_nullable=True)
        if kind is op.SUBPATTERN:
            return self.sequence(list(value[-1]), after)
        if kind is op.BRANCH:
            return self._branch(value[1], after)
        if kind is op.GROUPREF_EXISTS:
            return self._branch([value[1], value[2] or []], after)
        if kind in {op.MAX_REPEAT, op.MIN_REPEAT}:
            least, most, body = value
            return self._repeat(least, most, list(body), after)
        if kind in {op.ATOMIC_GROUP, op.POSSESSIVE_REPEAT, op.ASSERT, op.ASSERT_NOT}:
            return self._committed(kind, value)
        # A reference to a group, or something newer than this module.
        return _Part(Cost(steps=1), ALL, is_nullable=True)

    def _branch(self, branches: Sequence[Node], after: _After) -> _Part:
        parts = [self.sequence(list(branch), after) for branch in branches]
        begins = [part.before(after.follow) for part in parts]
        is_ambiguous = sum(map(len, begins)) > len(NONE.union(*begins))
        factors = [part.cost.factor for part in parts]
        cost = Cost(
            max(part.cost.ways for part in parts),
            max(part.cost.steps for part in parts),
            math.fsum(factors) if is_ambiguous else max(factors),
        )
        first = NONE.union(*(part.first for part in parts))
        is_nullable = any(part.is_nullable for part in parts)
        return _Part(cost, first, is_nullable, can_fail=all(part.can_fail for part in parts))

    def _repeat(self, least: int, most: int, items: Sequence[Node], after: _After) -> _Part:
        first = self.sequence(items, _After(ALL, is_sure=False)).first
        again = first if most > 1 else NONE
        part = self.sequence(items, _After(again | after.follow, is_sure=False))
        can_fail = bool(least) and part.can_fail
        is_nullable = not least or part.is_nullable
        # May it stop, and the rest continue with the same characters?
        is_ambiguous = least != most and (part.is_nullable or bool(first & after.follow))
        cost = part.cost
        if most <= BOUNDED:
            choices = most - least + 1 if is_ambiguous else 1
            factor = _power(cost.factor, most) * choices
            cost = Cost(cost.ways * most, cost.ways * max(0, most - 1) + cost.steps, factor)
        elif not cost.is_one_way or part.is_nullable:
            raise TooManyWaysError
        else:
            cost = Cost(ways=1 if is_ambiguous else 0, steps=max(1, cost.steps))
        if after.is_sure:  # once it has its least number all is well, and it is not tried again
            cost = cost._replace(ways=0, steps=part.cost.steps)
        return _Part(cost, first, is_nullable, can_fail)

    def _committed(self, kind: Node, value: Node) -> _Part:
        """Look at what is never tried in another way once it has matched."""
        if kind is op.POSSESSIVE_REPEAT:
            least, most, body = value
            part = self._repeat(least, most, list(body), _After(NONE, is_sure=False))
        else:
            body = value[1] if kind in {op.ASSERT, op.ASSERT_NOT} else value
            part = self.sequence(list(body), _After(NONE, is_sure=False))
        if kind in {op.ASSERT, op.ASSERT_NOT}:
            part = part._replace(first=NONE, is_nullable=True, can_fail=True)
        return part._replace(cost=part.cost._replace(ways=0))

    def _one(self, kind: Node, value: Node) -> Characters | None:
        """Return which characters a part that matches exactly one may match; None for others."""
        if kind is op.ANY:
            return ALL
        if kind is op.LITERAL:
            return _literal(value)
        if kind is op.NOT_LITERAL:
            return self._in([(op.NEGATE, None), (op.LITERAL, value)])
        if kind is op.IN:
            return self._in(value)
        return None

    def _in(self, items: Sequence[Node]) -> Characters:
        is_negated = items[0][0] is op.NEGATE
        found: Characters = NONE
        for kind, value in items:
            if kind is op.LITERAL:
                found |= _exactly(value, value) if is_negated else _literal(value)
            elif kind is op.RANGE:
                found |= _exactly(*value) if is_negated else _range(*value)
            elif kind is op.CATEGORY:
                category = _CATEGORIES.get(value, ALL)
                found |= category - self._beyond if is_negated else category | self._beyond
        return ALL - found if is_negated else found


def _power(factor: float, times: int) -> float:
    try:
        return factor**times
    except OverflowError:
        return math.inf


# -- single characters -----------------------------------------------------------------------------


def _kind(code: int) -> int:
    """Return the code of a character of ASCII, and for any other what kind it is."""
    letter = chr(code)
    if code < ASCII_END:
        return code
    if letter.isspace():
        return SPACE
    if letter.isdecimal():
        return DIGIT
    return LETTER if letter.isalnum() else OTHER


def _literal(code: int) -> Characters:
    """Return a character and its other case: whether case counts is not looked at."""
    letter = chr(code)
    return frozenset(_kind(ord(one)) for one in (letter, letter.lower()[0], letter.upper()[0]))


def _range(low: int, high: int) -> Characters:
    found = NONE if high < ASCII_END else BEYOND
    return found.union(*(_literal(code) for code in range(low, min(high + 1, ASCII_END))))


def _exactly(low: int, high: int) -> Characters:
    """Return what a range excludes; beyond ASCII a kind is never excluded whole."""
    return frozenset(range(low, min(high + 1, ASCII_END)))


def _ascii(test: Callable[[str], bool]) -> set[int]:
    return {code for code in range(ASCII_END) if test(chr(code))}


_DIGITS: Characters = frozenset(_ascii(str.isdecimal) | {DIGIT})
_SPACES: Characters = frozenset(_ascii(str.isspace) | {SPACE})
_WORD: Characters = frozenset(_ascii(str.isalnum) | {ord("_"), DIGIT, LETTER})

_CATEGORIES: dict[Node, Characters] = {
    op.CATEGORY_DIGIT: _DIGITS,
    op.CATEGORY_NOT_DIGIT: ALL - _DIGITS,
    op.CATEGORY_SPACE: _SPACES,
    op.CATEGORY_NOT_SPACE: ALL - _SPACES,
    op.CATEGORY_WORD: _WORD,
    op.CATEGORY_NOT_WORD: ALL - _WORD,
}
