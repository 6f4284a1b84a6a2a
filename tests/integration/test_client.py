"""The Python client against a server of the same process, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgpack
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

import sensord.client.client
from sensord.client import Client, ClientError, Update
from sensord.client.client import OUTBOX
from sensord.client.inflow import QUEUE
from sensord.errors import ProtocolError
from sensord.model.readings import Position
from sensord.server.shared import Limits
from sensord.wire.ops.session import Ping
from tests.kit.broker import free_port
from tests.kit.follower import Follower
from tests.kit.loops import on_each_loop
from tests.kit.station import EPOCH, Station

each_encoding = pytest.mark.parametrize("encoding", ["msgpack", "json"])


# -- following -------------------------------------------------------------------------------------


@on_each_loop
@each_encoding
async def test_readings_arrive_with_all_that_is_known_of_them(encoding: str) -> None:
    """Topic, value, times; first the last values, marked as such."""
    async with Station() as station:
        station.publish("plant/a", 1.5, time_us=1_763_829_000_000_000)
        async with Client(station.url, name="test", encoding=encoding) as client:
            assert client.server.epoch == EPOCH
            followed = Follower(client.subscribe("plant/#"))
            await followed.live()
            station.publish("plant/a", 2.5, time_us=1_763_829_001_000_000)
            await followed.value(2.5)
    first, second = followed.updates
    assert (first.topic, first.reading.time_us, first.reading.value) == (
        "plant/a",
        1_763_829_000_000_000,
        1.5,
    )
    assert first.is_last_value
    assert not second.is_last_value
    assert followed.phases[-1] == "live"


@on_each_loop
async def test_an_interrupted_iteration_goes_on_where_it_stopped() -> None:
    """Many readings come in one frame; leaving the loop amid one loses none of them."""
    async with Station() as station, Client(station.url) as client:
        subscription = client.subscribe("plant/#", start=Position(EPOCH, 0))
        station.publish("plant/a", *(float(i) for i in range(100)))
        seen: list[Any] = []
        while len(seen) < 100:
            async for item in subscription:
                if isinstance(item, Update):
                    seen.append(item.reading.value)
                    break
    assert seen == [float(i) for i in range(100)]


@pytest.mark.parametrize("asks", [True, False], ids=["asks", "iterates"])
@on_each_loop
async def test_a_subscription_that_nobody_reads_holds_up_no_other(asks: bool) -> None:
    """It falls behind, and goes on where it was when it is read again: all of it, once."""
    count = 3 * QUEUE
    async with Station() as station, Client(station.url) as client:
        left = client.subscribe("plant/a", start=Position(EPOCH, 0))
        station.publish("plant/a", -1.0)
        async for item in left:
            if isinstance(item, Update):
                break
        other = Follower(client.subscribe("plant/b", start="now"))
        await other.live()
        for number in range(count):
            station.publish("plant/a", float(number))
            station.publish("plant/b", float(number))
            if asks:
                await client.ping()
            await other.value(float(number))
        assert len(left._arrived) <= QUEUE
        again = Follower(left)
        await again.value(float(count - 1))
        station.publish("plant/a", -2.0)
        await again.value(-2.0)
        assert again.values == [*(float(number) for number in range(count)), -2.0]
        client.unsubscribe(left)
        await client.ping()
        (session,) = station.server._sessions
        assert len(session.ongoing) == 1


@on_each_loop
async def test_a_replay_that_nobody_reads_holds_up_no_other() -> None:
    """And unsubscribing ends it at the server, too."""
    async with Station() as station, Client(station.url) as client:
        station.publish("plant/a", *(float(number) for number in range(10_000)))
        replay = client.replay("plant/a", start=Position(EPOCH, 0), speed=1e9)
        first = Follower(replay)
        await first.value(0.0)
        other = Follower(client.subscribe("plant/b", start="now"))
        await other.live()
        for number in range(3 * QUEUE):
            station.publish("plant/b", float(number))
            await other.value(float(number))
        await first.value(9_999.0)
        assert first.values == [float(number) for number in range(10_000)]
        held = client.replay("plant/a", start=Position(EPOCH, 0), paused=True)
        await client.ping()
        client.unsubscribe(held)
        await client.ping()
        (session,) = station.server._sessions
        assert len(session.ongoing) == 1


@on_each_loop
async def test_a_replay_that_ends_while_nobody_reads_it_loses_nothing() -> None:
    """Its end is not that of what was dropped."""
    async with Station() as station, Client(station.url) as client:
        count = 3 * QUEUE
        for number in range(count):
            station.publish("plant/a", float(number))
        other = client.subscribe("plant/b", start="now")
        # A frame for each: they were not logged at one time.
        replay = client.replay("plant/a", start=Position(EPOCH, 0), speed=1.0)
        while len(replay._arrived) < QUEUE and not replay.is_over:
            await client.ping()
        for _ in range(20):
            await client.ping()
        seen = [i.reading.value async for i in replay if isinstance(i, Update)]
        assert seen == [float(number) for number in range(count)]
        client.unsubscribe(other)


@on_each_loop
async def test_seeking_moves_a_replay_that_nobody_reads() -> None:
    """What had come before is read first, and then what was sought."""
    async with Station() as station, Client(station.url) as client:
        for number in range(1000):
            station.publish("plant/a", float(number))
        client.subscribe("plant/b", start="now")
        replay = client.replay("plant/a", start=Position(EPOCH, 0), paused=True)
        for _ in range(QUEUE + 10):
            await replay.step(1)
            await client.ping()
        await replay.seek(Position(EPOCH, 900))
        await replay.go(1e9)
        seen = [int(str(i.reading.value)[:-2]) async for i in replay if isinstance(i, Update)]
        assert seen[-100:] == list(range(900, 1000))
        assert seen[:-100] == list(range(len(seen) - 100))
        assert len(seen) < 300


@on_each_loop
async def test_many_requests_may_wait_for_a_server_that_is_away() -> None:
    """Beside subscriptions; one more is its caller's error, and all are sent when it is back."""
    async with Station() as station, Client(station.url) as client:
        followed = [Follower(client.subscribe(f"plant/{n}", start="now")) for n in range(10)]
        for one in followed:
            await one.live()
        address = station.address
        await station.stop()
        await client_is_cut(client)
        pings = [asyncio.ensure_future(client.ping()) for _ in range(OUTBOX - 4)]
        await asyncio.sleep(0)
        with pytest.raises(ClientError, match="wait to be sent"):
            send_for_ever(client)
        await station.start(address)
        assert all(await asyncio.gather(*pings))
        station.publish("plant/3", 1.0)
        await followed[3].value(1.0)


