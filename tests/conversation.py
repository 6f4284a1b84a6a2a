"""The whole conversation: an operator in Python, a page in Chromium and a service in Node.

    python -m tests.conversation

runs it against `sensord demo` and prints what each of the three saw.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sensord.client import Client, CommandError, Control, Row, SharedState, Update
from sensord.errors import ProtocolError
from tests.kit.browser import Browser, Page
from tests.kit.follower import Follower
from tests.kit.node import node
from tests.kit.pages import served

EXAMPLES = Path(__file__).parents[1] / "examples"
SENSORD = [sys.executable, "-m", "sensord"]

BOILER = "plant/boiler/temperature"
SETPOINT = "plant/heating/setpoint"

Say = Callable[[str, str], None]


@contextmanager
def demo() -> Iterator[str]:
    """Run `sensord demo` on a free port; give its address."""
    command = [*SENSORD, "demo", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("listening on "):
                    yield line.split()[2].rstrip(";")
                    return
            raise AssertionError("the demo did not start")
        finally:
            process.terminate()


@contextmanager
def service(url: str, key_file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the service in Node until the block ends."""
    command = [*node(), str(EXAMPLES / "service.mjs"), f"{url}/v1", str(key_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert printed(process).startswith("ready as ")
            yield process
        finally:
            process.kill()


def printed(process: subprocess.Popen[str]) -> str:
    """Return the next line of the service that tells no mean of the past."""
    assert process.stdout is not None
    return next(text.strip() for text in process.stdout if ", mean " not in text)


async def converse(url: str, page: Page, served_by: subprocess.Popen[str], say: Say) -> None:
    """Be the operator, and have the other two do their part."""
    async with Client(url, name="operator") as client, Client(url, name="rival") as rival:
        control, state = Control(client), SharedState(client)

        # The server tells.
        derived = Follower(client.subscribe(f"derived/{BOILER}"))
        await derived.count(2)
        update = derived.updates[-1]
        say("operator", f"{update.topic} is {update.reading.value}, published by the service")
        say("page", f"shows {cell(page, BOILER, 1)} degrees, before that {cell(page, BOILER, 3)}")

        # The client asks.
        rows = [row.fields["name"] async for row in client.clients() if isinstance(row, Row)]
        say("operator", f"there are: {', '.join(sorted(rows))}")
        mean = await control.call("mean", {"topic": BOILER})
        say("operator", f"called the service: the mean is {mean}")
        say("service", printed(served_by))

        # Commands and control.
        await control.take("heating")
        say("operator", f"holds the heating; it is set to {await control.set(SETPOINT, 22)}")
        page.until(f"({row_of(SETPOINT)}).cells[1].innerText === '22'")
        say("page", f"shows the setpoint {cell(page, SETPOINT, 1)}")
        try:
            await Control(rival).set(SETPOINT, 9)
        except (ProtocolError, CommandError) as exc:
            say("rival", f"may not: {exc}")
        await control.give_back("heating")

        # Clients work together.
        inbox = aiter(client.messages())
        sending = client.send_to({"text": "how are you?"}, group="operators")
        mail = await anext(inbox)
        say("operator", f"{mail.sender_name} says {json.dumps(mail.body)}")
        say("service", printed(served_by))
        receipts = {receipt.client: receipt.status async for receipt in sending}
        say("operator", f"the message was {' and '.join(sorted(receipts.values()))}")
        page.until("document.querySelector('#told').innerText.includes('how are you?')")
        alarms = Follower(client.subscribe("state/alarms/#", start="now"))
        await alarms.live()
        page.eval(f"({row_of(BOILER)}).querySelector('button').click()")
        acknowledged = await alarms.update(lambda _: True)
        say("operator", f"{acknowledged.topic} was acknowledged by {by(acknowledged)}")
        first = await state.get(acknowledged.topic)
        assert first is not None
        await state.put(acknowledged.topic, "mended", first.version)
        try:
            await SharedState(rival).put(acknowledged.topic, "ignored", first.version)
        except ProtocolError as exc:
            say("rival", f"lost no update: {exc}")

        # One of them goes away.
        services = Follower(client.subscribe("$sys/services"))
        served_by.kill()
        await services.update(lambda update: update.reading.value == {})
        try:
            await control.call("mean", {})
        except ProtocolError as exc:
            say("operator", f"the service is gone: {exc}")
        for line in str(page.eval("document.querySelector('#told').innerText")).splitlines():
            say("page", line)
        acts = [i async for i in client.history("$audit/#", start="-10m") if isinstance(i, Update)]
        for act in acts:
            told = act.reading.value
            assert isinstance(told, dict)
            who = told["who"]
            assert isinstance(who, dict)
            say("audit", f"{act.topic[7:]} {told['subject']} {told['result']} ({who['name']})")


def row_of(topic: str) -> str:
    """Return the expression that finds a topic's row in the page."""
    return (
        "[...document.querySelectorAll('tbody tr')]"
        f".find(row => row.cells[0].innerText === '{topic}')"
    )


def cell(page: Page, topic: str, number: int) -> str:
    """Return what the page shows of a topic, once it shows something."""
    return str(page.until(f"({row_of(topic)}).cells[{number}].innerText"))


def by(update: Update) -> str:
    """Return the name of the client that wrote shared state."""
    value = update.reading.value
    assert isinstance(value, dict)
    who = value["by"]
    assert isinstance(who, dict)
    return str(who["name"])


def main(say: Say) -> None:
    """Run it."""
    with ExitStack() as stack:
        url = stack.enter_context(demo())
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        mean = stack.enter_context(service(url, Path(profile) / "key"))
        pages = stack.enter_context(served(EXAMPLES))
        browser = stack.enter_context(Browser(Path(profile)))
        page = stack.enter_context(browser.open(f"{pages}/monitor.html?url={url}/v1"))
        page.until("document.body.dataset.ready")
        asyncio.run(converse(url, page, mean, say))
        assert page.errors == []


if __name__ == "__main__":
    main(lambda who, what: print(f"{who:>9}: {what}"))  # noqa: T201  # it is a program
