"""`/readyz` and the metrics while an engine is down, full or read-only."""

import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests import engines
from tests.engines import NatsServer, PostgresServer, RedisServer
from tests.faults.test_disk_full import DRAFT, fill, small_disk
from tests.journey.channels_app import app, eventually

# The clients of PostgreSQL and Redis leave a connection that its server ends while it opens to the garbage collector, which warns.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect such connections before the next test."""
    yield
    gc.collect()


@pytest.fixture
async def own_redis() -> AsyncIterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.end()


async def command(server: RedisServer, *words: str) -> None:
    async with Redis.from_url(server.url) as client:
        await client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


async def readiness(client: httpx.AsyncClient) -> tuple[int, Any]:
    """Return the status, and the state of the broker or the code of the refusal."""
    response = await client.get("/readyz")
    return response.status_code, response.json().get("broker") or response.json()["code"]


async def gauges(client: httpx.AsyncClient) -> dict[str, str]:
    return dict(line.split(" ") for line in (await client.get("/metrics")).text.splitlines() if line[0] != "#")


FULL = ("CONFIG", "SET", "maxmemory", "1")
REPLICA = ("REPLICAOF", "127.0.0.1", "1")


@pytest.mark.parametrize(
    ("words", "reason"), [(FULL, "maxmemory"), (REPLICA, "read only replica")], ids=["full", "replica"]
)
async def test_redis_that_refuses_writes_is_degraded(
    own_redis: RedisServer, tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    async with app(tmp_path, BROKER=own_redis.url) as (_, client):
        assert await readiness(client) == (200, "ok")
        assert (await gauges(client))["bellcast_broker_up"] == "1.0"
        await command(own_redis, *words)
        await eventually(lambda: readiness(client), lambda found: found == (200, "degraded"))
        shown = (await client.get("/readyz")).json()["reason"]
        assert reason in shown
        assert ".." not in shown
        assert (await gauges(client))["bellcast_broker_up"] == "0.0"
        assert (await client.post("/v1/notifications", json={"to": "alice", "title": "Hi"})).status_code == 201


@pytest.mark.parametrize("engine", [RedisServer, NatsServer])
async def test_server_without_its_broker_is_ready_and_degraded(
    engine: type[RedisServer | NatsServer], tmp_path: Path
) -> None:
    broker = engine()
    broker.start()
    async with app(tmp_path, BROKER=broker.url) as (_, client):
        for tenant in ("acme", "globex"):
            event = {"topic": "room", "name": "said", "tenant": tenant}
            assert (await client.post("/v1/events", json=event)).status_code < 300
        # JetStream has a stream for each tenant, and a limit.
        assert (await gauges(client)).get("bellcast_history_streams") == ("2.0" if engine is NatsServer else None)
        broker.kill()
        await eventually(lambda: readiness(client), lambda found: found == (200, "degraded"))
        found = await gauges(client)
        assert (found["bellcast_store_up"], found["bellcast_broker_up"]) == ("1.0", "0.0")
        assert (await client.post("/v1/notifications", json={"to": "alice", "title": "Hi"})).status_code == 201
        broker.start()
        await eventually(lambda: readiness(client), lambda found: found == (200, "ok"))
        assert float((await gauges(client))["bellcast_broker_reconnects_total"]) >= 1
    broker.end()


async def test_strict_server_without_its_broker_is_not_ready(own_redis: RedisServer, tmp_path: Path) -> None:
    async with app(tmp_path, BROKER=own_redis.url, READY_STRICT="on") as (_, client):
        assert await readiness(client) == (200, "ok")
        own_redis.kill()
        await eventually(lambda: readiness(client), lambda found: found == (503, "unavailable"))


@pytest.mark.parametrize("broker", [False, True], ids=["store", "store and broker"])
async def test_server_on_a_read_only_postgresql_is_not_ready(tmp_path: Path, broker: bool) -> None:
    postgres, database = engines.postgres(), f"readonly{int(broker)}"
    url = await postgres.make(database)
    try:
        async with app(tmp_path, STORE=url, **({"BROKER": url} if broker else {})) as (_, client):
            assert await readiness(client) == (200, "ok")
            await postgres.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
            # A failover ends the connections too.
            await postgres.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
            )
            await eventually(lambda: readiness(client), lambda found: found == (503, "unavailable"))
            await eventually(lambda: client.get("/readyz"), lambda found: "read-only" in found.text)
            found = await gauges(client)
            assert (found["bellcast_store_up"], found["bellcast_broker_up"]) == ("0.0", "0.0" if broker else "1.0")
    finally:
        await postgres.drop(database)


@pytest.mark.thorough
async def test_server_with_a_full_postgresql_is_not_ready_or_degraded_until_there_is_room() -> None:
    # PostgreSQL's user may not read pytest's folders.
    with TemporaryDirectory() as folder, small_disk(Path(folder) / "disk", "200m") as disk:
        disk.parent.chmod(0o711)
        postgres = PostgresServer(disk)
        postgres.start()
        url, event = postgres.url("postgres"), {"topic": "room", "name": "said", "data": "x" * 9_000}
        async with (
            app(disk.parent / "data", STORE=url) as (_, client),
            app(disk.parent / "events", BROKER=url) as (_, publisher),
        ):
            assert (await client.post("/v1/notifications", json=DRAFT)).status_code == 201
            assert (await publisher.post("/v1/events", json=event)).status_code == 202
            ballast = fill(disk)
            while (await publisher.post("/v1/events", json=event)).status_code == 202:
                pass
            assert await readiness(publisher) == (200, "degraded")
            assert (await gauges(publisher))["bellcast_broker_up"] == "0.0"
            while (response := await client.post("/v1/notifications", json=DRAFT)).status_code == 201:
                pass
            assert (response.status_code, await readiness(client)) == (507, (503, "unavailable"))
            assert (await gauges(client))["bellcast_store_up"] == "0.0"
            findings = (await client.post("/v1/doctor", headers={"accept": "application/json"}, timeout=60)).json()
            assert [one["state"] for one in findings if one["check"] == "store"] == ["problem"]
            ballast.unlink()
            assert await readiness(client) == (200, "ok")
            assert (await client.post("/v1/notifications", json=DRAFT)).status_code == 201
            assert (await publisher.post("/v1/events", json=event)).status_code == 202
            assert await readiness(publisher) == (200, "ok")
        postgres.end()
