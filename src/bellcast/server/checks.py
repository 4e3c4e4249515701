"""Doctor checks of this machine (data folder, store, disk, open files, clock and settings), of the mail servers and the URLs that the
server calls, and of the databases and the broker: can they be used, do their clocks agree, and is the outbox late."""

import asyncio
import os
import resource
import shutil
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bellcast.console import diagnoses
from bellcast.console.types import FindingItem
from bellcast.kernel.brokers.history import KeepRules, parse_rules
from bellcast.kernel.db import backup
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.errors import BellcastError, Conflict, NotFound, SettingsError, Unavailable
from bellcast.kernel.events import node_stream, pattern_matches
from bellcast.kernel.identities import Project
from bellcast.kernel.outbound import DeliveryError, Response
from bellcast.kernel.outbound.guard import Resolver
from bellcast.kernel.outbound.http import HttpClient
from bellcast.providers import smtp
from bellcast.providers.types import SETTING_PREFIX, Provider
from bellcast.server import adapters
from bellcast.settings import Settings, parsers
from bellcast.settings.credentials import credentials_file, existing_project
from bellcast.settings.parsers import NATS, POSTGRES, REDIS
from bellcast.settings.table import StoreSettings

# Bytes of free space. A full disk rejects every send.
DISK_PROBLEM, DISK_WARNING = 200_000_000, 2_000_000_000
# Each live connection is an open file; the server itself uses about fifty.
OWN_FILES, MIN_FILES = 50, 10_000
# Seconds. A store that was written further in the future shows that this machine's clock was set back.
CLOCK_LEEWAY_S = 60
# Unix seconds in 2025. An earlier clock was never set.
MIN_TIME = 1_750_000_000
# Words in names of personal topics. Every subscriber of a public topic receives all of its events.
PERSONAL = ("user", "private", "recipient", "inbox", "account", "customer", "person", "profile", "@")
# Checks of the settings; they only apply to a server with the same settings.
SETTINGS_CHECKS = ("public topics", "origins", "proxies")
# Instructions of SQLite's virtual machine between checks of the deadline.
STORE_STEPS = 100_000
LOCAL = ("localhost", "127.0.0.1", "::1")
# HS256 requires a key of at least 256 bits (RFC 7518, 3.2).
MIN_SECRET_CHARACTERS = 32


def check(settings: Settings, store_seconds: float | None = None, processes: int = 1) -> Iterator[FindingItem]:
    """Run all checks that need no server. The check of the store's file stops after `store_seconds`. `processes` are those
    of all nodes."""
    yield from _readable("data folder", _folder(settings))
    yield from _readable("credentials", _credentials(settings))
    if settings.store.is_file:
        yield from _readable("store", _store(settings.store.path, store_seconds))
    yield from check_databases(settings, max(processes, settings.server.workers))
    yield from check_mail_settings(settings)
    yield from _readable("disk", _disk(settings))
    yield from _files()
    yield from _readable("clock", _clock(settings))
    yield from _public_topics(settings)
    yield from _origins(settings)
    yield from _proxies(settings)


def _readable(check: str, findings: Iterator[FindingItem]) -> Iterator[FindingItem]:
    """Yield the findings of one check, or a problem if it cannot read a file."""
    try:
        yield from findings
    except OSError as error:
        yield diagnoses.finding(
            "file_unreadable", check=check, path=error.filename, error=error.strerror, user=f"user {os.getuid()}"
        )


def _folder(settings: Settings) -> Iterator[FindingItem]:
    data = settings.store.data
    if not data.is_dir():
        yield diagnoses.finding("no_folder", path=data)
    elif not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield diagnoses.finding("folder_read_only", path=data, user=f"user {os.getuid()}")
    elif stat.S_IMODE(data.stat().st_mode) & 0o007:
        yield diagnoses.finding("folder_readable", path=data)
    else:
        yield FindingItem("data folder", "ok", str(data))


def _credentials(settings: Settings) -> Iterator[FindingItem]:
    path, key = credentials_file(settings), settings.channels.encryption_key
    own_keys = [] if key is None else [one for _, one in parsers.key_ring(key) or [("", key)]]
    for one in own_keys:
        if len(one) < MIN_SECRET_CHARACTERS:
            yield diagnoses.finding("weak_secret", setting="BELLCAST_ENCRYPTION_KEY", length=len(one))
    if settings.project is not None and len(settings.project.secret) < MIN_SECRET_CHARACTERS:
        yield diagnoses.finding("weak_secret", setting="BELLCAST_PROJECT", length=len(settings.project.secret))
    elif settings.project is not None:
        yield FindingItem("credentials", "ok", "from BELLCAST_PROJECT")
    elif not path.exists():
        yield diagnoses.finding("no_credentials")
    elif stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield diagnoses.finding("credentials_readable", path=path)
    else:
        yield FindingItem("credentials", "ok", f"{path}, readable by its owner only")


