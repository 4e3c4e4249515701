"""PgBouncer in front of PostgreSQL: session mode works, other modes are refused at the start."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import engines
from tests.journey.shell import bellcast
from tests.servers import ServerProcess


@pytest.fixture
def pooler(request: pytest.FixtureRequest) -> Iterator[engines.PgBouncer]:
    pooler = engines.PgBouncer(engines.postgres(), request.param)
    pooler.start()
    yield pooler
    pooler.end()


@pytest.fixture
async def database() -> str:
    name = "pooled"
    await engines.postgres().drop(name)
    await engines.postgres().make(name)
    return name


@pytest.mark.parametrize("pooler", ["session"], indirect=True)
def test_server_works_behind_a_pooler_in_session_mode(tmp_path: Path, pooler: engines.PgBouncer, database: str) -> None:
    url = pooler.url(database)
    with ServerProcess(tmp_path / "data", {"BELLCAST_STORE": url, "BELLCAST_BROKER": url}) as server:
        for _ in range(2):
            body = {"to": "alice", "title": "Hello"}
            sent = httpx.post(f"{server.url}/v1/notifications", json=body, headers=server.as_app(), timeout=30)
            assert sent.status_code == 201, sent.text
            event = {"topic": "news", "name": "new", "data": 1}
            published = httpx.post(f"{server.url}/v1/events", json=event, headers=server.as_app(), timeout=30)
            assert published.status_code == 202, published.text
            server.restart()
        inbox = httpx.get(f"{server.url}/v1/inbox", headers=server.as_recipient("alice"), timeout=30).json()
        assert len(inbox["notifications"]) == 2
        kept = httpx.get(f"{server.url}/v1/topics/news/events", headers=server.as_app(), timeout=30).json()
        assert len(kept["events"]) == 2


@pytest.mark.parametrize("pooler", ["transaction", "statement"], indirect=True)
@pytest.mark.parametrize("variable", ["BELLCAST_STORE", "BELLCAST_BROKER"])
def test_pooler_that_shares_sessions_is_refused_with_the_reason(
    tmp_path: Path, pooler: engines.PgBouncer, database: str, variable: str
) -> None:
    server = ServerProcess(tmp_path / "data", {variable: pooler.url(database)})
    with pytest.raises(AssertionError) as refused:
        server.start()
    assert f"{variable}: the pooler" in str(refused.value)
    assert "PgBouncer must use pool_mode=session" in str(refused.value)
    assert "Traceback" not in str(refused.value)


@pytest.mark.parametrize("pooler", ["transaction", "statement"], indirect=True)
@pytest.mark.parametrize("command", [("migrate",), ("backup", "copy.db"), ("restore", "--positions")])
def test_command_is_refused_by_a_pooler_that_shares_sessions_as_a_server_is(
    pooler: engines.PgBouncer, database: str, command: tuple[str, ...]
) -> None:
    refused = bellcast(*command, "--store", pooler.url(database))
    assert refused.status == 2
    assert refused.err.startswith("Error: BELLCAST_STORE: the pooler")
    assert "PgBouncer must use pool_mode=session" in refused.err
