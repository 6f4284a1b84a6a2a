"""The objects that all sessions of a server share, and the limits of each session."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sensord.access.gate import Gate
from sensord.bus import Bus
from sensord.config.tree import Control as ControlOptions
from sensord.control import Control
from sensord.device.lens import Lenses
from sensord.log import Archive
from sensord.server.live.group import Groups
from sensord.sharing.sharing import Sharing
from sensord.wire.fields import MAX_FILTERS
from sensord.wire.ops.state import STATE

__all__ = ["Limits", "Shared", "control_for"]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one client; `docs/protocol.md`, section 8, lists them."""

    message_bytes: int = 64 * 1024
    requests: int = 64
    """Open at a time, subscriptions among them."""
    filters: int = MAX_FILTERS
    sessions: int = 10_000
    sessions_of_address: int = 1_000
    """Of one other machine."""
    outbox_bytes: int = 128 * 1024
    lag_timeout_s: float = 30.0
    hello_timeout_s: float = 10.0
    unannounced: int = 1_000
    """The most connections without a hello at a time."""
    spare_descriptors: int = 16
    """Left alone by connections: the journal, the store and the devices need them."""
    silence_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a server share."""

    bus: Bus
    archive: Archive | None
    groups: Groups
    loop: asyncio.AbstractEventLoop
    limits: Limits
    sharing: Sharing
    control: Control
    gate: Gate = field(default_factory=Gate)
    lenses: Lenses = field(default_factory=Lenses)
    """What the connections of devices carry, for `sniff`."""


def control_for(
    bus: Bus, sharing: Sharing, loop: asyncio.AbstractEventLoop, options: ControlOptions
) -> Control:
    """Build what acts for the clients who are present."""
    presence = sharing.presence
    control = Control.build(
        bus,
        sharing.audit,
        sharing.store,
        loop,
        options,
        grace_s=presence.grace_s,
        is_there=lambda client: presence.find(client) is not None,
    )
    presence.on_gone.append(control.leases.gone)
    control.forgetting.feeders.append(sharing.publishing)
    control.leases.declare_written(f"{STATE}#")
    for topics in sharing.publishing.filters:
        control.leases.declare_written(topics)
    return control
