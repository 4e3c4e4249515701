"""Two releases on one store: the older release's statements work on the newer tables, and its writes are readable.

`tests/fixtures/fingerprints` are requests with their fingerprints as each release stored them.

`tests/fixtures/statements/postgres-N.json` are the statements of the release with tables of version N. When a
migration is added after a release, add that release's statements there."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import asyncpg
import httpx
import pytest

from bellcast.kernel.db import postgres_connection
from bellcast.kernel.db.migrations import postgres as migrations
from bellcast.kernel.db.postgres import PostgresEngine
from bellcast.kernel.db.sqlite_connection import connect
from bellcast.kernel.errors import Conflict
from tests import engines
from tests.clock import FakeClock
from tests.contract.app import App
from tests.servers import ServerProcess
from tests.store import Store

RELEASES = sorted((Path(__file__).parent.parent / "fixtures" / "statements").glob("postgres-*.json"))
FINGERPRINTS = sorted((Path(__file__).parent.parent / "fixtures" / "fingerprints").glob("*.json"))
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
FROM information_schema.columns WHERE table_schema = 'bellcast' AND table_name <> 'schema_version'
"""


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server = engines.postgres()
    yield await server.make("rolling")
    await server.drop("rolling")


@pytest.fixture
async def raw(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def migrate_to(raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    """Migrate the store to the given version."""
    with monkeypatch.context() as patch:
        steps = {number: step for number, step in migrations.steps().items() if number <= version}
        patch.setattr(migrations, "steps", lambda: steps)
        await migrations.migrate(raw)
    await raw.execute("SET search_path = bellcast")


def statements_of(release: Path) -> dict[str, str]:
    statements: dict[str, str] = json.loads(release.read_text(encoding="utf-8"))
    return statements


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.stem)
async def test_statements_of_an_older_release_are_valid(raw: asyncpg.Connection, release: Path) -> None:
    await migrations.migrate(raw)
    await raw.execute("SET search_path = bellcast")
    texts = statements_of(release)
    assert len(texts) > 80
    for text in texts.values():
        await raw.prepare(postgres_connection._text(text).plain)


@pytest.mark.parametrize("version", [*migrations.steps()][:-1])
async def test_migration_steps_only_add(raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    await migrate_to(raw, monkeypatch, version)
    before = {(table, column): rest for table, column, *rest in await raw.fetch(COLUMNS)}
    await migrations.migrate(raw)
    after = {(table, column): rest for table, column, *rest in await raw.fetch(COLUMNS)}
    assert {key: after.get(key) for key in before} == before
    tables = {table for table, _ in before}
    required = [key for key, (_, must) in after.items() if key not in before and key[0] in tables and must]
    assert required == []


async def test_writes_of_an_older_release_are_readable(url: str, raw: asyncpg.Connection) -> None:
    store = Store(PostgresEngine(url, FakeClock()))
    await store.open()
    app = App(store, FakeClock())
    await app.send("alice", "from this release", tenant="acme")
    older = statements_of(RELEASES[0])
    write = postgres_connection._text(older["tenant_write"])
    await raw.execute("SET search_path = bellcast")
    await raw.fetch(write.plain, *write.values({"tenant": "acme", "name": "Acme", "settings": "{}", "ruled": 0}))
    statements = await store.tenants.get("acme")
    assert statements is not None
    assert statements.name == "Acme"
    assert await app.titles("alice", tenant="acme") == ["from this release"]
    await store.close()


@pytest.mark.parametrize("release", FINGERPRINTS, ids=lambda path: path.stem)
def test_idempotency_keys_of_an_older_release_are_valid(tmp_path: Path, release: Path) -> None:
    """Fails if a request has another fingerprint than in that release: fields that are added have the default `UNSET`."""
    server = ServerProcess(tmp_path / "data")
    with server:
        steps = [{"key": "a", "type": "inbox", "title": "Hi"}]
        httpx.put(f"{server.url}/v1/workflows/welcome", json={"steps": steps}, headers=server.as_app())
        server.stop()
    requests = json.loads(release.read_text(encoding="utf-8"))
    with closing(connect(server.data / "bellcast.db")) as store:
        for request in requests:
            answer = json.dumps({"notifications": [{"id": request["fingerprint"], "recipient": "alice"}]}).encode()
            store.execute(
                "INSERT INTO idempotency (tenant, key, fingerprint, answer, created_at) VALUES ('', ?, ?, ?, ?)",
                (
                    request["body"]["idempotency_key"],
                    bytes.fromhex(request["fingerprint"]),
                    answer,
                    time.time_ns() // 10**6,
                ),
            )
    with server:
        for request in requests:
            body = [request["body"]] if request["path"] == "/v1/import" else request["body"]
            response = httpx.post(server.url + request["path"], json=body, headers=server.as_app())
            assert request["fingerprint"] in response.text, request["body"]


async def mark_newer(raw: asyncpg.Connection, oldest: int) -> None:
    await migrations.migrate(raw)
    await raw.execute(
        "UPDATE bellcast.schema_version SET version = $1, oldest = $2", max(migrations.steps()) + 1, oldest
    )


async def test_this_release_starts_on_the_next_releases_tables(url: str, raw: asyncpg.Connection) -> None:
    await mark_newer(raw, oldest=max(migrations.steps()))
    store = Store(PostgresEngine(url, FakeClock()))
    await store.open()
    app = App(store, FakeClock())
    await app.send("alice", "Hello")
    assert await app.titles("alice") == ["Hello"]
    await store.close()
    assert await migrations.version(raw) == max(migrations.steps()) + 1


async def test_this_release_refuses_incompatible_newer_tables(url: str, raw: asyncpg.Connection) -> None:
    await mark_newer(raw, oldest=max(migrations.steps()) + 1)
    with pytest.raises(Conflict, match="newer Bellcast"):
        await Store(PostgresEngine(url, FakeClock())).open()


async def test_older_release_does_not_downgrade_the_tables(
    raw: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrations.steps()
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "steps", lambda: steps | {max(steps) + 1: "CREATE TABLE more (a BIGINT)"})
        await migrations.migrate(raw)
    await migrations.migrate(raw)
    assert await migrations.version(raw) == max(steps) + 1
