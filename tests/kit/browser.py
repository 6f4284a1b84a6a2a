"""A real browser: Chromium without a window, driven through its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from websockets.sync.client import connect

__all__ = ["Browser", "Page"]

DEADLINE_S = 60.0


class Browser:
    """Chromium with one page at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        program = shutil.which("chromium")
        if program is None:
            pytest.skip("chromium is missing; scripts/test installs it where it may")
        self._process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--user-data-dir={self._folder}",
                "about:blank",
            ],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.startswith("DevTools listening on "):
                self._url = line.split()[-1]
                return self
        pytest.skip("chromium does not start on this machine")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def open(self, url: str) -> Page:
        """Open a page."""
        return Page(self._url, url)


class Page:
    """One page; what it logs as an error fails the test that looks."""

    def __init__(self, devtools: str, url: str) -> None:
        self.errors: list[str] = []
        self._devtools = devtools
        self._url = url
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self._has_loaded = False
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        self._socket = self._closing.enter_context(connect(self._devtools, max_size=None))
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._ask("Runtime.enable")
        self._ask("Page.enable")
        self._ask("Page.navigate", url=self._url)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    def eval(self, expression: str) -> Any:
        """Return what an expression, or its promise, comes to."""
        answer = self._ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str) -> Any:
        """Wait until an expression is true; return what it comes to.

        The page is asked before each of its next frames, so nothing here sleeps.
        """
        return self.eval(
            "new Promise(resolve => { const look = () => {"
            f"let found; try {{ found = ({condition}); }} catch {{}}"
            "if (found) resolve(found); else setTimeout(look, 20); }; look(); })"
        )

    def until_there(self, condition: str) -> None:
        """Wait until an expression is true, on whichever page the browser is led to."""
        while True:
            try:
                self.until(condition)
            except AssertionError as exc:
                if "navigated" not in str(exc) and "context was destroyed" not in str(exc):
                    raise
            else:
                return

    def navigate(self, url: str) -> None:
        """Open another address in it."""
        self._ask("Page.navigate", url=url)

    def before_scripts(self, script: str) -> None:
        """Run a script in each document that is opened from now on, before its own."""
        self._ask("Page.addScriptToEvaluateOnNewDocument", source=script)

    def heap_bytes(self) -> int:
        """Return the size of its heap after a collection."""
        self._ask("HeapProfiler.collectGarbage")
        return int(self._ask("Runtime.getHeapUsage")["usedSize"])

    def press(self, key: str) -> None:
        """Press a key as somebody does: `Tab` or `Enter`."""
        code = {"Tab": 9, "Enter": 13}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            fields = text if kind == "keyDown" else {}
            self._ask(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **fields,
            )

    def drag(self, left: float, right: float, y: float) -> None:
        """Press the mouse at one place, move it to the right, and release it."""
        for kind, x in (("Moved", left), ("Pressed", left), ("Moved", right), ("Released", right)):
            fields = {"button": "left", "buttons": 1, "clickCount": 1}
            self._ask("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **fields)

    def click(self, x: float, y: float) -> None:
        """Click at a place."""
        for kind in ("Moved", "Pressed", "Released"):
            fields = {"button": "left", "clickCount": 1}
            self._ask("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **fields)

    def type(self, letter: str) -> None:
        """Press the key of a letter."""
        for kind in ("keyDown", "keyUp"):
            text = {"text": letter} if kind == "keyDown" else {}
            self._ask("Input.dispatchKeyEvent", type=kind, key=letter, **text)

    def slow(self, times: float) -> None:
        """Give it a processor that is so many times slower."""
        self._ask("Emulation.setCPUThrottlingRate", rate=times)

    def size(self, width: int, height: int, *, is_dark: bool = False) -> None:
        """Give it a window of this size, on a screen that is light or dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])
        self._ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self, file: Path) -> None:
        """Write what it shows to a PNG file."""
        shot = self._ask("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))

    def reload(self) -> None:
        """Load it again, as somebody at it does."""
        self._has_loaded = False
        self._ask("Page.reload")
        while not self._has_loaded:
            self._note(json.loads(self._socket.recv(timeout=DEADLINE_S)))

    def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            told = json.loads(self._socket.recv(timeout=DEADLINE_S))
            if told.get("id") == number:
                assert "error" not in told, told
                result: dict[str, Any] = told["result"]
                return result
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        match told.get("method"):
            case "Page.loadEventFired":
                self._has_loaded = True
            case "Runtime.exceptionThrown":
                details = told["params"]["exceptionDetails"]
                found = details.get("exception", {}).get("description", details["text"])
                self.errors.append(str(found))
            case "Runtime.consoleAPICalled" if told["params"]["type"] == "error":
                self.errors.append(str(told["params"]["args"]))
