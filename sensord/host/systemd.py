"""Report the daemon's state to the service manager: ready, alive, stopping.

Owns one datagram socket towards systemd. Knows nothing of the daemon: `app` decides what to call
when. Outside of systemd every call does nothing.

Theory of operation: a message is a datagram of ``KEY=value`` lines, sent without waiting. A message
that could not be sent is counted, and a *state* (ready, stopping, status) is sent again with the
next message: a lost ``READY=1`` would otherwise cost a running daemon its start. A lost *pulse*
(watchdog) is not repeated: it means "alive now".

Source: sd_notify(3), sd_watchdog_enabled(3), systemd.service(5).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Notifier", "NotifierStatistics"]

STATUS_CHARS = 500
"""systemd ignores a datagram over 4096 bytes whole; this leaves room for any text and state."""


@dataclass(frozen=True, slots=True)
class NotifierStatistics:
    """How many messages went out, and how many found the socket full or gone."""

    sent: int
    lost: int


class Notifier:
    """A client of the service manager's notification socket; never blocks, never raises.

    Built from the environment that the service manager made (``NOTIFY_SOCKET``,
    ``WATCHDOG_USEC``, ``WATCHDOG_PID``). The socket is opened at the first message and kept: a
    daemon that has run out of descriptors can still say that it is alive.
    """

    def __init__(self, environment: Mapping[str, str], *, pid: int | None = None) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog_interval_s = _watchdog_interval_s(
            environment, os.getpid() if pid is None else pid
        )
        self._socket: socket.socket | None = None
        self._unsent: dict[str, str] = {}
        self._sent = 0
        self._lost = 0

    @property
    def watchdog_interval_s(self) -> float | None:
        """How often to call `watchdog`: half the allowed silence, or None without a listener."""
        return None if self._address is None else self._watchdog_interval_s

    def ready(self) -> None:
        """Report that the start, or a reload, is complete; systemd waits for this."""
        for key in ("RELOADING", "MONOTONIC_USEC"):
            self._unsent.pop(key, None)
        self._tell({"READY": "1"})

    def reloading(self) -> None:
        """Report that a reload has begun; `ready` ends it."""
        at_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell({"RELOADING": "1", "MONOTONIC_USEC": str(at_us)})

    def stopping(self) -> None:
        """Report that an orderly stop has begun."""
        self._tell({"STOPPING": "1"})

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        # A line break would begin another KEY=value.
        self._tell({"STATUS": " ".join(text.split())[:STATUS_CHARS]})

    def watchdog(self) -> None:
        """Report that the daemon is alive now."""
        self._tell({"WATCHDOG": "1"})

    def statistics(self) -> NotifierStatistics:
        """Return the counts so far."""
        return NotifierStatistics(self._sent, self._lost)

    def close(self) -> None:
        """Give the socket back; a later message would open it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, fields: dict[str, str]) -> None:
        if self._address is None:
            return
        self._unsent |= fields
        lines = "\n".join(f"{key}={value}" for key, value in self._unsent.items())
        try:
            self._send(lines.encode(errors="replace"), self._address)
        except OSError:
            self._lost += 1
            self._unsent.pop("WATCHDOG", None)
        else:
            self._sent += 1
            self._unsent.clear()

    def _send(self, message: bytes, address: str) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(0)  # a full socket raises instead of waiting
        # Addressed each time, not connected: this finds a socket that was created again.
        self._socket.sendto(message, address)


def _address(value: str) -> str | None:
    if value.startswith("@"):
        return "\0" + value[1:]  # an abstract name: no file, and a zero byte in front
    # Anything else (``vsock:``, which only virtual machine managers set) is not for a daemon.
    return value if value.startswith("/") else None


def _watchdog_interval_s(environment: Mapping[str, str], pid: int) -> float | None:
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None  # it was meant for the parent that we inherited the environment from
    usec = environment.get("WATCHDOG_USEC", "")
    if not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
        return None
    return int(usec) / 1e6 / 2
