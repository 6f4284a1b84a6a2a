"""What the service manager hears, over real datagram sockets, named by a path and abstract."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensord.host.systemd import STATUS_CHARS, Notifier, NotifierStatistics

SYSTEMD_MESSAGE_MAX_BYTES = 4096


class Manager:
    """The service manager's end: a bound datagram socket and the name to find it by."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)

    def heard(self) -> list[str]:
        """Return every message so far, oldest first."""
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(65536).decode())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    on_disk = request.param == "path"
    name = str(tmp_path / "notify") if on_disk else f"@sensord-test-{secrets.token_hex(8)}"
    manager = Manager(name)
    yield manager
    manager.socket.close()


@pytest.fixture
def notifier(manager: Manager) -> Iterator[Notifier]:
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    yield notifier
    notifier.close()


def fill(notifier: Notifier) -> int:
    """Send pulses until the manager's queue is full; return how many went through."""
    while notifier.statistics().lost == 0:
        notifier.watchdog()
    return notifier.statistics().sent


def open_descriptors() -> int:
    """Count this process's descriptors."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_each_call_is_one_message(notifier: Notifier, manager: Manager) -> None:
    """The life of a daemon is heard in its order, one datagram a call."""
    notifier.status("opening the journal")
    notifier.ready()
    notifier.watchdog()
    notifier.stopping()
    assert manager.heard() == ["STATUS=opening the journal", "READY=1", "WATCHDOG=1", "STOPPING=1"]
    assert notifier.statistics() == NotifierStatistics(sent=4, lost=0)


def test_a_status_cannot_smuggle_in_another_field(notifier: Notifier, manager: Manager) -> None:
    """Line breaks in a status text become spaces."""
    notifier.status("12 devices\nSTOPPING=1\r\n 3 away")
    assert manager.heard() == ["STATUS=12 devices STOPPING=1 3 away"]


def test_a_long_status_stays_within_what_systemd_accepts(
    notifier: Notifier, manager: Manager
) -> None:
    """A status of wide characters is cut far below the size that systemd ignores."""
    notifier.status("\N{THERMOMETER}" * 2000)
    (message,) = manager.heard()
    assert message == "STATUS=" + "\N{THERMOMETER}" * STATUS_CHARS
    assert len(message.encode()) < SYSTEMD_MESSAGE_MAX_BYTES - len("READY=1\nSTOPPING=1\n")


def test_text_that_is_not_unicode_is_sent_all_the_same(
    notifier: Notifier, manager: Manager
) -> None:
    """A lone surrogate, as from a file name, does not raise."""
    notifier.status("cannot open \udcff.toml")
    assert manager.heard() == ["STATUS=cannot open ?.toml"]


def test_a_full_socket_neither_blocks_nor_raises(notifier: Notifier, manager: Manager) -> None:
    """Messages that nobody reads are counted as lost once the queue is full."""
    went_through = fill(notifier)
    notifier.watchdog()
    assert notifier.statistics() == NotifierStatistics(sent=went_through, lost=2)
    assert manager.heard() == ["WATCHDOG=1"] * went_through


def test_a_state_that_was_lost_goes_out_with_the_next_message(
    notifier: Notifier, manager: Manager
) -> None:
    """READY=1 and the newest status survive a full queue; lost pulses do not come back."""
    fill(notifier)
    notifier.status("starting")
    notifier.ready()
    notifier.status("3 devices")
    manager.heard()
    notifier.watchdog()
    notifier.watchdog()
    assert manager.heard() == ["STATUS=3 devices\nREADY=1\nWATCHDOG=1", "WATCHDOG=1"]


def test_a_lost_pulse_is_not_sent_later_with_another_message(
    notifier: Notifier, manager: Manager
) -> None:
    """A pulse says "alive now": one that was lost must not feed the watchdog later."""
    fill(notifier)
    manager.heard()
    notifier.status("stuck")
    assert manager.heard() == ["STATUS=stuck"]


def test_a_vanished_socket_is_counted_and_found_again(tmp_path: Path) -> None:
    """A socket that goes away loses messages; one made anew under its name gets the next."""
    name = str(tmp_path / "notify")
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.watchdog()
    notifier.ready()
    assert notifier.statistics() == NotifierStatistics(sent=0, lost=2)
    manager = Manager(name)
    notifier.watchdog()
    assert manager.heard() == ["READY=1\nWATCHDOG=1"]
    manager.socket.close()
    notifier.watchdog()
    assert notifier.statistics() == NotifierStatistics(sent=1, lost=3)
    notifier.close()


@pytest.mark.parametrize("value", [None, "", "relative/path", "vsock:2:1234"])
def test_without_a_usable_socket_nothing_happens(value: str | None) -> None:
    """Outside of systemd every call is a no-op, and no watchdog is asked for."""
    environment = {"WATCHDOG_USEC": "30000000"}
    if value is not None:
        environment["NOTIFY_SOCKET"] = value
    notifier = Notifier(environment)
    notifier.ready()
    notifier.status("nobody listens")
    notifier.watchdog()
    notifier.stopping()
    notifier.close()
    assert notifier.statistics() == NotifierStatistics(sent=0, lost=0)
    assert notifier.watchdog_interval_s is None


def test_nothing_is_opened_before_the_first_message(tmp_path: Path) -> None:
    """Building a notifier takes no descriptor."""
    before = open_descriptors()
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert open_descriptors() == before
    notifier.ready()
    assert open_descriptors() == before + 1
    notifier.close()
    notifier.close()
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "4711"}, 15.0),
        ({"WATCHDOG_USEC": "1500000"}, 0.75),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "4712"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "\N{SUPERSCRIPT TWO}"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_interval_is_half_of_the_allowed_silence(
    environment: dict[str, str], interval_s: float | None
) -> None:
    """The interval comes from the environment, and only if it was meant for this process."""
    notifier = Notifier({"NOTIFY_SOCKET": "/run/nobody", **environment}, pid=4711)
    assert notifier.watchdog_interval_s == interval_s


def test_the_watchdog_is_by_default_this_process_s_own() -> None:
    """Without a given process id, the running one decides."""
    environment = {"NOTIFY_SOCKET": "/run/nobody", "WATCHDOG_USEC": "2000000"}
    mine = environment | {"WATCHDOG_PID": str(os.getpid())}
    other = environment | {"WATCHDOG_PID": str(os.getppid())}
    assert Notifier(mine).watchdog_interval_s == 1.0
    assert Notifier(other).watchdog_interval_s is None
