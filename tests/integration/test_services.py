"""Services through the real wire: offered by one client, called by another, gone and back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Asked, Client, ClientError, CommandError, Control, RejectedError, Update
from sensord.config.tree import Clients
from sensord.control.services import MOST_OPEN
from sensord.errors import ProtocolError
from sensord.model.readings import Value
from tests.kit.cutter import Cutter
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.follower import Follower
from tests.kit.loops import on_each_loop
from tests.kit.station import Station

BOTH = pytest.mark.parametrize("encoding", ["msgpack", "json"])


async def mean(asked: Asked) -> Value:
    """Return the mean of some numbers, or fail as the arguments say."""
    match asked.args.get("numbers"):
        case []:
            raise RejectedError("send at least one number", "no_numbers")
        case [*numbers]:
            return sum(n for n in numbers if isinstance(n, int)) / len(numbers)
        case "large":
            return "x" * 100_000
        case "strange":
            return object()  # type: ignore[return-value]  # what a careless program does
        case _:
            raise ValueError("no list\n")


async def failure(caller: Client, name: str, **args: Value) -> tuple[str, str, bool]:
    """Call a service that fails; return how."""
    with pytest.raises(CommandError) as caught:
        await Control(caller).call(name, args)
    return caught.value.reason, caught.value.message, caught.value.may_have_acted


@BOTH
@on_each_loop
async def test_a_client_calls_what_another_offers(encoding: str) -> None:
    """Whatever the function does, the caller is told, and the service goes on."""
    async with (
        Station() as station,
        Client(station.url, name="mean", encoding=encoding) as offering,
        Client(station.url, name="panel") as caller,
        offering.serve("mean", mean),
    ):
        assert await Control(caller).call("mean", {"numbers": [2, 3]}) == 2.5
        assert await failure(caller, "mean", numbers=[]) == (
            "no_numbers",
            "send at least one number",
            False,
        )
        assert await failure(caller, "mean") == ("failed", "ValueError: no list ", True)
        assert (await failure(caller, "mean", numbers="large"))[1] == "the answer is too large"
        assert "cannot be sent" in (await failure(caller, "mean", numbers="strange"))[1]
        assert await Control(caller).call("mean", {"numbers": [4]}) == 4


@BOTH
@on_each_loop
async def test_many_calls_run_side_by_side(encoding: str) -> None:
    """The first may be answered last; a service may call another one meanwhile."""
    all_there = asyncio.Barrier(20)

    async def meet(asked: Asked) -> Value:
        await all_there.wait()
        return await Control(offering).call("mean", {"numbers": [asked.args["n"]]})

    async with (
        Station() as station,
        Client(station.url, name="both", encoding=encoding) as offering,
        Client(station.url, name="panel", encoding=encoding) as caller,
        offering.serve("mean", mean),
        offering.serve("meet", meet),
    ):
        calls = [Control(caller).call("meet", {"n": n}) for n in range(20)]
        assert await asyncio.gather(*calls) == list(range(20))


@on_each_loop
async def test_a_caller_is_told_when_the_service_goes_away() -> None:
    """By its program, or with its connection; the name is free then."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_asked: Asked) -> Value:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return None

    async with Station() as station, Client(station.url) as caller:
        for by_program in (True, False):
            begun.clear()
            cancelled.clear()
            async with Client(station.url) as offering:
                service = offering.serve("wait", wait)
                async with service:
                    told = asyncio.create_task(failure(caller, "wait"))
                    await begun.wait()
                    if not by_program:
                        await offering.__aexit__(None, None, None)
                assert cancelled.is_set()
                assert (await told)[::2] == ("unknown", True)
                await service.wait()
            with pytest.raises(ProtocolError, match="not_found"):
                await Control(caller).call("wait")


