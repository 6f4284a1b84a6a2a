"""Build the typed tree from the tables of a configuration, and report all their faults.

Readers and decoders bring their own options; they are found through the two registries handed to
`build`, so this module knows none of them.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, runtime_checkable

from sensord.config.across import Checked, check_derived, check_devices, check_openings
from sensord.config.alarms import Alarm
from sensord.config.alarms import name_fault as alarm_name_fault
from sensord.config.channels import ChannelRules, rules_of
from sensord.config.command_options import Command
from sensord.config.command_tables import commands
from sensord.config.derived import derived_channels
from sensord.config.schema import (
    Duration,
    Faults,
    Path,
    Printable,
    Scalar,
    Within,
    show,
    structure,
    unknown_key,
)
from sensord.config.scopes import SCOPED, Rules, Scope, device_fault
from sensord.config.tree import Clients, Config, Control, Device, Logging, Memory, Server, Uplink
from sensord.decode.framing import KINDS as FRAMINGS
from sensord.decode.framing import Config as Framing
from sensord.decode.framing.lines import Config as Lines
from sensord.device.policy import Policy
from sensord.host.plugins import MissingLibraryError
from sensord.log.journal.options import Options as Journal
from sensord.model.topics import pattern_fault, topic_fault

__all__ = ["HasAnswers", "HasUnits", "Plugin", "Registry", "build"]


class Plugin(Protocol):
    """A reader or decoder that a configuration may name."""

    @property
    def config(self) -> type[Any]:
        """The frozen dataclass of its options."""
        ...


class Registry(Protocol):
    """Where readers or decoders are found by name; a module may be one."""

    def find(self, name: str, /) -> Plugin | None:
        """Return the one of that name, or None."""
        ...

    def names(self) -> list[str]:
        """Return every known name."""
        ...


@runtime_checkable
class HasAnswers(Protocol):
    """A reader's options with requests, whose answers end as the device's messages do."""

    def framing_of_answers(self) -> Mapping[str, object]:
        """Return the device's framing where only the end of its answers is declared."""
        ...

    def with_framing(self, table: Mapping[str, object], /) -> object:
        """Return a copy with the device's framing, unless a request sets its own."""
        ...


@runtime_checkable
class HasUnits(Protocol):
    """A reader's options with several devices behind the connection, each with its commands."""

    def command_tables(self) -> Iterator[tuple[str, Path, Mapping[str, Any]]]:
        """Yield each device's name, where its commands stand, and their tables."""
        ...

    def command_rules(self, unit: str, field: str, rules: ChannelRules, /) -> ChannelRules:
        """Return a field's rules, completed by the options."""
        ...

    def bound(self, unit: str, command: Command, /) -> Command | str:
        """Return a command of a device as the reader carries it out, or what is wrong with it."""
        ...


@dataclass(frozen=True, slots=True)
class _Root:
    server: Server = Server()
    clients: Clients = Clients()
    control: Control = Control()
    log: Memory = Memory()
    journal: Journal = Journal()
    logging: Logging = Logging()
    alarms: dict[str, Alarm] = field(default_factory=dict)

    def faults(self) -> Iterator[tuple[Path, str]]:
        """Yield names of alarms that cannot be."""
        for name in self.alarms:
            if message := alarm_name_fault(name):
                yield ("alarms", name), message


@dataclass(frozen=True, slots=True)
class _Common:
    """The keys that every device may have, whatever its reader."""

    topic: str = "{device}/{field}"
    description: str = ""
    publish: Policy = Policy()
    max_channels: Annotated[int, Within(1, 100_000)] = 1000
    time_behind: Duration = 30 * 86_400.0
    time_ahead: Duration = 600.0
    ignore: tuple[Printable, ...] = ()
    device: str = ""
    names: dict[str, str] = field(default_factory=dict)
    only: dict[str, tuple[Scalar, ...]] = field(default_factory=dict)
    max_devices: Annotated[int, Within(1, 100_000)] = 200

    def faults(self) -> Iterator[tuple[str, str]]:
        if message := pattern_fault(self.topic):
            yield "topic", message
        if self.device and (message := device_fault(self.device)):
            yield "device", message
        for place, name in self.names.items():
            if "/" in name or topic_fault(name):
                yield "names", f'"{place}": a name is one level of a topic, got "{name}"'
        for pattern in self.ignore:
            if not pattern.strip("*"):
                yield "ignore", f'"{pattern}" leaves nothing; name fields, such as "debug/*"'


