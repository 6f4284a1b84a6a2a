"""Errors carry fields and say what is wrong in their text."""

from __future__ import annotations

import pytest

from sensord import errors
from sensord.errors import (
    ConfigError,
    ConfigFault,
    DeviceError,
    JournalBusyError,
    JournalError,
    ProtocolError,
    SensordError,
)


@pytest.mark.parametrize(
    "error", [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
)
def test_every_error_has_the_one_root(error: type[Exception]) -> None:
    """What sensord itself says went wrong can be caught as such."""
    assert issubclass(error, SensordError)


def test_a_busy_journal_is_a_journals_error() -> None:
    """Whoever handles the disk's troubles handles this one too."""
    assert issubclass(JournalBusyError, JournalError)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (ConfigFault("c.toml", 3, "server.listen", "is wrong"), "c.toml:3 server.listen: is wrong"),
        (ConfigFault("c.toml", 3, "", "is not TOML"), "c.toml:3 is not TOML"),
        (ConfigFault("c.toml", 0, "", "cannot be read"), "c.toml: cannot be read"),
    ],
)
def test_a_fault_says_where_it_stands(fault: ConfigFault, text: str) -> None:
    """In the form in which editors jump to it."""
    assert str(fault) == text


def test_a_configuration_tells_all_its_faults() -> None:
    """One a line."""
    faults = [ConfigFault("c", 1, "a", "one"), ConfigFault("c", 2, "b", "two")]
    error = ConfigError(faults)
    assert error.faults == faults
    assert str(error) == "c:1 a: one\nc:2 b: two"


def test_a_device_error_has_a_reason_to_count_and_a_detail_to_read() -> None:
    """The detail may be missing."""
    error = DeviceError("no such port", "/dev/ttyUSB0")
    assert (error.reason, error.detail) == ("no such port", "/dev/ttyUSB0")
    assert str(error) == "no such port: /dev/ttyUSB0"
    assert str(DeviceError("source ended")) == "source ended"


def test_a_protocol_error_has_a_code_and_says_what_to_do() -> None:
    """Both go to the client."""
    error = ProtocolError("bad_request", "topics: send a list")
    assert (error.code, error.message) == ("bad_request", "topics: send a list")
    assert str(error) == "bad_request: topics: send a list"
