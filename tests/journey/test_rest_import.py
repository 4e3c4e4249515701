"""Importing notifications of another system, over REST."""

import json

import pytest

from bellcast.inbox.types.inboxes import NotificationUpdated
from bellcast.kernel import times
from tests.journey.rest import fields, refused

NDJSON = {"content-type": "application/x-ndjson"}
OLD = {"to": "alice", "title": "Old", "created_at": "2020-01-02T03:04:05Z"}


async def load(rest, *items, **options):
    content = "\n".join(map(json.dumps, items))
    response = await rest.app.post(
        "/v1/import", content=content, headers=NDJSON | options.pop("headers", {}), **options
    )
    assert response.status_code == 200, response.text
    return response.json()["results"]


async def inbox(rest, key="alice", **query):
    return (await rest.recipient(key).get("/v1/inbox", params=query)).json()


async def test_times_and_read_state_are_imported_and_nothing_alerts(rest):
    await rest.send("alice", "New")
    rest.published.clear()
    read = {**OLD, "read_at": "2020-01-03T00:00:00+01:00"}
    results = await load(rest, OLD, read, {**OLD, "archived_at": "2021-01-01T00:00:00Z"})
    page = await inbox(rest)
    assert [one["title"] for one in page["notifications"]] == ["New", "Old", "Old"]
    assert (page["unread"], page["unseen"]) == (2, 2)
    assert {one["id"] for one in page["notifications"][1:]} == {one["id"] for one in results[:2]}
    shown = next(one for one in page["notifications"] if one["id"] == results[1]["id"])
    assert (shown["created_at"], shown["seen_at"], shown["read_at"]) == (
        "2020-01-02T03:04:05Z",
        "2020-01-02T23:00:00Z",
        "2020-01-02T23:00:00Z",
    )
    assert [type(event) for event in rest.published] == [NotificationUpdated] * 3
    assert (await rest.app.get("/v1/messages")).json()["messages"] == []


async def test_responses_have_the_form_of_a_bulk_send(rest):
    results = await load(rest, {**OLD, "to": ["alice", "bob"]}, {"to": "alice"}, OLD)
    assert [list(one) for one in results] == [["ids"], ["error"], ["id"]]
    assert results[1]["error"]["errors"] == [{"field": "1.title", "message": "is required"}]
    array = await rest.app.post("/v1/import", json=[OLD])
    assert list(array.json()["results"][0]) == ["id"]


async def test_repetition_imports_nothing_again_even_after_the_key_has_expired(rest):
    items = [{**OLD, "idempotency_key": "a"}, {**OLD, "idempotency_key": "b", "to": ["alice", "bob"]}]
    first = await load(rest, *items)
    assert await load(rest, *items) == first
    rest.clock.advance(25 * 3600)
    assert await load(rest, *items) == first
    assert (await inbox(rest))["unread"] == 2
    mixed = await rest.app.post("/v1/import", json=[*items, {**OLD, "title": "New"}, {"to": "alice"}])
    assert mixed.json()["existing"] == 2
    (other,) = await load(rest, {**items[0], "title": "Other"})
    assert other["error"]["code"] == "idempotency_mismatch"


async def test_key_of_the_request_makes_a_key_for_each_item(rest):
    headers = {"idempotency-key": "batch-1"}
    first = await load(rest, OLD, OLD, headers=headers)
    assert await load(rest, OLD, OLD, headers=headers) == first
    assert (await inbox(rest))["unread"] == 2


async def test_tenant_of_the_query_is_that_of_the_items(rest):
    await load(rest, OLD, params={"tenant": "acme"})
    assert (await inbox(rest))["notifications"] == []
    page = (await rest.recipient("alice", tenant="acme").get("/v1/inbox")).json()
    assert [one["title"] for one in page["notifications"]] == ["Old"]
    (mixed,) = await load(rest, {**OLD, "tenant": "globex"}, params={"tenant": "acme"})
    assert mixed["error"]["status"] == 422


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"created_at": "2999-01-01T00:00:00Z"}, "created_at", "must not be in the future"),
        ({"read_at": "2999-01-01T00:00:00Z"}, "read_at", "must not be in the future"),
        ({"read_at": "2019-01-01T00:00:00Z"}, "read_at", "must not be before created_at"),
        ({"created_at": "1969-01-01T00:00:00Z"}, "created_at", "must be within the years 1970 to 9999 in UTC"),
        ({"to": {"all": True}}, "to", "must name recipients: an audience cannot be imported"),
        ({"channels": ["email"]}, "channels", "must be absent: imported notifications are only for the inbox"),
        ({"template": "hello"}, "template", "must be absent: imported notifications are only for the inbox"),
        (
            {"send_at": "2999-01-01T00:00:00Z"},
            "send_at",
            "must be absent: imported notifications are only for the inbox",
        ),
        ({"expires_at": "2020-02-01T00:00:00Z"}, "expires_at", "must be in the future"),
    ],
)
async def test_field_that_cannot_be_imported_is_refused(rest, changes, field, message):
    (result,) = await load(rest, {**OLD, **changes})
    assert result["error"]["errors"] == [{"field": f"0.{field}", "message": message}]


async def test_notification_that_was_created_while_the_body_arrived_is_imported(rest):
    async def slow_body():
        yield b"["
        rest.clock.advance(20)
        created_at = times.to_rfc3339(rest.clock.now() - 5_000).isoformat()
        yield json.dumps({**OLD, "created_at": created_at, "read_at": created_at}).encode() + b"]"

    response = await rest.app.post("/v1/import", content=slow_body(), headers={"content-type": "application/json"})
    assert "error" not in response.json()["results"][0], response.text


async def test_title_is_required_without_a_template_for_every_type(rest):
    (result,) = await load(rest, {"to": "alice", "type": "booking"})
    assert result["error"]["errors"] == [{"field": "0.title", "message": "is required"}]


async def test_import_needs_the_scope_manage(rest):
    keys = {}
    for scope in ("send", "manage"):
        made = await rest.app.post("/v1/keys", json={"name": scope, "scopes": [scope]})
        keys[scope] = {"authorization": f"Bearer {made.json()['key']}"}
    response = await rest.anonymous.post("/v1/import", json=[OLD], headers=keys["send"])
    assert refused(response, 403, "forbidden")
    assert (await rest.anonymous.post("/v1/import", json=[OLD], headers=keys["manage"])).status_code == 200
    assert refused(await rest.recipient("alice").post("/v1/import", json=[OLD]), 403, "forbidden")


async def test_unknown_query_field_is_refused(rest):
    response = await rest.app.post("/v1/import?dryrun=true", json=[OLD])
    assert response.status_code == 422
    assert list(fields(response)) == ["dryrun"]


async def test_planned_import_writes_nothing(rest):
    planned = await rest.app.post("/v1/import?dry_run=true", json=[OLD, {"to": "alice"}])
    assert planned.status_code == 200, planned.text
    first, second = planned.json()["results"]
    assert first == {"recipients": 1}
    assert second["error"]["errors"][0]["field"] == "1.title"
    assert (await rest.app.get("/v1/recipients/alice")).status_code == 404