@on_each_loop
async def test_an_act_is_not_repeated_long_after_its_connection_was_lost() -> None:
    """It fails meanwhile, as does one that was never sent, and the service is called once."""
    began: list[Value] = []
    has_begun = asyncio.Event()

    async def wait(asked: Asked) -> Value:
        began.append(asked.args["n"])
        has_begun.set()
        await asyncio.Event().wait()
        return None

    async with (
        Station() as station,
        Cutter(lambda: station.address) as cutter,
        Client(cutter.url) as caller,
        Client(station.url) as offering,
        offering.serve("wait", wait),
    ):
        caller.repeat_s = 0.1
        acts = asyncio.gather(
            Control(caller).call("wait", {"n": 1}),
            Control(caller).calling("wait", {"n": 2}).arrived(),
            return_exceptions=True,
        )
        while len(began) < 2:
            has_begun.clear()
            await has_begun.wait()
        cutter.is_refusing = True
        cutter.cut("reset")
        for fault in await acts:
            assert isinstance(fault, CommandError)
            assert fault.reason == "unknown"
            assert fault.may_have_acted
        with pytest.raises(ClientError, match=r"no connection for 0.1 s; the command was not"):
            await Control(caller).call("wait", {"n": 3})
        cutter.is_refusing = False
        await caller.connected()
        await caller.ping()
    assert sorted(began, key=str) == [1, 2]


@on_each_loop
async def test_a_call_that_takes_too_long_is_cancelled() -> None:
    """And its caller is told that nobody knows."""
    cancelled = asyncio.Event()

    async def wait(_asked: Asked) -> Value:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return None

    async with (
        Station() as station,
        Client(station.url) as offering,
        Client(station.url) as caller,
        offering.serve("wait", wait, timeout_s=0.05),
    ):
        assert (await failure(caller, "wait"))[::2] == ("unconfirmed", True)
        await cancelled.wait()


def services(update: Update) -> dict[str, Any]:
    """Return what is offered."""
    assert isinstance(update.reading.value, dict)
    return update.reading.value


@BOTH
@on_each_loop
async def test_a_service_is_offered_again_after_a_restart(encoding: str) -> None:
    """Of the server; and refused to whoever comes later."""
    async with (
        Station() as station,
        Client(station.url, name="mean", encoding=encoding) as offering,
        Client(station.url, name="panel") as caller,
        offering.serve("mean", mean, description="of numbers"),
    ):
        seen = Follower(caller.subscribe("$sys/services"))
        first = await seen.update(lambda update: "mean" in services(update))
        told = services(first)["mean"]
        assert (told["id"], told["description"]) == (offering.id, "of numbers")
        await station.restart()
        await seen.update(
            lambda update: services(update).get("mean", told)["since_us"] > told["since_us"]
        )
        assert await Control(caller).call("mean", {"numbers": [1, 2]}) == 1.5
        with pytest.raises(ProtocolError, match="already"):
            async with caller.serve("mean", mean):
                pass


async def rows(asked: Asked) -> Value:
    """Tell numbers one by one, then how many."""
    count = asked.args["count"]
    assert isinstance(count, int)
    for number in range(count):
        assert await asked.part(number) == 1
    return count


@BOTH
@on_each_loop
async def test_an_answer_in_parts_is_iterated_over(encoding: str) -> None:
    """However many they are, with the value at the end; `call` takes that alone."""
    async with (
        Station() as station,
        Client(station.url, encoding=encoding) as offering,
        Client(station.url, encoding=encoding) as caller,
        offering.serve("rows", rows),
    ):
        calling = Control(caller).calling("rows", {"count": 300})
        with pytest.raises(RuntimeError, match="not over"):
            _ = calling.value
        assert [(part.number, part.value) async for part in calling] == [
            (number, number) for number in range(300)
        ]
        assert calling.value == 300
        assert await Control(caller).call("rows", {"count": 3}) == 3


