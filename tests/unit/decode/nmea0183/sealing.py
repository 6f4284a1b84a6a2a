"""Sentences with their checksums, reckoned byte by byte."""

from __future__ import annotations

import functools
import operator

from sensord.decode.base import Sample
from sensord.decode.nmea0183 import Config, Decoder

__all__ = ["decoded", "sealed", "values"]


def sealed(body: str, start: str = "$") -> bytes:
    """Return a whole sentence: ``GPHDT,1.0,T`` becomes ``$GPHDT,1.0,T*3F``."""
    text = body.encode("latin-1")
    return start.encode() + text + b"*%02X" % functools.reduce(operator.xor, text, 0)


def decoded(body: str, decoder: Decoder | None = None) -> list[Sample]:
    """Decode one sentence, in which there is nothing wrong."""
    samples, faults = (decoder or Decoder(Config())).decode(sealed(body))
    assert faults == []
    return samples


def values(body: str, decoder: Decoder | None = None) -> dict[str, object]:
    """Decode one sentence of good values, each field once."""
    samples = decoded(body, decoder)
    assert all(sample.quality.level == 0 for sample in samples)
    found: dict[str, object] = {sample.field: sample.value for sample in samples}
    assert len(found) == len(samples)
    return found
