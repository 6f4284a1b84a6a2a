"""The examples do what they say, in a real browser and in Node."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conversation.cast import EXAMPLES, row_of
from tests.conversation.play import SCENES, play
from tests.conversation.show import BrokenError, Show
from tests.kit.browser import Browser
from tests.kit.daemon import Daemon
from tests.kit.fakeport import FakePort
from tests.kit.node import node
from tests.kit.pages import served

SERVICE = str(EXAMPLES / "service.mjs")

PLANT = """
    [clients.topics."derived/#"]
    [devices.boiler]
    reader = "simulated"
    interval = "20ms"
    topic = "plant/boiler/{field}"
    signals.temperature = { low = 60, high = 70 }
"""


@pytest.mark.slow
def test_an_operator_a_page_and_a_service_work_together(tmp_path: Path) -> None:
    """All three patterns, each seen by those whom it concerns, and all of it audited."""
    show = Show(print)  # pytest shows it where it fails
    asyncio.run(play(show, tmp_path))
    assert show.lines[-1] == f"{len(SCENES)} scenes, all as promised"
    assert any("set plant/heating/setpoint held (rival)" in line for line in show.lines)


def test_the_show_names_a_promise_that_is_broken() -> None:
    """With the scene, and what was not so."""

    async def scene(show: Show) -> None:
        show.scene("Numbers")
        async with show.promise("two is three"):
            raise ValueError("they differ")

    with pytest.raises(
        BrokenError, match=r"in '1\. Numbers': two is three\n  they differ, at test_ex"
    ):
        asyncio.run(scene(Show(lambda _: None)))


@contextmanager
def service(url: str, key_file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the service until the block ends."""
    with subprocess.Popen(
        [*node(), SERVICE, f"{url}/v1", str(key_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_the_page_says_which_values_are_bad(tmp_path: Path) -> None:
    """In words, for who cannot tell the colours apart."""
    port = tmp_path / "scale"
    scale = f"""
    [devices.scale]
    reader = "serial"
    port = "{port}"
    decoder = "number"
    topic = "plant/scale/{{field}}"
    """
    with (
        FakePort(port) as fake,
        served(EXAMPLES) as pages,
        Daemon(tmp_path, f'server.origins = ["{pages}"]\n{scale}') as daemon,
        Browser(tmp_path / "chromium") as browser,
        browser.open(f"{pages}/monitor.html?url={daemon.url}/v1") as page,
    ):
        page.until("document.body.dataset.ready")
        daemon.wait_for_log("device is up")
        fake.feed(b"21.5\n")
        page.until(f"{row_of('plant/scale/value')}?.cells[1].innerText === '21.5'")
        fake.unplug()
        page.until(f"{row_of('plant/scale/value')}.cells[1].innerText === '21.5 bad'")


def line(process: subprocess.Popen[str], beginning: str) -> str:
    """Return the next line of a service, which begins so; past what it tells of the past."""
    assert process.stdout is not None
    for text in process.stdout:
        if ", mean " not in text:
            assert text.startswith(beginning)
            return text.rstrip()
    raise AssertionError("it has ended")


def test_the_service_survives_its_own_restart(tmp_path: Path) -> None:
    """With its key it is the same client, so what it published is still its own."""
    with Daemon(tmp_path, PLANT) as daemon:
        with service(daemon.url, tmp_path / "key") as process:
            ready = line(process, "ready as ")
        assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
        with service(daemon.url, tmp_path / "key") as process:
            assert line(process, "ready as ") == ready
            with service(daemon.url, tmp_path / "key") as other:
                assert line(other, "ready as ") == ready
                assert line(process, "another one with the key in ")
                assert process.wait() == 1


def test_a_second_service_says_why_it_may_not(tmp_path: Path) -> None:
    """In one line, and ends."""
    with (
        Daemon(tmp_path, PLANT) as daemon,
        service(daemon.url, tmp_path / "key") as first,
        service(daemon.url, tmp_path / "other") as second,
    ):
        line(first, "ready as ")
        told, _ = second.communicate()
        assert told == "already: mean is taken by mean service\n"
        assert second.returncode == 1


def test_a_service_that_reaches_nobody_says_so(tmp_path: Path) -> None:
    """In one line: no daemon, or one that goes away."""
    with service("ws://127.0.0.1:1", tmp_path / "key") as process:
        told, _ = process.communicate()
        assert told == "cannot connect to ws://127.0.0.1:1/v1: is sensord there?\n"
    with Daemon(tmp_path, PLANT) as daemon, service(daemon.url, tmp_path / "key") as process:
        line(process, "ready as ")
        daemon.stop()
        assert line(process, "the connection is over")
        assert process.wait() == 1


def test_on_a_node_without_websocket_the_service_names_the_option(tmp_path: Path) -> None:
    """Instead of an error of JavaScript's."""
    if shutil.which("node") is None:
        pytest.skip("node is missing; scripts/test installs it where it may")
    if subprocess.call(["node", "-e", "WebSocket"], stderr=subprocess.DEVNULL) == 0:
        pytest.skip("this Node has WebSocket")
    done = subprocess.run(
        ["node", SERVICE], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (1, "Node 20 needs --experimental-websocket\n")
