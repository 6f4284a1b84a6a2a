"""The options of a Modbus connection, its units and their registers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from sensord.config.across import Place
from sensord.config.channels import ChannelRules
from sensord.config.command_options import Command
from sensord.config.schema import Duration, Path, Printable, Scalar, Within
from sensord.model.readings import Metadata, Value, ValueType
from sensord.model.topics import topic_fault
from sensord.model.units import unit_fault
from sensord.readers.line import SCHEMES, Parity, Settings, is_remote
from sensord.readers.modbus.groups import Block, Item, groups
from sensord.readers.modbus.requests import (
    MOST_WORDS,
    Request,
    Table,
    write_coil,
    write_words,
)
from sensord.readers.modbus.values import WORDS, Form, Order, Type, encode

__all__ = ["Config", "Register", "Setting", "Unit", "UnitPlan", "Write"]

TCP_PORT = 502
LAST_ADDRESS = 0xFFFF
HIGHEST_PORT = 65_535

Numbering = Literal["zero", "one", "modicon"]

_MODICON = (
    (400_001, 465_536, Table.HOLDING),
    (300_001, 365_536, Table.INPUT),
    (100_001, 165_536, Table.DISCRETE),
    (40_001, 49_999, Table.HOLDING),
    (30_001, 39_999, Table.INPUT),
    (10_001, 19_999, Table.DISCRETE),
    (1, 9_999, Table.COIL),
)

ONE_LINE = "of two that ask on one line each hears the other's answers; put its units together"


@dataclass(frozen=True, slots=True)
class Register:
    """One value of a unit. Its unit supplies missing options."""

    address: Annotated[int, Within(0, 465_536)]
    table: Table | None = None
    type: Type | None = None
    length: Annotated[int, Within(1, MOST_WORDS)] | None = None
    word_order: Order | None = None
    byte_order: Order | None = None
    bit: Annotated[int, Within(0, 15)] | None = None
    bits: tuple[int, ...] = ()
    scale: float = 1.0
    scale_from: str = ""
    offset: float = 0.0
    unit: str = ""
    decimals: Annotated[int, Within(0, 15)] | None = None
    missing: tuple[int, ...] = ()
    interval: Annotated[Duration, Within(0.01, 30 * 86_400.0)] | None = None
    description: str = ""

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield a unit that no program knows."""
        if self.unit and (message := unit_fault(self.unit)):
            yield "unit", message

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if not self.scale:
            yield "scale", "may not be 0: every value would be lost"
        if self.type in {"ascii", "bcd"} and self.length is None:
            yield "length", f"is needed with type = {self.type!r}: how many registers"
        if self.length is not None and self.type not in {"ascii", "bcd"}:
            yield "length", "is for ascii and bcd; other types have their own"
        if self.bit is not None and self.bits:
            yield "bits", "give either bit or bits"
        if self.bits and (len(self.bits) != 2 or not 0 <= self.bits[0] <= self.bits[1] <= 31):  # noqa: PLR2004  # a pair
            yield "bits", "expected [lowest, highest], counted from 0"
        if self.bit is not None and self.type not in {None, "bool"}:
            yield "bit", "is true or false; of several bits use bits"
        if self.bits and self.type not in {"u16", "u32", None}:
            yield "bits", "are a part of a u16 or u32"
        if self.bits and self.type != "u32" and self.bits[-1] > 15:  # noqa: PLR2004  # of a word
            yield "bits", "a u16 has the bits 0 to 15"
        if self.scale_from and (self.type in {"ascii", "bool"} or self.bit is not None):
            yield "scale_from", "is for numbers"
        if self.type in {"ascii", "bool"} and (self.scale != 1.0 or self.offset):
            yield "scale", f"is for numbers, and type is {self.type}"


