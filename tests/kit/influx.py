"""Debian's InfluxDB of one's own, on a free port; it stops, is killed and starts again."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.kit.broker import free_port

__all__ = ["Influx"]

START_S = 60.0

CONFIG = """
reporting-enabled = false
bind-address = "127.0.0.1:{inner}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
"""


class Influx:
    """A server with the database ``test``."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("influxd")
        if program is None:
            pytest.skip("influxd is not installed: apt-get install influxdb")
        self._program = program
        self._folder = folder / "influx"
        self._folder.mkdir()
        self.port = free_port()
        self._config = self._folder / "influx.conf"
        text = CONFIG.format(folder=self._folder, port=self.port, inner=free_port())
        self._config.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        self._get("/query", b"", q='CREATE DATABASE "test"')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._process = subprocess.Popen(
            [self._program, "-config", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + START_S
        while True:
            try:
                self._get("/ping")
            except (OSError, urllib.error.URLError):
                assert time.monotonic() < until, "influxd does not answer"
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def points(self) -> list[dict[str, Any]]:
        """Return all points of the measurement ``reading``."""
        text = self._get("/query", q='SELECT * FROM "reading"', db="test", epoch="ns")
        result = json.loads(text)["results"][0]
        if "series" not in result:
            return []
        series = result["series"][0]
        return [dict(zip(series["columns"], row, strict=True)) for row in series["values"]]

    def write(self, lines: bytes) -> None:
        """Write points."""
        self._get("/write", lines, db="test")

    def _get(self, path: str, data: bytes | None = None, **query: str) -> str:
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as answer:
            text: str = answer.read().decode()
            return text