def _store(path: Path, seconds: float | None = None) -> Iterator[FindingItem]:
    if not path.exists():
        yield diagnoses.finding("no_store", path=path)
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            if seconds is not None:
                deadline = time.monotonic() + seconds
                connection.set_progress_handler(lambda: time.monotonic() > deadline, STORE_STEPS)
            backup.verify(connection)
            version, latest = migrations.version(connection), max(migrations.steps())
    except (BellcastError, sqlite3.Error) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            yield diagnoses.finding("store_large", path=path, seconds=f"{seconds:.0f}")
        elif code in {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}:
            yield diagnoses.finding("store_unread", path=path, error=error)
        else:
            yield diagnoses.finding("store_damaged", path=path, error=error)
        return
    if version < latest:
        yield diagnoses.finding("store_old", store=path, version=version, latest=latest)
    else:
        yield FindingItem("store", "ok", f"{path} is intact, version {version}")


def _disk(settings: Settings) -> Iterator[FindingItem]:
    path = settings.store.path if settings.store.is_file else credentials_file(settings)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    gigabytes = f"{free / 1e9:.1f}"
    if free >= DISK_WARNING:
        yield FindingItem("disk", "ok", f"{gigabytes} GB free for {folder}")
    else:
        code = "disk_full" if free < DISK_PROBLEM else "disk_low"
        yield diagnoses.finding(code, gigabytes=gigabytes, path=folder)


def _files() -> Iterator[FindingItem]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        yield FindingItem("open files", "ok", "no limit")
        return
    limit, connections = f"{hard:,}", f"{hard - OWN_FILES:,}"
    if hard < MIN_FILES:
        yield diagnoses.finding("few_files", limit=limit, connections=connections)
    else:
        yield FindingItem("open files", "ok", f"at most {limit}: enough for about {connections} live connections")


