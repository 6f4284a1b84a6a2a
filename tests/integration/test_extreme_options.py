"""A daemon starts and stops with every option of its own at either end of what is accepted."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from sensord.config.schema import Within
from sensord.config.tree import Clients, Control, Memory, Server
from sensord.log.journal import Options
from tests.kit.daemon import Daemon

TABLES = {
    "server": Server,
    "clients": Clients,
    "control": Control,
    "log": Memory,
    "journal": Options,
}


def ends(table: str) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest value of each option of a table that has both."""
    hints = typing.get_type_hints(TABLES[table], include_extras=True)
    found = {}
    for name, hint in hints.items():
        notes = [note for note in typing.get_args(hint) if isinstance(note, Within)]
        if notes:
            found[name] = (notes[0].low, notes[0].high)
    return found


@pytest.mark.parametrize("end", [0, 1], ids=["lowest", "highest"])
def test_a_daemon_runs_with_its_options_at_an_end(tmp_path: Path, end: int) -> None:
    """`outbox = "1000GiB"` raised where the socket was made."""
    lines = [f'journal.folder = "{tmp_path / "journal"}"']
    for table in TABLES:
        for name, pair in ends(table).items():
            if name == "min_free":
                continue  # no disk has 16 TiB free: a stop that cannot commit ends with an error
            value = pair[end]
            lines.append(f"{table}.{name} = {int(value) if value == int(value) else value}")
    with Daemon(tmp_path, "\n".join(lines)) as daemon:
        status, _ = daemon.stop()
    assert status == 0
    assert not [line for line in daemon.log if "Traceback" in line]
