"""The figures that the console shows side by side."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bellcast.server import asgi
from bellcast.server.app import App
from tests.journey.channels_app import eventually
from tests.journey.rest import Caller

LOOP = {"steps": [{"key": "again", "type": "trigger", "workflow": "loop", "to": "alice"}]}


@asynccontextmanager
async def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[App, Caller]]:
    """A server, and the app that calls it."""
    monkeypatch.setenv("BELLCAST_PROJECT", "p:key:secret-of-the-project")
    bell = asgi(data=str(tmp_path))
    async with (
        bell.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(bell), base_url="http://bell") as client,
    ):
        yield bell, Caller(client, {"authorization": "Bearer secret-of-the-project"})


async def test_chart_menu_and_causes_count_the_same_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch) as (bell, caller):
        created = await caller.put("/v1/workflows/loop", json=LOOP)
        assert created.status_code < 300, created.text
        # Runs that start each other end with one that fails.
        await caller.post("/v1/workflows/loop/trigger", json={"to": "alice"})
        failures = await eventually(lambda: caller.get("/v1/failures"), lambda read: bool(read.json()["failures"]))
        menu = failures.json()["total"]["value"]
        causes = (await caller.get("/v1/failures/causes")).json()["causes"]
        chart = (await eventually(bell._measure, lambda point: point.failures > 0)).failures
        tenant = bell.feed.tenants.busiest()[""].failures
    assert (chart, tenant, menu, [(one["cause"], one["count"]) for one in causes]) == (1, 1, 1, [("too_deep", 1)])


async def test_chart_counts_the_notifications_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path, monkeypatch) as (bell, caller):
        steps = [{"key": "bell", "type": "inbox", "title": "Hi"}, {"key": "stop", "type": "stop"}]
        await caller.put("/v1/workflows/ring", json={"steps": steps})
        await caller.post("/v1/workflows/ring/trigger", json={"to": "alice"})
        chart = (await eventually(bell._measure, lambda point: point.sends > 0)).sends
        listed = (await caller.get("/v1/notifications")).json()["total"]["value"]
    assert (chart, listed) == (1, 1)
