"""A workflow that other objects trigger is not deleted."""

from typing import Any

import pytest

from bellcast.model import times
from tests.journey.rest import HOUR, Rest

STEPS = {"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]}
TRIGGER = {"steps": [{"key": "start", "type": "trigger", "workflow": "booking", "to": "alice"}]}
BRANCH = {"if": {"var": "data.x", "op": "exists"}, "steps": TRIGGER["steps"]}


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("/v1/sources/leads", {"event": "lead.assigned", "workflow": "booking", "to": "alice"}),
        ("/v1/schedules/weekly", {"cron": "0 8 * * 1", "workflow": "booking", "to": "alice"}),
        ("/v1/workflows/other", TRIGGER),
        ("/v1/workflows/other", {"steps": [{"key": "b", "type": "branch", "branches": [BRANCH]}]}),
    ],
)
@pytest.mark.parametrize("tenant", ["", "acme"])
async def test_used_workflow_stays(rest: Rest, tenant: str, path: str, user: dict[str, Any]) -> None:
    query, suffix = ("?tenant=acme", "?tenant=acme") if tenant else ("", "")
    await rest.app.put("/v1/workflows/booking", json=STEPS)
    written = await rest.app.put(f"{path}{query}", json=user)
    assert written.status_code == 201, written.text
    refused = await rest.app.delete("/v1/workflows/booking")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    users = f"{path.removeprefix('/v1/')}{suffix}"
    assert refused.json()["detail"] == f"This workflow is used by {users}: change or delete these first."
    await rest.app.delete(f"{path}{query}")
    assert (await rest.app.delete("/v1/workflows/booking")).status_code == 204


async def test_workflow_that_triggers_only_itself_is_deleted(rest: Rest) -> None:
    await rest.app.put("/v1/workflows/booking", json=TRIGGER)
    assert (await rest.app.delete("/v1/workflows/booking")).status_code == 204


async def test_override_of_a_used_workflow_is_deleted(rest: Rest) -> None:
    for query in ("", "?tenant=acme"):
        await rest.app.put(f"/v1/workflows/booking{query}", json=STEPS)
    await rest.app.put("/v1/workflows/other?tenant=acme", json=TRIGGER)
    assert (await rest.app.delete("/v1/workflows/booking?tenant=acme")).status_code == 204
    assert (await rest.app.delete("/v1/workflows/booking")).status_code == 409


async def test_workflow_of_a_waiting_trigger_stays_until_its_time(rest: Rest) -> None:
    await rest.app.put("/v1/workflows/booking", json=STEPS)
    at = times.to_rfc3339(rest.clock.now() + HOUR).isoformat()
    sent = await rest.app.post("/v1/workflows/booking/trigger", json={"to": "alice", "send_at": at})
    refused = await rest.app.delete("/v1/workflows/booking")
    assert refused.status_code == 409
    assert f"schedules/{sent.json()['schedule']['key']}" in refused.json()["detail"]
    assert "send_at" in refused.json()["detail"]
    rest.clock.advance(2 * HOUR / 1000)
    assert (await rest.app.delete("/v1/workflows/booking")).status_code == 204
