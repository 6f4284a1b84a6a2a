"""What a session may not read, it cannot infer from errors, hints and refusals either."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from sensord.access.gate import Gate
from sensord.access.rights import NOTHING, Rights
from sensord.access.token_file import TokenFile
from sensord.access.tokens import make_token
from sensord.device.calls import Target
from tests.kit.loops import on_each_loop
from tests.kit.monitor import monitor
from tests.kit.station import EPOCH, Station

ADMIN = Rights(admin=True)
NO_TARGET = cast("Target", None)
"""What is declared here is never called."""


class Tokens:
    """Tokens by their rights, and the gate that knows them."""

    def __init__(self, folder: Path, *rights: Rights) -> None:
        file = TokenFile(folder / "tokens.json")
        made = [make_token(str(number), one, 1) for number, one in enumerate(rights)]
        with file.changing() as kept:
            kept |= {token.id: token for _, token in made}
        self.texts = [text for text, _ in made]
        self.gate = Gate(file.path, NOTHING, NOTHING)


@on_each_loop
async def test_a_hint_names_no_topic_or_action_that_may_not_be_used(tmp_path: Path) -> None:
    """A mistyped name was answered with the nearest of all names, whoever may know them."""
    own = Rights(write=("+/light", "plant/#"), call=("plant/#",))
    tokens = Tokens(tmp_path, own, ADMIN)
    async with Station(gate=tokens.gate) as station:
        control = station.server.shared.control
        for calls in (control.sets, control.calls):
            calls.register("planthouse/secret", NO_TARGET)
            calls.register("plant/lamp", NO_TARGET)
        for text, is_shown in zip(tokens.texts, (False, True), strict=True):
            async with monitor(station.url, says_hello=False) as client:
                await client.ask("hello", client="c", ephemeral=True, token=text)
                for op, key in (("set", "topic"), ("call", "name")):
                    more = {"value": 1} if op == "set" else {}
                    answer = await client.ask(op, **{key: "plant/house/secret"}, **more)
                    assert answer["code"] == "not_found"
                    assert ("planthouse" in answer["message"]) is is_shown
                    answer = await client.ask(op, **{key: "plant/lamb"}, **more)
                    assert "did you mean plant/lamp?" in answer["message"]


@on_each_loop
async def test_a_conflict_shows_no_version_of_what_may_not_be_read(tmp_path: Path) -> None:
    """A version is the time of the last change: its text was in the error all the same."""
    tokens = Tokens(tmp_path, Rights(write=("state/#",)), ADMIN)
    async with Station(gate=tokens.gate) as station:
        async with monitor(station.url, says_hello=False) as admin:
            await admin.ask("hello", client="a", ephemeral=True, token=tokens.texts[1])
            version = (await admin.ask("put", topic="state/secret", value=1))["version"]
            present = await admin.ask("put", topic="state/secret", value=2, version=1)
            assert present["present"]["version"] == version
        async with monitor(station.url, says_hello=False) as client:
            await client.ask("hello", client="c", ephemeral=True, token=tokens.texts[0])
            for op in ("put", "delete"):
                more = {"value": 2} if op == "put" else {}
                answer = await client.ask(op, topic="state/secret", version=1, **more)
                assert answer["code"] == "conflict"
                assert str(version) not in str(answer)


@on_each_loop
async def test_only_an_admin_reloads_the_configuration(tmp_path: Path) -> None:
    """Its answer quotes lines of the file; a right to call everything was enough."""
    tokens = Tokens(tmp_path, Rights(call=("#",)), ADMIN)
    async with Station(gate=tokens.gate) as station:
        for text, code in zip(tokens.texts, ("forbidden", "not_found"), strict=True):
            async with monitor(station.url, says_hello=False) as client:
                await client.ask("hello", client="c", ephemeral=True, token=text)
                assert (await client.ask("call", name="reload"))["code"] == code


@on_each_loop
async def test_a_gap_counts_only_what_may_be_read(tmp_path: Path) -> None:
    """Thousands of lost readings of other topics do not show; nor does their number elsewhere."""
    tokens = Tokens(tmp_path, Rights(read=("a/#",)))
    async with Station(gate=tokens.gate, ring=2048) as station:
        station.publish("a/x", *(float(i) for i in range(5)))
        station.publish("secret/b", *(float(i) for i in range(3000)))
        station.publish("a/x", 5.0)
        async with monitor(station.url, says_hello=False) as client:
            await client.ask("hello", client="c", ephemeral=True, token=tokens.texts[0])
            start = {"from": {"epoch": EPOCH, "offset": 0}}
            for op, more in (("subscribe", {}), ("history", {}), ("history", {"interval": 3600.0})):
                answer = await client.ask(op, topics=["#"], **start, **more)
                story = client.story_of(answer["id"])
                await client.until(lambda story=story: bool(story.gaps))  # type: ignore[misc]
                (gap,) = story.gaps
                assert (gap["count"], gap["lost"]) == (5, {"a/x": 5})
                if op == "subscribe":
                    await client.ask("cancel", request=answer["id"])
            assert {channel["topic"] for channel in client.channels.values()} == {"a/x"}
