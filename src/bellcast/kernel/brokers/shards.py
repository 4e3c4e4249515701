"""One Redis node that serves all channels, or in a cluster the channels of its slots."""

import asyncio
import contextlib
import functools
import hashlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from redis import exceptions
from redis.asyncio import ConnectionPool, Redis

from bellcast.kernel.brokers.topic_log import LogUnsupported
from bellcast.kernel.errors import Unavailable

# Channels per write and, without a cluster, per command: less than a megabyte.
CHANNELS = 1_000
# A Redis that does not respond to a command within this time (seconds) is unreachable.
COMMAND_TIMEOUT = 5.0
# Maximum concurrent commands, each on its own connection. In a reconnect storm, hundreds of clients resume simultaneously, and
# redis-py refuses commands beyond its pool size.
MAX_COMMANDS = 32
# redis-py raises AttributeError in commands on a connection that `close` disconnects.
COMMAND_ERRORS = (exceptions.RedisError, OSError, AttributeError)


class CommandNames(NamedTuple):
    """Command names. In a cluster a channel belongs to one shard, and each command names one channel."""

    follow: bytes
    unfollow: bytes
    publish: bytes
    message: bytes
    followed: bytes
    unfollowed: bytes
    channels_per_command: int


PLAIN = CommandNames(b"SUBSCRIBE", b"UNSUBSCRIBE", b"PUBLISH", b"message", b"subscribe", b"unsubscribe", CHANNELS)
SHARDED = CommandNames(b"SSUBSCRIBE", b"SUNSUBSCRIBE", b"SPUBLISH", b"smessage", b"ssubscribe", b"sunsubscribe", 1)


SEND_ALL = "for at = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[at], ARGV[at + 1]) end"


# Redis refuses a script with a shebang where it refuses writes: if its memory is full, on a read-only replica, and after a
# failed save.
WRITABLE = "#!lua\nreturn 1"


