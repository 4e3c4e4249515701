"""Redis pub/sub as the way between processes: one channel a stream."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bellcast.brokers.relay import Message
from bellcast.errors import Unavailable
from bellcast.model.events import Stream

# Channels a command: a storm of new connections is a few writes of under a megabyte.
CHANNELS = 1_000
# A Redis that is silent for so long after a question is away.
PATIENCE_SECONDS = 5.0


class RedisCarrier:
    """A Carrier. One connection listens, another sends."""

    def __init__(self, url: str, project: str) -> None:
        self._prefix = f"bellcast:{project}:"
        # Coming back is the relay's. In the older protocol what is heard arrives in one way on every version.
        options: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "protocol": 2, "client_name": "bellcast"}
        options["socket_connect_timeout"] = PATIENCE_SECONDS
        self._redis: Redis = Redis.from_url(url, socket_timeout=PATIENCE_SECONDS, **options)
        self._quiet: Redis = Redis.from_url(url, socket_timeout=None, **options)
        self._listening: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._unconfirmed: set[bytes] = set()
        self._confirmed = asyncio.Event()
        self._heard = False

    async def connect(self, hear: Callable[[bytes], None]) -> None:
        """Begin; from now on tell `hear` what arrives."""
        try:
            await self._redis.ping()
            pool: Any = self._quiet.connection_pool  # redis-py leaves it untyped
            self._listening = pool.make_connection()
            await self._listening.connect()
        except (exceptions.RedisError, OSError) as failure:
            raise Unavailable(f"Redis cannot be used: {failure}.") from failure
        self._unconfirmed.clear()
        self._reading = asyncio.get_running_loop().create_task(self._read(self._listening, hear))

    async def _read(self, listening: Any, hear: Callable[[bytes], None]) -> None:
        while True:
            kind, channel, *rest = await listening.read_response()
            self._heard = True
            if kind == b"message":
                hear(rest[0])
            elif kind == b"subscribe":
                self._unconfirmed.discard(channel)
                if not self._unconfirmed:
                    self._confirmed.set()

    async def follow(self, streams: Sequence[Stream]) -> None:
        """Hear these streams; returns once Redis has confirmed them all."""
        channels = [self._channel(stream) for stream in streams]
        self._unconfirmed.update(channels)
        self._confirmed.clear()
        await self._tell(b"SUBSCRIBE", channels)
        try:
            await asyncio.wait_for(self._confirmed.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            raise Unavailable("Redis does not answer.") from None

    async def unfollow(self, streams: Sequence[Stream]) -> None:
        """Hear them no more."""
        await self._tell(b"UNSUBSCRIBE", [self._channel(stream) for stream in streams])

    async def _tell(self, command: bytes, channels: list[bytes]) -> None:
        try:
            for start in range(0, len(channels), CHANNELS):
                await self._listening.send_command(command, *channels[start : start + CHANNELS])
        except exceptions.RedisError as failure:
            raise Unavailable(f"Redis was lost: {failure}.") from failure

    async def send(self, messages: Sequence[Message]) -> None:
        """Send in one round trip."""
        pipeline: Any = self._redis.pipeline(transaction=False)  # its commands wait for `execute`
        for stream, message in messages:
            pipeline.publish(self._channel(stream), message)
        try:
            await pipeline.execute()
        except exceptions.RedisError as failure:
            raise Unavailable(f"Redis was lost: {failure}.") from failure

    async def lost(self) -> None:
        """Raise when the listening connection is gone, or silent though it was asked."""
        if self._reading is None:
            return
        while True:
            self._heard = False
            await self._tell(b"PING", [b""])
            done, _ = await asyncio.wait((self._reading,), timeout=PATIENCE_SECONDS)
            if done:
                raise Unavailable(f"Redis was lost: {self._reading.exception()}.")
            if not self._heard:
                raise Unavailable("Redis does not answer.")

    async def ping(self) -> None:
        """Raise unless Redis answers."""
        try:
            await self._redis.ping()
        except exceptions.RedisError as failure:
            raise Unavailable(f"Redis cannot be used: {failure}.") from failure

    async def close(self) -> None:
        """Let the connections go."""
        reading, self._reading = self._reading, None
        listening, self._listening = self._listening, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if listening is not None:
            await listening.disconnect()
        await self._redis.aclose()

    def _channel(self, stream: Stream) -> bytes:
        return (self._prefix + stream).encode()
