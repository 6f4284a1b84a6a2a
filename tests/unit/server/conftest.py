"""What holds for all tests of the server that turn its loop by hand."""

from __future__ import annotations

import math

import pytest


@pytest.fixture(autouse=True)
def machine_without_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what may be done at once be done at once, however slow the machine is just now."""
    monkeypatch.setattr("sensord.server.turns.AT_ONCE_S", math.inf)