_UNIT_KEYS = "unit registers table type numbering word_order byte_order max_gap max_span readable"


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit on the bus, which is a device."""

    unit: Annotated[int, Within(0, 255)]
    registers: dict[str, Register] = field(default_factory=dict)
    like: str = ""
    interval: Annotated[Duration, Within(0.01, 30 * 86_400.0)] | None = None
    timeout: Annotated[Duration, Within(0.01, 60)] | None = None
    table: Table = Table.HOLDING
    type: Type = "u16"
    numbering: Numbering = "zero"
    word_order: Order = "big"
    byte_order: Order = "big"
    max_gap: Annotated[int, Within(0, MOST_WORDS)] = 16
    max_span: Annotated[int, Within(1, MOST_WORDS)] = MOST_WORDS
    readable: tuple[tuple[int, ...], ...] = ()
    description: str = ""
    writable: dict[str, object] = field(default_factory=dict)
    actions: dict[str, object] = field(default_factory=dict)

    def faults(self) -> Iterator[tuple[str | Path, str]]:
        """Yield what the fields cannot know of each other."""
        if bool(self.registers) is bool(self.like):
            yield "registers", "needs registers, or like: the name of the unit that has the same"
        for name, register in self.registers.items():
            at: Path = ("registers", name)
            if message := topic_fault(name):
                yield at, message
            if register.scale_from and not self._is_power(register.scale_from):
                text = "names another register of this unit, with a whole number such as i16"
                yield (*at, "scale_from"), text
            for key, message in self._register_faults(register):
                yield (*at, key), message
        for span in self.readable:
            if len(span) != 2 or span[0] > span[1]:  # noqa: PLR2004  # a pair
                yield "readable", "expected pairs of addresses, such as [[0, 99], [300, 329]]"

    def _is_power(self, name: str) -> bool:
        register = self.registers.get(name)
        whole = {"u16", "i16", "u8", "i8"}
        return register is not None and (register.type or self.type) in whole

    def warnings(self) -> Iterator[tuple[str | Path, str]]:
        """Yield addresses that are probably written in Modicon's way."""
        if any(one.scale_from for one in self.registers.values()):
            return  # SunSpec's begin at 40000 on the wire
        for name, register in self.registers.items():
            if self.numbering != "modicon" and 40_000 < register.address < 50_000:  # noqa: PLR2004  # as in 40001
                text = 'looks like the notation of Modicon; numbering = "modicon" reads it as such'
                yield ("registers", name, "address"), text

    def _register_faults(self, register: Register) -> Iterator[tuple[str, str]]:
        place = self.place(register)
        if place is None:
            yield "address", "expected 1, 10001, 30001, 40001 or above, as Modicon numbers them"
            return
        table, address = place
        if register.table is not None and register.table is not table:
            yield "table", f"address {register.address} stands for {table}"
        form = self.form(register)
        if not 0 <= address <= LAST_ADDRESS - form.words + 1:
            first = 0 if self.numbering == "zero" else 1
            yield "address", f"expected an address from {first} to {first + LAST_ADDRESS}"
        if table.is_bits and (register.type not in {None, "bool"} or register.bits):
            yield "type", f"a {table} is true or false"
        if table.is_bits and register.bit is not None:
            yield "bit", f"a {table} is one bit"

    def place(self, register: Register) -> tuple[Table, int] | None:
        """Return the table and the address on the wire, or None if there is no such."""
        if self.numbering == "modicon":
            for first, last, table in _MODICON:
                if first <= register.address <= last:
                    return table, register.address - first
            return None
        return register.table or self.table, register.address - (self.numbering == "one")

    def form(self, register: Register) -> Form:
        """Return how a register holds its value."""
        place = self.place(register)
        is_bit = register.bit is not None or (place is not None and place[0].is_bits)
        kind: Type = "bool" if is_bit else register.type or self.type
        first, last = (register.bits * 2)[:2] if register.bits else (register.bit, None)
        if register.bits:
            last = register.bits[-1]
        return Form(
            type=kind,
            words=register.length or WORDS.get(kind, 1),
            word_order=register.word_order or self.word_order,
            byte_order=register.byte_order or self.byte_order,
            first_bit=first,
            last_bit=last,
            scale=register.scale,
            offset=register.offset,
            missing=register.missing,
        )


class UnitPlan(NamedTuple):
    """One unit, resolved."""

    name: str
    number: int
    timeout: float
    blocks: tuple[Block, ...]
    items: Mapping[str, Item]
    forms: Mapping[str, Form]
    metadata: Mapping[str, Metadata]
    scales: Mapping[str, str]
    """By field, the register with the power of ten that it is multiplied by."""


class Setting(NamedTuple):
    """What one command does."""

    unit: str
    field: str
    request: Request


