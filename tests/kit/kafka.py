"""A Kafka cluster of one's own: librdkafka's, which speaks the protocol on real sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

__all__ = ["Cluster", "Stored"]

START_S = 60.0

SERVER = """
import sys
from confluent_kafka import Producer
producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "x"})
[broker] = producer.list_topics(timeout=30).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
sys.stdin.read()
"""

READER = """
import json, sys
from confluent_kafka import Consumer, TopicPartition
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "g"})
parts = consumer.list_topics(sys.argv[2], timeout=30).topics[sys.argv[2]].partitions
parts = [TopicPartition(sys.argv[2], one, 0) for one in parts]
left = sum(consumer.get_watermark_offsets(one, 30)[1] for one in parts)
consumer.assign(parts)
while left:
    message = consumer.poll(30)
    assert message is not None and message.error() is None, message
    left -= 1
    headers = {name: value.decode() for name, value in message.headers()}
    key, text = message.key().decode(), message.value().decode()
    print(json.dumps([message.partition(), key, text, headers]))
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in the cluster."""

    partition: int
    key: str
    value: dict[str, Any]
    headers: dict[str, str]


class Cluster:
    """One broker, in a process of its own; what it stores ends with it."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        assert self.address, "the cluster did not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """Let it answer nothing until `go_on`."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        os.kill(self._process.pid, signal.SIGCONT)

    def stored(self, topic: str) -> list[Stored]:
        """Return all messages of a topic, in order within each partition."""
        until = time.monotonic() + START_S
        while True:
            done = subprocess.run(
                [sys.executable, "-c", READER, self.address, topic],
                capture_output=True,
                text=True,
                check=False,
                timeout=START_S,
            )
            if done.returncode == 0:
                rows = [json.loads(line) for line in done.stdout.splitlines()]
                return [Stored(one[0], one[1], json.loads(one[2]), one[3]) for one in rows]
            assert time.monotonic() < until, done.stderr
            time.sleep(0.1)
