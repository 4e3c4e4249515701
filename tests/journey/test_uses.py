"""Notification types and workflows that other objects use are not deleted."""

from typing import Any

import pytest

from tests.journey.rest import Rest, refused

BELL = {"key": "bell", "type": "inbox", "title": "Booked"}
START = {"key": "start", "type": "trigger", "workflow": "booking", "to": "alice"}
SEND = {"to": "alice", "title": "Booked", "type": "booking"}
WORKFLOW, TYPE = "/v1/workflows/booking", "/v1/types/booking"


@pytest.fixture
async def rest_with_objects(rest: Rest) -> Rest:
    for path, value in ((TYPE, {"name": "Bookings"}), (WORKFLOW, {"steps": [BELL]})):
        assert (await rest.app.put(path, json=value)).status_code == 201
    return rest


@pytest.mark.parametrize(
    ("path", "user", "used"),
    [
        ("/v1/sources/leads", {"event": "lead.assigned", "workflow": "booking", "to": "alice"}, WORKFLOW),
        ("/v1/schedules/weekly", {"cron": "0 8 * * 1", "workflow": "booking", "to": "alice"}, WORKFLOW),
        ("/v1/workflows/first", {"steps": [START]}, WORKFLOW),
        ("/v1/sources/leads", {"event": "lead.assigned", "notification": SEND}, TYPE),
        ("/v1/schedules/weekly", {"cron": "0 8 * * 1", "notification": SEND}, TYPE),
        ("/v1/workflows/first", {"type": "booking", "steps": [BELL]}, TYPE),
    ],
)
async def test_object_that_is_used_stays(rest_with_objects: Rest, path: str, user: dict[str, Any], used: str) -> None:
    app = rest_with_objects.app
    assert (await app.put(path, json=user)).status_code == 201
    response = await app.delete(used)
    assert refused(response, 409, "conflict")
    assert f"is used by {path.removeprefix('/v1/')}: change or delete these first." in response.json()["detail"]
    kind, key = used.removeprefix("/v1/").split("/")
    push = {"source": "shop", "objects": [{"kind": kind, "key": key, "values": None}]}
    assert refused(await app.post("/v1/bundle", json=push), 409, "conflict")
    assert refused(await app.post("/v1/bundle?dry_run=true", json=push), 409, "conflict")
    assert (await app.delete(path)).status_code == 204
    assert (await app.delete(used)).status_code == 204


async def test_override_of_a_used_workflow_is_deleted(rest_with_objects: Rest) -> None:
    app = rest_with_objects.app
    await app.put("/v1/workflows/first", json={"steps": [START]})
    await app.put(f"{WORKFLOW}?tenant=acme", json={"steps": [BELL]})
    assert (await app.delete(f"{WORKFLOW}?tenant=acme")).status_code == 204


async def test_workflow_of_the_users_of_a_tenant_stays(rest_with_objects: Rest) -> None:
    app = rest_with_objects.app
    await app.put("/v1/workflows/first?tenant=acme", json={"steps": [START]})
    response = await app.delete(WORKFLOW)
    assert "is used by workflows/first?tenant=acme:" in response.json()["detail"]


async def test_workflow_that_only_triggers_itself_is_deleted(rest_with_objects: Rest) -> None:
    app = rest_with_objects.app
    assert (await app.put(WORKFLOW, json={"steps": [START]})).status_code == 200
    assert (await app.delete(WORKFLOW)).status_code == 204


async def test_push_deletes_an_object_with_its_user(rest_with_objects: Rest) -> None:
    app = rest_with_objects.app
    await app.put("/v1/workflows/first", json={"type": "booking", "steps": [START]})
    names = (("types", "booking"), ("workflows", "booking"), ("workflows", "first"))
    push = {"source": "shop", "objects": [{"kind": kind, "key": key, "values": None} for kind, key in names]}
    changed = await app.post("/v1/bundle", json=push)
    assert [one["action"] for one in changed.json()["changes"]] == ["delete"] * 3


async def test_type_names_its_uses(rest_with_objects: Rest) -> None:
    app = rest_with_objects.app
    await app.put("/v1/workflows/first", json={"type": "booking", "steps": [BELL]})
    assert (await app.get(TYPE)).json()["uses"] == ["workflows/first"]
