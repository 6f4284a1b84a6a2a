"""What an uplink's destination may use of the daemon beside the readings that it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from sensord.device.calls import Call, What
from sensord.model.readings import Channel, Value
from sensord.sharing.identity import Identity

__all__ = ["Context"]


class Context(NamedTuple):
    """The daemon, as a destination sees it."""

    name: str
    """Of the uplink."""
    host: str
    """The name of this machine."""
    channels: Callable[[], Iterable[Channel]]
    """The channels that the uplink delivers at present."""
    settable: Callable[[], Mapping[str, Mapping[str, Value]]]
    """What can be set: by topic, its type, range and choices."""
    act: Callable[[str, Value], None]
    """Set a topic for the other side. Raises ProtocolError."""
    ask: Callable[[What, Identity, str, Mapping[str, Value], str, float | None], Call]
    """Set or call something for a client elsewhere. Raises ProtocolError."""
    load: Callable[[], Value]
    """Return what `save` was given last, also before a restart; None at first."""
    save: Callable[[Value], None]
