"""What the doctor makes of the engines: store, broker, their clocks, the outbox."""

import asyncio
import time

import pytest
from tests import engines
from tests.servers import free_port

from bellcast.cli import database_checks
from bellcast.outbox import schema
from bellcast.settings.groups import Settings, StoreSettings


@pytest.fixture
def url():
    server = engines.postgres()
    yield asyncio.run(server.make("doctored"))
    asyncio.run(server.drop("doctored"))


def found(**kept) -> dict[str, tuple[str, str]]:
    findings = database_checks.examined(Settings(store=StoreSettings(**kept)))
    return {finding.check: (finding.state, finding.fix) for finding in findings}


async def run(url: str, *statements: str) -> None:
    async with schema.connected(url) as connection:
        for statement in statements:
            await connection.execute(statement)


async def install(url: str) -> None:
    async with schema.connected(url) as connection:
        await schema.install(connection, ())


def test_one_process_on_sqlite_needs_none_of_them():
    assert found() == {}


def test_engines_that_are_there_and_tell_the_same_time(url):
    said = found(url=url, broker=engines.redis().url)
    assert set(said) == {"store", "store's clock", "broker", "broker's clock"}  # a store need not be an outbox too
    assert said.pop("store")[0] == "warning"  # nobody has migrated it
    assert {state for state, _ in said.values()} == {"ok"}
    assert found(broker=url) == {"broker": ("ok", "")}


def test_engines_that_are_away():
    nobody = f"postgresql://postgres@127.0.0.1:{free_port()}/x"
    said = found(url=nobody, broker=f"redis://127.0.0.1:{free_port()}", database_url=nobody)
    assert {check: state for check, (state, _) in said.items()} == dict.fromkeys(
        ("store", "broker", "outbox"), "problem"
    )
    assert "BELLCAST_BROKER" in said["broker"][1]
    assert "BELLCAST_DATABASE_URL" in said["outbox"][1]
    assert found(broker=nobody)["broker"][0] == "problem"


def test_clocks_that_differ(url, monkeypatch):
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 5)
    said = found(url=url, broker=engines.redis().url)
    for check in ("store's clock", "broker's clock"):
        assert said[check][0] == "problem"
        assert "NTP" in said[check][1]


def test_an_outbox_that_is_missing_flows_or_stands_still(url):
    assert found(database_url=url)["outbox"] == ("warning", "`bellcast sql install`")
    asyncio.run(install(url))
    assert found(database_url=url)["outbox"] == ("ok", "")
    asyncio.run(run(url, "SELECT bellcast.notify('alice', '{}')"))
    assert found(database_url=url)["outbox"] == ("ok", "")  # just written
    asyncio.run(run(url, "UPDATE bellcast.outbox SET written_at = now() - interval '1 minute'"))
    assert found(database_url=url)["outbox"][0] == "problem"
    move = "INSERT INTO bellcast.refused (id, key, kind, payload, written_at, error) SELECT id, key, kind, payload, written_at, 'x' FROM bellcast.outbox"
    asyncio.run(run(url, move, "DELETE FROM bellcast.outbox"))
    assert found(database_url=url)["outbox"][0] == "warning"
    assert "bellcast sql status" in found(database_url=url)["outbox"][1]
