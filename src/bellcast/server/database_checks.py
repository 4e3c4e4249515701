"""Doctor checks of the engines: can the store be written and the broker pass messages on, clock skew, and the outbox."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bellcast.console.types import diagnoses
from bellcast.console.types.diagnoses import FindingItem
from bellcast.kernel.brokers.history import KeepRules, parse_rules
from bellcast.kernel.errors import BellcastError, Conflict, NotFound, SettingsError, Unavailable
from bellcast.kernel.events import node_stream
from bellcast.kernel.identities import Project
from bellcast.server import adapters
from bellcast.settings import Settings
from bellcast.settings.credentials import existing_project
from bellcast.settings.groups import NATS, POSTGRES, REDIS, StoreSettings

# Session tokens allow 2 s between two clocks.
SKEW_S = 2.0
# Outbox rows are pending for milliseconds while a server runs.
LATE_S = 10.0
POSTGRESQL = "PostgreSQL"
# A message to the same process takes milliseconds.
MESSAGE_SECONDS = 3.0
# Connections of a process besides the pool: the outbox, and the watch for rows of other programs.
OTHER_CONNECTIONS = 2
# Of `max_connections`, for superusers, backups and other programs.
RESERVED_CONNECTIONS = 10
TIME = "SELECT clock_timestamp()"
PROBE_STREAM = node_stream("doctor")
# Names the channels before the first start.
NO_PROJECT = Project("doctor", "", "")

if TYPE_CHECKING:  # PostgreSQL's driver is an extra
    from bellcast.kernel.brokers.remote import PubSubTransport


def check(settings: Settings, processes: int) -> Iterator[FindingItem]:
    """Check the databases named in the settings, with the connections that a server uses. `processes` are those of all
    nodes."""
    for findings in (_store(settings.store, processes), _broker(settings), _outbox(settings.store)):
        try:
            yield from findings
        except SettingsError as error:  # its driver is not installed
            yield diagnoses.finding("settings_invalid", error=error.detail)


def _broker(settings: Settings) -> Iterator[FindingItem]:
    store, project = settings.store, NO_PROJECT
    with suppress(SettingsError):  # unreadable credentials are a finding of the local checks
        project = existing_project(settings) or NO_PROJECT
    transport = adapters.transport(store.broker, project)
    if transport is not None:
        findings = list(_transport(store.broker, transport))
        yield from findings
        is_usable = all(finding.state == "ok" for finding in findings)
        if (
            is_usable
            and store.broker.startswith(NATS)
            and any(rule.duration_ms for rule in parse_rules(store.topic_history))
        ):
            yield from _history(store.broker, project)


def _unavailable(check: str, engine: str, variable: str, error: BellcastError) -> FindingItem:
    return diagnoses.finding("engine_unavailable", check=check, engine=engine, variable=variable, error=error.detail)


def _store(store: StoreSettings, processes: int) -> Iterator[FindingItem]:
    url, connections = store.url, processes * (store.connections + OTHER_CONNECTIONS)
    if url is None or not url.startswith(POSTGRES):
        return
    adapters.need_postgres()
    from bellcast.kernel.db import postgres_copies

    try:
        version, latest = asyncio.run(postgres_copies.version(url))
        engine_time = asyncio.run(_value(url, TIME)).timestamp()
        allowed = int(asyncio.run(_value(url, "SELECT current_setting('max_connections')")))
    except BellcastError as error:
        yield _unavailable("store", POSTGRESQL, "BELLCAST_STORE", error)
        return
    yield from _skew("store's clock", engine_time)
    if connections > allowed - RESERVED_CONNECTIONS:
        yield diagnoses.finding("many_connections", connections=connections, allowed=allowed)
    try:
        asyncio.run(_write(url, is_migrated=version > 0))
    except BellcastError as error:
        yield diagnoses.finding("store_unusable", error=error.detail)
        return
    if version < latest:
        yield diagnoses.finding("store_old", store="the PostgreSQL store", version=version, latest=latest)
    else:
        yield FindingItem("store", "ok", f"PostgreSQL, version {version}, can be written")


async def _value(url: str, query: str) -> Any:
    """Return the value of a query."""
    from bellcast.outbox import tables

    async with tables.connected(url) as connection:
        return await connection.fetchval(query)


async def _time_of_broker(url: str) -> float:
    """Return the clock of PostgreSQL. Raises BellcastError, also for a pooler that shares sessions."""
    from bellcast.kernel.db import postgres_connection

    now: datetime = await _value(url, TIME)  # first: its errors are those of a server that cannot be reached
    await postgres_connection.check_pooler(url, "BELLCAST_BROKER")
    return now.timestamp()


async def _write(url: str, *, is_migrated: bool) -> None:
    """Write with the session of a server, and roll back. Raises BellcastError."""
    import asyncpg

    from bellcast.kernel.db import postgres_connection as server

    try:
        connection = await asyncpg.connect(url, timeout=server.CONNECT_TIMEOUT)
        try:
            statement = server.WRITE_PAGES if is_migrated else "CREATE SCHEMA bellcast_doctor"
            await connection.execute(server.SET_SESSION)
            await connection.execute(f"BEGIN; {statement}; ROLLBACK")
        finally:
            await connection.close()
    except Exception as error:
        raise server.translated(error) from error


def _transport(url: str, transport: "PubSubTransport") -> Iterator[FindingItem]:
    engine = "Redis" if url.startswith(REDIS) else "NATS" if url.startswith(NATS) else POSTGRESQL
    try:
        if engine == "NATS":  # it tells no time
            asyncio.run(_connect(transport))
        else:
            engine_time = _redis_time(url) if engine == "Redis" else asyncio.run(_time_of_broker(url))
            yield from _skew("broker's clock", engine_time)
    except BellcastError as error:
        yield _unavailable("broker", engine, "BELLCAST_BROKER", error)
        return
    try:
        asyncio.run(_publish(transport))
        yield FindingItem("broker", "ok", f"{engine} passes messages on, and can be written")
    except TimeoutError:
        yield diagnoses.finding("broker_unusable", error=f"a message did not arrive within {MESSAGE_SECONDS:.0f} s")
    except BellcastError as error:
        yield diagnoses.finding("broker_unusable", error=error.detail)


def _history(url: str, project: Project) -> Iterator[FindingItem]:
    """Check that JetStream can keep live events."""
    from bellcast.kernel.brokers.nats import NatsTransport
    from bellcast.kernel.brokers.nats_log import NatsLog
    from bellcast.kernel.brokers.port import LogUnsupported

    async def count_streams() -> None:
        transport = NatsTransport(url, project.id)
        try:
            await transport.connect(lambda _: None)
            await NatsLog(transport, lambda: 0, KeepRules(tuple)).tenants()
        finally:
            await transport.close()

    try:
        asyncio.run(count_streams())
    except (LogUnsupported, Unavailable) as failure:
        yield diagnoses.finding("topic_history_unsupported", error=str(failure))


async def _connect(transport: "PubSubTransport") -> None:
    try:
        await transport.connect(lambda _: None)
    finally:
        await transport.close()


async def _publish(transport: "PubSubTransport") -> None:
    """Publish a message, wait for it, and check that live events can be stored. Raises BellcastError or TimeoutError."""
    arrived = asyncio.Event()
    try:
        await transport.connect(lambda _: arrived.set())
        await transport.follow([PROBE_STREAM])
        await transport.send([(PROBE_STREAM, b"doctor")])
        await transport.ping(writes=True)
        await asyncio.wait_for(arrived.wait(), MESSAGE_SECONDS)
    finally:
        await transport.close()


def _redis_time(url: str) -> float:
    """Return Redis' clock in seconds since 1970. Raises Unavailable."""
    from redis import Redis
    from redis.exceptions import RedisError

    try:
        with Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3) as server:
            seconds, microseconds = server.time()
    except (RedisError, OSError) as error:
        raise Unavailable.of("Redis", error) from error
    return float(seconds + microseconds / 1e6)


