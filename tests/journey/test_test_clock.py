"""`bellcast serve --test-clock`: days of workflows in a second."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pusher
import pytest

from tests.journey.channels import World, opened
from tests.journey.rest import Rest, refused
from tests.journey.shell import bellcast
from tests.push_browser import Browser
from tests.servers import ServerProcess
from tests.vendor_server import vendor_server

START = "2030-01-01T08:00:00Z"
STEPS = [
    {"key": "bell", "type": "inbox", "title": "Hello"},
    {"key": "later", "type": "delay", "for": "3d"},
    {"key": "mail", "type": "email", "subject": "Still there?", "text": "Hello"},
]


def test_advance_runs_everything_that_falls_due(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path / "data", {}, f"--test-clock={START}") as server,
        httpx.Client(base_url=server.url, headers=server.as_app()) as app,
    ):
        assert app.get("/v1/test-clock").json() == {"now": START}
        app.put("/v1/recipients/alice", json={"email": "alice@example.com"})
        app.put("/v1/workflows/hello", json={"steps": STEPS})
        run = app.post("/v1/workflows/hello/trigger", json={"to": "alice"}).json()["run"]
        assert app.post("/v1/test-clock", json={"advance": "2d"}).json() == {"now": "2030-01-03T08:00:00Z"}
        shown = app.get(f"/v1/runs/{run}").json()
        assert (shown["state"], shown["wakes_at"]) == ("waiting", "2030-01-04T08:00:00Z")
        app.post("/v1/test-clock", json={"advance": "7d"})
        shown = app.get(f"/v1/runs/{run}").json()
        assert (shown["state"], shown["ended_at"]) == ("completed", "2030-01-04T08:00:00Z")
        (message,) = app.get(f"/v1/messages?run={run}").json()["messages"]
        assert (message["state"], message["created_at"]) == ("simulated", "2030-01-04T08:00:00Z")
        # Sessions keep the system time.
        token = app.post("/v1/tokens", json={"recipient": "alice"}).json()["token"]
        inbox = httpx.get(f"{server.url}/v1/inbox", headers={"authorization": f"Bearer {token}"})
        assert [one["title"] for one in inbox.json()["notifications"]] == ["Hello"]
        assert app.post("/v1/test-clock", json={"advance": "-1d"}).status_code == 422


@pytest.mark.parametrize("ending", ["recipients/alice/sessions", "recipients/alice", "tenants/acme"])
async def test_sessions_end_at_the_system_time(tmp_path: Path, ending: str) -> None:
    async with opened(tmp_path, (datetime.now(UTC) + timedelta(days=3)).isoformat()) as world:
        await world.put("/v1/recipients/alice?tenant=acme", {})
        before = await _token(world)
        async with asyncio.timeout(5):
            await world.request("DELETE", f"/v1/{ending}", **({} if "acme" in ending else {"tenant": "acme"}))
        after = await _token(world)
        statuses = [await _inbox_status(world, token) for token in (before, after)]
        assert statuses == [401, 200]


async def _token(world: World) -> str:
    token: str = (await world.request("POST", "/v1/tokens", {"recipient": "alice", "tenant": "acme"}))["token"]
    return token


async def _inbox_status(world: World, token: str) -> int:
    return (await world.client.get("/v1/inbox", headers={"authorization": f"Bearer {token}"})).status_code


async def test_signatures_keep_the_system_time(tmp_path: Path) -> None:
    async with vendor_server() as vendor:
        with ServerProcess(tmp_path / "data", {"BELLCAST_HTTP_ALLOW": "127.0.0.1"}, f"--test-clock={START}") as server:
            url = f"http://{vendor.host}"
            async with httpx.AsyncClient(base_url=server.url, headers=server.as_app()) as app:
                await app.post("/v1/webhooks", json={"url": url, "events": ["notification.created"]})
                await app.post("/v1/recipients/alice/push-endpoints", json=Browser().to_json(f"{url}/push"))
                await app.put(
                    "/v1/workflows/w", json={"steps": [{"key": "call", "type": "http", "url": f"{url}/step"}]}
                )
                await app.post("/v1/notifications", json={"to": "alice", "title": "T", "channels": ["inbox", "push"]})
                await app.post("/v1/workflows/w/trigger", json={"to": "alice"})
                await app.post("/v1/test-clock", json={"advance": "1s"})
            # Receivers reject requests that are five minutes off their own clocks; push services also reject tokens valid for over a day.
            received = {one.path: one.headers for one in vendor.requests}
            for path in ("/", "/step"):
                assert abs(int(received[path]["webhook-timestamp"]) - time.time()) < 300
            token = received["/push"]["authorization"].removeprefix("vapid t=").partition(",")[0]
            assert 0 < jwt.decode(token, options={"verify_signature": False})["exp"] - time.time() <= 86_400
            sdk = pusher.Pusher(
                server.project, server.key, server.secret, host="127.0.0.1", port=server.port, ssl=False
            )
            await asyncio.to_thread(sdk.trigger, "news", "n", {})


async def test_server_with_the_system_time_has_no_test_clock(rest: Rest) -> None:
    assert refused(await rest.app.get("/v1/test-clock"), 404, "not_found")
    assert refused(await rest.app.post("/v1/test-clock", json={"advance": 1}), 404, "not_found")


def test_wrong_time_is_refused(tmp_path: Path) -> None:
    assert bellcast("serve", "--port", 0, "--test-clock=noon", "--data", tmp_path).status == 2
