"""An app's PostgreSQL database with an outbox, and servers that send from it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from bellcast import cli
from bellcast.outbox import tables
from tests import engines
from tests.faults.nodes import send
from tests.servers import ServerProcess

_numbers = count(1)


class Database:
    """A PostgreSQL database of a test."""

    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self, **options: Any) -> psycopg.Connection:
        return psycopg.connect(self.url, **options)

    def run(self, statement: str, *values: Any) -> list[Any]:
        """Execute in a separate transaction; return the rows."""
        with self.connect() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def waiting(self) -> int:
        ((number,),) = self.run("SELECT count(*) FROM bellcast.outbox")
        return int(number)

    def sql(self, *args: object) -> Any:
        """Run `bellcast sql … --json` in this process: starting Python for each command would take most of a test's
        time."""
        arguments = ["sql", *map(str, args), "--json"]
        result = CliRunner().invoke(cli.app, arguments, env={"BELLCAST_DATABASE_URL": self.url}, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@contextmanager
def database() -> Iterator[Database]:
    """An empty database for the duration of the block."""
    server, name = engines.postgres(), f"app{next(_numbers)}"
    yield Database(asyncio.run(server.make(name)))
    asyncio.run(server.drop(name))


@pytest.fixture
def empty_database() -> Iterator[Database]:
    """A database without an outbox."""
    with database() as created:
        yield created


@pytest.fixture
def store_database() -> Iterator[Database]:
    """A database for Bellcast's store."""
    with database() as created:
        yield created


@pytest.fixture
def app(empty_database: Database) -> Database:
    """A database with bookings and an outbox."""
    return with_outbox(empty_database)


def with_outbox(empty_database: Database) -> Database:
    """Create bookings and an outbox."""
    empty_database.run(
        "CREATE TABLE bookings (id BIGINT PRIMARY KEY, studio TEXT, client TEXT, status TEXT DEFAULT 'new')"
    )
    asyncio.run(_install(empty_database.url))
    return empty_database


class Deployment(NamedTuple):
    """An app's database and the server that sends from it."""

    app: Database
    server: ServerProcess


@pytest.fixture(scope="module")
def shared_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """For tests of a module that can share a server."""
    with database() as empty_database:
        app = with_outbox(empty_database)
        with ServerProcess(tmp_path_factory.mktemp("deployment"), {"BELLCAST_DATABASE_URL": app.url}) as server:
            yield Deployment(app, server)


@pytest.fixture
def deployment(shared_deployment: Deployment) -> Deployment:
    """The shared deployment without bookings, watched tables, refused rows and recipients."""
    app, server = shared_deployment
    for trigger in ("bellcast_watch", "bellcast_watch_truncate"):
        app.run(f"DROP TRIGGER IF EXISTS {trigger} ON bookings")
    app.run("DELETE FROM bookings")
    app.run("DELETE FROM bellcast.refused")
    for recipient in ("alice", "bob"):
        httpx.delete(f"{server.url}/v1/recipients/{recipient}", headers=server.as_app(), timeout=30)
    return shared_deployment


async def _install(url: str) -> None:
    """Install the outbox like `bellcast sql install`, without starting Python."""
    async with tables.connected(url) as connection:
        await tables.install(connection, ())


@pytest.fixture
def serve(app: Database, start_server: Callable[..., ServerProcess]) -> Callable[..., ServerProcess]:
    """Start servers that send from the app's outbox; their store is SQLite by default."""

    def start(**environ: str) -> ServerProcess:
        return start_server(**{"BELLCAST_DATABASE_URL": app.url} | environ)

    return start


@pytest.fixture(scope="module")
def store() -> Iterator[Database]:
    with database() as empty:
        yield empty


@pytest.fixture(scope="module")
def shared_server(store, tmp_path_factory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("node"), {"BELLCAST_STORE": store.url}) as server:
        yield server


@pytest.fixture
def server(shared_server):
    """A server on PostgreSQL; Alice has one notification."""
    httpx.delete(f"{shared_server.url}/v1/recipients/alice", headers=shared_server.as_app(), timeout=30)
    send(shared_server, "alice", "First", tags=["a", "b"])
    return shared_server
