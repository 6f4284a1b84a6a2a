"""The uplink to InfluxDB, VictoriaMetrics, QuestDB or Telegraf: line protocol over HTTP."""

from __future__ import annotations

import asyncio
import base64
import gzip
import http.client
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, TypeVarTuple
from urllib.parse import urlencode, urlsplit

from sensord.config.schema import Duration, Printable, Within
from sensord.host.secrets import read_secret, secret_faults
from sensord.model.readings import Position
from sensord.uplinks.context import Context
from sensord.uplinks.destination import Batch, RejectedError, UplinkError
from sensord.uplinks.line_protocol import lines
from sensord.uplinks.options import Options

__all__ = ["Config", "Destination"]

IS_LIVE_FIRST = True
"""A point carries its time, so the order of arrival does not matter."""

ACCEPTED = {200, 204}
REFUSED = {400, 413, 422}
"""The points themselves are at fault, or too many: smaller parts may be accepted."""

EXCERPT = 300

Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, slots=True)
class Config(Options):
    """Where the database is."""

    url: Printable = ""
    measurement: Printable = "reading"
    database: Printable = ""
    org: Printable = ""
    bucket: Printable = ""
    user: Printable = ""
    password_file: Printable = ""
    token_file: Printable = ""
    ca_file: Printable = ""
    timeout: Annotated[Duration, Within(0.1, 600)] = 10.0

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what cannot be an address, and credentials that do not fit together."""
        yield from Options.faults(self)
        try:
            parts = urlsplit(self.url)
            is_address = parts.scheme in {"http", "https"} and bool(parts.hostname)
            is_address = is_address and (parts.port or 1) > 0
        except ValueError:
            is_address = False
        if not is_address:
            yield "url", 'expected an address, such as "http://127.0.0.1:8086"'
        if self.bucket and self.database:
            yield "bucket", "give bucket (InfluxDB 2) or database (1 and 3), not both"
        if not self.measurement:
            yield "measurement", "expected a name"
        yield from secret_faults(self, "password_file", "token_file")


class Destination:
    """One HTTP connection that is kept open; its requests are made in a thread."""

    def __init__(self, _context: Context, config: Config) -> None:
        self._config = config
        parts = urlsplit(config.url)
        self._parts = parts
        query = {
            "precision": "ns",
            **{key: value for key in ("org", "bucket") if (value := getattr(config, key))},
            **({"db": config.database} if config.database else {}),
        }
        path = parts.path.rstrip("/")
        if not path or path == "/":
            path = "/api/v2/write" if config.bucket else "/write"
        self._path = f"{path}?{urlencode(query)}"
        self._http: http.client.HTTPConnection | None = None
        self._headers: dict[str, str] = {}
        self._thread: ThreadPoolExecutor | None = None

    @property
    def where(self) -> str:
        """Its address."""
        return f"{self._parts.scheme}://{self._parts.netloc.rpartition('@')[2]}{self._parts.path}"

    async def open(self) -> Position | None:
        """Connect.

        Raises:
            UplinkError: It cannot be reached.
        """
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="uplink-influx")
        await self._in_thread(self._connect)
        return None

    async def send(self, batch: Batch) -> int:
        """Write points; return the number of compressed bytes.

        Raises:
            UplinkError: Try again later.
            RejectedError: The points are refused.
        """
        return await self._in_thread(self._post, batch)

    async def close(self) -> None:
        """Disconnect."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.submit(self._disconnect)
            thread.shutdown(wait=False, cancel_futures=False)

    async def _in_thread(self, act: Callable[[*Ts], int], *args: *Ts) -> int:
        assert self._thread is not None, "it is open"
        return await asyncio.get_running_loop().run_in_executor(self._thread, act, *args)

    # -- in the thread -----------------------------------------------------------------------------

    def _connect(self) -> int:
        config, parts = self._config, self._parts
        self._headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
        try:
            if config.token_file:
                self._headers["Authorization"] = f"Token {read_secret(config.token_file)}"
            elif config.user:
                secret = read_secret(config.password_file) if config.password_file else ""
                self._headers["Authorization"] = _basic(config.user, secret)
            if parts.scheme == "https":
                context = ssl.create_default_context(cafile=config.ca_file or None)
                self._http = http.client.HTTPSConnection(
                    str(parts.hostname), parts.port, timeout=config.timeout, context=context
                )
            else:
                self._http = http.client.HTTPConnection(
                    str(parts.hostname), parts.port, timeout=config.timeout
                )
            self._http.connect()
        except OSError as exc:
            raise UplinkError(exc.strerror or str(exc)) from exc
        return 0

    def _disconnect(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def _post(self, batch: Batch) -> int:
        assert self._http is not None, "it is open"
        body = gzip.compress(lines(self._config.measurement, *batch), 1)
        try:
            self._http.request("POST", self._path, body, self._headers)
            answer = self._http.getresponse()
            text = answer.read(65_536).decode("utf-8", "replace").strip()[:EXCERPT]
        except (OSError, http.client.HTTPException) as exc:
            self._http.close()
            raise UplinkError(str(exc) or type(exc).__name__) from exc
        if answer.status in ACCEPTED:
            return len(body)
        if answer.status in REFUSED:
            raise RejectedError(f"{answer.status} {text}")
        if answer.status in {401, 403}:
            raise UplinkError(f"{answer.status}: the credentials are refused; {text}")
        raise UplinkError(f"{answer.status} {text}")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