def send_for_ever(client: Client) -> None:
    while True:
        client.send(Ping(client.number()))


async def client_is_cut(client: Client) -> None:
    """Wait until a client knows that its connection is lost."""
    while True:
        try:
            await asyncio.wait_for(client.ping(), 0.05)
        except (ClientError, TimeoutError):
            return


@on_each_loop
async def test_subscriptions_of_one_client_are_independent() -> None:
    """Also if they select the same."""
    async with Station() as station, Client(station.url) as client:
        one = Follower(client.subscribe("plant/#", start="now"))
        same = Follower(client.subscribe("plant/#", start="now"))
        part = Follower(client.subscribe("plant/b", start="now"))
        for each in (one, same, part):
            await each.live()
        station.publish("plant/a", 1.5)
        station.publish("plant/b", 2.5)
        for each in (one, same, part):
            await each.value(2.5)
    assert one.values == same.values == [1.5, 2.5]
    assert part.values == [2.5]


@on_each_loop
async def test_options_reach_the_server() -> None:
    """A period, a deadband, a mode, a start."""
    async with Station() as station, Client(station.url) as client:
        station.publish("plant/a", 1.0)
        at_us = station.bus.now_us()
        station.publish("plant/a", 2.0)
        since = Follower(client.subscribe("plant/#", start=at_us))
        ago = Follower(client.subscribe("plant/#", start="-1h"))
        coarse = Follower(client.subscribe("plant/#", deadband=5.0, start="now"))
        seldom = Follower(client.subscribe("plant/#", period_s=0.1, mode="latest", start="now"))
        for each in (since, ago, coarse, seldom):
            await each.live()
        station.publish("plant/a", 3.0, 4.0, 9.0)
        for each in (since, ago, coarse, seldom):
            await each.value(9.0)
    assert since.values == [2.0, 3.0, 4.0, 9.0]
    assert ago.values == [1.0, 2.0, 3.0, 4.0, 9.0]
    assert coarse.values == [3.0, 9.0]
    assert seldom.values == [9.0]


