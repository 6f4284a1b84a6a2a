"""The states of a connection and of a device, and what each event does to them: one table. Pure.

A pair that is missing from a table cannot happen. The tables and the pictures in
`docs/operating.md` are made from these, and a test compares them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

__all__ = ["BEHIND", "CONNECTION", "REASONS", "Event", "State", "after", "behind", "event_of"]


class State(enum.StrEnum):
    """The state of a connection, or of a device behind one."""

    ABSENT = "absent"
    """It is absent: no port, no host, nothing plugged in."""
    CONNECTING = "connecting"
    UP = "up"
    SILENT = "silent"
    """It was opened, and nothing arrives."""
    FAULTED = "faulted"
    """It is present but unusable: a permission, a login, a setting, an internal fault."""
    STOPPED = "stopped"
    """The daemon stops."""


class Event(enum.StrEnum):
    """What can happen to it."""

    START = "start"
    OPENED = "opened"
    HEARD = "heard"
    GONE = "gone"
    QUIET = "quiet"
    FAILED = "failed"
    STOP = "stop"


_A, _C, _U = State.ABSENT, State.CONNECTING, State.UP
_Q, _F, _S = State.SILENT, State.FAULTED, State.STOPPED

CONNECTION: Mapping[tuple[State, Event], State] = {
    (_C, Event.START): _C,
    (_C, Event.OPENED): _U,
    (_C, Event.GONE): _A,
    (_C, Event.QUIET): _Q,
    (_C, Event.FAILED): _F,
    (_C, Event.STOP): _S,
    (_U, Event.OPENED): _U,
    (_U, Event.HEARD): _U,
    (_U, Event.GONE): _A,
    (_U, Event.QUIET): _Q,
    (_U, Event.FAILED): _F,
    (_U, Event.STOP): _S,
    (_A, Event.START): _A,
    (_A, Event.OPENED): _U,
    (_A, Event.GONE): _A,
    (_A, Event.QUIET): _Q,
    (_A, Event.FAILED): _F,
    (_A, Event.STOP): _S,
    (_Q, Event.START): _Q,
    (_Q, Event.OPENED): _Q,  # an open port proves nothing; a value does
    (_Q, Event.HEARD): _U,
    (_Q, Event.GONE): _A,
    (_Q, Event.QUIET): _Q,
    (_Q, Event.FAILED): _F,
    (_Q, Event.STOP): _S,
    (_F, Event.START): _F,
    (_F, Event.OPENED): _U,
    (_F, Event.GONE): _A,
    (_F, Event.QUIET): _Q,
    (_F, Event.FAILED): _F,
    (_F, Event.STOP): _S,
}
"""Of a configured device. While it is retried it keeps the state that names the problem."""

BEHIND: Mapping[tuple[State, Event], State] = {
    (_A, Event.HEARD): _U,
    (_A, Event.QUIET): _A,
    (_U, Event.HEARD): _U,
    (_U, Event.QUIET): _Q,
    (_Q, Event.HEARD): _U,
    (_Q, Event.QUIET): _Q,
}
"""Of a device behind a connection that is up; while that is not up, its state is the connection's.

``heard`` also stands for a report that it is online, ``quiet`` for one that it is offline, and for
a unit of a bus that does not answer.
"""

REASONS: Mapping[str, Event] = {
    "no such port": Event.GONE,
    "unplugged": Event.GONE,
    "no such file": Event.GONE,
    "host not found": Event.GONE,
    "host unreachable": Event.GONE,
    "network unreachable": Event.GONE,
    "connection refused": Event.GONE,
    "connection lost": Event.GONE,
    "connection timed out": Event.GONE,
    "connection failed": Event.GONE,
    "silent": Event.QUIET,
    "no answer": Event.QUIET,
    "incomplete answer": Event.QUIET,
    "unexpected answer": Event.QUIET,
    "garbled answer": Event.QUIET,
    "dead to order": Event.QUIET,
    "broker silent": Event.FAILED,
    "no answer from broker": Event.FAILED,
    "permission denied": Event.FAILED,
    "port is busy": Event.FAILED,
    "not a serial port": Event.FAILED,
    "settings refused": Event.FAILED,
    "cannot open": Event.FAILED,
    "cannot read": Event.FAILED,
    "cannot send": Event.FAILED,
    "cannot listen": Event.FAILED,
    "cannot read certificate": Event.FAILED,
    "cannot read password_file": Event.FAILED,
    "cannot read the recording": Event.FAILED,
    "certificate not trusted": Event.FAILED,
    "TLS failed": Event.FAILED,
    "socket failed": Event.FAILED,
    "source failed": Event.FAILED,
    "no such source": Event.FAILED,
    "wrong kind of source": Event.FAILED,
    "closed": Event.FAILED,
    "protocol error": Event.FAILED,
    "not Modbus TCP": Event.FAILED,
    "subscription refused": Event.FAILED,
    "source ended": Event.FAILED,
    "reader failed": Event.FAILED,
}
"""What the end of a run means, by the reason that the reader gave; any other has ``failed``."""


def event_of(reason: str) -> Event:
    """Return what the end of a run means."""
    return REASONS.get(reason, Event.FAILED)


def after(state: State, event: Event) -> State:
    """Return the state of a connection after an event.

    Raises:
        KeyError: The event cannot happen in this state.
    """
    return CONNECTION[state, event]


def behind(state: State, event: Event) -> State:
    """Return the state of a device behind a connection after an event.

    Raises:
        KeyError: The event cannot happen in this state.
    """
    return BEHIND[state, event]
