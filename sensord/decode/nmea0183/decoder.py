"""Find NMEA 0183 sentences in a line, check them, and have them decoded.

Theory of operation: a sentence begins at ``$`` or ``!`` and ends at ``*`` and its checksum. What
precedes the start is skipped (a logger's time, a tag block, the rest of a line whose beginning
was missed). Where a line end was lost, two sentences stand in one line: each that is
whole is used, and one that the next cut short is a fault.

``!`` sentences (AIS), proprietary ones (``$P...``) and any other that is well formed but not known
here are not faults: a bus carries much that is meant for others. They give no samples, and are
counted by their address.

Source: E. S. Raymond, "NMEA Revealed" 2.24, sections "NMEA Encoding Conventions" and "Talker IDs".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sensord.decode.base import Decoded, Fault, Sample, excerpt
from sensord.decode.nmea0183.fix_time import FixTime
from sensord.decode.nmea0183.rollover import mended
from sensord.decode.nmea0183.sentence import Memory, Sentence
from sensord.decode.nmea0183.sentences import SENTENCES
from sensord.model.readings import Metadata

__all__ = [
    "BAD_ADDRESS",
    "BAD_CHECKSUM",
    "BAD_FIELD",
    "CUT_SHORT",
    "NO_CHECKSUM",
    "NO_SENTENCE",
    "TOO_FEW_FIELDS",
    "TOO_LONG",
    "TOO_MANY_SENTENCES",
    "Config",
    "Decoder",
    "checksum",
]

NO_SENTENCE = "no sentence"
CUT_SHORT = "sentence cut short"
BAD_CHECKSUM = "wrong checksum"
NO_CHECKSUM = "no checksum"
BAD_ADDRESS = "bad address"
TOO_FEW_FIELDS = "too few fields"
BAD_FIELD = "bad field"
TOO_LONG = "sentence too long"
TOO_MANY_SENTENCES = "too many sentences"

MAX_SENTENCE_BYTES = 512
"""The standard's limit is 82; proprietary ones are longer. Bounds the search for a checksum, and
the numbers that Python must parse."""

MAX_SENTENCES = 32
"""In one message; more are noise."""

MAX_PROVEN = 256
"""Addresses are remembered; a device has a dozen."""

MAX_PASSED_OVER = 64
"""Addresses; noise makes up more."""

_BLANKS = " \t\r\0"
_START = re.compile(rb"[$!]")
_HEX = [b"%02X" % value for value in range(256)]

_ADDRESS = re.compile(r"P[0-9A-Z]{2,15}|[0-9A-Z]{5}")
_TALKER_CHARACTERS = 2


@dataclass(frozen=True, slots=True)
class Config:
    """Which sentences to trust and to use.

    A checksum that is wrong is always a fault. With ``checksum = "if_present"`` a sentence may
    lack it, as long as the same one has not come with it before. ``talker_levels`` puts the talker
    before each field (``gp/latitude``): for a bus where two devices send the same quantity.
    ``ignore`` lists formatters (``GLL``) or whole addresses (``IIVTG``) to pass over.
    ``satellites`` adds the list of satellites in view. With ``source_time`` what a fix says has the
    time of the fix, instead of that of its arrival.
    """

    checksum: Literal["if_present", "required"] = "if_present"
    talker_levels: bool = False
    ignore: tuple[str, ...] = ()
    satellites: bool = False
    source_time: bool = False

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        for name in self.ignore:
            if name not in SENTENCES and name[_TALKER_CHARACTERS:] not in SENTENCES:
                yield "ignore", f'"{name}" is neither a sentence known here nor one with its talker'


class Decoder:
    """Turns a line into the samples of its sentences."""

    def __init__(self, config: Config) -> None:
        self._requires_checksum = config.checksum == "required"
        self._talker_levels = config.talker_levels
        self._ignored = frozenset(config.ignore)
        self._memory = Memory(collects_satellites=config.satellites)
        self._fix_time = FixTime() if config.source_time else None
        self._proven: set[str] = set()
        self.passed_over: Counter[str] = Counter()
        """By address: sentences that are whole, and not known here."""

    def decode(self, message: bytes) -> Decoded:
        """Decode one line: mostly one sentence."""
        samples: list[Sample] = []
        faults: list[Fault] = []
        at = _next_start(message, 0)
        if at is None:
            return Decoded([], [Fault(NO_SENTENCE, excerpt(message))])
        for _ in range(MAX_SENTENCES):
            star = message.find(b"*", at, at + MAX_SENTENCE_BYTES)
            if star >= 0 and message[star + 1 : star + 3].upper() == checksum(
                message[at + 1 : star]
            ):
                self._read(message[at:star], samples, faults, is_proven=True)
                at = _next_start(message, star)
            else:
                start, at = at, _next_start(message, at + 1)
                sentence = message[start:at]
                if at is not None:
                    faults.append(Fault(CUT_SHORT, excerpt(sentence)))
                elif star >= 0:
                    faults.append(Fault(BAD_CHECKSUM, excerpt(sentence)))
                elif len(sentence) > MAX_SENTENCE_BYTES:
                    faults.append(Fault(TOO_LONG, excerpt(sentence)))
                else:
                    self._read(sentence, samples, faults, is_proven=False)
            if at is None:
                return Decoded(samples, faults)
        faults.append(Fault(TOO_MANY_SENTENCES, excerpt(message)))
        return Decoded(samples, faults)

    def mend_dates(self, samples: list[Sample], wall_us: int) -> list[Sample]:
        """Return samples with dates corrected that are 1024 or 2048 weeks behind."""
        return mended(samples, wall_us)

    def metadata(self, field: str) -> Metadata | None:
        """Return unit, type and description.

        The unit of a speed or a transducer is the one that the device uses; before it has spoken,
        a speed's is knots and a transducer is not known.
        """
        return self._memory.metadata(field.partition("/")[2] if self._talker_levels else field)

    def _read(
        self, sentence: bytes, samples: list[Sample], faults: list[Fault], *, is_proven: bool
    ) -> None:
        """Read one sentence, without its checksum."""
        # Latin-1 accepts every byte; the few texts in sentences use it (NMEA 3.01).
        fields = sentence[1:].decode("latin-1").split(",")
        if b" " in sentence or b"\0" in sentence:
            fields = [field.strip(_BLANKS) for field in fields]
        address = fields[0]
        if _ADDRESS.fullmatch(address) is None:
            faults.append(Fault(BAD_ADDRESS, excerpt(sentence)))
            return
        if not self._may_trust(address, is_proven=is_proven):
            faults.append(Fault(NO_CHECKSUM, excerpt(sentence)))
            return
        talker, formatter = address[:_TALKER_CHARACTERS], address[_TALKER_CHARACTERS:]
        spec = SENTENCES.get(formatter)
        if formatter in self._ignored or address in self._ignored:
            return
        if spec is None or sentence.startswith(b"!") or address.startswith("P"):
            if address in self.passed_over or len(self.passed_over) < MAX_PASSED_OVER:
                self.passed_over[address] += 1
            return
        if len(fields) - 1 < spec.least:
            faults.append(Fault(TOO_FEW_FIELDS, excerpt(sentence)))
            return
        prefix = f"{talker.lower()}/" if self._talker_levels else ""
        read = Sentence(talker, fields, prefix, self._memory)
        spec.read(read)
        found = read.samples
        if (
            self._fix_time is not None
            and not read.is_faulty
            and (time_us := self._fix_time.of(formatter, read)) is not None
        ):
            found = [one._replace(time_us=time_us) for one in found]
        samples += found
        if read.is_faulty:
            faults.append(Fault(BAD_FIELD, excerpt(sentence)))

    def _may_trust(self, address: str, *, is_proven: bool) -> bool:
        """Return whether a sentence may be used.

        One that used to come with a checksum and now has none has lost its end.
        """
        if not is_proven:
            return not self._requires_checksum and address not in self._proven
        if len(self._proven) < MAX_PROVEN:
            self._proven.add(address)
        return True


def checksum(text: bytes) -> bytes:
    """Return the two hexadecimal digits that follow ``*``: the XOR of all bytes.

    Folding one large integer is five times faster than going over the bytes.
    """
    value = int.from_bytes(text, "big")
    bits = 8 << (len(text) - 1).bit_length() if text else 8
    while bits > 8:  # noqa: PLR2004  # one byte
        bits >>= 1
        value ^= value >> bits
    return _HEX[value & 0xFF]


def _next_start(message: bytes, position: int) -> int | None:
    found = _START.search(message, position)
    return None if found is None else found.start()
