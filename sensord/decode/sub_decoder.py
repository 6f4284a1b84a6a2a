"""A decoder within a decoder's options: its name and its own options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sensord.config.schema import Faults, structure
from sensord.decode import base, registry

__all__ = ["COMPOSED", "SubDecoder"]

COMPOSED = frozenset({"choice", "nested"})
"""Decoders that have others within them; they have none of each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubDecoder:
    """A decoder by name."""

    decoder: str = ""
    options: dict[str, object] = field(default_factory=dict)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield an unknown name, and what is wrong with the options."""
        found = registry.find(self.decoder) if self.decoder not in COMPOSED else None
        if found is None:
            yield "decoder", f'there is no decoder "{self.decoder}"'
            return
        faults = Faults()
        structure(found.config, self.options, ("options",), faults)
        for path, text in faults.found:
            yield "options", f"{'.'.join(map(str, path[1:]))}: {text}"

    def create(self) -> base.Decoder:
        """Return the decoder."""
        found = registry.find(self.decoder)
        assert found is not None, "the configuration was checked"
        return found.create(structure(found.config, self.options, (), Faults()))
