"""A Redis that hangs, with its sockets open: the lost connection is detected, and restored once Redis responds again."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio import ConnectionPool

from bellcast.kernel.brokers import redis
from bellcast.kernel.brokers.redis import PLAIN, RedisTransport, Shard
from bellcast.kernel.brokers.remote import RemoteBroker
from bellcast.kernel.clock import SystemClock
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import Event, LiveEvent, topic_stream
from bellcast.live.types import AnyEvent
from tests import engines
from tests.contract.kernel.test_broker import wait_until

LIMIT_SECONDS = 60
SHORT = 0.5  # seconds
# More than the buffers of a local socket: a write of this size waits until Redis reads.
LARGE = 16_000_000
STREAMS = [topic_stream("", f"{number:080}") for number in range(60_000)]


@pytest.fixture
def own_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.RedisServer]:
    monkeypatch.setattr("bellcast.kernel.brokers.redis.COMMAND_TIMEOUT", SHORT)
    server = engines.RedisServer()
    server.start()
    yield server
    server.end()


@contextlib.contextmanager
def frozen(server: engines.RedisServer) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


async def test_redis_that_hangs_during_many_subscriptions_is_noticed(own_redis: engines.RedisServer) -> None:
    received: list[Event] = []
    transport = RedisTransport(own_redis.url, "test")
    broker = RemoteBroker(transport, SystemClock(), AnyEvent)
    broker.listen(received.append)
    await broker.open()
    with frozen(own_redis):
        for stream in STREAMS:
            broker.follow(stream)
        subscribing = listening_transport(transport)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(broker.wait_followed(STREAMS[-1:]), LIMIT_SECONDS)
    await wait_until(lambda: not unsent(subscribing))  # it is closed then
    other = RemoteBroker(RedisTransport(own_redis.url, "test"), SystemClock(), AnyEvent)
    await other.open()
    event = LiveEvent("", "n", 1, topic=f"{59_999:080}")

    async def publish_until_received() -> None:
        while not received:
            await other.publish(event)
            await asyncio.sleep(0.05)

    await asyncio.wait_for(publish_until_received(), LIMIT_SECONDS)
    assert received[0] == event
    await broker.close()
    await other.close()


async def test_subscriptions_that_are_confirmed_slowly_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """All three take longer than the time limit, as 60,000 do on a busy machine, and each less."""
    monkeypatch.setattr("bellcast.kernel.brokers.redis.COMMAND_TIMEOUT", 1.0)
    ended = asyncio.Event()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if b"SUBSCRIBE" not in data:
                writer.write(b"+OK\r\n" * data.count(b"*"))  # commands of a new connection
                continue
            for number, channel in enumerate((b"a", b"b", b"c"), 1):
                await asyncio.sleep(0.4)
                writer.write(b"*3\r\n$9\r\nsubscribe\r\n$1\r\n%s\r\n:%d\r\n" % (channel, number))
        writer.close()
        await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(respond, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    shard = Shard(ConnectionPool.from_url(f"redis://127.0.0.1:{port}"), PLAIN)
    await shard.connect(lambda _: None)
    await asyncio.wait_for(shard.follow([b"a", b"b", b"c"]), LIMIT_SECONDS)
    await shard.close()
    server.close()
    await asyncio.wait_for(ended.wait(), LIMIT_SECONDS)


async def test_connections_to_a_redis_that_hangs_are_closed_with_unsent_commands(
    own_redis: engines.RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "SCRIPT", "return 1")
    shard = Shard(ConnectionPool.from_url(own_redis.url, socket_connect_timeout=SHORT, socket_timeout=SHORT), PLAIN)
    await shard.connect(lambda message: None)
    await shard.run_script([b"key"], [])  # its connection is in the pool
    with frozen(own_redis):
        appending = asyncio.ensure_future(shard.run_script([b"key"], [b"x" * LARGE]))
        await wait_until(lambda: any(map(unsent, transports(shard))))
        closing = transports(shard)
        await shard.close()
        with pytest.raises(Unavailable):
            await asyncio.wait_for(appending, LIMIT_SECONDS)
    await wait_until(lambda: not any(map(unsent, closing)))  # they are closed then


def listening_transport(transport: RedisTransport) -> asyncio.Transport:
    (shard,) = transport._shards
    writer: asyncio.StreamWriter = shard._listening._writer
    return writer.transport


def transports(shard: Shard) -> list[asyncio.Transport]:
    pool: Any = shard._pool
    return [one._writer.transport for one in pool._in_use_connections if one.is_connected]


def unsent(transport: asyncio.Transport) -> int:
    return transport.get_write_buffer_size()
