"""The uplinks of a configuration: built, run, and controlled by clients."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from sensord.bus import Bus
from sensord.config.tree import Uplink as UplinkConfig
from sensord.control import Control
from sensord.control.services import Offer
from sensord.device.calls import Call
from sensord.log import Archive
from sensord.model.readings import Channel, Value
from sensord.sharing.identity import Identity
from sensord.sharing.store import Store
from sensord.uplinks import registry
from sensord.uplinks.context import Context
from sensord.uplinks.delivery import KIND, Uplink

__all__ = ["SERVICE", "build", "offer"]

SERVICE = "uplinks"
"""The service that controls them."""

ANNOUNCED = "uplink_announced"
"""Of the rows in the store: what destinations keep for themselves."""

OURSELVES = "sensord"


def build(
    configs: Sequence[UplinkConfig],
    bus: Bus,
    archive: Archive | None,
    store: Store,
    control: Control,
) -> list[Uplink]:
    """Build the enabled uplinks."""
    saved, announced = store.load(KIND), store.load(ANNOUNCED)
    built = []
    for config in configs:
        if not config.options.enabled:
            continue
        kind = registry.find(config.type)
        assert kind is not None, "checked with the configuration"
        context = _context(config, bus, store, control, announced)
        destination = kind.create(context, config.options)
        position = saved.get(config.name)
        built.append(
            Uplink(
                config.name,
                config.options,
                destination,
                bus,
                archive,
                store,
                position,
                is_live_first=kind.is_live_first,
            )
        )
    return built


def _context(
    config: UplinkConfig, bus: Bus, store: Store, control: Control, announced: dict[str, Value]
) -> Context:
    who = Identity(f"uplink-{config.name}", f"uplink {config.name}")

    def save(value: Value) -> None:
        announced[config.name] = value
        store.put(ANNOUNCED, config.name, value)

    def channels() -> Iterator[Channel]:
        return (one for one in bus.select(config.options.topics) if bus.last(one) is not None)

    def act(topic: str, value: Value) -> None:
        control.dispatch.ask("set", who, topic, {"value": value}, "", None)

    return Context(
        config.name,
        socket.gethostname().partition(".")[0],
        channels,
        partial(_settable, bus),
        act,
        lambda: announced.get(config.name),
        save,
    )


def _settable(bus: Bus) -> Mapping[str, Mapping[str, Value]]:
    found: dict[str, Mapping[str, Value]] = {}
    for channel in bus.select(["$sys/control/+"]):
        record = bus.last(channel)
        value = None if record is None else record.reading.value
        settable = value.get("set") if isinstance(value, dict) else None
        if isinstance(settable, dict):
            found |= {topic: one for topic, one in settable.items() if isinstance(one, dict)}
    return found


def offer(uplinks: Sequence[Uplink], control: Control) -> None:
    """Let clients pause, resume and rewind the uplinks, by a service."""
    if not uplinks:
        return
    by_name = {one.name: one for one in uplinks}

    def ask(_number: int, call: Call) -> None:
        call.acting()
        error = _act(by_name, call.args)
        if error:
            call.failed("refused", error)
        else:
            call.done(None)

    text = "pause, resume or rewind an uplink: uplink, act, and offset for rewind"
    who = Identity(OURSELVES, OURSELVES)
    control.services.offer(Offer(SERVICE, who, text, 10.0, ask, lambda: None))


def _act(uplinks: Mapping[str, Uplink], args: Mapping[str, Value]) -> str:
    """Do what a call asks for; return why not, or an empty text."""
    found = uplinks.get(str(args.get("uplink")))
    if found is None:
        return f"there is no uplink {args.get('uplink')}; known are {', '.join(uplinks)}"
    acts: dict[Value, Callable[[], None]] = {"pause": found.pause, "resume": found.resume}
    match args.get("act"):
        case "rewind":
            offset = args.get("offset")
            if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0:
                return "offset: expected the offset to begin at, 0 or more"
            found.rewind(offset)
        case str(act) if act in acts:
            acts[act]()
        case _:
            return 'act: expected "pause", "resume" or "rewind"'
    return ""