def _skew(check: str, engine_time: float) -> Iterator[FindingItem]:
    skew = time.time() - engine_time  # noqa: TID251  the check is about this machine's clock
    if abs(skew) > SKEW_S:
        yield diagnoses.finding("clock_differs", check=check, seconds=f"{abs(skew):.0f}")
    else:
        yield FindingItem(check, "ok", "agrees with this machine's clock")


def _outbox(store: StoreSettings) -> Iterator[FindingItem]:
    """Check the outbox. In the store's database it is optional; in BELLCAST_DATABASE_URL it is expected."""
    if (url := store.outbox_url) is None:
        return
    adapters.need_postgres("BELLCAST_DATABASE_URL")
    from bellcast.outbox import tables

    async def read_status() -> tables.Status:
        async with tables.connected(url) as connection:
            return await tables.read_status(connection)

    try:
        outbox = asyncio.run(read_status())
    except NotFound:
        if store.database_url is not None:
            yield diagnoses.finding("no_outbox")
        return
    except Conflict as error:
        yield diagnoses.finding("outbox_old", error=error.detail)
        return
    except BellcastError as error:
        yield _unavailable("outbox", POSTGRESQL, "BELLCAST_DATABASE_URL", error)
        return
    if (outbox.oldest or 0) > LATE_S:
        yield diagnoses.finding("outbox_late", rows=outbox.waiting, seconds=f"{outbox.oldest:.0f}")
    elif outbox.refused:
        yield diagnoses.finding("outbox_refused", rows=outbox.refused)
    else:
        yield FindingItem("outbox", "ok", "no row is late or refused")
