"""The uplinks of a configuration: built, run, and controlled by clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from functools import partial

from sensord.bus import Bus
from sensord.config.tree import Uplink as UplinkConfig
from sensord.control import Control
from sensord.control.services import Offer
from sensord.device.calls import Call, What
from sensord.log import Archive
from sensord.model.readings import Channel, Value
from sensord.sharing.identity import Identity
from sensord.sharing.store import Store
from sensord.uplinks import registry
from sensord.uplinks.context import Context
from sensord.uplinks.delivery import KIND, Uplink

__all__ = ["SERVICE", "Uplinks"]

SERVICE = "uplinks"
"""The service that controls them."""

ANNOUNCED = "uplink_announced"
"""Of the rows in the store: what destinations keep for themselves."""

OURSELVES = "sensord"

STOP_S = 1.0

Begin = Callable[[str, Coroutine[None, None, None]], "asyncio.Task[None]"]
"""Begins a task by its name."""


class Uplinks:
    """The uplinks at work, by name; a reload changes some of them."""

    def __init__(self, bus: Bus, archive: Archive | None, store: Store, control: Control) -> None:
        self._bus = bus
        self._archive = archive
        self._store = store
        self._control = control
        self._saved, self._announced = store.load(KIND), store.load(ANNOUNCED)
        self._by_name: dict[str, Uplink] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks that deliver."""
        return list(self._tasks.values())

    def add(self, config: UplinkConfig) -> None:
        """Build an uplink, if it is enabled, and let clients control it."""
        if not config.options.enabled:
            return
        kind = registry.find(config.type)
        assert kind is not None, "checked with the configuration"
        context = _context(config, self._bus, self._store, self._control, self._announced)
        self._by_name[config.name] = Uplink(
            config.name,
            config.options,
            kind.create(context, config.options),
            self._bus,
            self._archive,
            self._store,
            self._saved.get(config.name),
            is_live_first=kind.is_live_first,
        )
        if not self._control.services.is_offered(SERVICE):
            text = "pause, resume or rewind an uplink: uplink, act, and offset for rewind"
            who = Identity(OURSELVES, OURSELVES)
            offer = Offer(SERVICE, who, text, 10.0, self._ask, lambda: None)
            self._control.services.offer(offer)

    def join(self) -> None:
        """Load the store's rows that came late."""
        announced = self._store.load(ANNOUNCED)
        self._announced.update({k: v for k, v in announced.items() if k not in self._announced})
        self._saved = self._store.load(KIND)
        for name, saved in self._saved.items():
            if (found := self._by_name.get(name)) is not None:
                found.join(saved)

    def start(self, names: Collection[str], begin: Begin) -> None:
        """Begin to deliver."""
        for name in names:
            if (found := self._by_name.get(name)) is not None:
                self._tasks[name] = begin(f"uplink:{name}", found.run())

    async def end(self, names: Collection[str]) -> None:
        """Stop to deliver; where each one was is kept."""
        tasks = [task for name in names if (task := self._tasks.pop(name, None)) is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)
        for name in names:
            if (found := self._by_name.pop(name, None)) is not None:
                self._saved[name] = found.position()

    def _ask(self, _number: int, call: Call) -> None:
        call.acting()
        error = _act(self._by_name, call.args)
        if error:
            call.failed("refused", error)
        else:
            call.done(None)


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

    def ask(  # as the dispatch's
        what: What,
        who: Identity,
        name: str,
        args: Mapping[str, Value],
        key: str,
        timeout_s: float | None,
    ) -> Call:
        return control.dispatch.ask(what, who, name, args, key, timeout_s).call

    return Context(
        config.name,
        socket.gethostname().partition(".")[0],
        channels,
        partial(_settable, bus),
        act,
        ask,
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
