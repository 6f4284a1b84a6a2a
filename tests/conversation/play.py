"""The play: its scenes, titled with the points of what was asked for, in their order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.conversation.acting import commands, control
from tests.conversation.asking import audit_of_an_act, presence, requests_that_go_on
from tests.conversation.cast import Cast, gathered
from tests.conversation.restarting import audit_of_all, killed_in_the_middle
from tests.conversation.serving import command_line, microservice
from tests.conversation.show import Show
from tests.conversation.together import messages, publishing_and_shared_state

__all__ = ["SCENES", "play"]

Scene = Callable[[Cast], Awaitable[None]]

SCENES: dict[str, Scene] = {
    "Requests that go on": requests_that_go_on,
    "Commands to devices": commands,
    "Control": control,
    "Audit": audit_of_an_act,
    "Presence": presence,
    "Messages": messages,
    "Publishing and shared state": publishing_and_shared_state,
    "A microservice is a client": microservice,
    "The command line": command_line,
    "The server is killed in the middle": killed_in_the_middle,
    "What the audit says of all this": audit_of_all,
}


async def play(show: Show, folder: Path) -> None:
    """Play all scenes.

    Raises:
        BrokenError: Something was not as promised.
    """
    async with gathered(show, folder) as cast:
        for title, scene in SCENES.items():
            show.scene(title)
            await scene(cast)
        async with show.promise("the page has met no error"):
            assert cast.page.page.errors == [], cast.page.page.errors
    show.end()
