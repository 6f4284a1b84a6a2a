"""The message record of MCAP: every message that sensord writes is packed here.

Shape: opcode (u8), length (u64), channel (u16), sequence (u32), log and publish time (u64, ns),
payload; little-endian. The length counts what follows it.
Source: the MCAP specification, Message (op=0x05).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import chain, repeat

from sensord.mcap.records import HEADER, Opcode

__all__ = ["FIELDS_BYTES", "MESSAGE", "MOST_CHANNELS", "SEQUENCES", "pack_messages"]

MESSAGE = struct.Struct("<BQHIQQ")

FIELDS_BYTES = MESSAGE.size - HEADER.size
"""The fields between a message's length and its payload."""

SEQUENCES = 1 << 32
"""Sequence numbers wrap here: they are offsets without their upper half."""

MOST_CHANNELS = (1 << 16) - 1


def pack_messages(
    ids: Iterable[int],
    sequences: Iterable[int],
    log_ns: Iterable[int],
    publish_ns: Iterable[int],
    payloads: Sequence[bytes],
) -> bytes:
    """Return the messages, concatenated; each field is a column."""
    lengths = [len(payload) + FIELDS_BYTES for payload in payloads]
    opcode = repeat(int(Opcode.MESSAGE))
    heads = map(MESSAGE.pack, opcode, lengths, ids, sequences, log_ns, publish_ns)
    return b"".join(chain.from_iterable(zip(heads, payloads, strict=True)))
