"""Doctor checks of the engines: availability of store and broker, clock skew, and the outbox."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime

from bellcast.errors import BellcastError, Conflict, NotFound
from bellcast.model import diagnoses
from bellcast.model.doctor_findings import Finding
from bellcast.server import adapters
from bellcast.settings import Settings
from bellcast.settings.groups import POSTGRES, REDIS

# Session tokens allow 2 s between two clocks.
SKEW_S = 2.0
# Outbox rows are pending for milliseconds while a server runs.
LATE_S = 10.0
POSTGRESQL = "PostgreSQL"


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


def _unavailable(check: str, engine: str, variable: str, error: str) -> Finding:
    return diagnoses.finding("engine_unavailable", check=check, engine=engine, variable=variable, error=error)


def _store(url: str) -> Iterator[Finding]:
    from bellcast import database_pooler
    from bellcast.storage import copy_to_postgres

    try:
        version, latest = asyncio.run(copy_to_postgres.version(url))
        engine_time = asyncio.run(_time(url))
        asyncio.run(database_pooler.check(url, "BELLCAST_STORE"))
    except BellcastError as error:
        yield _unavailable("store", POSTGRESQL, "BELLCAST_STORE", error.detail)
        return
    if version < latest:
        yield diagnoses.finding("store_old", store="the PostgreSQL store", version=version, latest=latest)
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
        yield diagnoses.finding("clock_differs", check=check, seconds=f"{abs(skew):.0f}")
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
        yield _unavailable("broker", "Redis", "BELLCAST_BROKER", f"Redis cannot be used: {error}")
        return
    yield Finding("broker", "ok", "Redis responds")
    yield from _skew("broker's clock", seconds + microseconds / 1e6)


def _postgres_broker(url: str) -> Iterator[Finding]:
    from bellcast import database_pooler

    try:
        asyncio.run(_time(url))
        asyncio.run(database_pooler.check(url, "BELLCAST_BROKER"))
    except BellcastError as error:
        yield _unavailable("broker", POSTGRESQL, "BELLCAST_BROKER", error.detail)
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
            yield diagnoses.finding("no_outbox")
        return
    except Conflict as error:
        yield diagnoses.finding("outbox_old", error=error.detail)
        return
    except BellcastError as error:
        yield _unavailable("outbox", POSTGRESQL, "BELLCAST_DATABASE_URL", error.detail)
        return
    yield _flow(outbox.waiting, outbox.oldest or 0, outbox.refused)


def _flow(waiting: int, oldest: float, refused: int) -> Finding:
    if oldest > LATE_S:
        return diagnoses.finding("outbox_late", rows=waiting, seconds=f"{oldest:.0f}")
    if refused:
        return diagnoses.finding("outbox_refused", rows=refused)
    return Finding("outbox", "ok", "no row is late or refused")
