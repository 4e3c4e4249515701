"""Doctor checks of the engines: availability of store and broker, clock skew, and the outbox."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime

from bellcast.errors import BellcastError, Conflict, NotFound
from bellcast.model.findings import Finding
from bellcast.server import adapters
from bellcast.settings import Settings
from bellcast.settings.groups import POSTGRES, REDIS

# Session tokens allow 2 s between two clocks.
SKEW_S = 2.0
# Outbox rows are pending for milliseconds while a server runs.
LATE_S = 10.0
NTP = "synchronize the clocks of all machines by NTP: session tokens, expiry and retention depend on them"


def check(settings: Settings) -> Iterator[Finding]:
    """Check the databases named in the settings."""
    store = settings.store
    if store.url is not None and store.url.startswith(POSTGRES):
        adapters.need_postgres()
        yield from _store(store.url)
    if store.broker.startswith(REDIS):
        yield from _redis(store.broker)
    elif store.broker.startswith(POSTGRES):
        adapters.need_postgres("BELLCAST_BROKER")
        yield from _postgres_broker(store.broker)
    if store.outbox_url is not None:
        adapters.need_postgres("BELLCAST_DATABASE_URL")
        yield from _outbox(store.outbox_url, named=store.database_url is not None)


def _store(url: str) -> Iterator[Finding]:
    from bellcast.storage import copy_to_postgres

    try:
        version, latest = asyncio.run(copy_to_postgres.version(url))
        engine_time = asyncio.run(_time(url))
    except BellcastError as error:
        yield Finding("store", "problem", error.detail, "start PostgreSQL, or correct BELLCAST_STORE")
        return
    if version < latest:
        fix = "run `bellcast migrate`, or start the server"
        yield Finding("store", "warning", f"the PostgreSQL store is at version {version} of {latest}", fix)
    else:
        yield Finding("store", "ok", f"PostgreSQL, version {version}")
    yield from _skew("store's clock", engine_time)


async def _time(url: str) -> float:
    """Return the engine's clock in seconds since 1970."""
    from bellcast.outbox import schema

    async with schema.connected(url) as connection:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now.timestamp()


def _skew(check: str, engine_time: float) -> Iterator[Finding]:
    skew = time.time() - engine_time  # noqa: TID251  the check is about this machine's clock
    if abs(skew) > SKEW_S:
        yield Finding(check, "problem", f"{abs(skew):.0f} s off this machine's clock", NTP)
    else:
        yield Finding(check, "ok", "agrees with this machine's clock")


def _redis(url: str) -> Iterator[Finding]:
    adapters.need_redis()
    from redis import Redis
    from redis.exceptions import RedisError

    try:
        with Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as server:
            seconds, microseconds = server.time()
    except (RedisError, OSError) as error:
        yield Finding("broker", "problem", f"Redis cannot be used: {error}", "start Redis, or correct BELLCAST_BROKER")
        return
    yield Finding("broker", "ok", "Redis responds")
    yield from _skew("broker's clock", seconds + microseconds / 1e6)


def _postgres_broker(url: str) -> Iterator[Finding]:
    try:
        asyncio.run(_time(url))
    except BellcastError as error:
        yield Finding("broker", "problem", error.detail, "start PostgreSQL, or correct BELLCAST_BROKER")
        return
    yield Finding("broker", "ok", "PostgreSQL responds")


def _outbox(url: str, *, named: bool) -> Iterator[Finding]:
    """Check the outbox. In the store's database it is optional; in BELLCAST_DATABASE_URL (`named`) it is expected."""
    from bellcast.outbox import schema, status

    async def read_status() -> status.Status:
        async with schema.connected(url) as connection:
            return await status.read_status(connection)

    try:
        outbox = asyncio.run(read_status())
    except NotFound:
        if named:
            yield Finding(
                "outbox", "warning", "no outbox is installed in BELLCAST_DATABASE_URL", "run `bellcast sql install`"
            )
        return
    except Conflict as error:
        yield Finding("outbox", "problem", error.detail, "run `bellcast sql install`")
        return
    except BellcastError as error:
        yield Finding("outbox", "problem", error.detail, "start PostgreSQL, or correct BELLCAST_DATABASE_URL")
        return
    yield _flow(outbox.waiting, outbox.oldest or 0, outbox.refused)


def _flow(waiting: int, oldest: float, refused: int) -> Finding:
    if oldest > LATE_S:
        fix = "start a server with this BELLCAST_DATABASE_URL, or read its log if it runs"
        return Finding("outbox", "problem", f"{waiting} rows pending, the oldest for {oldest:.0f} s", fix)
    if refused:
        fix = "read the reasons with `bellcast sql status`, then `bellcast sql retry` or `discard`"
        return Finding("outbox", "warning", f"{refused} rows were refused", fix)
    return Finding("outbox", "ok", "no row is late or refused")
