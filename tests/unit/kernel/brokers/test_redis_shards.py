"""A shard of Redis whose slots move to another node while its connections stay open."""

import asyncio
from typing import Any

import pytest
from redis import exceptions

from bellcast.kernel.brokers.redis import SHARDED, RedisTransport, Shard
from bellcast.kernel.errors import Unavailable

LIMIT_SECONDS = 60


class Connection:
    """Confirms commands as Redis does."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[Any] = asyncio.Queue()

    async def read_response(self) -> Any:
        return await self.replies.get()

    def pack_commands(self, commands: Any) -> Any:
        return commands

    async def send_packed_command(self, commands: Any) -> None:
        for name, *args in commands:
            for one in args:
                self.replies.put_nowait([b"pong" if name == b"PING" else name.lower(), one, 0])


class MovedSlots:
    async def execute_command(self, *_: Any) -> Any:
        raise exceptions.MovedError("123 127.0.0.1:7002")


class ClosingConnection:
    def __getattr__(self, _: str) -> Any:
        raise AttributeError("'NoneType' object has no attribute 'writelines'")


@pytest.fixture
async def shard() -> Any:
    shard: Any = Shard(RedisTransport("redis://localhost", "test")._pool(None), SHARDED)
    shard._listening, shard._redis = Connection(), MovedSlots()
    shard._reading = asyncio.create_task(shard._read(lambda _: None))
    yield shard
    shard._reading.cancel()
    await asyncio.gather(shard._reading, return_exceptions=True)


async def test_channel_that_redis_unsubscribes_ends_the_connection(shard: Any) -> None:
    await shard.follow([b"kept", b"moved"])
    await shard.unfollow([b"moved"])
    await shard.fence()
    shard._listening.replies.put_nowait([b"sunsubscribe", b"kept", 0])
    with pytest.raises(Unavailable, match="moved to another node"):
        await asyncio.wait_for(shard.wait_lost(), LIMIT_SECONDS)


async def test_script_on_a_moved_slot_ends_the_connection(shard: Any) -> None:
    with pytest.raises(Unavailable):
        await shard.run_script([b"key"], [])
    with pytest.raises(Unavailable):
        await asyncio.wait_for(shard.wait_lost(), LIMIT_SECONDS)


@pytest.mark.parametrize(
    "command", [lambda shard: shard.ping(writes=False), lambda shard: shard.send([(b"channel", b"message")])]
)
async def test_command_on_a_connection_that_is_being_closed_is_unavailable(shard: Any, command: Any) -> None:
    shard._redis = ClosingConnection()
    with pytest.raises(Unavailable):
        await command(shard)


async def test_failed_connect_leaves_no_shard_that_is_still_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """`close` comes next, and would miss its connection."""
    transport: Any = RedisTransport("redis://localhost", "test")
    may_connect, connected = asyncio.Event(), list[Shard]()

    async def slots() -> list[tuple[str, int]]:
        return [("127.0.0.1", 7001)] * 8192 + [("127.0.0.1", 7002)] * 8192

    async def connect(shard: Shard, _: Any) -> None:
        if shard is transport._shards[0]:
            raise Unavailable("Redis cannot be used.")
        await may_connect.wait()
        connected.append(shard)

    monkeypatch.setattr(transport, "_slots", slots)
    monkeypatch.setattr(Shard, "connect", connect)
    connecting = asyncio.ensure_future(transport.connect(lambda _: None))
    done, _ = await asyncio.wait((connecting,), timeout=0.05)
    may_connect.set()
    with pytest.raises(Unavailable):
        await connecting
    assert (done, connected) == (set(), transport._shards[1:])