_BUILT_APART = ("devices", "uplinks", "derived")
_SEPARATE = {"reader", "decoder", "framing", "channels", "writable", "actions"}
_COMMON = {f.name for f in dataclasses.fields(_Common)}


def build(
    raw: Mapping[str, Any],
    faults: Faults,
    readers: Registry,
    decoders: Registry,
    resolve: Callable[[str], str] = os.path.normpath,
    uplinks: Registry | None = None,
) -> Config | None:
    """Build the tree; collect every fault in ``faults``, and then return None.

    ``resolve`` follows the symbolic links of a path.
    """
    before = len(faults.found)
    devices = raw.get("devices", {})
    plain = {key: value for key, value in raw.items() if key not in _BUILT_APART}
    tables = [field.name for field in dataclasses.fields(_Root)]
    for key in [key for key in plain if key not in tables]:
        faults.add((key,), unknown_key(key, [*tables, *_BUILT_APART]))
        del plain[key]
    root = structure(_Root, plain, (), faults)
    built: list[Device | None] = []
    if not isinstance(devices, dict):
        faults.add(("devices",), "expected tables, such as [devices.boiler]")
    else:
        both = (readers, decoders)
        built = [_device(name, table, faults, *both) for name, table in devices.items()]
    derived = derived_channels(raw.get("derived", {}), faults)
    sent = _uplinks(raw.get("uplinks", {}), faults, uplinks)
    whole = tuple(device for device in built if device is not None)
    _one_owner_each(whole, faults)
    checked = [
        Checked(
            d.name,
            d.topic,
            d.reader_config,
            d.channels,
            d.decoder_config,
            d.device,
            d.scopes,
            d.publish.policy == "every",
        )
        for d in whole
    ]
    check_devices(checked, faults, resolve)
    check_derived(derived.keys(), checked, faults)
    if root is not None:
        check_openings(list(root.clients.topics), checked, faults)
    if root is None or len(faults.found) > before:
        return None
    return Config(
        root.server,
        root.clients,
        root.control,
        root.log,
        root.journal,
        root.logging,
        root.alarms,
        derived,
        whole,
        sent,
    )


def _uplinks(raw: object, faults: Faults, registry: Registry | None) -> tuple[Uplink, ...]:
    if not isinstance(raw, dict):
        faults.add(("uplinks",), "expected tables, such as [uplinks.cloud]")
        return ()
    found = []
    for name, table in raw.items():
        path: Path = ("uplinks", name)
        if not isinstance(table, dict) or not isinstance(table.get("type"), str):
            faults.add(path, 'expected a table with a type, such as type = "influx"')
        elif "/" in name or topic_fault(name):
            faults.add(path, "an uplink's name is a level of a topic: letters, digits, - and _")
        elif kind := _plugin("uplink", table["type"], registry, (*path, "type"), faults):
            rest = {key: value for key, value in table.items() if key != "type"}
            options = structure(kind.config, rest, path, faults)
            if options is not None:
                found.append(Uplink(name, table["type"], options))
    return tuple(found)


def _device(
    name: str, table: object, faults: Faults, readers: Registry, decoders: Registry
) -> Device | None:
    path: Path = ("devices", name)
    if not isinstance(table, dict):
        faults.add(path, f"expected a table, such as [devices.{name}]")
        return None
    if message := topic_fault(name):
        faults.add(path, f"a device's name is part of topics: {message}")
    elif "/" in name or name.startswith("$"):
        faults.add(path, "a device's name may not contain / nor begin with $")
    before = len(faults.found)
    table = _with_units(name, table, path, faults, readers)
    common = {key: value for key, value in table.items() if key in _COMMON}
    own = {key: v for key, v in table.items() if key not in _COMMON and key not in _SEPARATE}
    shared = structure(_Common, common, path, faults)
    rest, scopes = _scopes(table, own, path, faults, readers, decoders)
    reader, reader_config = _reader(table, rest, path, faults, readers)
    is_needed = getattr(reader_config, "needs_decoder", reader_config is not None)
    is_needed = is_needed and not (scopes and all(one.decoder for one in scopes))
    decoder, decoder_config = _decoder(table, path, faults, decoders, is_needed=is_needed)
    own_framing = table.get("framing", {})
    if "framing" not in table and isinstance(reader_config, HasAnswers):
        own_framing = reader_config.framing_of_answers()
    framing = _framing(own_framing, (*path, "framing"), faults)
    if framing is not None and isinstance(reader_config, HasAnswers):
        reader_config = reader_config.with_framing(own_framing)
    base = common.get("publish", {})
    channels = _channels(
        table.get("channels", {}),
        base,
        (*path, "channels"),
        faults,
        base_is_faulty=any(at[: len(path) + 1] == (*path, "publish") for at, _ in faults.found),
    )
    found: tuple[Command, ...] = ()
    if reader:
        pattern = _Common().topic if shared is None else shared.topic
        write = getattr(readers.find(reader), "write", None)

        def rules(field_: str) -> ChannelRules:
            return rules_of(channels, field_) or ChannelRules()

        found = commands(name, pattern, table, rules, write, path, faults)
        check = getattr(reader_config, "command_faults", None)
        found += _unit_commands(reader_config, pattern, rules, write, path, faults)
        for at, message in check(found, pattern) if check else ():
            faults.add((*path, *at), message)
    if shared is None or len(faults.found) > before:
        return None
    return Device(
        name=name,
        reader=reader,
        reader_config=reader_config,
        decoder=decoder,
        decoder_config=decoder_config,
        framing=framing or Lines(),
        topic=shared.topic,
        description=shared.description,
        publish=shared.publish,
        max_channels=shared.max_channels,
        time_behind=shared.time_behind,
        time_ahead=shared.time_ahead,
        ignore=shared.ignore,
        device=shared.device,
        names=shared.names,
        only=shared.only,
        max_devices=shared.max_devices,
        scopes=scopes,
        channels=channels,
        commands=found,
    )


