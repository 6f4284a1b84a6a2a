"""The states of a session and what each event does to them.

A pair that is missing from the table is an error; a test compares it with the picture and the table
in `docs/protocol.md`, section 3.1.
"""

from __future__ import annotations

import enum

__all__ = ["TRANSITIONS", "Event", "State", "after"]


class State(enum.Enum):
    """The state of a session."""

    OPENING = "opening"
    READY = "ready"
    CLOSED = "closed"


class Event(enum.Enum):
    """What can happen to it."""

    HELLO = "hello"
    REQUEST = "request"
    MALFORMED = "malformed"
    TIMEOUT = "timeout"
    CLOSE = "close"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.OPENING, Event.HELLO): State.READY,
    (State.OPENING, Event.REQUEST): State.OPENING,
    (State.OPENING, Event.MALFORMED): State.OPENING,
    (State.OPENING, Event.TIMEOUT): State.CLOSED,
    (State.OPENING, Event.CLOSE): State.CLOSED,
    (State.READY, Event.HELLO): State.READY,
    (State.READY, Event.REQUEST): State.READY,
    (State.READY, Event.MALFORMED): State.READY,
    (State.READY, Event.CLOSE): State.CLOSED,
}


def after(state: State, event: Event) -> State:
    """Return the state after an event.

    Raises:
        KeyError: The event cannot happen in this state.
    """
    return TRANSITIONS[state, event]
