"""Redis pub/sub as the way between processes: one channel a stream. On a cluster each channel lives on the shard of its
slot, and only that one carries it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from bellcast.brokers.remote import Message
from bellcast.brokers.shards import COMMAND_TIMEOUT, PLAIN, SHARDED, Shard
from bellcast.errors import Unavailable
from bellcast.model.events import Stream

SLOTS = 16_384
Address = tuple[str, int]


class RedisTransport:
    """A Carrier over one Redis, or over the shards of a cluster."""

    def __init__(self, url: str, project: str) -> None:
        self._prefix = f"bellcast:{project}:"
        # The relay reconnects. In RESP2 messages arrive in the same form on every server version.
        options: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "protocol": 2, "client_name": "bellcast"}
        options |= {"socket_connect_timeout": COMMAND_TIMEOUT, "socket_timeout": COMMAND_TIMEOUT}
        self._seed = ConnectionPool.from_url(url, **options)
        self._slots_known: list[Address] = []  # of the cluster, as it was last seen
        self._shards: list[Shard] = []
        self._owners: list[int] | None = None  # the shard of each slot; None: there is one, of all

    async def connect(self, hear: Callable[[bytes], None]) -> None:
        """Connect, and pass received messages to `hear`."""
        slots = await self._slots()
        if slots is None:
            self._owners, self._shards = None, [Shard(self._pool(None), PLAIN)]
        else:
            self._slots_known = sorted(set(slots))
            self._owners = [self._slots_known.index(address) for address in slots]
            self._shards = [Shard(self._pool(address), SHARDED) for address in self._slots_known]
        await asyncio.gather(*(shard.connect(hear) for shard in self._shards))

    async def _slots(self) -> list[Address] | None:
        """Return the node of each slot, or None without a cluster. Any previously known node may respond."""
        wrong: Exception | None = None
        for address in (None, *self._slots_known):
            redis: Any = Redis(connection_pool=self._pool(address))
            try:
                if not (await redis.info("cluster")).get("cluster_enabled"):
                    return None
                return _by_slot(await redis.execute_command("CLUSTER", "SLOTS"), address or self._seed_address)
            except (exceptions.RedisError, OSError) as failure:
                wrong = failure
            finally:
                await redis.aclose()
                await redis.connection_pool.disconnect()
        raise Unavailable(f"Redis cannot be used: {wrong}.") from wrong

    @property
    def _seed_address(self) -> Address:
        named = self._seed.connection_kwargs
        return named.get("host", "localhost"), named.get("port", 6379)

    def _pool(self, address: Address | None) -> ConnectionPool:
        there = {} if address is None else {"host": address[0], "port": address[1]}
        return ConnectionPool(self._seed.connection_class, **{**self._seed.connection_kwargs, **there})

    async def follow(self, streams: Sequence[Stream]) -> None:
        """Subscribe to these streams. Returns once Redis has confirmed all of them."""
        parts = self._by_shard([(self._channel(stream), b"") for stream in streams])
        await asyncio.gather(*(shard.follow([channel for channel, _ in those]) for shard, those in parts))

    async def unfollow(self, streams: Sequence[Stream]) -> None:
        """Unsubscribe from these streams."""
        parts = self._by_shard([(self._channel(stream), b"") for stream in streams])
        await asyncio.gather(*(shard.unfollow([channel for channel, _ in those]) for shard, those in parts))

    async def send(self, messages: Sequence[Message]) -> None:
        """Send in one round trip to each shard."""
        parts = self._by_shard([(self._channel(stream), message) for stream, message in messages])
        await asyncio.gather(*(shard.send(those) for shard, those in parts))

    def _by_shard(
        self, messages: Sequence[tuple[bytes, bytes]]
    ) -> Iterator[tuple[Shard, Sequence[tuple[bytes, bytes]]]]:
        """Group items by shard, in order."""
        if not self._shards:
            raise Unavailable("Redis was lost.")
        if self._owners is None:
            return iter([(self._shards[0], messages)])
        parts: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for message in messages:
            parts[self._owners[key_slot(message[0])]].append(message)
        return ((self._shards[number], those) for number, those in parts.items())

    async def wait_lost(self) -> None:
        """Raise when the connection of a shard is lost or does not respond."""
        watching = [asyncio.ensure_future(shard.wait_lost()) for shard in self._shards]
        try:
            await asyncio.gather(*watching)
        finally:
            for one in watching:
                one.cancel()

    async def ping(self) -> None:
        """Raise unless every shard responds."""
        if not self._shards:
            raise Unavailable("Redis was lost.")
        await asyncio.gather(*(shard.ping() for shard in self._shards))

    async def close(self) -> None:
        """Let the connections go."""
        shards, self._shards = self._shards, []
        await asyncio.gather(*(shard.close() for shard in shards))

    def _channel(self, stream: Stream) -> bytes:
        return (self._prefix + stream).encode()


def _by_slot(ranges: Sequence[Any], asked: Address) -> list[Address]:
    """Map each slot to its master's address, from CLUSTER SLOTS. An empty host is the node that was queried."""
    found: list[Address | None] = [None] * SLOTS
    for first, last, master, *_ in ranges:
        address = (master[0].decode() if master[0] else asked[0], master[1])
        found[first : last + 1] = [address] * (last + 1 - first)
    owned = [address for address in found if address is not None]
    if len(owned) < SLOTS:
        raise Unavailable("The Redis cluster does not serve all of its slots.")
    return owned
