"""The uplink to PostgreSQL: a table of readings, each once, and one of last values.

Theory of operation. A reading is a row whose key is its epoch and offset. A batch is copied into
the table in one transaction. If a row of it is there already, from before a kill, the batch is
copied beside the table instead, and the rows that are missing are moved. So a repeated batch
changes nothing, in whatever order batches come.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

import asyncpg

from sensord.config.schema import Duration, Printable, Within
from sensord.host.secrets import read_secret
from sensord.model.readings import Level, Position, Record, Value
from sensord.uplinks.context import Context
from sensord.uplinks.destination import Batch, RejectedError, UplinkError
from sensord.uplinks.options import Options

__all__ = ["Config", "Destination", "row_of"]

IS_LIVE_FIRST = True
"""A row carries its time, and a last value is replaced by a later one only."""

COLUMNS = (
    *("epoch", "offset", "gateway", "topic", "time", "logged"),
    *("value", "flag", "text", "json", "quality", "reason", "restated", "device", "unit"),
)

TABLE = """
CREATE TABLE {table} (
    epoch text NOT NULL,
    "offset" bigint NOT NULL,
    gateway text NOT NULL,
    topic text NOT NULL,
    time timestamptz NOT NULL,
    logged timestamptz NOT NULL,
    value double precision,
    flag boolean,
    text text,
    json jsonb,
    quality text NOT NULL,
    reason text,
    restated boolean NOT NULL,
    device text,
    unit text,
    PRIMARY KEY ({key})
)
"""

INDEX = "CREATE INDEX ON {table} (topic, time)"

MOVE = """
INSERT INTO {table} ({columns}) SELECT {columns} FROM pg_temp.sensord_batch ON CONFLICT DO NOTHING
"""

LAST = """
INSERT INTO {last} AS held ({columns})
SELECT DISTINCT ON (gateway, topic) {columns} FROM {table}
WHERE epoch = $1 AND "offset" BETWEEN $2 AND $3
ORDER BY gateway, topic, "offset" DESC
ON CONFLICT (gateway, topic) DO UPDATE SET {set}
WHERE held.epoch = excluded.epoch AND held."offset" < excluded."offset"
    OR held.epoch <> excluded.epoch AND held.logged <= excluded.logged
"""

_START = datetime(1970, 1, 1, tzinfo=UTC)
_LEVELS = ("good", "uncertain", "bad")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?")


@dataclass(frozen=True, slots=True)
class Config(Options):
    """Where the database is."""

    url: Printable = ""
    password_file: Printable = ""
    table: Printable = "readings"
    last_table: Printable = "last_values"
    """Empty for none."""
    gateway: Printable = ""
    """The content of the column of that name; empty for the name of this machine."""
    timeout: Annotated[Duration, Within(0.1, 600)] = 30.0

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what cannot be an address or a table."""
        yield from Options.faults(self)
        parts = urlsplit(self.url)
        if parts.scheme not in {"postgresql", "postgres"}:
            yield "url", 'expected an address, such as "postgresql://user@127.0.0.1:5432/plant"'
        elif parts.password is not None:
            yield "url", "a password does not belong there: use password_file"
        if not _NAME.fullmatch(self.table):
            yield "table", "expected a name, such as readings or plant.readings"
        if self.last_table and not _NAME.fullmatch(self.last_table):
            yield "last_table", "expected a name, such as last_values; empty for no such table"
        elif self.last_table == self.table:
            yield "last_table", "must differ from table"