def _with_units(
    name: str, table: dict[str, Any], path: Path, faults: Faults, readers: Registry
) -> dict[str, Any]:
    """Return a device's table with a single unit in the form of several."""
    reader = table.get("reader")
    found = readers.find(reader) if isinstance(reader, str) else None
    keys: frozenset[str] = getattr(found.config, "UNIT_KEYS", frozenset()) if found else frozenset()
    if not keys:
        return table
    own = {key: value for key, value in table.items() if key in keys | {"writable", "actions"}}
    if "units" in table:
        for key in own:
            text = f"is a unit's; write it in a table [devices.{name}.units.<unit>]"
            faults.add((*path, key), text)
    elif own:
        rest = {key: value for key, value in table.items() if key not in own}
        return {**rest, "units": {name: own}}
    return {key: value for key, value in table.items() if key not in own}


def _unit_commands(
    reader_config: object,
    pattern: str,
    rules: Callable[[str], ChannelRules],
    write: type[Any] | None,
    path: Path,
    faults: Faults,
) -> tuple[Command, ...]:
    """Return the commands of the devices behind a connection, from its reader's options."""
    found: list[Command] = []
    if not isinstance(reader_config, HasUnits):
        return ()
    known = reader_config
    for unit, at, table in known.command_tables():

        def own(field_: str, unit: str = unit) -> ChannelRules:
            return known.command_rules(unit, field_, rules(field_))

        for command in commands(unit, pattern, table, own, write, (*path, *at), faults):
            bound = known.bound(unit, command)
            if isinstance(bound, str):
                key = "writable" if command.is_set else "actions"
                faults.add((*path, *at, key, command.field), bound)
            else:
                found.append(bound)
    return tuple(found)


def _one_owner_each(devices: Sequence[Device], faults: Faults) -> None:
    """Refuse a topic that two devices allow clients to set, or that is another device's name."""
    owners: dict[str, str] = {}
    names = {device.name for device in devices}
    for device in devices:
        for command in device.commands:
            if not command.is_set:
                continue
            path = ("devices", device.name, "writable", command.field)
            owner = owners.setdefault(command.name, device.name)
            if owner != device.name:
                faults.add(path, f"{command.name} is {owner}'s already")
            elif command.name in names - {device.name}:
                faults.add(path, f"{command.name} is the name of another device")


def _plugin(
    kind: str, name: object, registry: Registry | None, path: Path, faults: Faults
) -> Plugin | None:
    """Find a reader or uplink; add a fault if it is unknown, or its library is missing."""
    try:
        found = registry.find(name) if registry is not None and isinstance(name, str) else None
    except MissingLibraryError as exc:
        faults.add(path, str(exc))
        return None
    if found is None:
        near = "" if registry is None else _nearest(name, registry)
        faults.add(path, f"there is no {kind} {show(name)}{near}")
    return found