@on_each_loop
async def test_unsubscribing_ends_the_iteration() -> None:
    """After what has arrived; another subscription goes on; doing it twice does nothing."""
    async with Station() as station, Client(station.url) as client:
        subscription, other = client.subscribe("plant/#"), client.subscribe("plant/#")
        followed, following = Follower(subscription), Follower(other)
        station.publish("plant/a", 1.5)
        await followed.value(1.5)
        client.unsubscribe(subscription)
        client.unsubscribe(subscription)
        assert [item async for item in subscription if isinstance(item, Update)] == []
        station.publish("plant/a", 2.5)
        await following.value(2.5)
        await client.ping()
        assert len(station.server.shared.groups) == 1


@on_each_loop
async def test_a_refused_subscription_says_why() -> None:
    """Where it is iterated; others are not harmed."""
    async with Station() as station, Client(station.url) as client:
        good = Follower(client.subscribe("plant/#"))
        with pytest.raises(ProtocolError, match="no level may be empty") as caught:
            await Follower(client.subscribe("a//b")).live()
        assert caught.value.code == "bad_request"
        station.publish("plant/a", 1.5)
        await good.value(1.5)


@on_each_loop
async def test_leaving_the_client_ends_its_subscriptions() -> None:
    """A task that iterates elsewhere is not left waiting for ever; nor is one that has asked."""
    async with Station() as station:
        async with Client(station.url) as client:
            subscription = client.subscribe("plant/#")

            async def follow() -> list[Any]:
                return [item async for item in subscription]

            following = asyncio.ensure_future(follow())
            await client.ping()
            asking = asyncio.ensure_future(client.ping())
            await asyncio.sleep(0)
        await following
        with pytest.raises(ClientError):
            await asking


# -- asking ----------------------------------------------------------------------------------------


@on_each_loop
@each_encoding
async def test_get_returns_the_last_values(encoding: str) -> None:
    """One for each channel that has one."""
    async with Station() as station, Client(station.url, encoding=encoding) as client:
        station.publish("plant/a", 1.5, 2.5)
        station.publish("plant/b", 3.5)
        station.publish("other", 4.5)
        values = {update.topic: update.reading.value for update in await client.get("plant/#")}
        assert values == {"plant/a": 2.5, "plant/b": 3.5}
        assert await client.get("nowhere") == []
        several = await asyncio.gather(*(client.get("plant/a", "other") for _ in range(20)))
        assert [[u.reading.value for u in each] for each in several] == [[2.5, 4.5]] * 20


@on_each_loop
async def test_a_wrong_get_is_refused() -> None:
    """With the server's own words."""
    async with Station() as station, Client(station.url) as client:
        with pytest.raises(ProtocolError, match="bad_request"):
            await client.get("a//b")
        assert await client.get("a") == []


@on_each_loop
async def test_ping_returns_the_servers_clock() -> None:
    """In microseconds."""
    async with Station() as station, Client(station.url) as client:
        before = station.bus.now_us()
        assert before <= await client.ping() <= station.bus.now_us()


@on_each_loop
async def test_a_slow_reader_may_ask_as_well() -> None:
    """Its full queue does not stand in the way of an answer that it waits for itself."""
    async with Station() as station, Client(station.url) as client:
        subscription = client.subscribe("plant/#", start="now", max_latency_s=0.001)
        followed = Follower(subscription)
        await followed.live()
        while len(subscription._arrived) < QUEUE:
            station.publish("plant/a", 1.5)
            await asyncio.sleep(0)
        for _ in range(5):
            station.publish("plant/a", 2.5)
            [last] = await client.get("plant/a")
            assert last.reading.value == 2.5
        await followed.value(2.5)


# -- losing the connection -------------------------------------------------------------------------


def cut(station: Station) -> None:
    """Break every connection without a word."""
    for connection in tuple(station.server._connections):
        connection.abort()


