"""A broker that answers as a test wants it to: for what a real one cannot be made to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.kit.server import serving

__all__ = ["CONNACK", "CONNECT", "SUBSCRIBE", "fake_broker", "publish_packet", "suback"]

CONNECT, SUBSCRIBE = 1, 8

CONNACK = b"\x20\x02\x00\x00"
"""MQTT 3.1.1: accepted."""

Answer = Callable[[int, bytes], bytes]
"""Given a packet's type and its body, the bytes to send; none at all closes the connection."""


def suback(body: bytes, *codes: int) -> bytes:
    """Answer a SUBSCRIBE of MQTT 3.1.1 with these return codes."""
    return bytes([0x90, 2 + len(codes)]) + body[:2] + bytes(codes)


def publish_packet(topic: bytes, payload: bytes) -> bytes:
    """Make a PUBLISH of QoS 0 for MQTT 3.1.1, up to 127 bytes."""
    body = len(topic).to_bytes(2, "big") + topic + payload
    return bytes([0x30, len(body)]) + body


@asynccontextmanager
async def fake_broker(answer: Answer) -> AsyncIterator[int]:
    """Listen on a free port, which is yielded, and answer every packet of every client."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, size = await reader.readexactly(2)
            answered = answer(first >> 4, await reader.readexactly(size))
            if not answered:
                break
            writer.write(answered)

    async with serving(serve) as port:
        yield port