@dataclass(frozen=True, slots=True)
class Write:
    """How a value is written: ``multiple`` uses function 16 also for one register.

    An action names the ``register``, and the ``value`` unless that is its argument.
    """

    multiple: bool = False
    register: str = ""
    value: Scalar | None = None

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield nothing: no text has places."""
        yield from ()

    def message(self, values: Mapping[str, Value]) -> Value:
        """Return the value to write."""
        return self.value if self.value is not None else values.get("value")


def _number(word: str) -> int | float:
    try:
        return int(word)
    except ValueError:
        return float(word)


@dataclass(frozen=True, slots=True)
class _Bound:
    """A command's ``Write`` with the register that it is about."""

    write: Write
    unit: UnitPlan
    field: str

    def texts(self) -> Iterator[tuple[str, str]]:
        yield from ()

    def message(self, values: Mapping[str, Value]) -> Setting:
        value = self.write.message(values)
        if isinstance(value, str):
            value = _number(value)  # the channel's word for it, as registers have it
        item, form = self.unit.items[self.field], self.unit.forms[self.field]
        number, at = self.unit.number, item.address
        if item.table is Table.COIL:
            if not isinstance(value, bool):
                raise ValueError("a coil is true or false")
            return Setting(self.unit.name, self.field, write_coil(number, at, is_on=value))
        data = encode(form, value)
        request = write_words(number, at, data, at_once=self.write.multiple)
        return Setting(self.unit.name, self.field, request)


