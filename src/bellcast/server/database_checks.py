"""Doctor checks of the engines: can the store be written and the broker pass messages on, the store's clock, and the outbox."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

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
TIME_AND_LIMIT = "SELECT clock_timestamp(), current_setting('max_connections')::int"
PROBE_STREAM = node_stream("doctor")
# Names the channels before the first start.
NO_PROJECT = Project("doctor", "", "")


def check(settings: Settings, processes: int) -> Iterator[FindingItem]:
    """Check the databases named in the settings, with the connections that a server uses. `processes` are those of all
    nodes."""
    for findings in (_store(settings.store, processes), _broker(settings), _outbox(settings.store)):
        yield from asyncio.run(_collect(findings))


async def _collect(findings: AsyncIterator[FindingItem]) -> list[FindingItem]:
    found = []
    try:
        async for finding in findings:
            found.append(finding)
    except SettingsError as error:  # its driver is not installed
        found.append(diagnoses.finding("settings_invalid", error=error.detail))
    return found


def _unavailable(check: str, engine: str, variable: str, error: BellcastError) -> FindingItem:
    return diagnoses.finding("engine_unavailable", check=check, engine=engine, variable=variable, error=error.detail)


async def _store(store: StoreSettings, processes: int) -> AsyncIterator[FindingItem]:
    url, connections = store.url, processes * (store.connections + OTHER_CONNECTIONS)
    if url is None or not url.startswith(POSTGRES):
        return
    adapters.need_postgres()
    from bellcast.kernel.db import postgres_copies
    from bellcast.outbox import tables

    try:
        version, latest = await postgres_copies.version(url)
        async with tables.connected(url) as connection:
            ((engine_time, allowed),) = await connection.fetch(TIME_AND_LIMIT)
    except BellcastError as error:
        yield _unavailable("store", POSTGRESQL, "BELLCAST_STORE", error)
        return
    skew = time.time() - engine_time.timestamp()  # noqa: TID251  the check is about this machine's clock
    if abs(skew) > SKEW_S:
        yield diagnoses.finding("clock_differs", check="store's clock", seconds=f"{abs(skew):.0f}")
    else:
        yield FindingItem("store's clock", "ok", "agrees with this machine's clock")
    if connections > allowed - RESERVED_CONNECTIONS:
        yield diagnoses.finding("many_connections", connections=connections, allowed=allowed)
    try:
        await _write(url, is_migrated=version > 0)
    except BellcastError as error:
        yield diagnoses.finding("store_unusable", error=error.detail)
        return
    if version < latest:
        yield diagnoses.finding("store_old", store="the PostgreSQL store", version=version, latest=latest)
    else:
        yield FindingItem("store", "ok", f"PostgreSQL, version {version}, can be written")


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


async def _broker(settings: Settings) -> AsyncIterator[FindingItem]:
    """Publish a message, wait for it, and check that live events can be stored."""
    from bellcast.kernel.brokers.nats import NatsTransport
    from bellcast.kernel.brokers.nats_log import NatsLog
    from bellcast.kernel.brokers.port import LogUnsupported

    url, project, rules = settings.store.broker, NO_PROJECT, parse_rules(settings.store.topic_history)
    with suppress(SettingsError):  # unreadable credentials are a finding of the local checks
        project = existing_project(settings) or NO_PROJECT
    transport = adapters.transport(url, project)
    if transport is None:
        return
    engine = "Redis" if url.startswith(REDIS) else "NATS" if url.startswith(NATS) else POSTGRESQL
    arrived = asyncio.Event()
    try:
        try:
            await transport.connect(lambda _: arrived.set())
        except BellcastError as error:
            yield _unavailable("broker", engine, "BELLCAST_BROKER", error)
            return
        try:
            await transport.follow([PROBE_STREAM])
            await transport.send([(PROBE_STREAM, b"doctor")])
            await transport.ping(writes=True)
            await asyncio.wait_for(arrived.wait(), MESSAGE_SECONDS)
        except TimeoutError:
            yield diagnoses.finding("broker_unusable", error=f"a message did not arrive within {MESSAGE_SECONDS:.0f} s")
            return
        except BellcastError as error:
            yield diagnoses.finding("broker_unusable", error=error.detail)
            return
        yield FindingItem("broker", "ok", f"{engine} passes messages on, and can be written")
        if isinstance(transport, NatsTransport) and any(rule.duration_ms for rule in rules):
            try:  # whether JetStream can keep live events
                await NatsLog(transport, lambda: 0, KeepRules(tuple)).tenants()
            except (LogUnsupported, Unavailable) as failure:
                yield diagnoses.finding("topic_history_unsupported", error=str(failure))
    finally:
        await transport.close()


async def _outbox(store: StoreSettings) -> AsyncIterator[FindingItem]:
    """Check the outbox. In the store's database it is optional; in BELLCAST_DATABASE_URL it is expected."""
    if (url := store.outbox_url) is None:
        return
    adapters.need_postgres("BELLCAST_DATABASE_URL")
    from bellcast.outbox import tables

    try:
        async with tables.connected(url) as connection:
            outbox = await tables.read_status(connection)
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
