"""Cutting byte streams into messages: lines, blocks of lines, binary frames, packets."""

from __future__ import annotations

from typing import Any

from sensord.decode.base import Framer
from sensord.decode.framing import blocks, frames, lines, mixed, packed, sml_transport

__all__ = ["KINDS", "Config", "framer_of"]

Config = (
    lines.Config
    | blocks.Config
    | frames.Config
    | packed.Config
    | sml_transport.Config
    | mixed.Config
)

KINDS: dict[str, type[Any]] = {
    "line": lines.Config,
    "block": blocks.Config,
    "binary": frames.Config,
    "slip": packed.Config,
    "cobs": packed.Config,
    "hdlc": packed.Config,
    "sml": sml_transport.Config,
    "mixed": mixed.Config,
}
"""The options of each kind, by the ``type`` of the table ``framing``."""


def framer_of(config: Config) -> Framer:
    """Build a framer; each stream needs its own."""
    match config:
        case lines.Config():
            return lines.LineFramer(config)
        case blocks.Config():
            return blocks.BlockFramer(config)
        case frames.Config():
            return frames.FrameFramer(config)
        case packed.Config():
            return packed.PacketFramer(config)
        case sml_transport.Config():
            return sml_transport.SmlFramer(config)
        case mixed.Config():
            return mixed.MixedFramer(config)