@on_each_loop
@each_encoding
@pytest.mark.parametrize("way", ["restart", "cut"])
async def test_no_reading_is_lost_or_doubled_by_lost_connections(
    encoding: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times while readings are published, and what was published while it was away."""
    monkeypatch.setattr(sensord.client.client, "LONGEST_PAUSE_S", 0.1)
    async with Station() as station, Client(station.url, encoding=encoding) as client:
        followed = Follower(client.subscribe("plant/#", max_latency_s=0.001))
        await followed.live()
        published = 0
        for _ in range(10):
            for _ in range(5):
                for _ in range(20):
                    station.publish("plant/a", published + 0.5)
                    published += 1
                await asyncio.sleep(0)
            if way == "restart":
                await station.restart()
            else:
                cut(station)
            station.publish("plant/a", published + 0.5)
            published += 1
            # Not until it has all: the connection is lost at any moment, also amid catching up.
            await followed.count(published - 40)
        await followed.count(published)
    assert followed.values == [i + 0.5 for i in range(published)]
    assert followed.gaps == []


@on_each_loop
async def test_a_request_is_refused_when_the_connection_is_lost_before_its_answer() -> None:
    """Nobody waits for ever."""
    async with silent_server() as url, Client(url) as client:
        asking = asyncio.ensure_future(client.ping())
        with pytest.raises(ClientError, match="the connection was lost"):
            await asking


@on_each_loop
async def test_a_request_made_while_the_server_is_away_is_answered_when_it_is_back() -> None:
    """It is not forgotten with the connection of before."""
    async with Station() as station, Client(station.url) as client:
        followed = Follower(client.subscribe("plant/#"))
        await followed.live()
        address = station.address
        await station.stop()
        assert client._socket is not None
        await client._socket.wait_closed()
        asking = [
            asyncio.ensure_future(client.ping()),
            asyncio.ensure_future(client.get("plant/#")),
        ]
        later = Follower(client.subscribe("plant/#"))
        await asyncio.sleep(0)
        await station.start(address)
        station.publish("plant/a", 1.5)
        await asyncio.gather(*asking)
        await followed.value(1.5)
        await later.value(1.5)


@on_each_loop
async def test_unsubscribing_while_the_server_is_away_counts() -> None:
    """The subscription is not opened again."""
    async with Station() as station, Client(station.url) as client:
        gone, stays = client.subscribe("plant/#"), Follower(client.subscribe("other/#"))
        await stays.live()
        address = station.address
        await station.stop()
        client.unsubscribe(gone)
        await station.start(address)
        station.publish("other/a", 1.5)
        await stays.value(1.5)
        assert len(station.server.shared.groups) == 1


@on_each_loop
async def test_a_slow_reader_gets_everything_and_costs_little() -> None:
    """It stops the socket, the server lags for it, and its queue stays short."""
    limits = replace(Limits(), outbox_bytes=32_768)
    async with (
        Station(limits) as station,
        Client(station.url) as client,
        Client(station.url) as quick,
    ):
        subscription = client.subscribe("plant/#", start="now", max_latency_s=0.001)
        slow = Follower(subscription)
        await slow.live()
        published = 0
        while not any(connection.is_congested for connection in station.server._connections):
            for _ in range(100):
                station.publish("plant/a", published + 0.5)
                published += 1
            await quick.ping()
        assert published < 65_536  # all of it is still in the ring
        assert len(subscription._arrived) == QUEUE
        await slow.value(published - 0.5)
    assert slow.values == [i + 0.5 for i in range(published)]
    assert slow.gaps == []


# -- servers that will not -------------------------------------------------------------------------


@on_each_loop
async def test_nobody_listens() -> None:
    """Said in one line with the address."""
    url = f"ws://127.0.0.1:{free_port()}"
    with pytest.raises(ClientError, match=f"^cannot connect to {url}: nothing listens"):
        async with Client(url):
            pass


@on_each_loop
@pytest.mark.parametrize("url", ["http://x", "nonsense", "ws://"])
async def test_no_address_at_all(url: str) -> None:
    """Said as well, not raised as what the library makes of it."""
    with pytest.raises(ClientError, match="cannot connect to"):
        async with Client(url):
            pass


@on_each_loop
async def test_a_path_where_there_is_nothing() -> None:
    """The server's refusal is passed on."""
    async with Station() as station:
        with pytest.raises(ClientError, match="No WebSocket at /elsewhere; connect to"):
            async with Client(f"{station.url}/elsewhere"):
                pass


Talk = Callable[[ServerConnection], Awaitable[None]]

HELLO = {"op": "result", "id": 1, "server": "made up", "epoch": "e", "offset": 0, "time_us": 0}


@asynccontextmanager
async def made_up(talk: Talk) -> AsyncIterator[str]:
    """Run a server that says what the test wants it to; yield its URL."""
    subprotocols = [Subprotocol("sensord.v1.msgpack"), Subprotocol("sensord.v1.json")]
    async with serve(talk, "127.0.0.1", 0, subprotocols=subprotocols) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Run a server that says hello and takes one request, then cuts the connection."""

    async def talk(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(msgpack.packb(HELLO))
        await socket.recv()
        socket.transport.abort()

    async with made_up(talk) as url:
        yield url


async def say_hello(socket: ServerConnection) -> None:
    await socket.recv()
    await socket.send(json.dumps(HELLO))


@on_each_loop
@pytest.mark.parametrize("code", [1002, 1003, 1007, 1008, 1009, 4201, 4202, 4299])
async def test_where_it_is_not_wanted_the_client_does_not_come_back(code: int) -> None:
    """Whoever follows or asks learns why; so does who comes later."""
    visits = 0

    async def talk(socket: ServerConnection) -> None:
        nonlocal visits
        visits += 1
        await say_hello(socket)
        await socket.recv()
        await socket.close(code, "mend yourself")

    async with made_up(talk) as url, Client(url, encoding="json") as client:
        followed = Follower(client.subscribe("#"))
        with pytest.raises(ClientError, match=f"will not have this client: .*{code}.*mend"):
            await followed.live()
        with pytest.raises(ClientError, match="will not have this client"):
            await client.ping()
        with pytest.raises(ClientError, match="will not have this client"):
            await Follower(client.subscribe("#")).live()
    assert visits == 1


@on_each_loop
@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000, 4001, 4002, 4050, 4999])
async def test_after_other_closings_the_client_comes_back(code: int) -> None:
    """And subscribes again."""
    subscribed: list[Any] = []

    async def talk(socket: ServerConnection) -> None:
        await say_hello(socket)
        subscribed.append(json.loads(await socket.recv()))
        if len(subscribed) < 3:
            await socket.close(code)
        else:
            await socket.send(
                '{"op": "stream", "id": 2, "stream": 1, "phase": "live", "cursor": 0}'
            )
            await socket.wait_closed()

    async with made_up(talk) as url, Client(url, encoding="json") as client:
        await Follower(client.subscribe("plant/#")).live()
    assert [message["topics"] for message in subscribed] == [["plant/#"]] * 3


@on_each_loop
async def test_a_busy_server_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only at first: each time that it sends the client away."""
    monkeypatch.setattr(sensord.client.client, "BUSY_PAUSE_S", 0.3)
    monkeypatch.setattr(sensord.client.client, "FIRST_PAUSE_S", 0.001)
    visits: list[float] = []
    loop = asyncio.get_running_loop()

    async def talk(socket: ServerConnection) -> None:
        visits.append(loop.time())
        if len(visits) in {2, 3}:
            await socket.close(4101, "too many sessions")
            return
        await say_hello(socket)
        await socket.recv()
        if len(visits) == 1:
            await socket.close(4101, "too many sessions")
            return
        await socket.send('{"op": "stream", "id": 2, "stream": 1, "phase": "live", "cursor": 0}')
        await socket.wait_closed()

    async with made_up(talk) as url, Client(url, encoding="json") as client:
        await Follower(client.subscribe("plant/#")).live()
    waits = [after - before for before, after in pairwise(visits)]
    assert len(waits) == 3
    assert min(waits) >= 0.29


@on_each_loop
@pytest.mark.parametrize(
    "answer",
    [
        "no JSON",
        "[]",
        "7",
        '{"op": "result"}',
        '{"op": "error", "id": 1, "code": "internal", "message": "sorry"}',
        '{"op": "stream"}',
    ],
)
async def test_what_does_not_answer_hello_is_no_server(answer: str) -> None:
    """It is said, and no socket is left open."""
    ended = asyncio.Event()

    async def talk(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(answer)
        await socket.wait_closed()
        ended.set()

    async with made_up(talk) as url:
        with pytest.raises(ClientError, match="cannot connect to"):
            async with Client(url, encoding="json"):
                pass
        await ended.wait()


@on_each_loop
@pytest.mark.parametrize(
    "nonsense",
    [
        "no JSON",
        "[1, 2]",
        "7",
        '{"op": "stream"}',
        '{"op": "channels", "channels": 5}',
        "[1,2,3,[9,0,1]]",
    ],
)
async def test_a_server_that_talks_nonsense_is_left_and_tried_again(nonsense: str) -> None:
    """Perhaps its successor knows better; meanwhile nothing is raised anywhere."""
    visits = 0

    async def talk(socket: ServerConnection) -> None:
        nonlocal visits
        visits += 1
        await say_hello(socket)
        await socket.recv()
        if visits == 1:
            await socket.send(nonsense)
        else:
            await socket.send('{"op": "news", "of": "a newer server"}')
            await socket.send(
                '{"op": "stream", "id": 2, "stream": 1, "phase": "live", "cursor": 0}'
            )
        await socket.wait_closed()

    async with made_up(talk) as url, Client(url, encoding="json") as client:
        await Follower(client.subscribe("plant/#")).live()
    assert visits == 2
