"""An app's own PostgreSQL database with an outbox in it, and servers that send from it."""

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
from bellcast.outbox import schema
from tests import engines
from tests.faults.nodes import send
from tests.servers import ServerProcess

_numbers = count(1)


class AppDatabase:
    """The database an app keeps its bookings in."""

    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self, **options: Any) -> psycopg.Connection:
        return psycopg.connect(self.url, **options)

    def run(self, statement: str, *values: Any) -> list[Any]:
        """In a transaction of its own; the rows."""
        with self.connect() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def waiting(self) -> int:
        ((number,),) = self.run("SELECT count(*) FROM bellcast.outbox")
        return int(number)

    def sql(self, *args: object) -> Any:
        """`bellcast sql … --json`, in this process: a Python more for each would be most of a test's time."""
        asked = ["sql", *map(str, args), "--json"]
        done = CliRunner().invoke(cli.app, asked, env={"BELLCAST_DATABASE_URL": self.url}, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@contextmanager
def database() -> Iterator[AppDatabase]:
    """An empty database, as long as the block lasts."""
    server, name = engines.postgres(), f"app{next(_numbers)}"
    yield AppDatabase(asyncio.run(server.make(name)))
    asyncio.run(server.drop(name))


@pytest.fixture
def bare() -> Iterator[AppDatabase]:
    """A database in which there is no outbox yet."""
    with database() as empty:
        yield empty


@pytest.fixture
def another() -> Iterator[AppDatabase]:
    """A database for Bellcast alone."""
    with database() as empty:
        yield empty


@pytest.fixture
def app(bare: AppDatabase) -> AppDatabase:
    """A database with bookings and an outbox."""
    return furnished(bare)


def furnished(bare: AppDatabase) -> AppDatabase:
    """With bookings and an outbox."""
    bare.run("CREATE TABLE bookings (id BIGINT PRIMARY KEY, studio TEXT, client TEXT, status TEXT DEFAULT 'new')")
    asyncio.run(_install(bare.url))
    return bare


class Home(NamedTuple):
    """An app's database and the server that sends from it."""

    app: AppDatabase
    server: ServerProcess


@pytest.fixture(scope="module")
def lasting_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """For the tests of a module that need no server of their own."""
    with database() as bare:
        app = furnished(bare)
        with ServerProcess(tmp_path_factory.mktemp("home"), {"BELLCAST_DATABASE_URL": app.url}) as server:
            yield Home(app, server)


@pytest.fixture
def home(lasting_home: Home) -> Home:
    """As if it were new: no bookings, nothing watched, nothing refused, nobody known."""
    app, server = lasting_home
    for trigger in ("bellcast_watch", "bellcast_watch_truncate"):
        app.run(f"DROP TRIGGER IF EXISTS {trigger} ON bookings")
    app.run("DELETE FROM bookings")
    app.run("DELETE FROM bellcast.refused")
    for recipient in ("alice", "bob"):
        httpx.delete(f"{server.url}/v1/recipients/{recipient}", headers=server.as_app(), timeout=30)
    return lasting_home


async def _install(url: str) -> None:
    """As `bellcast sql install` does, without starting Python for it."""
    async with schema.connected(url) as connection:
        await schema.install(connection, ())


@pytest.fixture
def serve(app: AppDatabase, start_server: Callable[..., ServerProcess]) -> Callable[..., ServerProcess]:
    """Starts servers that send from the app's outbox; their own store is SQLite unless said otherwise."""

    def start(**environ: str) -> ServerProcess:
        return start_server(**{"BELLCAST_DATABASE_URL": app.url} | environ)

    return start


@pytest.fixture(scope="module")
def store() -> Iterator[AppDatabase]:
    with database() as empty:
        yield empty


@pytest.fixture(scope="module")
def lasting_server(store, tmp_path_factory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("node"), {"BELLCAST_STORE": store.url}) as server:
        yield server


@pytest.fixture
def server(lasting_server):
    """A server on PostgreSQL, whose Alice has been told one thing."""
    httpx.delete(f"{lasting_server.url}/v1/recipients/alice", headers=lasting_server.as_app(), timeout=30)
    send(lasting_server, "alice", "First", tags=["a", "b"])
    return lasting_server
