"""The uplink to Kafka: one topic, in which a reading's own topic is the key.

Theory of operation. The producer is idempotent, so a record that it sends again by itself is
stored once. What a kill of the daemon repeats has the same epoch and offset in its headers.
Readings of one topic have one key, so they are in one partition and in the order of the log.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
)

from sensord.config.schema import Printable
from sensord.host.secrets import read_secret
from sensord.model.readings import Position
from sensord.uplinks.context import Context
from sensord.uplinks.destination import Batch, RejectedError, UplinkError
from sensord.uplinks.options import Options
from sensord.uplinks.payload import Payloads

__all__ = ["Config", "Destination"]

IS_LIVE_FIRST = False
"""A partition keeps the order of arrival."""

REQUEST_TIMEOUT_MS = 10_000
ANSWER_TIMEOUT_S = 30.0

_REFUSED = (
    MessageSizeTooLargeError,
    RecordTooLargeError,
    CorruptRecordException,
    InvalidTopicError,
)


@dataclass(frozen=True, slots=True)
class Config(Options):
    """Where the cluster is, and the topic there."""

    servers: tuple[str, ...] = ()
    topic: Printable = "sensord"
    compression: Literal["none", "gzip"] = "none"
    user: Printable = ""
    password_file: Printable = ""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    tls: bool = False
    ca_file: Printable = ""
    cert_file: Printable = ""
    key_file: Printable = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield addresses, names and credentials that cannot be."""
        yield from Options.faults(self)
        if not self.servers:
            yield "servers", 'is missing; say for example servers = ["127.0.0.1:9092"]'
        for one in self.servers:
            if not re.fullmatch(r"[^/@\s]+:\d{1,5}", one):
                yield "servers", f'"{one}": expected host and port, such as "127.0.0.1:9092"'
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", self.topic):
            yield "topic", "expected letters, digits, . _ and -"
        if bool(self.user) != bool(self.password_file):
            yield "user", "give user and password_file, both or neither"
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(self, name) and not self.tls:
                yield name, "needs tls = true beside it"
        if self.key_file and not self.cert_file:
            yield "key_file", "needs cert_file beside it"


class Destination:
    """One producer."""

    def __init__(self, _context: Context, config: Config) -> None:
        self._config = config
        self._producer: AIOKafkaProducer | None = None
        self._payloads = Payloads(has_topic=True)

    @property
    def where(self) -> str:
        """Its address."""
        return f"kafka://{self._config.servers[0]}/{self._config.topic}"

    async def open(self) -> Position | None:
        """Connect.

        Raises:
            UplinkError: No server can be reached, or it refuses.
        """
        try:
            self._producer = AIOKafkaProducer(**self._options())
            await self._producer.start()
            partitions = await self._producer.partitions_for(self._config.topic)
        except (KafkaError, OSError, TimeoutError) as exc:
            raise UplinkError(_text(exc)) from exc
        if not partitions:
            raise UplinkError(f"there is no topic {self._config.topic}")
        return None

    def _options(self) -> dict[str, Any]:
        config = self._config
        found: dict[str, Any] = {
            "bootstrap_servers": list(config.servers),
            "client_id": "sensord",
            "enable_idempotence": True,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "compression_type": None if config.compression == "none" else config.compression,
        }
        if config.user:
            found["sasl_mechanism"] = config.mechanism
            found["sasl_plain_username"] = config.user
            found["sasl_plain_password"] = read_secret(config.password_file)
        protocol = "SASL_" if config.user else ""
        found["security_protocol"] = protocol + ("SSL" if config.tls else "PLAINTEXT")
        if config.tls:
            context = ssl.create_default_context(cafile=config.ca_file or None)
            if config.cert_file:
                context.load_cert_chain(config.cert_file, config.key_file or None)
            found["ssl_context"] = context
        return found

    async def close(self) -> None:
        """Disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            stopping = asyncio.ensure_future(producer.stop())
            # It would wait for what it has not sent: that is in the log.
            await asyncio.wait([stopping], timeout=1.0)
            if not stopping.done():
                stopping.cancel()

    async def send(self, batch: Batch) -> int:
        """Send readings; return the number of bytes when the cluster has stored them.

        Raises:
            UplinkError: They may or may not be stored.
            RejectedError: A reading is larger than the cluster accepts.
        """
        assert self._producer is not None, "it is open"
        topic, epoch, size = self._config.topic, batch.epoch.encode(), 0
        waiting = []
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                for record in batch.records:
                    payload = self._payloads.write(batch.epoch, record)
                    size += len(payload)
                    headers = [("epoch", epoch), ("offset", b"%d" % record.offset)]
                    key = record.channel.topic.encode()
                    waiting.append(
                        await self._producer.send(topic, payload, key=key, headers=headers)
                    )
                await asyncio.wait(waiting)
            for one in waiting:
                one.result()
        except _REFUSED as exc:
            raise RejectedError(_text(exc)) from exc
        except (KafkaError, OSError, TimeoutError) as exc:
            raise UplinkError(_text(exc)) from exc
        finally:
            for one in waiting:
                one.cancel()
        return size


def _text(exc: Exception) -> str:
    if isinstance(exc, TimeoutError):
        return "the cluster acknowledges nothing"
    return str(exc) or type(exc).__name__
