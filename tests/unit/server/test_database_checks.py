"""Checks of `bellcast doctor` on the store and its clock, the broker and the outbox."""

import asyncio
import importlib.util
import time

import pytest

from bellcast.outbox import tables
from bellcast.server import checks
from bellcast.settings.table import ServerSettings, Settings, StoreSettings
from tests import engines
from tests.servers import free_port


@pytest.fixture
def url():
    server = engines.postgres()
    yield asyncio.run(server.make("doctored"))
    asyncio.run(server.drop("doctored"))


def states_and_fixes(**settings) -> dict[str, tuple[str, str]]:
    results = checks.check_databases(Settings(store=StoreSettings(**settings)), 1)
    return {finding.check: (finding.state, finding.fix) for finding in results}


async def run(url: str, *statements: str) -> None:
    async with tables.connected(url) as connection:
        for statement in statements:
            await connection.execute(statement)


async def install(url: str) -> None:
    async with tables.connected(url) as connection:
        await tables.install(connection, ())


def test_single_process_on_sqlite_needs_no_database():
    assert states_and_fixes() == {}


def test_reachable_engines_with_matching_clocks_are_ok(url):
    findings = states_and_fixes(url=url, broker=engines.redis().url)
    # The store is not necessarily the database of the outbox.
    assert set(findings) == {"store", "store's clock", "broker"}
    assert findings.pop("store")[0] == "warning"  # not migrated
    assert {state for state, _ in findings.values()} == {"ok"}
    assert states_and_fixes(broker=url) == {"broker": ("ok", "")}


def test_processes_that_may_exceed_the_connections_of_postgresql_are_a_warning(url):
    settings = Settings(store=StoreSettings(url=url, connections=17))  # the server has 200
    for processes, is_warned in ((10, False), (11, True)):
        findings = [one.what for one in checks.check_databases(settings, processes) if "connections" in one.what]
        warning = "the processes may open 209 connections, and PostgreSQL accepts 200"
        assert findings == ([warning] if is_warned else [])
    # Before the server runs, its workers are known.
    settings = Settings(server=ServerSettings(workers=11), store=settings.store)
    assert "store's connections" in {one.check for one in checks.check(settings)}


@pytest.fixture
def pooler(request):
    pooler = engines.PgBouncer(engines.postgres(), request.param)
    pooler.start()
    yield pooler
    pooler.end()


@pytest.mark.parametrize(
    ("pooler", "state"), [("session", "ok"), ("transaction", "problem"), ("statement", "problem")], indirect=["pooler"]
)
def test_pooler_that_a_server_refuses_is_a_problem(url, pooler, state):
    pooled = pooler.url(url.rpartition("/")[2])
    findings = {
        finding.check: finding for finding in checks.check_databases(Settings(store=StoreSettings(broker=pooled)), 1)
    }
    assert findings["broker"].state == state
    findings |= {one.check: one for one in checks.check_databases(Settings(store=StoreSettings(url=pooled)), 1)}
    assert findings["store"].state == ("problem" if state == "problem" else "warning")  # not migrated
    if state == "problem":
        assert all("pool_mode=session" in findings[part].what for part in ("store", "broker"))


def test_parameters_of_a_url_that_postgresql_refuses_are_problems(url):
    misspelt = f"{url}?ssl_mode=require"
    findings = states_and_fixes(url=misspelt, broker=misspelt, database_url=misspelt)
    assert {check: state for check, (state, _) in findings.items()} == dict.fromkeys(
        ("store", "broker", "outbox"), "problem"
    )


def test_unreachable_engines_are_problems():
    unreachable = f"postgresql://postgres@127.0.0.1:{free_port()}/x"
    findings = states_and_fixes(url=unreachable, broker=f"redis://127.0.0.1:{free_port()}", database_url=unreachable)
    assert {check: state for check, (state, _) in findings.items()} == dict.fromkeys(
        ("store", "broker", "outbox"), "problem"
    )
    assert "BELLCAST_BROKER" in findings["broker"][1]
    assert "BELLCAST_DATABASE_URL" in findings["outbox"][1]
    assert states_and_fixes(broker=unreachable)["broker"][0] == "problem"
    state, fix = states_and_fixes(broker=f"nats://127.0.0.1:{free_port()}")["broker"]
    assert state == "problem"
    assert "start NATS" in fix


@pytest.mark.parametrize("jetstream", [True, False])
def test_nats_without_jetstream_is_a_problem_unless_nothing_is_kept(jetstream, monkeypatch):
    monkeypatch.setattr("bellcast.kernel.brokers.nats_log.OFF_SECONDS", 0.01)
    server = engines.NatsServer(jetstream=jetstream)
    server.start()
    found = states_and_fixes(broker=server.url)
    assert found.pop("broker") == ("ok", "")
    assert [(check, state) for check, (state, _) in found.items()] == (
        [] if jetstream else [("topic history", "problem")]
    )
    assert set(states_and_fixes(broker=server.url, topic_history=("*=off",))) == {"broker"}
    server.end()


def test_clock_skew_is_a_problem(url, monkeypatch):
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 5)
    state, fix = states_and_fixes(url=url)["store's clock"]
    assert state == "problem"
    assert "NTP" in fix


def test_fault_of_the_store_is_not_reported_for_an_outbox_in_it_too():
    findings = states_and_fixes(url=f"postgresql://postgres@127.0.0.1:{free_port()}/x")
    assert {check: state for check, (state, _) in findings.items()} == {"store": "problem"}


def test_outbox_that_the_user_may_not_read_is_a_problem(url):
    asyncio.run(install(url))
    asyncio.run(run(url, "CREATE ROLE doctor_reader LOGIN"))
    try:
        state, fix = states_and_fixes(database_url=url.replace("//postgres@", "//doctor_reader@"))["outbox"]
    finally:
        asyncio.run(run(url, "DROP ROLE doctor_reader"))
    assert (state, "BELLCAST_DATABASE_URL" in fix) == ("problem", True)


def test_outbox_is_reported_as_missing_flowing_or_stalled(url):
    assert states_and_fixes(database_url=url)["outbox"] == ("warning", "run `bellcast sql install`")
    asyncio.run(install(url))
    assert states_and_fixes(database_url=url)["outbox"] == ("ok", "")
    asyncio.run(run(url, "SELECT bellcast.notify('alice', '{}')"))
    assert states_and_fixes(database_url=url)["outbox"] == ("ok", "")  # just written
    asyncio.run(run(url, "UPDATE bellcast.outbox SET written_at = now() - interval '1 minute'"))
    assert states_and_fixes(database_url=url)["outbox"][0] == "problem"
    move = "INSERT INTO bellcast.refused (id, key, kind, payload, written_at, error) SELECT id, key, kind, payload, written_at, 'x' FROM bellcast.outbox"
    asyncio.run(run(url, move, "DELETE FROM bellcast.outbox"))
    assert states_and_fixes(database_url=url)["outbox"][0] == "warning"
    assert "bellcast sql status" in states_and_fixes(database_url=url)["outbox"][1]


def test_each_missing_driver_is_a_finding_beside_the_other_checks(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    settings = Settings(
        store=StoreSettings(url="postgresql://h/d", broker="redis://h", database_url="postgresql://h/e")
    )
    findings = list(checks.check_databases(settings, 1))
    assert [(one.state, one.what.split(":")[0]) for one in findings] == [
        ("problem", "BELLCAST_STORE"), ("problem", "BELLCAST_BROKER"), ("problem", "BELLCAST_DATABASE_URL"),
    ]  # fmt: skip
    assert "pip install 'bellcast[redis]'" in findings[1].what