class Destination:
    """One connection to a database."""

    def __init__(self, context: Context, config: Config) -> None:
        self._config = config
        self._gateway = config.gateway or context.host
        self._connection: Any = None
        columns = ", ".join(_quoted(one) for one in COLUMNS)
        changed = [one for one in COLUMNS if one not in {"gateway", "topic"}]
        setting = ", ".join(f"{_quoted(one)} = excluded.{_quoted(one)}" for one in changed)
        table, last = _quoted(config.table), _quoted(config.last_table)
        self._move = MOVE.format(table=table, columns=columns)
        self._last = LAST.format(table=table, last=last, columns=columns, set=setting)
        self._has_batch_table = False

    @property
    def where(self) -> str:
        """Its address."""
        parts = urlsplit(self._config.url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"

    async def open(self) -> Position | None:
        """Connect, and create the tables that are missing.

        Raises:
            UplinkError: The database cannot be reached, or a table cannot be created.
        """
        config = self._config
        try:
            password = read_secret(config.password_file) if config.password_file else None
            self._connection = await asyncpg.connect(
                config.url,
                password=password,
                timeout=config.timeout,
                command_timeout=config.timeout,
                server_settings={"application_name": "sensord"},
            )
            await self._create(config.table, 'epoch, "offset"', has_index=True)
            if config.last_table:
                await self._create(config.last_table, "gateway, topic", has_index=False)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as exc:
            raise UplinkError(_text(exc)) from exc
        self._has_batch_table = False
        return None

    async def _create(self, name: str, key: str, *, has_index: bool) -> None:
        table = _quoted(name)
        if await self._connection.fetchval("SELECT to_regclass($1)", table) is not None:
            return
        async with self._connection.transaction():
            await self._connection.execute(TABLE.format(table=table, key=key))
            if has_index:
                await self._connection.execute(INDEX.format(table=table))

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def send(self, batch: Batch) -> int:
        """Copy readings into the table; return about how many bytes they were.

        Raises:
            UplinkError: The transaction may or may not be committed.
            RejectedError: A row is refused.
        """
        rows = [row_of(batch.epoch, self._gateway, one) for one in batch.records]
        try:
            try:
                async with self._connection.transaction():
                    await self._copy(self._config.table, rows)
                    await self._keep_last(batch)
            except asyncpg.UniqueViolationError:
                async with self._connection.transaction():
                    await self._merge(rows)
                    await self._keep_last(batch)
        except _REFUSED as exc:
            raise RejectedError(_text(exc)) from exc
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as exc:
            raise UplinkError(_text(exc)) from exc
        return sum(ROW_BYTES + len(row[8] or "") + len(row[9] or "") for row in rows)

    async def _copy(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        schema, _, name = table.rpartition(".")
        await self._connection.copy_records_to_table(
            name, records=rows, columns=COLUMNS, schema_name=schema or None
        )

    async def _merge(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add the rows that the table does not have."""
        if not self._has_batch_table:
            table = _quoted(self._config.table)
            text = f"CREATE TEMP TABLE sensord_batch (LIKE {table}) ON COMMIT DELETE ROWS"
            await self._connection.execute(text)
            self._has_batch_table = True
        await self._copy("pg_temp.sensord_batch", rows)
        await self._connection.execute(self._move)

    async def _keep_last(self, batch: Batch) -> None:
        if self._config.last_table:
            first, last = batch.records[0].offset, batch.records[-1].offset
            await self._connection.execute(self._last, batch.epoch, first, last)


ROW_BYTES = 160
"""What a row takes on the way, but for long values."""

_REFUSED = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.exceptions.ProgramLimitExceededError,
    UnicodeError,
)


def row_of(epoch: str, gateway: str, record: Record) -> tuple[Any, ...]:
    """Return the columns of a reading.

    A bad value is left out, as it is in line protocol. A gap stands under a negative offset: the
    reading behind it has the other.
    """
    offset, log_us, channel, (time_us, value, quality, restates) = record
    metadata = channel.metadata
    if channel.topic.startswith("$gap/"):
        offset = -1 - offset
    held = (None, None, None, None) if quality.level is Level.BAD else _columns(value)
    return (
        epoch,
        offset,
        gateway,
        channel.topic,
        _START + timedelta(microseconds=time_us),
        _START + timedelta(microseconds=log_us),
        *held,
        _LEVELS[quality.level],
        quality.reason or None,
        restates,
        metadata.device or None,
        metadata.unit or None,
    )


def _columns(value: Value) -> tuple[float | None, bool | None, str | None, str | None]:
    """Return a value in the column of its type: value, flag, text or json."""
    match value:
        case None:
            return None, None, None, None
        case bool():
            return None, value, None, None
        case float():
            return value if math.isfinite(value) else None, None, None, None
        case int():
            try:
                number = float(value)
            except OverflowError:
                return None, None, str(value), None
            # A whole number that no float holds is given as it is, too.
            return number, None, None if number == value else str(value), None
        case str():
            return None, None, value, None
        case _:
            return None, None, None, json.dumps(value, ensure_ascii=False)


def _quoted(name: str) -> str:
    return ".".join(f'"{part}"' for part in name.split("."))


def _text(exc: Exception) -> str:
    text = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    return str(text).partition("\n")[0]
