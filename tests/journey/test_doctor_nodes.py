"""Nodes of one store whose credentials or settings do not fit together: the doctor and the log of the later one say so."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from bellcast import build
from bellcast.documents.store import Documents
from tests import engines
from tests.journey.channels_app import app, eventually
from tests.servers import ServerProcess
from tests.smtp_server import smtp_server

JSON = {"accept": "application/json"}


@pytest.fixture
async def database() -> AsyncIterator[str]:
    postgres = engines.postgres()
    yield await postgres.make("fitting")
    await postgres.drop("fitting")


async def nodes_finding(client: httpx.AsyncClient, secret: str = "secret") -> dict[str, Any]:
    """Return the last finding about the nodes that is not ok, or else the last one."""
    headers = JSON | {"authorization": f"Bearer {secret}"}
    response = await client.post("/v1/doctor", headers=headers)
    found = [one for one in response.json() if one["check"] == "nodes"]
    return max(found, key=lambda one: one["state"] != "ok")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"PROJECT": "p:key:another"}, "project secret"),
        ({"ENCRYPTION_KEY": "another encryption key"}, "encryption keys"),
        ({"TOMBSTONES": "1h"}, "retention"),
        ({"LIMIT_TITLE": "20"}, "limits"),
        ({"EMAIL": "smtp://user:hidden-word@mail.example:25?from=a@b.example"}, "mail servers and other channels"),
        ({"PUBLIC_TOPICS": "news"}, "access"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_nodes_that_do_not_fit_together_are_reported(
    tmp_path: Path, database: str, settings: dict[str, str], named: str
) -> None:
    common = {"STORE": database, "ENCRYPTION_KEY": "the encryption key of all nodes", "NO_JOBS": "on"}
    async with app(tmp_path / "a", **common) as (first, client):
        assert (await nodes_finding(client))["state"] == "ok"
        with capture_logs() as logs:
            async with app(tmp_path / "b", **{**common, **settings}) as (_, other):
                (warning,) = [one for one in logs if one["event"] == "node_settings_differ"]
                assert (warning["log_level"], warning["settings"]) == ("warning", named)
                secret = settings.get("PROJECT", "p:key:secret").rpartition(":")[2]
                for finding in (await nodes_finding(client), await nodes_finding(other, secret)):
                    assert (finding["state"], named in finding["what"]) == ("problem", True)
                documents = await Documents(first.db).page("nodes", "", "", 10)
                stored = b"".join(one.body for one in documents)
                assert len(documents) == 2
                for word in (b"another", b"hidden-word", b"encryption key of"):
                    assert word not in stored
        assert (await nodes_finding(client))["state"] == "ok"  # the other one has stopped


async def test_node_with_another_database_behind_the_same_broker_is_reported(tmp_path: Path, database: str) -> None:
    common = {"BROKER": engines.redis().url, "NO_JOBS": "on", "NEWCOMERS": "0"}
    another = engines.postgres()
    other = ServerProcess(tmp_path / "b", {"BELLCAST_PROJECT": "p:key:secret"})
    other.environ |= {f"BELLCAST_{name}": value for name, value in common.items()}
    async with app(tmp_path / "a", STORE=database, **common) as (_, client):

        async def nodes() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (await client.get("/v1/nodes")).json()["nodes"]
            return found

        try:
            for store, state in ((database, "ok"), (await another.make("elsewhere"), "problem")):
                other.environ["BELLCAST_STORE"] = store
                with other:
                    await eventually(nodes, lambda found: len(found) == 2)
                    finding = await nodes_finding(client)
                    assert (finding["state"], "other values: database" in finding["what"]) == (state, state != "ok")
                await eventually(nodes, lambda found: len(found) == 1)
        finally:
            await another.drop("elsewhere")


@pytest.mark.thorough
async def test_equal_nodes_and_those_of_a_change_of_the_secret_fit_together(tmp_path: Path, database: str) -> None:
    common = {"STORE": database, "ENCRYPTION_KEY": "the encryption key of all nodes", "NO_JOBS": "on"}
    during = {"PROJECT": "p:key:newer", "SECOND_SECRET": "secret"}
    with capture_logs() as logs:
        async with (
            app(tmp_path / "a", **common, SECOND_SECRET="newer") as (_, first),
            app(tmp_path / "b", **common, SECOND_SECRET="newer") as (_, second),
            app(tmp_path / "c", **{**common, **during}) as (_, third),
        ):
            for client in (first, second, third):
                assert (await nodes_finding(client))["state"] == "ok"
    assert [one for one in logs if one["event"] == "node_settings_differ"] == []


async def test_settings_of_nodes_are_not_compared_during_an_upgrade(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = {"STORE": database, "NO_JOBS": "on"}
    with capture_logs() as logs:
        async with app(tmp_path / "a", **common) as (_, older):
            monkeypatch.setattr(build, "version", lambda: "0.3.0")
            async with app(tmp_path / "b", **common, LIMIT_TITLE="20"):  # the new default
                monkeypatch.undo()
                assert "limits" not in (await nodes_finding(older))["what"]
    assert [one for one in logs if one["event"] == "node_settings_differ"] == []


async def test_single_process_on_sqlite_writes_no_digests(tmp_path: Path) -> None:
    async with smtp_server() as mailbox:
        url = f"smtp://127.0.0.1:{mailbox.port}?from=a@b.example"
        async with app(tmp_path, EMAIL=url) as (server, client):
            assert (await nodes_finding(client))["state"] == "ok"
            assert await Documents(server.db).page("nodes", "", "", 10) == []


async def test_mail_server_in_the_store_is_checked_by_the_running_server(tmp_path: Path) -> None:
    async with smtp_server() as mailbox, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        url = f"smtp://127.0.0.1:{mailbox.port}?from=a@b.example"
        assert (await client.put("/v1/providers/own", json={"channel": "email", "url": url})).status_code == 201

        async def state() -> str:
            found = {one["check"]: one for one in (await client.post("/v1/doctor", headers=JSON)).json()}
            assert "own at 127.0.0.1" in found["stored mail server"]["what"]
            result: str = found["stored mail server"]["state"]
            return result

        assert await state() == "ok"
        await client.put("/v1/providers/own", json={"channel": "email", "url": url.replace("//", "//user:wrong@")})
        assert await state() == "problem"


async def test_mail_servers_of_tenants_are_checked_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bellcast.server.doctor.MAX_MAIL_SERVERS", 3)
    async with smtp_server() as mailbox, app(tmp_path, HTTP_ALLOW="127.0.0.1") as (_, client):
        url = f"smtp://127.0.0.1:{mailbox.port}?from=a@b.example"
        wrong = url.replace("//", "//user:hidden-word@")
        servers = {"": ("own", url), "acme": ("mail", wrong), "globex": ("mail", url), "initech": ("mail", url)}
        for tenant, (key, address) in servers.items():
            body = {"channel": "email", "url": address}
            assert (await client.put(f"/v1/providers/{key}?tenant={tenant}", json=body)).status_code == 201
        off = {"channel": "email", "url": url, "active": False}
        assert (await client.put("/v1/providers/off?tenant=acme", json=off)).status_code == 201
        response = await client.post("/v1/doctor", headers=JSON)
        found = [one for one in response.json() if one["check"] == "stored mail server"]
        at = f" at 127.0.0.1:{mailbox.port}"
        assert [(one["state"], one["what"].partition(at)[0]) for one in found] == [
            ("ok", "own"),
            ("problem", "mail of tenant acme"),
            ("ok", "mail of tenant globex"),
            ("warning", "further mail servers of tenants were not tried: 1; the doctor signs in to 3"),
        ]
        assert "hidden-word" not in response.text