@on_each_loop
async def test_a_part_that_cannot_be_sent_is_the_programs_error() -> None:
    """One that is too large, or no value; the service and its connection go on."""
    errors: list[str] = []

    async def careless(asked: Asked) -> Value:
        for value in ("x" * 100_000, object()):
            with pytest.raises(TypeError) as caught:
                await asked.part(value)  # type: ignore[arg-type]  # what a careless program does
            errors.append(str(caught.value))
        return await asked.part(1)

    async with (
        Station() as station,
        Client(station.url) as offering,
        Client(station.url) as caller,
        offering.serve("careless", careless),
    ):
        assert await Control(caller).call("careless") == 1
    assert [error.split(":")[0] for error in errors] == [
        "the part is too large; send it in several",
        "it cannot be sent",
    ]


@on_each_loop
async def test_every_call_of_a_busy_service_may_tell_parts() -> None:
    """As many as may be under way, each waiting for its caller; other requests have room, too."""
    all_there = asyncio.Barrier(MOST_OPEN)

    async def work(asked: Asked) -> Value:
        await all_there.wait()
        return sum([await asked.part(number) for number in range(3)])

    async with (
        Station() as station,
        Client(station.url) as offering,
        Client(station.url) as one,
        Client(station.url) as other,
        offering.serve("work", work),
    ):
        calls = [
            Control(one if number % 2 else other).call("work", {"n": number})
            for number in range(MOST_OPEN)
        ]
        assert await asyncio.gather(*calls) == [3] * MOST_OPEN


@on_each_loop
async def test_a_call_that_is_left_goes_on_without_its_caller() -> None:
    """And the service is told that nobody waits."""
    left, seen = asyncio.Event(), asyncio.Queue[int]()

    async def work(asked: Asked) -> Value:
        await asked.part("begun")
        await left.wait()
        await seen.put(await asked.part("nobody hears"))
        return None

    async with (
        Station() as station,
        Client(station.url) as offering,
        Client(station.url) as caller,
        offering.serve("work", work),
    ):
        async for part in Control(caller).calling("work"):
            assert part.value == "begun"
            break
        await caller.ping()
        left.set()
        assert await seen.get() == 0


@on_each_loop
async def test_a_call_in_parts_goes_on_after_a_lost_connection(tmp_path: Path) -> None:
    """It is the same call; the numbers of the parts say what was missed."""
    cut, told, back = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(asked: Asked) -> Value:
        await asked.part("before")
        await cut.wait()
        while await asked.part("meanwhile"):
            pass  # the server has not noticed yet
        told.set()
        await back.wait()
        assert await asked.part("after") == 1
        return asked.caller_name

    async with (
        Station(clients=Clients(), folder=tmp_path) as station,
        Client(station.url) as offering,
        offering.serve("work", work),
        Cutter(lambda: station.address) as cutter,
        Client(cutter.url, name="panel") as caller,
    ):
        calling = Control(caller).calling("work")
        parts = aiter(calling)
        assert (await anext(parts)).value == "before"
        cutter.is_refusing = True
        cutter.cut("reset")
        cut.set()
        await told.wait()
        cutter.is_refusing = False
        await caller.ping()
        back.set()
        (last,) = [part async for part in parts]
        assert (last.number > 1, last.value) == (True, "after")
        assert calling.value == "panel"


@on_uvloop()
async def test_a_service_is_called_from_the_command_line(tmp_path: Path) -> None:
    """Like a device's action; and what was offered before a restart is not offered after it."""
    config = f'[journal]\nfolder = "{tmp_path / "journal"}"\n'
    with Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as offering, offering.serve("mean", mean):
            seen = Follower(offering.subscribe("$sys/services"))
            arguments = ("call", "mean", "numbers=[2, 3]", "--url", daemon.url)
            done = await in_thread(lambda: sensord(*arguments))
            assert (done.returncode, done.stdout) == (0, "2.5\n")
            await seen.update(lambda update: update.topic == "$sys/services")
            await in_thread(daemon.stop)
        await in_thread(daemon.start)
        async with Client(daemon.url) as caller:
            (update,) = await caller.get("$sys/services")
            assert update.reading.value == {}
            with pytest.raises(ProtocolError, match="not_found"):
                await Control(caller).call("mean")
