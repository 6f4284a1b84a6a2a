"""Each fault of `docs/faults.md`, played against a daemon: what is seen, and that nothing is lost.

`python -m tests.kit.faults` prints the table with the times.
"""

from __future__ import annotations

import asyncio
import gc
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from sensord.bus import Bus
from sensord.decode import registry as decoders
from sensord.decode.framing import framer_of
from sensord.device.backoff import Backoff
from sensord.device.device import Device
from sensord.device.supervisor import supervise
from sensord.log import Log
from sensord.model.clocks import SystemClock
from sensord.model.readings import Channel, Record
from sensord.readers import registry as readers
from sensord.trial.bench import device_of_text
from tests.kit.broker import Broker, Publisher
from tests.kit.daemon import on_uvloop
from tests.kit.fakeport import FakePort
from tests.kit.faults import CASES, Case, play, row
from tests.kit.loops import DEADLINE_S
from tests.kit.running import IMPATIENT, open_descriptors

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_is_seen_and_leaves_nothing_behind(case: Case, tmp_path: Path) -> None:
    """The state, the reason, the quality; after the mend values come again, none of them wrong."""

    @on_uvloop()
    async def played() -> None:
        seen = await play(case, tmp_path)
        assert seen.wrong == 0
        assert seen.lost == case.lost
        assert seen.quality == case.quality
        assert seen.recovery_s is not None
        assert seen.states[-1] == "up"
        if case.state == "up":
            assert seen.states == ["up"]
            assert not case.reason or case.reason in seen.faults
        else:
            assert case.state in seen.states
            assert seen.detail.startswith(case.reason)

    played()


def test_the_document_has_every_case() -> None:
    """In the same words, with a time that `python -m tests.kit.faults` has measured."""
    text = DOCUMENT.read_text()
    rows = re.findall(r"^(\| .* \|) \d+\.\d+ s \|$", text, re.MULTILINE)
    assert rows == [row(case) for case in CASES]


# -- again and again -------------------------------------------------------------------------------


class Held(NamedTuple):
    """What the process holds."""

    descriptors: int
    tasks: int
    threads: int
    rss_bytes: int


def held(of_the_port: int = 0) -> Held:
    """Return it, less the descriptors of the device's side."""
    gc.collect()
    rss = int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
    return Held(
        open_descriptors() - of_the_port, len(asyncio.all_tasks()), threading.active_count(), rss
    )


class Supervised:
    """A device under its supervisor, who is impatient, and what it publishes."""

    def __init__(self, text: str) -> None:
        loop, clock = asyncio.get_running_loop(), SystemClock()
        config = device_of_text(text)
        found = decoders.find(config.decoder)
        assert found is not None
        decoder = found.create(config.decoder_config)
        self.bus = Bus(Log("e1", 1_000), clock)
        self.bus.attach(["#", "$sys/#"], self)
        framer = framer_of(config.framing)
        self.device = Device(config, framer, decoder, self.bus, clock, loop)
        kind = readers.find(config.reader)
        assert kind is not None
        self._reader = kind.create(config.reader_config)
        self._changed = asyncio.Event()
        self.last: object = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        backoff = Backoff(IMPATIENT, lambda: 1.0)
        work = supervise("sample", self._reader, self.device, self.device, backoff=backoff)
        task = asyncio.create_task(work)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            self.device.close()

    def push(self, record: Record) -> None:
        if not record.channel.topic.startswith("$") and not record.reading.restates:
            self.last = record.reading.value
        self._changed.set()

    def selected(self, channel: Channel) -> None:
        """Nothing to do: its records follow."""

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def state(self, *names: str) -> None:
        await self.until(lambda: self.device.statistics().state in names)


WARM = 5
"""Rounds after which everything has been allocated once."""

ROOM_BYTES = 2 * 2**20
"""Of memory: the allocator's, not ours."""


def flat(before: Held, now: Held) -> None:
    assert now[:3] == before[:3]
    assert now.rss_bytes - before.rss_bytes < ROOM_BYTES


@pytest.mark.parametrize("rounds", [15, pytest.param(100, marks=pytest.mark.trial)])
def test_an_adapter_that_is_replugged_again_and_again_leaves_nothing(
    tmp_path: Path, rounds: int
) -> None:
    """Neither descriptors, tasks and threads nor memory; each value is read."""

    @on_uvloop()
    async def replugged() -> None:
        with FakePort(tmp_path / "port") as port:
            sample = Supervised(
                f'reader = "serial"\nport = "{port.path}"\ndecoder = "number"\n'
                'publish = { policy = "every" }'
            )
            async with sample.running():
                before = None
                for i in range(rounds):
                    await sample.state("up")
                    port.feed(b"%d\n" % i)
                    await sample.until(lambda i=i: sample.last == i)  # type: ignore[misc]  # bound now
                    if i == WARM:
                        before = held(len(port._held))
                    if i == rounds - 1:
                        break
                    port.unplug()
                    await sample.state("absent")
                    port.plug()
                assert before is not None
                now = held(len(port._held))
                print(f"{rounds} replugs: {before} {now}")  # noqa: T201  # pytest shows it
                flat(before, now)

    replugged()


@pytest.mark.parametrize("rounds", [8, pytest.param(20, marks=pytest.mark.trial)])
def test_a_broker_that_restarts_again_and_again_leaves_nothing(tmp_path: Path, rounds: int) -> None:
    """The same."""

    @on_uvloop()
    async def restarted() -> None:
        with Broker(tmp_path) as broker:
            sample = Supervised(
                f'reader = "mqtt"\nhost = "{broker.host}"\nport = {broker.port}\n'
                'decoder = "number"\ntopics = [{ filter = "z" }]\n'
                'publish = { policy = "every" }'
            )
            async with sample.running():
                before = None
                for i in range(rounds):
                    await sample.state("up")
                    with Publisher(broker) as publisher:
                        publisher.publish("z", b"%d" % i)
                    await sample.until(lambda i=i: sample.last == i)  # type: ignore[misc]  # bound now
                    if i == WARM:
                        before = held()
                    if i == rounds - 1:
                        break
                    await asyncio.to_thread(broker.stop)
                    await sample.state("absent")
                    await asyncio.to_thread(broker.start)
                assert before is not None
                now = held()
                print(f"{rounds} restarts: {before} {now}")  # noqa: T201  # pytest shows it
                flat(before, now)

    restarted()
