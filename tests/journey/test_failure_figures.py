"""The figures of failures that the console shows side by side."""

from pathlib import Path

import httpx
import pytest

from bellcast.server import asgi
from tests.journey.channels_app import eventually
from tests.journey.rest import Caller

LOOP = {"steps": [{"key": "again", "type": "trigger", "workflow": "loop", "to": "alice"}]}


async def test_chart_menu_and_causes_count_the_same_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLCAST_PROJECT", "p:key:secret-of-the-project")
    bell = asgi(data=str(tmp_path))
    async with (
        bell.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(bell), base_url="http://bell") as client,
    ):
        caller = Caller(client, {"authorization": "Bearer secret-of-the-project"})
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
