"""What `bellcast doctor` asks the engines: are store and broker there, do their clocks agree, does the outbox flow."""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime

from bellcast.cli.findings import Finding
from bellcast.errors import BellcastError, Conflict, NotFound
from bellcast.server import adapters
from bellcast.settings import Settings
from bellcast.settings.groups import POSTGRES, REDIS

# Session tokens allow 2 s between two clocks.
SKEW_S = 2.0
# Rows of an outbox wait for milliseconds while a server is there.
LATE_S = 10.0
NTP = "set the clocks of all machines, best by NTP: session tokens, expiries and retention go by them"


def examined(settings: Settings) -> Iterator[Finding]:
    """The databases the settings name."""
    kept = settings.store
    if kept.url is not None and kept.url.startswith(POSTGRES):
        adapters.need_postgres()
        yield from _store(kept.url)
    if kept.broker.startswith(REDIS):
        yield from _redis(kept.broker)
    elif kept.broker.startswith(POSTGRES):
        adapters.need_postgres("BELLCAST_BROKER")
        yield from _postgres_broker(kept.broker)
    if kept.outbox_url is not None:
        adapters.need_postgres("BELLCAST_DATABASE_URL")
        yield from _outbox(kept.outbox_url, named=kept.database_url is not None)


def _store(url: str) -> Iterator[Finding]:
    from bellcast.storage import copy_to_postgres

    try:
        version, known = asyncio.run(copy_to_postgres.version(url))
        there = asyncio.run(_time(url))
    except BellcastError as error:
        yield Finding("store", "problem", error.detail, "start PostgreSQL, or correct BELLCAST_STORE")
        return
    if version < known:
        fix = "`bellcast migrate`, or start the server"
        yield Finding("store", "warning", f"the PostgreSQL store is at version {version} of {known}", fix)
    else:
        yield Finding("store", "ok", f"PostgreSQL, version {version}")
    yield from _skew("store's clock", there)


async def _time(url: str) -> float:
    """Return the engine's clock in seconds since 1970."""
    from bellcast.outbox import schema

    async with schema.connected(url) as connection:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now.timestamp()


def _skew(check: str, there: float) -> Iterator[Finding]:
    skew = time.time() - there  # noqa: TID251  it is this machine's clock that is looked at
    if abs(skew) > SKEW_S:
        yield Finding(check, "problem", f"{abs(skew):.0f} s from this machine's", NTP)
    else:
        yield Finding(check, "ok", "agrees with this machine's")


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
    yield Finding("broker", "ok", "Redis answers")
    yield from _skew("broker's clock", seconds + microseconds / 1e6)


def _postgres_broker(url: str) -> Iterator[Finding]:
    try:
        asyncio.run(_time(url))
    except BellcastError as error:
        yield Finding("broker", "problem", error.detail, "start PostgreSQL, or correct BELLCAST_BROKER")
        return
    yield Finding("broker", "ok", "PostgreSQL answers")


def _outbox(url: str, *, named: bool) -> Iterator[Finding]:
    """In a store's own database there need be none."""
    from bellcast.outbox import schema, status

    async def look() -> status.Status:
        async with schema.connected(url) as connection:
            return await status.read_status(connection)

    try:
        found = asyncio.run(look())
    except NotFound:
        if named:
            yield Finding("outbox", "warning", "there is none in BELLCAST_DATABASE_URL", "`bellcast sql install`")
        return
    except Conflict as error:
        yield Finding("outbox", "problem", error.detail, "`bellcast sql install`")
        return
    except BellcastError as error:
        yield Finding("outbox", "problem", error.detail, "start PostgreSQL, or correct BELLCAST_DATABASE_URL")
        return
    yield _flow(found.waiting, found.oldest or 0, found.refused)


def _flow(waiting: int, oldest: float, refused: int) -> Finding:
    if oldest > LATE_S:
        fix = "start a server with this BELLCAST_DATABASE_URL; its log says why it does not send"
        return Finding("outbox", "problem", f"{waiting} rows wait, the oldest for {oldest:.0f} s", fix)
    if refused:
        fix = "`bellcast sql status` says why; then `bellcast sql retry` or `discard`"
        return Finding("outbox", "warning", f"{refused} rows were refused", fix)
    return Finding("outbox", "ok", "nothing is left lying")
