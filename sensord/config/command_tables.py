"""Resolve a device's tables ``writable`` and ``actions`` into its commands.

The options of both kinds of table, and those of the reader, stand side by side; this module
sorts them. What a writable topic does not say, its channel says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sensord.config.channels import ChannelRules
from sensord.config.command_options import Action, Argument, Command, Writable, Write
from sensord.config.placeholders import text_fault
from sensord.config.schema import Faults, Path, structure, unknown_key
from sensord.decode.regex import Pattern
from sensord.model.readings import ValueType
from sensord.model.topics import expand, topic_fault

__all__ = ["commands"]

LONGEST_PREFIX = "$sys/control/"
"""Topics and names are shown under this and under ``$sys/leases/``."""

T = TypeVar("T", Writable, Action)


def commands(
    device: str,
    pattern: str,
    table: Mapping[str, Any],
    rules: Callable[[str], ChannelRules],
    write: type[Any] | None,
    path: Path,
    faults: Faults,
) -> tuple[Command, ...]:
    """Return what clients may have a device do; every fault goes to ``faults``.

    ``pattern`` makes the topic of a field that has none of its own; ``write`` is the type of the
    reader's options, None if its devices cannot be written.
    """
    found: dict[str, Command] = {}
    for key in ("writable", "actions"):
        tables = table.get(key, {})
        at = (*path, key)
        if not isinstance(tables, dict):
            faults.add(at, f"expected tables, such as [devices.{device}.{key}.<name>]")
            continue
        if tables and write is None:
            faults.add(at, f'reader = "{table.get("reader")}" cannot write')
            continue
        for name, one in tables.items():
            if not isinstance(one, dict):
                faults.add((*at, name), "expected a table")
                continue
            assert write is not None, "there is a table"
            here = (*at, name)
            before = len(faults.found)
            if key == "writable":
                _check_channel(name, one, rules(name), here, faults)
                command = _writable(device, name, pattern, one, rules(name), write, here, faults)
            else:
                command = _action(device, name, one, write, here, faults)
            if command is None or len(faults.found) > before:
                continue
            _check_texts(command, here, faults)
            if found.setdefault(f"{key}: {command.name}", command) is not command:
                faults.add(here, f"{command.name} is declared twice")
    return tuple(found.values())


def _check_channel(
    name: str, table: Mapping[str, Any], rules: ChannelRules, path: Path, faults: Faults
) -> None:
    """Warn of a field that nothing bounds, which is mostly a misspelt one."""
    if rules == ChannelRules() and not {"type", "range", "choices"} & set(table):
        text = (
            f"there is no channels.{name} beside it, so any number may be set;"
            " declare its type and range there or here"
        )
        faults.warn(path, text)


def _writable(
    device: str,
    name: str,
    pattern: str,
    table: Mapping[str, Any],
    rules: ChannelRules,
    write: type[Any],
    path: Path,
    faults: Faults,
) -> Command | None:
    said, how = _split(Writable, table, write, path, faults)
    if said is None or how is None:
        return None
    texts = [one for one in rules.values.values() if isinstance(one, str)]
    argument = Argument(
        type=said.type or (ValueType.STRING if texts else rules.declared_type) or ValueType.FLOAT,
        unit=rules.unit or "",
        range=said.range or (() if said.choices else rules.range),
        choices=said.choices or tuple(dict.fromkeys(texts)),
        description=said.description or rules.description or "",
    )
    for key, message in argument.faults():
        faults.add((*path, key), message)
    topic = _topic(said.topic or rules.topic or pattern, device, name, (*path, "topic"), faults)
    state = ""
    needs_answer, needs_state = _confirmed(said, has_state=bool(said.state) or not said.answer)
    if needs_state:
        state = _topic(said.state, device, name, (*path, "state"), faults) if said.state else topic
    return Command(
        name=topic,
        field=name,
        is_set=True,
        arguments={"value": argument},
        how=how,
        answer=Pattern(said.answer) if needs_answer else None,
        refusal=Pattern(said.refusal) if said.refusal else None,
        state=state,
        tolerance=said.tolerance,
        decimals=rules.decimals,
        scale=rules.scale,
        offset=rules.offset,
        values=rules.values,
        timeout_s=said.timeout,
        description=argument.description,
    )


def _action(
    device: str,
    name: str,
    table: Mapping[str, Any],
    write: type[Any],
    path: Path,
    faults: Faults,
) -> Command | None:
    if message := topic_fault(f"{LONGEST_PREFIX}{device}/{name}"):
        faults.add(path, f"an action's name is part of topics: {message}")
    said, how = _split(Action, table, write, path, faults)
    if said is None or how is None:
        return None
    needs_answer, needs_state = _confirmed(said, has_state=bool(said.state))
    state = _topic(said.state, device, name, (*path, "state"), faults) if needs_state else ""
    return Command(
        name=f"{device}/{name}",
        field=name,
        is_set=False,
        arguments=said.arguments,
        how=how,
        answer=Pattern(said.answer) if needs_answer else None,
        refusal=Pattern(said.refusal) if said.refusal else None,
        state=state,
        reaches=said.reaches,
        tolerance=said.tolerance,
        timeout_s=said.timeout,
        description=said.description,
    )


def _confirmed(said: Writable | Action, *, has_state: bool) -> tuple[bool, bool]:
    """Return whether an answer and whether a state confirms a command."""
    match said.confirm:
        case "sent":
            return False, False
        case "answer":
            return True, False
        case "state":
            return False, True
        case "both":
            return True, True
        case _:
            return bool(said.answer), has_state


def _split(
    kind: type[T], table: Mapping[str, Any], write: type[Any], path: Path, faults: Faults
) -> tuple[T | None, Write | None]:
    general = {field.name for field in dataclasses.fields(kind)}
    own = {field.name for field in dataclasses.fields(write)}
    for key in table:
        if key not in general and key not in own:
            faults.add((*path, key), unknown_key(key, general | own))
    said = structure(kind, {k: v for k, v in table.items() if k in general}, path, faults)
    how: Write | None = structure(write, {k: v for k, v in table.items() if k in own}, path, faults)
    return said, how


def _topic(pattern: str, device: str, name: str, path: Path, faults: Faults) -> str:
    try:
        topic = expand(pattern, {"device": device, "field": name})
    except KeyError as exc:
        text = f"say which topic: {{{exc.args[0]}}} in {pattern} depends on what a message brings"
        faults.add(path, text)
        return ""
    if message := topic_fault(f"{LONGEST_PREFIX}{topic}"):
        faults.add(path, f"{topic}: {message}")
    return topic


def _check_texts(command: Command, path: Path, faults: Faults) -> None:
    samples = {
        name: argument.choices[0] if argument.choices else argument.sample()
        for name, argument in command.arguments.items()
    }
    if command.is_set:
        if command.values:
            samples = {"value": next(iter(command.values.values()))}
        samples = command.raw(samples)
    for key, text in command.how.texts():
        if message := text_fault(text, samples):
            faults.add((*path, key), message)