class Shard:
    """A Redis node: one connection subscribes, pooled connections publish."""

    def __init__(self, pool: ConnectionPool, names: CommandNames) -> None:
        self._pool = pool
        self._redis: Redis = Redis(connection_pool=pool)
        self._slots = asyncio.Semaphore(MAX_COMMANDS)
        self._names = names
        self._scripts = names is PLAIN  # in a cluster a script may use channels of one slot only
        self._listening: Any = None  # redis-py leaves it untyped
        self._reading: asyncio.Task[None] | None = None
        self._is_closed = False
        self._unconfirmed: set[bytes] = set()
        self._confirmed = asyncio.Event()
        self._unfollowing: Counter[bytes] = Counter()  # commands that are not confirmed yet, by channel
        self._last_received = False
        self._fence_numbers = itertools.count(1)
        self._fences: dict[bytes, asyncio.Future[None]] = {}

    async def connect(self, on_message: Callable[[bytes], None]) -> None:
        """Connect and start reading."""
        try:
            self._listening = self._pool.connection_class(**{**self._pool.connection_kwargs, "socket_timeout": None})
            async with asyncio.timeout(COMMAND_TIMEOUT):
                await self._listening.connect()
        except (exceptions.RedisError, OSError) as failure:
            raise Unavailable(f"Redis cannot be used: {failure}.") from failure
        self._reading = asyncio.get_running_loop().create_task(self._read(on_message))

    async def _read(self, on_message: Callable[[bytes], None]) -> None:
        names = self._names
        while True:
            reply = await self._listening.read_response()
            self._last_received = True
            if not isinstance(reply, list):  # reply to a ping while no channel is subscribed
                self._pass_fence(reply)
                continue
            kind, channel, *rest = reply
            if kind == names.message:
                on_message(rest[0])
            elif kind == b"pong":
                self._pass_fence(channel)
            elif kind == names.followed:
                self._unconfirmed.discard(channel)
                if not self._unconfirmed:
                    self._confirmed.set()
            elif kind == names.unfollowed:
                # Redis also ends subscriptions itself if their slot has moved to another node. In that case, raise Unavailable,
                # which ends the connection: the next one reads the slots again.
                if not self._unfollowing[channel]:
                    raise Unavailable("a channel has moved to another node")
                self._unfollowing[channel] -= 1
                if not self._unfollowing[channel]:
                    del self._unfollowing[channel]

    def _pass_fence(self, name: bytes) -> None:
        passed = self._fences.pop(name, None)
        if passed is not None and not passed.done():
            passed.set_result(None)

    async def fence(self) -> None:
        """Return once every message before this call has been received: the reply to a ping comes after them."""
        name, passed = b"%d" % next(self._fence_numbers), asyncio.get_running_loop().create_future()
        self._fences[name] = passed
        try:
            await self._command(b"PING", [name])
            await asyncio.wait_for(passed, COMMAND_TIMEOUT)
        except TimeoutError:
            raise Unavailable("Redis does not respond.") from None
        finally:
            self._fences.pop(name, None)

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Acquire one of MAX_COMMANDS slots. Raises Unavailable after COMMAND_TIMEOUT, because hundreds of commands
        would otherwise wait for minutes behind commands that time out."""
        acquiring = self._slots.acquire()
        try:
            await (asyncio.wait_for(acquiring, COMMAND_TIMEOUT) if self._slots.locked() else acquiring)
        except TimeoutError:
            raise Unavailable("Redis does not respond.") from None
        try:
            yield
        finally:
            self._slots.release()

    async def run_script(self, script: str, keys: Sequence[bytes], args: Sequence[Any]) -> Any:
        """Run a script by its hash; the first time on a server, by its text."""
        redis: Any = self._redis
        sha = _sha1(script)
        try:
            async with self._slot():
                try:
                    return await redis.execute_command("EVALSHA", sha, len(keys), *keys, *args)
                except exceptions.NoScriptError:
                    return await redis.execute_command("EVAL", script, len(keys), *keys, *args)
        except exceptions.NoPermissionError as failure:
            raise LogUnsupported(str(failure)) from failure
        except (exceptions.MovedError, exceptions.ReadOnlyError) as failure:
            # Another node has the slot. The broker notices the end of the connection, and reads the slots again.
            if self._reading is not None:
                self._reading.cancel()
            raise Unavailable(f"Redis cannot be used: {failure}.") from failure
        except COMMAND_ERRORS as failure:
            raise Unavailable(f"Redis cannot be used: {failure}.") from failure
        finally:
            await self._disconnect_if_closed()

    async def follow(self, channels: Sequence[bytes]) -> None:
        """Subscribe to these channels. Returns once Redis has confirmed every subscription. Many take longer than COMMAND_TIMEOUT
        on a busy machine, so this is the time between two confirmations: with a limit for all, each attempt would fail."""
        self._unconfirmed.update(channels)
        self._confirmed.clear()
        await self._command(self._names.follow, channels)
        while not self._confirmed.is_set():
            before = self._unconfirmed.copy()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._confirmed.wait(), COMMAND_TIMEOUT)
            if not self._confirmed.is_set() and before <= self._unconfirmed:
                raise Unavailable("Redis does not respond.")

    async def unfollow(self, channels: Sequence[bytes]) -> None:
        """Unsubscribe from these channels."""
        self._unfollowing.update(channels)
        await self._command(self._names.unfollow, channels)

    async def _command(self, command: bytes, channels: Sequence[bytes]) -> None:
        channels_per_command, listening = self._names.channels_per_command, self._listening
        if listening is None:
            raise Unavailable("The connection to Redis was lost.")
        commands = [
            (command, *channels[at : at + channels_per_command]) for at in range(0, len(channels), channels_per_command)
        ]
        commands_per_write = CHANNELS // channels_per_command
        try:
            for at in range(0, len(commands), commands_per_write):
                # A Redis that hangs reads nothing: once the buffers are full, a write would wait forever.
                async with asyncio.timeout(COMMAND_TIMEOUT):
                    await listening.send_packed_command(listening.pack_commands(commands[at : at + commands_per_write]))
        except TimeoutError:
            raise Unavailable("Redis does not respond.") from None
        except exceptions.RedisError as failure:
            raise Unavailable(f"The connection to Redis was lost: {failure}.") from failure

    async def send(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Send to channels in one round trip."""
        try:
            async with self._slot():
                if not (self._scripts and await self._send_by_script(messages)):
                    pipeline: Any = self._redis.pipeline(transaction=False)  # its commands wait for `execute`
                    for channel, message in messages:
                        pipeline.execute_command(self._names.publish, channel, message)
                    await pipeline.execute()
        except COMMAND_ERRORS as failure:
            raise Unavailable(f"The connection to Redis was lost: {failure}.") from failure
        finally:
            await self._disconnect_if_closed()

    async def _send_by_script(self, messages: Sequence[tuple[bytes, bytes]]) -> bool:
        """Publish with one script and one reply, since reading a reply takes 10 µs. False where scripts are not
        allowed."""
        redis: Any = self._redis
        try:
            await redis.execute_command("EVAL", SEND_ALL, 0, *itertools.chain.from_iterable(messages))
        except exceptions.ResponseError:
            self._scripts = False
        return self._scripts

    async def wait_lost(self) -> None:
        """Raise when the listening connection is lost or does not respond to a ping."""
        reading = self._reading
        if reading is None:
            return
        while True:
            self._last_received = False
            await self._command(b"PING", [b""])
            done, _ = await asyncio.wait((reading,), timeout=COMMAND_TIMEOUT)
            if done:
                reason = "it was closed" if reading.cancelled() else reading.exception()
                raise Unavailable(f"The connection to Redis was lost: {reason}.")
            if not self._last_received:
                raise Unavailable("Redis does not respond.")

    async def ping(self, *, writes: bool) -> None:
        """Raise unless Redis responds and, with `writes`, can be written."""
        redis: Any = self._redis
        try:
            async with self._slot():
                await redis.ping()
                if writes:
                    await redis.execute_command("EVAL", WRITABLE, 0)
        except exceptions.NoPermissionError:
            pass  # no script may be run
        except COMMAND_ERRORS as failure:
            raise Unavailable(f"Redis cannot be used: {failure}.") from failure
        finally:
            await self._disconnect_if_closed()

    async def close(self) -> None:
        """Close the connections. Raises nothing: Redis may be unreachable."""
        self._is_closed = True
        reading, self._reading = self._reading, None
        listening, self._listening = self._listening, None
        for passed in self._fences.values():
            if not passed.done():
                passed.set_exception(Unavailable("The connection to Redis was lost."))
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if listening is not None:
            await listening.disconnect(nowait=True)  # its unsent commands are of no use
        await self._redis.aclose()
        await self._disconnect_pool()

    async def _disconnect_if_closed(self) -> None:
        """Close connections that a command opened after `close` had emptied the pool."""
        if self._is_closed:
            await self._disconnect_pool()

    async def _disconnect_pool(self) -> None:
        # redis-py raises TimeoutError after it has closed a connection whose commands could not be sent.
        with contextlib.suppress(exceptions.RedisError):
            await self._pool.disconnect()


@functools.cache
def _sha1(script: str) -> str:
    """Return the SHA-1 of a script, by which Redis calls it. The digest is cached, because computing it for the 8 kB
    script takes 10 µs."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
