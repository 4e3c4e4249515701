"""What a server says about an engine that it cannot use: the reason, and what to do."""

import asyncio
import contextlib
from collections.abc import Awaitable

import asyncpg
import pytest

from bellcast.kernel.brokers.postgres import PostgresTransport
from bellcast.kernel.brokers.redis import RedisTransport
from bellcast.kernel.db import postgres
from bellcast.kernel.db.engine import PROBE
from bellcast.kernel.db.postgres import PostgresEngine
from bellcast.kernel.db.postgres_connection import COMMAND_TIMEOUT
from bellcast.kernel.errors import SettingsError, Unavailable
from tests import engines
from tests.clock import FakeClock
from tests.faults.proxy import Proxy

CREDENTIALS = "Check the user and the password in its URL."
ADDRESS = "Is it running, and is its URL right?"


async def refusal(connecting: Awaitable[None]) -> str:
    with pytest.raises((Unavailable, SettingsError)) as refused:
        await connecting
    return str(refused.value)


@pytest.mark.parametrize(
    ("database", "reason", "fix"),
    [
        ("nosuch", 'database "nosuch" does not exist', "Create this database, or correct its name in the URL."),
        ("nosuch@", 'role "nosuch" does not exist', CREDENTIALS),
        ("postgres?sslmode=require", "rejected SSL upgrade", "Enable TLS there, or set sslmode=prefer in its URL"),
        (
            "postgres?sslmode=verify-ca&sslrootcert=/no.crt",
            "certificate, key or socket that its URL names does not exist",
            "such as sslrootcert, are those",
        ),
        (
            "postgres?ssl_mode=require",
            'unrecognized configuration parameter "ssl_mode"',
            "such as sslrootcert, are those",
        ),
        ("postgres?statement_timeout=x", 'invalid value for parameter "statement_timeout"', "such as sslrootcert"),
    ],
)
async def test_postgres_names_the_fault_and_the_fix(database: str, reason: str, fix: str) -> None:
    user, _, name = database.rpartition("@")
    url = engines.postgres().url(name or "postgres").replace("//postgres@", f"//{user or 'postgres'}@")
    text = await refusal(PostgresEngine(url, FakeClock()).open())
    assert reason in text
    assert fix in text
    assert ".." not in text


async def test_postgres_names_a_missing_privilege_and_the_fix() -> None:
    server = engines.postgres()
    url = await server.make("privileges")
    try:
        administrator = await asyncpg.connect(url)
        await administrator.execute("CREATE ROLE reader LOGIN")
        try:
            text = await refusal(PostgresEngine(url.replace("//postgres@", "//reader@"), FakeClock()).open())
        finally:
            await administrator.execute("DROP ROLE reader")
            await administrator.close()
    finally:
        await server.drop("privileges")
    assert "permission denied for database privileges. Grant it to the user in its URL, or name the owner" in text


async def test_closing_does_not_wait_for_a_postgresql_that_does_not_respond(monkeypatch: pytest.MonkeyPatch) -> None:
    """The statements in progress would wait for it until their own timeout of 15 s, also after they are cancelled."""
    monkeypatch.setattr(postgres, "CLOSE_SECONDS", 0.2)
    server = engines.postgres()
    url, proxy = await server.make("closing"), Proxy(server.port)
    try:
        engine = PostgresEngine(url.replace(f":{server.port}/", f":{proxy.port}/"), FakeClock())
        await engine.open()
        with proxy.silent():
            writing = asyncio.ensure_future(engine.write(PROBE))
            await asyncio.sleep(0.1)
            async with asyncio.timeout(COMMAND_TIMEOUT / 2):
                await engine.close()
                with pytest.raises(Unavailable):
                    await writing
    finally:
        proxy.end()
        await server.drop("closing")


async def test_postgres_as_broker_names_the_fault_and_the_fix() -> None:
    transport = PostgresTransport(engines.postgres().url("nosuch"), "test")
    text = await refusal(transport.connect(print))
    assert text.endswith('"nosuch" does not exist. Create this database, or correct its name in the URL.')
    transport = PostgresTransport(engines.postgres().url("postgres?ssl_mode=require"), "test")
    text = await refusal(transport.connect(print))
    assert "such as sslrootcert, are those" in text


@pytest.mark.parametrize(
    ("user", "port", "fix"),
    [
        ("nobody:wrong@", None, CREDENTIALS),
        ("", "1", ADDRESS),
        ("", "{port}/99", "Its URL must end with a database that it has: /0 to /15 unless its `databases` differs."),
    ],
    ids=["password", "port", "database"],
)
async def test_redis_names_the_fault_and_the_fix(user: str, port: str | None, fix: str) -> None:
    place = (port or "{port}").format(port=engines.redis().port)
    transport = RedisTransport(f"redis://{user}127.0.0.1:{place}", "test")
    text = await refusal(transport.connect(print))
    with contextlib.suppress(Unavailable):
        await transport.close()
    assert text.startswith("Redis cannot be used: ")
    assert text.endswith(f". {fix}")


async def test_connection_closed_by_the_server_is_named() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for transport in (
            PostgresTransport(f"postgresql://{place}/bell", "test"),
            RedisTransport(f"redis://{place}", "test"),
        ):
            assert "cannot be used: it closed the connection. " + ADDRESS in await refusal(transport.connect(print))
            with contextlib.suppress(Unavailable):
                await transport.close()


async def test_redis_at_the_address_of_another_server_names_the_fix() -> None:
    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"INFO {}\r\n")  # as NATS does
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        transport = RedisTransport(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", "test")
        text = await refusal(transport.connect(print))
        with contextlib.suppress(Unavailable):
            await transport.close()
    assert text.startswith("Redis cannot be used: Protocol")
    assert text.endswith(ADDRESS)
