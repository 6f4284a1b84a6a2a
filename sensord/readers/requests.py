"""The options of requests on a line: what is sent, what answers it, and what follows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeVar

from sensord.config.placeholders import fill, text_fault
from sensord.config.schema import (
    Duration,
    Faults,
    Path,
    Scalar,
    Within,
    as_duration,
    show,
    structure,
)
from sensord.decode.framing import KINDS, framer_of
from sensord.decode.framing import Config as Framing
from sensord.decode.regex import Pattern, pattern_fault
from sensord.model.durations import SECONDS
from sensord.readers.answers import Answer

__all__ = [
    "Poll",
    "Request",
    "Step",
    "baud_of",
    "message_of",
    "pause_of",
    "unhex",
    "with_framing",
]

HIGHEST_BYTE = 0xFF

LINE_END = "\n"
"""The default end of an answer."""

LONGEST_PAUSE_S = 3600.0

IEC_62056_21 = {
    "0": 300,
    "1": 600,
    "2": 1200,
    "3": 2400,
    "4": 4800,
    "5": 9600,
    "6": 19200,
}
"""The rates that a meter of this standard identifies with one character. Source: IEC 62056-21,
6.3.14 (mode C)."""

_HEX = 'expected pairs of hexadecimal digits, such as "01 03 00 2a"'
_ONE_BYTE = r"each character is one byte, \u0000 to \u00FF; write others as hexadecimal bytes"


def unhex(text: str) -> bytes | None:
    """Return the bytes of hexadecimal digits, or None."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Step:
    r"""Something to send, and the answer to wait for.

    First comes the ``pause``, which ``until`` ends early. ``send`` may hold the named groups of
    earlier answers (``{address}``). ``baud`` changes the line's rate once it is sent, up to the
    end of the request. With an ``answer`` only what matches it counts, and it only leads to the
    next step.
    """

    send: str = ""
    send_hex: str = ""
    pause: Scalar = 0
    until: str = ""
    baud: Scalar | None = None
    bauds: dict[str, Annotated[int, Within(50, 20_000_000)]] = field(
        default_factory=lambda: dict(IEC_62056_21)
    )
    timeout: Annotated[Duration, Within(0.001, 3600)] = 0.5
    answer: str = ""
    answer_end: str | None = None
    answer_bytes: Annotated[int, Within(0, 65_536)] = 0
    framing: dict[str, object] = field(default_factory=dict)

    @property
    def is_answered(self) -> bool:
        """Whether an answer is expected."""
        return self.answer_end != "" or bool(self.answer_bytes or self.framing)

    def waited_for(self, *, is_stream: bool) -> Answer:
        """Return the answer to wait for; what comes in a stream is the device's framing's."""
        pattern = Pattern(self.answer) if self.answer else None
        end = (LINE_END if self.answer_end is None else self.answer_end).encode("latin-1")
        framer = None
        if self.framing:
            framing = _framing(self.framing, Faults())
            assert framing is not None, "the configuration was checked"
            framer = framer_of(framing)
        is_held = pattern is not None or not is_stream
        return Answer(end, self.answer_bytes, pattern, framer=framer, is_held=is_held)

    def faults(self) -> Iterator[tuple[str | Path, str]]:
        """Yield what the fields cannot know of each other."""
        yield from _step_faults(self)