def _reader(
    table: Mapping[str, Any], own: Mapping[str, Any], path: Path, faults: Faults, registry: Registry
) -> tuple[str, object]:
    name = table.get("reader")
    if name is None:
        faults.add((*path, "reader"), 'is missing; say for example reader = "serial"')
        return "", None
    found = _plugin("reader", name, registry, (*path, "reader"), faults)
    if found is None:
        return "", None
    # The reader's own keys are sorted out here, so that a misspelt common key is recognised too.
    options = {f.name for f in dataclasses.fields(found.config)}
    known = {key: value for key, value in own.items() if key in options}
    for key in own:
        if key not in options:
            faults.add((*path, key), unknown_key(key, options | _COMMON | _SEPARATE))
    return name, structure(found.config, known, path, faults)


def _decoder(
    table: Mapping[str, Any], path: Path, faults: Faults, registry: Registry, *, is_needed: bool
) -> tuple[str, object]:
    raw = table.get("decoder")
    if raw is None:
        if is_needed:
            faults.add((*path, "decoder"), 'is missing; say for example decoder = "json"')
        return "", None
    path = (*path, "decoder")
    options = {"type": raw} if isinstance(raw, str) else raw
    if not isinstance(options, dict) or not isinstance(options.get("type"), str):
        faults.add(path, 'expected a decoder\'s name, such as "json", or a table with a type')
        return "", None
    name = options["type"]
    found = registry.find(name)
    if found is None:
        faults.add(path, f"there is no decoder {show(name)}{_nearest(name, registry)}")
        return "", None
    rest = {key: value for key, value in options.items() if key != "type"}
    return name, structure(found.config, rest, path, faults)


def _scopes(
    table: Mapping[str, Any],
    own: Mapping[str, Any],
    path: Path,
    faults: Faults,
    readers: Registry,
    decoders: Registry,
) -> tuple[Mapping[str, Any], tuple[Scope, ...]]:
    """Remove the keys of scopes from the reader's filters; return the rest, and the scopes."""
    name = table.get("reader")
    found = readers.find(name) if isinstance(name, str) else None
    key = getattr(found.config, "SCOPED_BY", "") if found is not None else ""
    filters = own.get(key)
    if not isinstance(filters, list) or not all(isinstance(one, dict) for one in filters):
        return own, ()
    rest = [{k: v for k, v in one.items() if k not in SCOPED} for one in filters]
    scopes = tuple(
        _scope(one, table, (*path, key, i), faults, decoders) for i, one in enumerate(filters)
    )
    return {**own, key: rest}, scopes if any(one != Scope() for one in scopes) else ()


def _scope(
    raw: Mapping[str, Any],
    table: Mapping[str, Any],
    path: Path,
    faults: Faults,
    decoders: Registry,
) -> Scope:
    own = {k: v for k, v in raw.items() if k in SCOPED - {"decoder", "channels"}}
    rules = structure(Rules, own, path, faults) or Rules()
    decoder, decoder_config = _decoder(raw, path, faults, decoders, is_needed=False)
    base = table.get("publish", {})
    channels = _channels(
        raw.get("channels", {}), base, (*path, "channels"), faults, base_is_faulty=False
    )
    return Scope(
        decoder, decoder_config, rules.field, rules.device, rules.ignore, rules.only, channels
    )


def _framing(raw: object, path: Path, faults: Faults) -> Framing | None:
    if not isinstance(raw, dict):
        faults.add(path, 'expected a table, such as framing = { terminator = "\\r" }')
        return None
    kind = raw.get("type", "line")
    if not isinstance(kind, str) or kind not in FRAMINGS:
        known = ", ".join(FRAMINGS)
        faults.add((*path, "type"), f"there is no framing {show(kind)}; known are {known}")
        return None
    framing: Framing | None = structure(FRAMINGS[kind], raw, path, faults)
    return framing


def _nearest(name: object, registry: Registry) -> str:
    known = registry.names()
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _channels(
    raw: object, base: object, path: Path, faults: Faults, *, base_is_faulty: bool
) -> dict[str, ChannelRules]:
    if not isinstance(raw, dict):
        faults.add(path, "expected tables, such as [devices.boiler.channels.temperature]")
        return {}
    channels = {}
    for name, table in raw.items():
        if not isinstance(table, dict):
            faults.add((*path, name), "expected a table")
            continue
        own = table.get("publish", {})
        if isinstance(own, dict):
            # A channel says only how it differs from its device. What is wrong with the device's
            # policy is reported there, once, and not again for each channel.
            both = {**base, **own} if isinstance(base, dict) and not base_is_faulty else own
            table = {**table, "publish": both}  # noqa: PLW2901  # the table as it is meant
        rules = structure(ChannelRules, table, (*path, name), faults)
        if rules is not None:
            channels[name] = rules
    return channels
