"""Redis pub/sub as the transport between processes: one channel per stream. On a cluster, each channel belongs to the
shard of its slot."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot

from bellcast.kernel.brokers.remote import PubSubMessage
from bellcast.kernel.brokers.shards import COMMAND_TIMEOUT, PLAIN, SHARDED, Shard
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.events import SEPARATOR, Stream

SLOTS = 16_384
Address = tuple[str, int]


class RedisTransport:
    """A PubSubTransport over one Redis, or over the shards of a cluster."""

    def __init__(self, url: str, project: str) -> None:
        self._prefix = f"bellcast:{project}:"
        # RemoteBroker reconnects. RESP2 messages have the same format on every server version.
        options: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "protocol": 2, "client_name": "bellcast"}
        options |= {"socket_connect_timeout": COMMAND_TIMEOUT, "socket_timeout": COMMAND_TIMEOUT}
        self._seed = ConnectionPool.from_url(url, **options)
        self._nodes: list[Address] = []  # the cluster's nodes when last connected
        self._shards: list[Shard] = []
        self._owners: list[int] | None = None  # index of each slot's shard; None without a cluster
        self.has_log = False  # a log publishes stored events

    async def connect(self, on_message: Callable[[bytes], None]) -> None:
        """Connect, and pass received messages to `on_message`."""
        slots = await self._slots()
        if slots is None:
            self._owners, self._shards = None, [Shard(self._pool(None), PLAIN)]
        else:
            self._nodes = sorted(set(slots))
            self._owners = [self._nodes.index(address) for address in slots]
            self._shards = [Shard(self._pool(address), SHARDED) for address in self._nodes]
        results = await asyncio.gather(*(shard.connect(on_message) for shard in self._shards), return_exceptions=True)
        for result in results:  # raised after all of them, so that `close` closes every connection
            if isinstance(result, BaseException):
                raise result

    async def _slots(self) -> list[Address] | None:
        """Return the node of each slot, or None without a cluster. Any previously known node may respond."""
        last_error: Exception | None = None
        for address in (None, *self._nodes):
            redis: Any = Redis(connection_pool=self._pool(address))
            try:
                if not (await redis.info("cluster")).get("cluster_enabled"):
                    return None
                kwargs = self._seed.connection_kwargs
                seed = kwargs.get("host", "localhost"), kwargs.get("port", 6379)
                return _by_slot(await redis.execute_command("CLUSTER", "SLOTS"), address or seed)
            except (exceptions.RedisError, OSError) as failure:
                last_error = failure
            finally:
                await redis.aclose()
                await redis.connection_pool.disconnect()
        raise Unavailable.of("Redis", last_error or TimeoutError()) from last_error

    def _pool(self, address: Address | None) -> ConnectionPool:
        target = {} if address is None else {"host": address[0], "port": address[1]}
        return ConnectionPool(self._seed.connection_class, **{**self._seed.connection_kwargs, **target})

    async def follow(self, streams: Sequence[Stream]) -> None:
        """Subscribe to these streams. Returns once Redis has confirmed every subscription."""
        parts = self._by_shard(self._channels(streams))
        await asyncio.gather(*(shard.follow([channel for channel, _ in items]) for shard, items in parts))

    async def unfollow(self, streams: Sequence[Stream]) -> None:
        """Unsubscribe from these streams."""
        parts = self._by_shard(self._channels(streams))
        await asyncio.gather(*(shard.unfollow([channel for channel, _ in items]) for shard, items in parts))

    async def send(self, messages: Sequence[PubSubMessage]) -> None:
        """Send in one round trip to each shard."""
        parts = self._by_shard([(self._channel(stream), message) for stream, message in messages])
        await asyncio.gather(*(shard.send(items) for shard, items in parts))

    def _by_shard(
        self, messages: Sequence[tuple[bytes, bytes]]
    ) -> Iterator[tuple[Shard, Sequence[tuple[bytes, bytes]]]]:
        """Group items by shard, in order."""
        if not self._shards:
            raise Unavailable("The connection to Redis was lost.")
        if self._owners is None:
            return iter([(self._shards[0], messages)])
        parts: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
        for message in messages:
            parts[self._owners[key_slot(message[0])]].append(message)
        return ((self._shards[number], items) for number, items in parts.items())

    async def fence(self) -> None:
        """Return once every message before this call has been received."""
        if not self._shards:
            raise Unavailable("The connection to Redis was lost.")
        await asyncio.gather(*(shard.fence() for shard in self._shards))

    async def run_script(self, script: str, keys: Sequence[bytes], args: Sequence[Any]) -> Any:
        """Run a script whose keys are in one slot. Raises Unavailable, or LogUnsupported if permission is missing."""
        ((shard, _),) = self._by_shard([(keys[0], b"")])
        return await shard.run_script(script, keys, args)

    async def wait_lost(self) -> None:
        """Raise when the connection of a shard is lost or does not respond."""
        waiting = [asyncio.ensure_future(shard.wait_lost()) for shard in self._shards]
        try:
            await asyncio.gather(*waiting)
        finally:
            for task in waiting:
                task.cancel()

    async def ping(self, *, writes: bool) -> None:
        """Raise unless every shard responds and, with `writes`, can be written."""
        if not self._shards:
            raise Unavailable("The connection to Redis was lost.")
        await asyncio.gather(*(shard.ping(writes=writes) for shard in self._shards))

    async def close(self) -> None:
        shards, self._shards = self._shards, []
        await asyncio.gather(*(shard.close() for shard in shards))

    def _channel(self, stream: Stream) -> bytes:
        return (self._prefix + stream).encode()

    def _channels(self, streams: Sequence[Stream]) -> list[tuple[bytes, bytes]]:
        """Return the channels of streams. On a cluster, stored events have separate channels, in the slot of their
        tenant's log."""
        channels = [self._channel(stream) for stream in streams]
        if self._owners is not None and self.has_log:
            of_tenants = [stream for stream in streams if SEPARATOR in stream]
            channels += [self.log_channel(stream.split(SEPARATOR, 2)[1], stream) for stream in of_tenants]
        return [(channel, b"") for channel in channels]

    def log_channel(self, tenant: str, stream: Stream) -> bytes:
        """Return the channel on which a tenant's log publishes the events of a stream."""
        return self._channel(stream) if self._owners is None else self.log_key(tenant, stream)

    def log_key(self, tenant: str, name: str) -> bytes:
        """Return a key of a tenant's log. A hash tag puts all of them into one slot."""
        return f"{self._prefix}{{log:{tenant}}}:{name}".encode()

    @property
    def publish_command(self) -> bytes:
        return (PLAIN if self._owners is None else SHARDED).publish


def _by_slot(ranges: Sequence[Any], queried: Address) -> list[Address]:
    """Map each slot to its master's address, from CLUSTER SLOTS. An empty host is the node that was queried."""
    owners: list[Address | None] = [None] * SLOTS
    for first, last, master, *_ in ranges:
        address = (master[0].decode() if master[0] else queried[0], master[1])
        owners[first : last + 1] = [address] * (last + 1 - first)
    assigned = [address for address in owners if address is not None]
    if len(assigned) < SLOTS:
        raise Unavailable("The Redis cluster does not serve all of its slots.")
    return assigned