@dataclass(frozen=True, slots=True)
class Request(Step):
    """A step that begins again and again, and the steps that follow each time it is answered."""

    name: str = ""
    interval: Annotated[Duration, Within(0.001, 30 * 86_400.0)] = 1.0
    retries_before_reopen: Annotated[int, Within(0, 1_000_000)] = 5
    then: tuple[Step, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """Itself and what follows."""
        return (self, *self.then)

    def faults(self) -> Iterator[tuple[str | Path, str]]:
        """Yield what the fields cannot know of each other."""
        yield from _step_faults(self)
        if not (self.send or self.send_hex):
            yield "", "needs either send or send_hex"
        if not self.then and self.is_answered and self.timeout > self.interval:
            yield "timeout", "must be at most the interval: one request at a time"
        known: dict[str, str] = {}
        for number, step in enumerate(self.steps):
            at: Path = ("then", number - 1) if number else ()
            for key, message in _place_faults(step, known):
                yield (*at, key), message
            if step.answer and not pattern_fault(step.answer):
                known |= dict.fromkeys(re.compile(step.answer).groupindex, "0")


@dataclass(frozen=True, slots=True)
class Poll:
    r"""Ask the device again and again.

    ``command`` is sent as it stands (``"READ?\r\n"``), ``command_hex`` as bytes (``"01 03 2a"``).
    An answer is complete with ``answer_end``, or with ``answer_bytes`` bytes if that is not 0.
    After ``retries_before_reopen`` unanswered polls in a row the line is opened again; 0: never.
    """

    command: str = ""
    command_hex: str = ""
    interval: Annotated[Duration, Within(0.001, 30 * 86_400.0)] = 1.0
    timeout: Annotated[Duration, Within(0.001, 3600)] = 0.5
    answer_end: str | None = None
    answer_bytes: Annotated[int, Within(0, 65_536)] = 0
    framing: dict[str, object] = field(default_factory=dict)
    retries_before_reopen: Annotated[int, Within(0, 1_000_000)] = 5

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if bool(self.command) == bool(self.command_hex):
            yield "", "needs either command or command_hex"
        if not self.command.isascii():
            yield "command", "holds characters that are not ASCII; write it as command_hex"
        end = LINE_END if self.answer_end is None else self.answer_end
        yield from _backslashes({"command": self.command, "answer_end": end})
        if self.command_hex and unhex(self.command_hex) is None:
            yield "command_hex", _HEX
        if not end.isascii() or not (end or self.answer_bytes):
            yield "answer_end", "expected ASCII characters, such as a line's end"
        if self.timeout > self.interval:
            yield "timeout", "must be at most the interval: one poll at a time"

    def as_request(self) -> Request:
        """Return the same as a request."""
        return Request(
            send=self.command,
            send_hex=self.command_hex,
            interval=self.interval,
            timeout=self.timeout,
            answer_end=self.answer_end,
            answer_bytes=self.answer_bytes,
            framing=self.framing,
            retries_before_reopen=self.retries_before_reopen,
        )


Asked = TypeVar("Asked", Request, Step, Poll)


def with_framing(asked: Asked, table: Mapping[str, object]) -> Asked:
    """Return what is asked with the device's framing, unless its answers end in a way of theirs."""
    if not table or asked.answer_end is not None or asked.answer_bytes or asked.framing:
        return asked
    # Each answer is looked at by a framer of its own, and none begins in the middle of a line.
    return replace(asked, framing={k: v for k, v in table.items() if k != "discard_first"})


def message_of(step: Step, groups: Mapping[str, str]) -> bytes:
    """Return the bytes to send, with the groups of earlier answers in their places."""
    if step.send_hex:
        return unhex(step.send_hex) or b""
    return (fill(step.send, groups) if groups else step.send).encode("latin-1")


def pause_of(step: Step, groups: Mapping[str, str]) -> float:
    """Return how long to wait before sending.

    Raises:
        ValueError: What the device answered is no such time.
    """
    seconds = _seconds(step.pause, groups)
    if seconds is None or not 0 <= seconds <= LONGEST_PAUSE_S:
        raise ValueError(f"{step.pause} is no time up to {as_duration(LONGEST_PAUSE_S)}: {groups}")
    return seconds


def baud_of(step: Step, groups: Mapping[str, str]) -> int | None:
    """Return the rate to change to, or None.

    Raises:
        ValueError: The device's answer is not a rate.
    """
    if step.baud is None or type(step.baud) is int:
        return step.baud
    key = fill(str(step.baud), groups)
    rate = step.bauds.get(key)
    if rate is None:
        raise ValueError(f'the device answered "{key}", which is not in bauds')
    return rate


def _seconds(pause: object, groups: Mapping[str, str]) -> float | None:
    if isinstance(pause, int | float) and not isinstance(pause, bool):
        return float(pause)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", fill(str(pause), groups))
    if found is None:
        return None
    unit = SECONDS.get(found[2]) if found[2] else 1.0
    return None if unit is None else float(found[1]) * unit


def _framing(table: Mapping[str, object], faults: Faults) -> Framing | None:
    kind = table.get("type", "line")
    if kind not in KINDS:
        faults.add(("type",), f"expected one of {', '.join(KINDS)}, got {show(kind)}")
        return None
    framing: Framing | None = structure(KINDS[str(kind)], table, (), faults)
    return framing


def _step_faults(step: Step) -> Iterator[tuple[str | Path, str]]:
    if step.framing:
        faults = Faults()
        _framing(step.framing, faults)
        for at, fault in faults.found:
            yield ("framing", *at), fault
    if step.send and step.send_hex:
        yield "send_hex", "give either send or send_hex"
    if step.send_hex and unhex(step.send_hex) is None:
        yield "send_hex", _HEX
    texts = {"send": step.send, "until": step.until, "answer_end": step.answer_end or ""}
    yield from _backslashes(texts)
    for key, text in texts.items():
        if any(ord(character) > HIGHEST_BYTE for character in text):
            yield key, _ONE_BYTE
    if step.answer and (message := pattern_fault(step.answer)):
        yield "answer", message
    if step.answer and not step.is_answered:
        yield "answer", "needs answer_end or answer_bytes: where the answer ends"
    if step.until and not step.pause:
        yield "until", "needs a pause, which it ends early"


def _place_faults(step: Step, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield texts with places for what no earlier answer brings."""
    if known and (message := text_fault(step.send, known)):
        yield "send", message
    for key, value in (("pause", step.pause), ("baud", step.baud)):
        if isinstance(value, str) and (message := text_fault(value, known)):
            yield key, message
    is_filled = isinstance(step.pause, str) and "{" in step.pause
    if not is_filled and _seconds(step.pause, known) is None:
        yield "pause", 'expected a time such as "500ms", or a group of an answer: "{seconds}"'
    if isinstance(step.baud, bool | float):
        yield "baud", "expected a rate such as 9600, or a group of an answer that stands in bauds"
    elif isinstance(step.baud, int) and not 50 <= step.baud <= 20_000_000:  # noqa: PLR2004  # as of the port
        yield "baud", "expected a rate from 50 to 20,000,000"


def _backslashes(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, text in texts.items():
        if "\\r" in text or "\\n" in text:
            yield key, r'has a backslash in it; write it in double quotes, as in "READ?\r\n"'
