"""Who plays: the daemon with its valve, two people in Python, a page and a service."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from sensord.client import Client, Control, SharedState
from tests.conversation.show import Show
from tests.kit.browser import Browser, Page
from tests.kit.cutter import Cutter
from tests.kit.daemon import Daemon, in_thread
from tests.kit.instrument import Instrument
from tests.kit.node import node
from tests.kit.pages import served

__all__ = ["Cast", "Monitor", "NodeService", "Person", "gathered"]

EXAMPLES = Path(__file__).parents[2] / "examples"
CONFIG = Path(__file__).parent / "config.toml"

TOLD = "document.querySelector('#log').innerText"


class Person:
    """A client in Python that may leave and come back."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url
        self._key = ""
        self.is_there = False
        self.client = Client(url)

    async def come(self) -> None:
        """Connect, as whoever it was before."""
        self.client = Client(self._url, name=self.name, key=self._key)
        await self.client.__aenter__()
        self.is_there = True
        self._key = self.client.key

    async def leave(self) -> None:
        """Hang up."""
        if self.is_there:
            self.is_there = False
            await self.client.__aexit__(None, None, None)

    @property
    def id(self) -> str:
        return self.client.id

    @property
    def control(self) -> Control:
        return Control(self.client)

    @property
    def state(self) -> SharedState:
        return SharedState(self.client)


class NodeService:
    """`examples/service.mjs`; what it prints is said as it comes."""

    def __init__(self, show: Show, command: list[str]) -> None:
        self.lines: list[str] = []
        self.id = ""
        self._show = show
        self._command = command
        self._printed = asyncio.Event()
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def come(self) -> None:
        """Start it, and wait until it is ready."""
        self.lines.clear()
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        self._reading = asyncio.create_task(self._read(self._process), name="service.mjs")
        self.id = (await self.printed("ready as ")).split()[-1]

    async def printed(self, text: str) -> str:
        """Wait for a line that contains ``text``; return it."""
        while True:
            for line in self.lines:
                if text in line:
                    return line
            self._printed.clear()
            await self._printed.wait()

    async def ended(self) -> int:
        """Wait until it has ended by itself; return the exit status."""
        assert self._process is not None
        assert self._reading is not None
        await self._reading
        return await self._process.wait()

    async def kill(self) -> None:
        """End it in the middle of whatever it does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self.ended()

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            self.lines.append(raw.decode().rstrip())
            self._show.say("service", self.lines[-1])
            self._printed.set()


class Monitor:
    """`examples/monitor.html` in Chromium; what it says is told when somebody looks."""

    def __init__(self, show: Show, page: Page) -> None:
        self.page = page
        self._show = show
        self._told = 0

    async def until(self, condition: str) -> str:
        """Wait until an expression is true in the page; return what it comes to."""
        return str(await in_thread(self.page.until, condition))

    async def ready(self) -> None:
        """Wait until it has connected."""
        await self.until("document.body.dataset.ready")

    async def shows(self, topic: str, value: str = "") -> str:
        """Wait until it shows this value of a topic, or any; return that."""
        cell = f"({row_of(topic)}).cells[1].innerText"
        return await self.until(f"{cell} === {value!r} && {cell}" if value else cell)

    async def told(self, text: str) -> None:
        """Wait until something new in its list of events has ``text``; say what is new."""
        lines = f"{TOLD}.trim().split('\\n').slice({self._told})"
        found = await self.until(f"{lines}.some(line => line.includes({text!r})) && {TOLD}")
        new = found.strip().splitlines()[self._told :]
        for line in new:
            self._show.say("page", line)
        self._told += len(new)

    async def do(self, script: str) -> None:
        """Do what somebody at the page does."""
        await in_thread(self.page.eval, script)

    async def reload(self) -> None:
        """Load it again, and wait until it has connected."""
        self._told = 0
        await in_thread(self.page.reload)
        await self.ready()


def row_of(topic: str) -> str:
    """Return the expression that finds a topic's row in the page."""
    rows = "[...document.querySelectorAll('tbody tr')]"
    return f"{rows}.find(row => row.cells[0].innerText === '{topic}')"


class Cast:
    """Everybody, and what they play on."""

    def __init__(
        self,
        show: Show,
        daemon: Daemon,
        cutter: Cutter,
        valve: Instrument,
        browser: Browser,
        service: NodeService,
        pages: str,
    ) -> None:
        self.show = show
        self.daemon, self.cutter, self.valve = daemon, cutter, valve
        self.operator = Person("operator", cutter.url)  # whose connection can be cut
        self.rival = Person("rival", daemon.url)
        self.service = service
        self.outcomes: dict[str, str] = {}
        """By the keys of commands, what their callers were told."""
        self._browser = browser
        self._pages = pages
        self._closing = ExitStack()
        self._page: Monitor | None = None

    @property
    def page(self) -> Monitor:
        assert self._page is not None
        return self._page

    async def open_page(self) -> None:
        """Open the page in Chromium."""
        address = f"{self._pages}/monitor.html?url={self.daemon.url}/v1"
        page = self._browser.open(address)
        self._page = Monitor(self.show, await in_thread(self._closing.enter_context, page))
        await self._page.ready()

    async def leave(self) -> None:
        """Have everybody go."""
        await self.service.kill()
        self._closing.close()
        for person in (self.operator, self.rival):
            await person.leave()


@asynccontextmanager
async def gathered(show: Show, folder: Path) -> AsyncIterator[Cast]:
    """Start what they play on, and have the operator and the rival connect."""
    command = [*node(), str(EXAMPLES / "service.mjs")]
    with (
        Browser(folder / "chromium") as browser,
        Instrument(folder / "valve", lambda _: None) as valve,
        served(EXAMPLES) as pages,
        Daemon(folder, CONFIG.read_text().format(folder=folder, pages=pages)) as daemon,
    ):
        service = NodeService(show, [*command, f"{daemon.url}/v1", str(folder / "service-key")])
        async with Cutter(lambda: daemon.address) as cutter:
            cast = Cast(show, daemon, cutter, valve, browser, service, pages)
            try:
                await cast.operator.come()
                await cast.rival.come()
                yield cast
            finally:
                await cast.leave()
