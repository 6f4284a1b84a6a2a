"""Decode exchanges that were recorded on a line: each request with the answer after it. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sensord.decode.base import Sample
from sensord.readers.modbus.groups import Block
from sensord.readers.modbus.options import UnitPlan
from sensord.readers.modbus.requests import FUNCTIONS, read
from sensord.readers.modbus.rtu import RtuAnswer, frame
from sensord.readers.modbus.scales import Scales
from sensord.readers.modbus.values import decode

__all__ = ["samples_in"]

REQUEST_BYTES = 8


def samples_in(unit: UnitPlan, data: bytes) -> Iterator[list[Sample]]:
    """Yield the values of a unit's registers in each answer; anything else is skipped."""
    at, scales = 0, Scales(unit.scales)
    while at + REQUEST_BYTES <= len(data):
        _, function, address, count = struct.unpack_from(">BBHH", data, at)
        table = FUNCTIONS.get(function)
        request = None if table is None else read(data[at], table, address, count)
        if table is None or request is None or frame(request) != data[at : at + REQUEST_BYTES]:
            at += 1
            continue
        at += REQUEST_BYTES
        end = at + 1 + request.answer_bytes + 2
        reply = RtuAnswer(request).feed(data[at:end])
        if reply is None or reply.exception:
            continue
        at = end
        if request.unit != unit.number:
            continue
        items = tuple(
            item
            for item in unit.items.values()
            if item.table is table and address <= item.address and item.end <= address + count
        )
        block = Block(table, address, count, 0.0, items)
        yield scales.applied(
            Sample(item.name, *decode(unit.forms[item.name], block.data_of(item, reply.data)))
            for item in items
        )