def _clock(settings: Settings) -> Iterator[FindingItem]:
    now = time.time()  # noqa: TID251  the check is about this machine's clock
    path = settings.store.path if settings.store.is_file else credentials_file(settings)
    written = path.stat().st_mtime if path.exists() else 0
    if now < MIN_TIME:
        yield diagnoses.finding("clock_unset")
    elif written > now + CLOCK_LEEWAY_S:
        yield diagnoses.finding("clock_set_back", path=path)
    else:
        yield FindingItem("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def _public_topics(settings: Settings) -> Iterator[FindingItem]:
    public = settings.access.public_topics
    personal = [
        pattern
        for pattern in public
        if (any(word in pattern.lower() for word in PERSONAL) or pattern_matches(pattern, "user.1"))
    ]
    if personal:
        yield diagnoses.finding("personal_topics", topics=", ".join(personal))
    else:
        yield FindingItem("public topics", "ok", (", ".join(public) or "none"))


def _origins(settings: Settings) -> Iterator[FindingItem]:
    declared = settings.access.origins
    without_tls = [
        origin for origin in declared if origin.startswith("http://") and urlsplit(origin).hostname not in LOCAL
    ]
    if without_tls:
        yield diagnoses.finding("origins_without_tls", origins=", ".join(without_tls))
    elif settings.access.session_url and not declared:
        yield diagnoses.finding("no_origins")
    else:
        yield FindingItem("origins", "ok", (", ".join(declared) or "any page with a session token"))


def _proxies(settings: Settings) -> Iterator[FindingItem]:
    trusted = settings.server.trusted_proxies
    if any(network.endswith("/0") for network in trusted):
        yield diagnoses.finding("all_trusted")
    elif settings.server.host not in LOCAL and not trusted:
        yield diagnoses.finding("no_proxy", host=settings.server.host)
    else:
        yield FindingItem("proxies", "ok", (", ".join(trusted) or "none"))


# --- mail servers

# A mail server greets within a second, or within 5 s if it makes senders of spam wait.
MAIL_SECONDS = 8.0


def check_mail_settings(settings: Settings) -> Iterator[FindingItem]:
    """Check the mail servers in BELLCAST_EMAIL, concurrently."""
    servers: dict[str, Provider] = {}
    # Names that hang do not delay the end of the command, as those of the event loop's resolver do.
    connect = Resolver().connect
    for number, url in enumerate(settings.channels.email, 1):
        key = f"{SETTING_PREFIX}email-{number}"
        try:
            servers[key] = smtp.SMTPProvider(url, timeout=MAIL_SECONDS, connect=connect)
        except ValueError as error:
            yield diagnoses.finding("mail_unusable", check="mail server", server=key, error=f"the URL {error}")
    yield from asyncio.run(check_mail_servers("mail server", servers))


async def check_mail_servers(name: str, servers: Mapping[str, Provider]) -> list[FindingItem]:
    """Return the finding of each server."""

    async def check(key: str, server: Provider) -> FindingItem:
        label = key if server.server is None else f"{key} at {server.server.host}:{server.server.port}"
        try:
            async with asyncio.timeout(MAIL_SECONDS):
                await server.check()
        except (TimeoutError, DeliveryError) as error:
            reason = str(error) or f"no response in {MAIL_SECONDS:.0f} s"
            return diagnoses.finding("mail_unusable", check=name, server=label, error=reason)
        return FindingItem(name, "ok", f"{label} can be used")

    return await asyncio.gather(*(check(*one) for one in servers.items()))


# --- the URLs that the server calls

# The server itself waits about as long.
URL_SECONDS = 3


def check_urls(settings: Settings) -> Iterator[FindingItem]:
    """Call each configured URL without credentials, which changes nothing."""
    if settings.access.session_url:
        yield _check_url("session URL", settings.access.session_url, "BELLCAST_SESSION_URL", (200, 401, 403))
    if settings.access.jwks_url:
        yield _check_jwks(settings.access.jwks_url)
    if settings.server.handler_url:
        # Unsigned. A handler that checks signatures rejects the request, which proves that it is reachable.
        yield _check_url("handler URL", settings.server.handler_url, "BELLCAST_HANDLER_URL", (200, 400, 401, 403, 405))


def _check_url(check: str, url: str, variable: str, expected: tuple[int, ...]) -> FindingItem:
    try:
        status = _get(url).status
    except Unavailable as error:
        return diagnoses.finding("url_unreachable", check=check, url=shown(url), error=error, variable=variable)
    if status >= 500:
        return diagnoses.finding("url_fails", check=check, url=shown(url), status=status)
    if status not in expected:
        return diagnoses.finding("url_unexpected", check=check, url=shown(url), status=status, variable=variable)
    remark = "" if status == 200 else ", as expected of a call without credentials"
    return FindingItem(check, "ok", f"{shown(url)} returns {status}{remark}")


def _check_jwks(url: str) -> FindingItem:
    try:
        response = _get(url)
        keys = len(msgspec.json.decode(response.body)["keys"]) if response.status == 200 else 0
    except Unavailable as error:
        return diagnoses.finding(
            "url_unreachable", check="JWKS", url=shown(url), error=error, variable="BELLCAST_JWKS_URL"
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return diagnoses.finding("no_key_set", url=shown(url))
    if not keys:
        return diagnoses.finding("no_keys", url=shown(url), status=response.status)
    return FindingItem("JWKS", "ok", f"keys at {shown(url)}: {keys}")


def _get(url: str) -> Response:
    """Request a URL as the server does: within URL_SECONDS in total, with a bounded response and without a proxy. This thread has
    no event loop."""

    async def get() -> Response:
        http = HttpClient()
        try:
            return await http.request("GET", url, headers={}, timeout=URL_SECONDS)
        finally:
            await http.close()

    return asyncio.run(get())


def shown(url: str) -> str:
    """Return a URL without credentials and query. Findings must not contain these, because operators without access to
    the settings can read findings."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


# --- the databases and the broker

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


def check_databases(settings: Settings, processes: int) -> Iterator[FindingItem]:
    """Check the databases named in the settings, with the connections that a server uses. `processes` are those of all
    nodes."""

    async def collect(findings: AsyncIterator[FindingItem]) -> list[FindingItem]:
        found = []
        try:
            async for finding in findings:
                found.append(finding)
        except SettingsError as error:  # its driver is not installed
            found.append(diagnoses.finding("settings_invalid", error=error.detail))
        return found

    for findings in (_postgres(settings.store, processes), _broker(settings), _outbox(settings.store)):
        yield from asyncio.run(collect(findings))


def _unavailable(check: str, engine: str, variable: str, error: BellcastError) -> FindingItem:
    return diagnoses.finding("engine_unavailable", check=check, engine=engine, variable=variable, error=error.detail)


async def _postgres(store: StoreSettings, processes: int) -> AsyncIterator[FindingItem]:
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
    from bellcast.kernel.brokers import LogUnsupported
    from bellcast.kernel.brokers.nats import NatsTransport
    from bellcast.kernel.brokers.nats_log import NatsLog

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
    """Check the outbox. In BELLCAST_DATABASE_URL it is expected; in the store's database it is optional, and faults of the
    database are reported already."""
    if (url := store.outbox_url) is None:
        return
    adapters.need_postgres("BELLCAST_DATABASE_URL")
    import asyncpg

    from bellcast.outbox import tables

    try:
        async with tables.connected(url) as connection:
            outbox = await tables.read_status(connection)
    except Conflict as error:
        yield diagnoses.finding("outbox_old", error=error.detail)
        return
    except NotFound:
        if store.database_url is not None:
            yield diagnoses.finding("no_outbox")
        return
    except BellcastError as error:
        if store.database_url is not None:
            yield _unavailable("outbox", POSTGRESQL, "BELLCAST_DATABASE_URL", error)
        return
    except asyncpg.PostgresError as error:  # of a statement: a privilege is missing
        variable = "BELLCAST_STORE" if store.database_url is None else "BELLCAST_DATABASE_URL"
        yield _unavailable("outbox", POSTGRESQL, variable, Unavailable.of("PostgreSQL", error))
        return
    if (outbox.oldest or 0) > LATE_S:
        yield diagnoses.finding("outbox_late", rows=outbox.waiting, seconds=f"{outbox.oldest:.0f}")
    elif outbox.refused:
        yield diagnoses.finding("outbox_refused", rows=outbox.refused)
    else:
        yield FindingItem("outbox", "ok", "no row is late or refused")
