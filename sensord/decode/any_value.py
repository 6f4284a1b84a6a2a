"""Decode messages of any plain form: JSON, else a number, else a word.

For connections whose sources differ: ``{"power": 3}`` beside ``21.5`` and ``heating``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sensord.decode.base import Decoded, Fault, excerpt
from sensord.decode.json_paths import Config as JsonConfig
from sensord.decode.json_paths import Decoder as JsonDecoder
from sensord.decode.text import BAD_ENCODING, UNPRINTABLE, TextDecoder, TextOptions
from sensord.model.topics import topic_fault

__all__ = ["BAD_ENCODING", "UNPRINTABLE", "Config", "Decoder"]

_WORDS = {b"true", b"false", b"null"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(TextOptions):
    """What a message that is one value is called."""

    field: str = "value"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if (fault := topic_fault(self.field)) is not None:
            yield "field", fault


class Decoder(TextDecoder):
    """Turns one message into samples, of any form."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._field = config.field
        self._json = JsonDecoder(JsonConfig())

    def keep_text(self) -> None:
        """Add to each sample how its value was written."""
        super().keep_text()
        self._json.keep_text()

    def decode(self, message: bytes) -> Decoded:
        """Decode one message."""
        bare = message.strip()
        if bare[:1] in {b"{", b"["}:
            return self._json.decode(message)
        if bare in _WORDS:
            samples, faults = self._json.decode(message)
            return Decoded([one._replace(field=self._field) for one in samples], faults)
        text = self._values.text(message)
        if text is None:
            return Decoded([], [Fault(BAD_ENCODING, excerpt(message))])
        written = text.strip()
        if len(written) > 1 and written[0] == written[-1] == '"':
            written = written[1:-1].strip()
        if not written:
            return Decoded([], [])
        sample = self._values.sample(self._field, written)
        if sample is None:
            return Decoded([], [Fault(UNPRINTABLE, excerpt(message))])
        return Decoded([sample], [])