@dataclass(frozen=True, slots=True)
class Config:
    """Options of the reader ``modbus``: a line or a host, and the units there."""

    needs_decoder: ClassVar[bool] = False
    UNIT_KEYS: ClassVar[frozenset[str]] = frozenset(_UNIT_KEYS.split())
    """Keys that belong in the device's own table if it is the only unit."""

    units: dict[str, Unit]
    port: Scalar = ""
    host: Printable = ""
    rtu_over_tcp: bool = False
    baud: Annotated[int, Within(50, 20_000_000)] = 9600
    parity: Parity = "none"
    stopbits: Literal[1, 2] = 1
    exclusive: bool = True
    interval: Annotated[Duration, Within(0.01, 30 * 86_400.0)] = 5.0
    timeout: Annotated[Duration, Within(0.01, 60)] = 0.5
    pause: Annotated[Duration, Within(0, 10)] = 0.0

    def faults(self) -> Iterator[tuple[str | Path, str]]:
        """Yield what the fields cannot know of each other."""
        yield from self._place_faults()
        if not self.units:
            yield "units", "there is none; add a table [devices.<name>.units.<unit>]"
        numbers: dict[int, str] = {}
        for name, unit in self.units.items():
            at: Path = ("units", name)
            if message := topic_fault(name):
                yield at, f"a unit's name is part of topics: {message}"
            elif "/" in name or name.startswith("$"):
                yield at, "a unit's name may not contain / nor begin with $"
            if unit.like and (unit.like not in self.units or self.units[unit.like].like):
                known = ", ".join(one for one, u in self.units.items() if not u.like)
                yield (*at, "like"), f"expected a unit with registers of its own: {known}"
            if unit.unit == 0 and self.is_rtu:
                yield (*at, "unit"), "expected 1 to 247: 0 reaches all units and none answers"
            other = numbers.setdefault(unit.unit, name)
            if other != name and self.is_rtu:
                yield (*at, "unit"), f"{other} has {unit.unit} already"

    def _place_faults(self) -> Iterator[tuple[str, str]]:
        port = self.port
        if self.host:
            if isinstance(port, str) and port:
                yield "port", "give a number beside host, or the path of a line without host"
            elif port and not (type(port) is int and 0 < port <= HIGHEST_PORT):
                yield "port", "expected a number from 1 to 65535"
            return
        if self.rtu_over_tcp:
            yield "rtu_over_tcp", "needs host"
        if not isinstance(port, str) or not port:
            text = 'give a line, as in port = "/dev/ttyUSB0", or a host for Modbus TCP'
            yield "port", text
        elif "://" not in port and not port.startswith("/"):
            yield "port", f'expected a path or a URL, such as "/dev/ttyUSB0", got "{port}"'
        elif "://" in port and port.partition("://")[0] not in SCHEMES:
            yield "port", f"expected a path or one of {', '.join(f'{one}://' for one in SCHEMES)}"

    @property
    def is_rtu(self) -> bool:
        """Whether frames have a CRC and no number."""
        return not self.host or self.rtu_over_tcp

    @property
    def where(self) -> str:
        """The line's path or URL."""
        if not self.host:
            return str(self.port)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"socket://{host}:{self.port or TCP_PORT}"

    def places(self) -> Iterator[Place]:
        """Yield the line."""
        if "://" not in self.where:
            yield Place("port", self.where, ONE_LINE)
        elif is_remote(self.where):
            key = "host" if self.host else "port"
            yield Place(key, self.where.lower(), ONE_LINE, is_shared=True)

    def settings(self) -> Settings:
        """Return what concerns the line alone."""
        return Settings(
            port=self.where,
            baud=self.baud,
            bytesize=8,
            parity=self.parity,
            stopbits=self.stopbits,
            rtscts=False,
            xonxoff=False,
            exclusive=self.exclusive,
        )

    def plans(self) -> dict[str, UnitPlan]:
        """Return the units, resolved."""
        return {name: self._plan(name, unit) for name, unit in self.units.items()}

    def _plan(self, name: str, unit: Unit) -> UnitPlan:
        if unit.like:
            unit = _like(unit, self.units[unit.like])
        items, forms, metadata = {}, {}, {}
        for key, register in unit.registers.items():
            place = unit.place(register)
            assert place is not None, "the configuration was checked"
            table, address = place
            form = forms[key] = unit.form(register)
            interval = register.interval or unit.interval or self.interval
            items[key] = Item(key, table, address, 1 if table.is_bits else form.words, interval)
            metadata[key] = Metadata(
                type=ValueType.FLOAT if register.scale_from else form.value_type,
                unit=register.unit,
                decimals=register.decimals,
                description=register.description,
                device=name,
            )
        shift = unit.numbering == "one"
        ranges = [(first - shift, last - shift) for first, last in unit.readable]
        blocks = groups(items.values(), max_gap=unit.max_gap, max_span=unit.max_span, ranges=ranges)
        timeout = unit.timeout or self.timeout
        scales = {key: one.scale_from for key, one in unit.registers.items() if one.scale_from}
        return UnitPlan(name, unit.unit, timeout, tuple(blocks), items, forms, metadata, scales)

    def described(self) -> Iterator[tuple[str, str, Metadata]]:
        """Yield what is known of each field: its device, its name, its metadata."""
        for unit in self.plans().values():
            for name, metadata in unit.metadata.items():
                yield unit.name, name, metadata

    # -- commands ----------------------------------------------------------------------------------

    def command_tables(self) -> Iterator[tuple[str, Path, Mapping[str, Any]]]:
        """Yield the path of each unit's commands, and their tables."""
        for name, unit in self.units.items():
            if unit.writable or unit.actions:
                tables = {"reader": "modbus", "writable": unit.writable, "actions": unit.actions}
                yield name, ("units", name), tables

    def command_rules(self, unit: str, field: str, rules: ChannelRules) -> ChannelRules:
        """Return a field's rules, completed by its register's."""
        metadata = self._plan(unit, self.units[unit]).metadata.get(field)
        if metadata is None:
            return rules
        return replace(
            rules,
            type=rules.type or metadata.type,
            unit=metadata.unit if rules.unit is None else rules.unit,
            decimals=metadata.decimals if rules.decimals is None else rules.decimals,
            description=rules.description or metadata.description,
        )

    def bound(self, unit: str, command: Command) -> Command | str:
        """Return a unit's command with its register, or what is wrong with it."""
        write = command.how
        assert isinstance(write, Write)
        plan = self._plan(unit, self.units[unit])
        field = write.register or command.field
        if field not in plan.items:
            known = ", ".join(plan.items)
            return f"there is no register {field}; known are {known}"
        item, form = plan.items[field], plan.forms[field]
        if item.table in {Table.INPUT, Table.DISCRETE}:
            return f"{field} is in the table {item.table}, which cannot be written"
        if form.first_bit is not None:
            return f"{field} is a part of a register, which can only be written as a whole"
        if field in plan.scales:
            return f"{field} has its scale in {plan.scales[field]}, so it cannot be written"
        bound = _Bound(write, plan, field)
        if write.value is not None:
            try:
                bound.message({})
            except ValueError as error:
                return f"value: {error}"
        return replace(command, how=bound)


def _like(unit: Unit, other: Unit) -> Unit:
    """Return a unit with another one's register options."""
    return replace(
        other,
        unit=unit.unit,
        interval=unit.interval or other.interval,
        timeout=unit.timeout or other.timeout,
        description=unit.description,
        writable=unit.writable,
        actions=unit.actions,
    )
