"""Alarms: watched on the bus, kept in the store, acknowledged and shelved by clients.

Theory of operation. A watch is a sink of its topic. What is pushed is only noted; the next turn of
the loop judges it, because a sink must not publish while the bus does. Each change of an alarm goes
to the store, then its state is published under ``$sys/alarms/<name>`` and the change itself as an
event under ``$sys/alarm_events/<name>``. An act of a client is answered when it is on the disk.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Callable, Mapping
from functools import partial

from sensord.bus import Bus
from sensord.config.alarms import Alarm
from sensord.control.services import Offer, Services
from sensord.device.alarms import Condition, Life, State
from sensord.device.calls import Call
from sensord.model.clocks import Clock
from sensord.model.readings import Channel, Kind, Metadata, Reading, Record, Value, ValueType
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.store import Store, StoreError

__all__ = ["EVENTS", "PREFIX", "SERVICE", "Alarms"]

log = logging.getLogger("sensord.alarms")

KIND = "alarm"
"""The kind of rows in the store."""

PREFIX, EVENTS = "$sys/alarms/", "$sys/alarm_events/"

SERVICE = "alarms"
"""The service by which clients act on alarms."""

LONGEST_SHELF_S = 366 * 86_400
MAX_TEXT = 500

LONGEST_WAIT_S = 3600.0
"""A timer is set again after this, so that a clock that was set is noticed."""

_OURSELVES = Identity("sensord", "sensord")


class _Watch:
    """One alarm, as a sink of its topic."""

    def __init__(
        self,
        name: str,
        rules: Alarm,
        condition: Condition,
        life: Life,
        wake: Callable[[_Watch], None],
    ) -> None:
        self.name = name
        self.rules = rules
        self.condition = condition
        self.life = life
        self.value: Value = None
        self.timer: asyncio.TimerHandle | None = None
        self.noted: list[Reading] = []
        self._wake = wake

    def push(self, record: Record) -> None:
        """Note a reading for the next turn."""
        self.noted.append(record.reading)
        self._wake(self)

    def selected(self, channel: Channel) -> None:
        """Accept a new channel of the topic."""


class Alarms:
    """All alarms of a configuration."""

    def __init__(
        self,
        rules: Mapping[str, Alarm],
        bus: Bus,
        store: Store,
        audit: Audit,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._bus = bus
        self._store = store
        self._audit = audit
        self._loop = loop
        self._clock = clock
        self._watches: dict[str, _Watch] = {}
        self._touched: dict[_Watch, None] = {}
        self._turn: asyncio.Handle | None = None

    def begin(self, services: Services) -> None:
        """Load the store's rows, publish every alarm, watch, and accept acts of clients."""
        kept = self._store.load(KIND)
        for name in kept.keys() - self._rules.keys():
            self._store.delete(KIND, name)
        for name, rules in self._rules.items():
            self._watch(name, rules, Life.of(kept.get(name)), restates=name in kept)
        self._offer(services)

    def join(self) -> None:
        """Load the store's rows that came late; an alarm that somebody acted on stays as it is."""
        for name, kept in self._store.load(KIND).items():
            watch = self._watches.get(name)
            if watch is None:
                self._store.delete(KIND, name)
            elif watch.life.acknowledged is not None or watch.life.shelved is not None:
                self._keep(watch)
            else:
                watch.life = Life.of(kept)
                if watch.life.is_on == watch.condition.is_on:
                    self._publish(watch, restates=True)
                else:
                    self._turned(watch)
                self._wake(watch)

    def change(self, rules: Mapping[str, Alarm], services: Services) -> None:
        """Have other rules from now on; an alarm that stays keeps its state."""
        self._rules = rules
        for name in self._watches.keys() - rules.keys():
            self._leave(self._watches.pop(name))
            self._store.delete(KIND, name)
            if self._bus.find(PREFIX + name) is not None:
                self._bus.forget(PREFIX + name)
        for name, one in rules.items():
            before = self._watches.get(name)
            if before is None:
                self._watch(name, one, Life.of(None), restates=False)
            elif before.rules != one:
                self._leave(before)
                self._watch(name, one, before.life, restates=True)
        self._offer(services)

    def close(self) -> None:
        """Stop all timers."""
        if self._turn is not None:
            self._turn.cancel()
        for watch in self._watches.values():
            self._leave(watch)

    def _watch(self, name: str, rules: Alarm, life: Life, *, restates: bool) -> None:
        condition = Condition(rules, self._clock.monotonic_us(), is_on=life.is_on)
        watch = _Watch(name, rules, condition, life, self._wake)
        watch.value = life.value
        self._watches[name] = watch
        self._bus.attach([rules.topic], watch)
        channel = self._bus.find(rules.topic)
        last = None if channel is None else self._bus.last(channel)
        if last is not None:
            watch.noted.append(last.reading)
        self._publish(watch, restates=restates)
        self._wake(watch)

    def _leave(self, watch: _Watch) -> None:
        self._touched.pop(watch, None)
        self._bus.detach([watch.rules.topic], watch)
        if watch.timer is not None:
            watch.timer.cancel()

    def _offer(self, services: Services) -> None:
        if self._watches and not services.is_offered(SERVICE):
            text = "acknowledge, shelve or unshelve an alarm: act, alarm, text, and for_s to shelve"
            services.offer(Offer(SERVICE, _OURSELVES, text, 10.0, self._ask, lambda: None))

    # -- watching ----------------------------------------------------------------------------------

    def _wake(self, watch: _Watch) -> None:
        self._touched[watch] = None
        if self._turn is None:
            self._turn = self._loop.call_soon(self._judge)

    def _judge(self) -> None:
        self._turn = None
        now_us = self._clock.monotonic_us()
        touched, self._touched = self._touched, {}
        for watch in touched:
            noted, watch.noted = watch.noted, []
            for reading in noted:
                if watch.condition.tick(now_us):
                    self._turned(watch)
                watch.value = reading.value
                if watch.condition.reading(reading, now_us):
                    self._turned(watch)
            self._tick(watch)

    def _tick(self, watch: _Watch) -> None:
        """Process what is due for one alarm, and set its timer."""
        if watch.timer is not None:
            watch.timer.cancel()
            watch.timer = None
        now_us, wall_us = self._clock.monotonic_us(), self._clock.wall_us()
        if watch.condition.tick(now_us):
            self._turned(watch)
        waits = [] if watch.condition.due_us is None else [watch.condition.due_us - now_us]
        if watch.life.shelved is not None:
            until_us = watch.life.shelved["until_us"]
            assert isinstance(until_us, int)
            if until_us <= wall_us:
                self._become(watch, watch.life.unshelve(), "unshelved")
            else:
                waits.append(until_us - wall_us)
        if waits:
            delay_s = min(max(0.0, min(waits) / 1e6), LONGEST_WAIT_S)
            watch.timer = self._loop.call_later(delay_s, self._tick, watch)

    def _turned(self, watch: _Watch) -> None:
        wall_us, condition = self._clock.wall_us(), watch.condition
        if condition.is_on:
            life = watch.life.raised(wall_us, condition.cause, watch.value)
        else:
            life = watch.life.cleared(wall_us)
        if life is not None:
            self._become(watch, life, "raised" if condition.is_on else "cleared")

    def _become(
        self,
        watch: _Watch,
        life: Life,
        event: str,
        by: Identity | None = None,
        done: Callable[[Exception | None], None] | None = None,
    ) -> None:
        """Keep and publish a change.

        Raises:
            StoreError: Too much waits for the disk, and a client waits for the change.
        """
        if done is not None:
            self._store.put(KIND, watch.name, life.to_value(), done)
        watch.life = life
        if done is None:
            self._keep(watch)
        is_quiet = life.shelved is not None and by is None
        if not is_quiet:
            self._event(watch, event, by)
            extra = {"alarm": watch.name, "priority": watch.rules.priority, "cause": life.cause}
            log.info("alarm %s", event, extra=extra)
        self._publish(watch)

    def _keep(self, watch: _Watch) -> None:
        try:
            self._store.put(KIND, watch.name, watch.life.to_value())
        except StoreError as exc:
            log.error("an alarm is not kept", extra={"alarm": watch.name, "reason": str(exc)})

    def _publish(self, watch: _Watch, *, restates: bool = False) -> None:
        metadata = Metadata(ValueType.JSON, description="an alarm")
        channel = self._bus.channel(PREFIX + watch.name, metadata)
        time_us = watch.life.since_us if restates else self._clock.wall_us()
        value = {**_json_of(watch.rules), **watch.life.to_value()}
        self._bus.publish(channel, Reading(time_us, value, restates=restates))

    def _event(self, watch: _Watch, event: str, by: Identity | None) -> None:
        metadata = Metadata(ValueType.JSON, kind=Kind.EVENT, description="what became of an alarm")
        channel = self._bus.channel(EVENTS + watch.name, metadata)
        value: dict[str, Value] = {
            "event": event,
            **_json_of(watch.rules),
            "state": watch.life.state.value,
            "cause": watch.life.cause,
            "value": watch.value,
        }
        if by is not None:
            value["by"] = {"id": by.id, "name": by.name}
        self._bus.publish(channel, Reading(self._clock.wall_us(), value))

    # -- acting ------------------------------------------------------------------------------------

    def _ask(self, _number: int, call: Call) -> None:
        """Carry out a call of the service."""
        call.acting()
        name, act, text = (call.args.get(key, "") for key in ("alarm", "act", "text"))
        watch = self._watches.get(name) if isinstance(name, str) else None
        if watch is None:
            call.failed("rejected", self._unknown(str(name)), may_have_acted=False)
            return
        if not isinstance(text, str) or len(text) > MAX_TEXT or not text.isprintable():
            wanted = f"text: expected at most {MAX_TEXT} characters, none of them a control"
            call.failed("rejected", wanted, may_have_acted=False)
            return
        life = self._changed(watch, act, call, text)
        if isinstance(life, str):
            call.failed("rejected", life, may_have_acted=False)
            return
        before = watch.life
        over = partial(self._over, watch, call, before, life)
        events = {"acknowledge": "acknowledged", "shelve": "shelved", "unshelve": "unshelved"}
        try:
            self._become(watch, life, events[str(act)], call.who, over)
        except StoreError as exc:
            call.failed("unavailable", str(exc), may_have_acted=False)
            return
        self._wake(watch)

    def _changed(self, watch: _Watch, act: Value, call: Call, text: str) -> Life | str:
        """Return the alarm as a call wants it, or why that cannot be."""
        by: dict[str, Value] = {"id": call.who.id, "name": call.who.name}
        now_us = self._clock.wall_us()
        match act:
            case "acknowledge":
                life = watch.life.acknowledge(now_us, by, text)
                return life or f"{watch.name} is {watch.life.state.value}: nothing to acknowledge"
            case "shelve":
                for_s = call.args.get("for_s")
                is_number = isinstance(for_s, int | float) and not isinstance(for_s, bool)
                if not is_number or not 0 < for_s <= LONGEST_SHELF_S:  # type: ignore[operator]  # is_number
                    return f"for_s: expected seconds, more than 0 and at most {LONGEST_SHELF_S}"
                return watch.life.shelve(now_us + round(for_s * 1e6), by, text)  # type: ignore[operator]  # the same
            case "unshelve":
                is_shelved = watch.life.shelved is not None
                return watch.life.unshelve() if is_shelved else f"{watch.name} is not shelved"
        return 'act: expected "acknowledge", "shelve" or "unshelve"'

    def _over(
        self, watch: _Watch, call: Call, before: Life, life: Life, error: Exception | None
    ) -> None:
        result = "done" if error is None else "unavailable"
        shown = (before.to_value(), life.to_value())
        act = str(call.args.get("act"))
        self._audit.note(
            "alarm", call.who, watch.name, result, detail=act, before=shown[0], after=shown[1]
        )
        if error is None:
            call.done(watch.life.state.value)
        else:
            text = f"it is done, but a restart may forget it: {error}"
            call.failed("unavailable", text, may_have_acted=True)

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._watches, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(self._watches)}"
        return f"there is no alarm {name}; {hint}"

    def states(self) -> Mapping[str, State]:
        """Return the state of each alarm."""
        return {name: watch.life.state for name, watch in self._watches.items()}


def _json_of(rules: Alarm) -> dict[str, Value]:
    return {"topic": rules.topic, "priority": rules.priority, "text": rules.text}
