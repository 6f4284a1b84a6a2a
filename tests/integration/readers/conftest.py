"""Ports and brokers for the tests here; each test has its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.broker import Broker
from tests.kit.fakeport import FakePort


@pytest.fixture
def port(tmp_path: Path) -> Iterator[FakePort]:
    """A serial port, plugged in."""
    with FakePort(tmp_path / "ttyUSB0") as port:
        yield port


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker without passwords."""
    with Broker(tmp_path) as broker:
        yield broker
