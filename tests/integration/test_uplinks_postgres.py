"""Readings delivered to PostgreSQL: each once, whatever is killed, and the last of each topic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_uplinks import config, recorded, status, until
from tests.kit.daemon import Daemon, sensord
from tests.kit.postgres import Postgres

LEVELS = """
SELECT "offset", (extract(epoch FROM time) * 1000000)::bigint AS us, value, unit FROM readings
WHERE topic = 'plant/level' AND NOT restated AND quality = 'good'
"""


def uplink(database: Postgres, more: str = "") -> str:
    return f"""
type = "postgres"
url = "{database.url}"
gateway = "works"
interval = "50ms"
start = "oldest"
{more}
"""


def count(database: Postgres) -> int:
    if database.query("SELECT to_regclass('readings')")[0][0] is None:
        return 0
    found: int = database.query("SELECT count(*) FROM readings")[0][0]
    return found


def levels(database: Postgres) -> dict[int, float]:
    return {row["us"]: row["value"] for row in database.query(LEVELS)}


@pytest.mark.timeout(300)
def test_every_reading_is_a_row_once_though_both_sides_are_killed(tmp_path: Path) -> None:
    """The rows are compared with the daemon's own history."""
    with (
        Postgres() as database,
        Daemon(tmp_path, config(tmp_path, uplink(database), interval="5ms")) as daemon,
    ):
        for kills in range(4):
            daemon.wait_for_log("uplink is up")
            before = count(database)
            until(lambda before=before: count(database) > before + 50)  # type: ignore[misc]
            if kills != 1:
                database.kill()
            if kills != 2:
                daemon.kill()
                daemon.start()
            if kills != 1:
                database.start()
        daemon.wait_for_log("uplink is up")
        held = recorded(daemon)
        until(lambda: status(daemon)["behind"] == 0)
        until(lambda: set(levels(database)) >= set(held))
        rows = database.query(LEVELS)
        last = database.query("SELECT * FROM last_values WHERE topic = 'plant/level'")
        assert last_is_newest(database)
    by_time = {row["us"]: row["value"] for row in rows}
    assert len(by_time) == len(rows), "each reading is one row"
    assert {time: by_time.get(time) for time in held} == held
    assert {row["unit"] for row in rows} == {"Cel"}
    assert len(last) == 1
    assert last[0]["gateway"] == "works"


def test_a_rewind_adds_only_the_rows_that_are_missing(tmp_path: Path) -> None:
    """Also where the batch has rows that are there; the last value stays the newest."""
    with (
        Postgres() as database,
        Daemon(tmp_path, config(tmp_path, uplink(database))) as daemon,
    ):
        until(lambda: count(database) > 60)
        removed = database.query('DELETE FROM readings WHERE "offset" % 3 = 1 RETURNING "offset"')
        done = sensord("uplinks", "rewind", "cloud", "--offset", "0", "--url", daemon.url)
        assert done.returncode == 0, done.stderr
        offsets = {row[0] for row in removed}

        def present() -> set[int]:
            return {row[0] for row in database.query('SELECT "offset" FROM readings')}

        until(lambda: present() >= offsets)
        held = recorded(daemon)
        until(lambda: set(levels(database)) >= set(held))
        until(lambda: last_is_newest(database))
        assert status(daemon)["rejected"] == 0


def last_is_newest(database: Postgres) -> bool:
    found = database.query(
        'SELECT l."offset", (SELECT max("offset") FROM readings WHERE topic = \'plant/level\')'
        " FROM last_values l WHERE topic = 'plant/level'"
    )
    return bool(found[0][0] == found[0][1])


def test_a_value_that_the_database_cannot_hold_costs_itself_alone(tmp_path: Path) -> None:
    """A text with a zero byte; the batch is halved until it is found."""
    more = 'clients.topics."plant/note" = { type = "json" }\n'
    with (
        Postgres() as database,
        Daemon(tmp_path, config(tmp_path, uplink(database), more=more)) as daemon,
    ):
        daemon.wait_for_log("uplink is up")
        for note in ('"a\\u0000b"', '{"key": [1, "two"]}', "true"):
            done = sensord("publish", "plant/note", note, "--url", daemon.url)
            assert done.returncode == 0, done.stderr
        assert "topic=plant/note" in daemon.wait_for_log("reading refused by the other side")
        held = recorded(daemon)
        until(lambda: set(levels(database)) >= set(held))
        assert (status(daemon)["state"], status(daemon)["rejected"]) == ("up", 1)
        notes: list[Any] = [
            (row["json"], row["flag"])
            for row in database.query(
                "SELECT json, flag FROM readings WHERE topic = 'plant/note' AND NOT restated"
                " AND quality = 'good' ORDER BY \"offset\""
            )
        ]
    assert notes == [('{"key": [1, "two"]}', None), (None, True)]


def test_a_table_with_a_key_that_has_the_time_is_used_as_it_is(tmp_path: Path) -> None:
    """As TimescaleDB needs it; there need be no table of last values."""
    with Postgres() as database:
        with Daemon(tmp_path, config(tmp_path, uplink(database, 'last_table = ""'))) as daemon:
            until(lambda: count(database) > 10)
            assert daemon.stop()[0] == 0
            database.query("ALTER TABLE readings DROP CONSTRAINT readings_pkey")
            database.query('ALTER TABLE readings ADD PRIMARY KEY (time, epoch, "offset")')
            daemon.start()
            daemon.wait_for_log("uplink is up")
            done = sensord("uplinks", "rewind", "cloud", "--offset", "0", "--url", daemon.url)
            assert done.returncode == 0, done.stderr
            held = recorded(daemon)
            until(lambda: set(levels(database)) >= set(held))
        rows = database.query('SELECT count(*), count(DISTINCT "offset") FROM readings')
        assert rows[0][0] == rows[0][1]
        assert database.query("SELECT to_regclass('last_values')")[0][0] is None
