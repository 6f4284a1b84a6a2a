"""Cut a byte stream into SML files: escapes, padding, CRC.

Theory of operation. A file begins with four escape bytes and the version, and ends with four escape
bytes, ``1A``, the number of padding bytes and a CRC over all of it. Four escape bytes inside are
doubled. As for binary frames, what proves to be no file costs one byte: the search for the next
start continues behind it, so a file whose end was lost does not swallow the next one.

Source: BSI TR-03109-1, annex IV, "Smart Message Language", SML transport protocol version 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from sensord.config.schema import Size, Within
from sensord.decode.base import Fault, Framed, excerpt
from sensord.decode.checksums import checksum
from sensord.decode.framing.line_checksum import WRONG

__all__ = ["BAD_ESCAPE", "TOO_LONG", "Config", "SmlFramer"]

BAD_ESCAPE = "bad escape in file"
TOO_LONG = "file too long"

_ESCAPE = b"\x1b\x1b\x1b\x1b"
_START = _ESCAPE + b"\x01\x01\x01\x01"
_END = 0x1A
_RUN = re.compile(b"\x1b{4,}")
_MOST_PADDING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The kind of the CRC, which a few meters compute in another way, and a bound."""

    type: Literal["sml"] = "sml"
    crc: Literal["crc16_x25", "crc16_kermit"] = "crc16_x25"
    max_bytes: Annotated[Size, Within(64, 65_536)] = 8 * 1024


class SmlFramer:
    """Cuts a stream into the messages of its good files, one text of bytes a file."""

    def __init__(self, config: Config) -> None:
        self._crc = checksum(config.crc).of
        self._max_bytes = config.max_bytes
        self._held = bytearray()
        self._has_file = False

    def reset(self) -> None:
        """Forget an incomplete file: the stream was interrupted."""
        self._held.clear()
        self._has_file = False

    def feed(self, data: bytes) -> Framed:
        """Process the next bytes and return the files that are complete now."""
        framed = Framed([], [])
        self._held += data
        while self._step(framed):
            pass
        return framed

    def _step(self, framed: Framed) -> bool:
        begin = self._held.find(_START)
        if begin < 0:
            del self._held[: max(0, len(self._held) - len(_START) + 1)]
            return False
        del self._held[:begin]
        held = bytes(self._held)
        found = _unescaped(held)
        if found is None and len(held) <= self._max_bytes:
            return False  # not whole yet
        reason = TOO_LONG
        if found is not None:
            stop, body = found
            reason = self._wrong(held[:stop]) if body is not None else BAD_ESCAPE
            if body is not None and not reason:
                framed.messages.append(body)
                del self._held[:stop]
                self._has_file = True
                return True
        framed.faults.append(Fault(reason, excerpt(held)))
        del self._held[:1]
        return True

    def _wrong(self, whole: bytes) -> str:
        written = int.from_bytes(whole[-2:], "little")
        return "" if self._crc(whole[:-2]) == written else WRONG


def _unescaped(held: bytes) -> tuple[int, bytes | None] | None:
    """Return where the file ends and what it holds, without a body if it is none.

    None: its end has not come.
    """
    body = bytearray()
    at = len(_START)
    while (run := _RUN.search(held, at)) is not None:
        if run.end() == len(held):
            return None  # the run may continue
        doubled, rest = divmod(run.end() - run.start(), 2 * len(_ESCAPE))
        body += held[at : run.start()] + doubled * _ESCAPE
        if rest < len(_ESCAPE):
            body += rest * b"\x1b"
            at = run.end()
            continue
        body += (rest - len(_ESCAPE)) * b"\x1b"
        stop = run.end() + 4
        if held[run.end()] != _END:
            return run.end(), None
        if len(held) < stop:
            return None
        padding = held[run.end() + 1]
        if padding > _MOST_PADDING:
            return run.end(), None
        return stop, bytes(body[: len(body) - padding])
    return None
