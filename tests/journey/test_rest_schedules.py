"""Schedules over REST."""

import asyncio

import pytest

from tests.journey.rest import Caller, fields, refused

BODY = {"cron": "0 8 * * 1", "timezone": "Europe/Vienna", "notification": {"to": "alice", "title": "Plan the week"}}


async def test_schedule_is_written_listed_fired_and_deleted(rest):
    created = await rest.app.put("/v1/schedules/week", json=BODY)
    assert created.status_code == 201, created.text
    shown = created.json()
    assert (shown["key"], shown["last_at"], shown["missed"], shown["active"]) == ("week", None, "latest", True)
    assert (await rest.app.put("/v1/schedules/week", json=shown)).status_code == 200
    times = (await rest.app.get("/v1/schedules/week/next?count=2")).json()["times"]
    assert (times[0], len(times)) == (shown["next_at"], 2)
    assert [one["key"] for one in (await rest.app.get("/v1/schedules")).json()["schedules"]] == ["week"]
    assert (await rest.app.get("/v1/schedules?tenant=acme")).json()["schedules"] == []
    planned = await rest.app.post("/v1/schedules/week/run?dry_run=true")
    assert planned.status_code == 200, planned.text
    assert (planned.json()["recipients"], planned.json()["plan"][0]["recipient"]) == (1, "alice")
    assert (await rest.recipient("alice").get("/v1/inbox")).json()["notifications"] == []
    fired = await rest.app.post("/v1/schedules/week/run")
    assert (fired.status_code, fired.json()["notifications"][0]["recipient"]) == (202, "alice")
    assert (await rest.app.delete("/v1/schedules/week")).status_code == 204
    assert refused(await rest.app.get("/v1/schedules/week"), 404, "not_found")


async def test_schedule_is_written_as_yaml_whose_errors_have_lines(rest):
    text = 'cron: "0 8 * * 1"\ntimezone: {}\nnotification:\n  to: alice\n  title: Plan the week\n'
    headers = {"content-type": "application/yaml"}
    path = "/v1/schedules/week"
    wrong = await rest.app.put(path, content=text.format("Vienna"), headers=headers)
    assert [(one["field"], one["line"]) for one in wrong.json()["errors"]] == [("timezone", 2)]
    written = await rest.app.put(path, content=text.format("Europe/Vienna"), headers=headers)
    assert (written.status_code, written.json()["notification"]) == (201, BODY["notification"])


@pytest.mark.parametrize("timezone", ["UTC", "recipient"])
async def test_schedule_of_a_tenant_names_no_audience_of_another(rest, timezone):
    """It could not fire, or would fire there in the time zone of each recipient."""
    await rest.app.put("/v1/workflows/plan", json={"steps": [{"key": "bell", "type": "inbox", "title": "Plan"}]})
    times, to = {"cron": "0 8 * * 1", "timezone": timezone}, {"tenant": "globex"}
    for content, field in (
        ({"notification": {"to": to, "title": "Plan"}}, "notification.to.tenant"),
        ({"workflow": "plan", "to": to}, "to.tenant"),
    ):
        refusal = await rest.app.put("/v1/schedules/week?tenant=acme", json={**times, **content})
        assert fields(refusal) == {field: "must be the same as tenant"}
        for tenant in ("", "globex"):
            written = await rest.app.put("/v1/schedules/week", params={"tenant": tenant}, json={**times, **content})
            assert written.status_code in (200, 201), written.text


async def test_schedules_of_all_tenants_are_those_of_the_caller(rest):
    places = [(tenant, key) for tenant in ("", "acme", "globex") for key in ("month", "week")]
    for tenant, key in places:
        await rest.app.put(f"/v1/schedules/{key}", params={"tenant": tenant}, json=BODY)

    async def listed(caller, **params):
        found, after = [], ""
        while after is not None:
            page = (await caller.get("/v1/schedules", params={"limit": 1, "after": after, **params})).json()
            found += [(one["tenant"] or "", one["key"]) for one in page["schedules"]]
            after = page["next"]
        return found

    async def bound_to(*tenants):
        body = {"name": "k", "scopes": ["read"], "tenants": tenants}
        key = (await rest.app.post("/v1/keys", json=body)).json()["key"]
        return Caller(rest.client, {"authorization": f"Bearer {key}"})

    assert await listed(rest.app, tenant="*") == places
    assert await listed(rest.app) == places[:2]
    assert await listed(await bound_to("acme")) == places[2:4]
    two = await bound_to("globex", "initech")
    assert await listed(two) == await listed(two, tenant="*") == places[4:]
    assert refused(await two.get("/v1/schedules?tenant=acme"), 403, "forbidden")
    # A cursor of another tenant shows nothing of it.
    page = await two.get("/v1/schedules", params={"after": "acme/"})
    assert {one["tenant"] for one in page.json()["schedules"]} == {"globex"}


async def test_wrong_schedules_are_refused(rest):
    unknown = await rest.app.put("/v1/schedules/x", json={"cron": "0 8 * * 1", "workflow": "none", "to": "alice"})
    assert "workflow" in fields(unknown)
    assert refused(await rest.app.put("/v1/schedules/x", json={**BODY, "typo": 1}), 422, "invalid")
    assert refused(await rest.app.put("/v1/schedules/a b", json=BODY), 422, "invalid")
    assert (await rest.app.put("/v1/schedules/x?dry_run=true", json=BODY)).status_code == 200
    assert refused(await rest.app.get("/v1/schedules/x"), 404, "not_found")


@pytest.mark.parametrize(
    ("named", "field"),
    [
        ({"template": "none"}, "notification.template"),
        ({"email": {"layout": "none"}}, "notification.email.layout"),
    ],
)
async def test_templates_of_schedules_and_sources_must_exist(rest, named, field):
    notification = {"to": "alice", "title": "T", **named}
    schedule = {"cron": "0 8 * * 1", "notification": notification}
    source = {"event": "lead.assigned", "notification": notification}
    for path, body in (("/v1/schedules/x", schedule), ("/v1/sources/x", source)):
        assert list(fields(await rest.app.put(path, json=body))) == [field]
        assert list(fields(await rest.app.put(f"{path}?dry_run=true", json=body))) == [field]
    html = "<p>{{ content }}</p>"
    await rest.app.put("/v1/templates/none", json={"inbox": {"title": "T"}, "email": {"html": html}})
    for path, body in (("/v1/schedules/x", schedule), ("/v1/sources/x", source)):
        assert (await rest.app.put(path, json=body)).status_code == 201


async def test_template_of_a_source_may_depend_on_the_event(rest):
    notification = {"to": "alice", "template": "{{ event.data.kind }}", "email": {"layout": "base"}}
    body = {"event": "lead.assigned", "notification": notification}
    assert (await rest.app.put("/v1/sources/x", json=body)).status_code == 201


async def test_data_of_a_schedule_must_fit_the_workflow(rest):
    schema = {"type": "object", "required": ["total"], "properties": {"total": {"type": "integer"}}}
    steps = [{"key": "bell", "type": "inbox", "title": "T"}]
    await rest.app.put("/v1/workflows/order", json={"data": schema, "steps": steps})
    schedule = {"cron": "0 8 * * 1", "workflow": "order", "to": "alice", "data": {"total": "many"}}
    assert list(fields(await rest.app.put("/v1/schedules/x", json=schedule))) == ["data.total"]
    assert (await rest.app.put("/v1/schedules/x", json={**schedule, "data": {"total": 1}})).status_code == 201


async def test_send_and_trigger_with_a_time_are_schedules(rest):
    at = {"send_at": "2030-01-31T12:00:00", "timezone": "Europe/Vienna"}
    rest.clock.advance(1_893_456_000 - rest.clock.now() / 1000)  # 2030-01-01
    sent = await rest.app.post("/v1/notifications", json={"to": "alice", "title": "Later", **at})
    assert sent.status_code == 202, sent.text
    key = sent.json()["schedule"]["key"]
    assert sent.json() == {"schedule": {"key": key, "next_at": "2030-01-31T11:00:00Z"}}
    shown = (await rest.app.get(f"/v1/schedules/{key}")).json()
    assert shown["notification"] | {"to": "alice", "title": "Later"} == shown["notification"]
    assert (await rest.app.delete(f"/v1/schedules/{key}")).status_code == 204
    await rest.app.put("/v1/workflows/hello", json={"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]})
    triggered = await rest.app.post("/v1/workflows/hello/trigger", json={"to": "alice", **at, "timezone": "recipient"})
    assert (triggered.status_code, list(triggered.json())) == (202, ["schedule"])
    late = await rest.app.post("/v1/workflows/none/trigger", json={"to": "alice", **at})
    assert refused(late, 404, "not_found")


async def test_invalid_times_are_named_with_all_other_invalid_fields(rest):
    await rest.app.put("/v1/workflows/hello", json={"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]})
    at, past = {"send_at": "?", "timezone": "Vienna"}, {"send_at": "2020-01-01T00:00:00Z"}
    sends = "/v1/notifications"
    assert set(fields(await rest.app.post(sends, json={"to": [], "title": "x", **at}))) == {"to", "send_at", "timezone"}
    assert set(fields(await rest.app.post(sends, json={"to": "a", **past}))) == {"title", "send_at"}
    assert set(fields(await rest.app.post(sends, json={"to": "a", "titel": "x", **past}))) == {"titel", "send_at"}
    bulk = (await rest.app.post("/v1/notifications/bulk", json=[{"to": "a", **past}])).json()["results"][0]["error"]
    assert {one["field"] for one in bulk["errors"]} == {"0.title", "0.send_at"}
    assert "send_at" in fields(await rest.app.post(f"{sends}?dry_run=true", json={"to": "a", "title": "x", **past}))
    trigger = "/v1/workflows/hello/trigger"
    assert set(fields(await rest.app.post(trigger, json={"to": [], **at}))) == {"to", "send_at", "timezone"}
    assert set(fields(await rest.app.post(trigger, json={"to": "a", "x": 1, "timezone": "UTC"}))) == {"x", "timezone"}


async def test_cancel_key_cancels_a_trigger_with_a_time(rest):
    rest.clock.advance(1_893_456_000 - rest.clock.now() / 1000)
    await rest.app.put("/v1/workflows/hello", json={"steps": [{"key": "bell", "type": "inbox", "title": "Hello"}]})
    later = {"to": ["alice", "bob"], "cancel_key": "b-7", "send_at": "2030-01-31T12:00:00Z"}
    key = (await rest.app.post("/v1/workflows/hello/trigger", json=later)).json()["schedule"]["key"]
    cancel = "/v1/workflows/hello/cancel"
    assert (await rest.app.post(cancel, json={"cancel_key": "b-7", "to": "bob"})).json() == {"cancelled": 1}
    assert (await rest.app.get(f"/v1/schedules/{key}")).json()["to"] == ["alice"]
    assert (await rest.app.post(cancel, json={"cancel_key": "b-7"})).json() == {"cancelled": 1}
    assert refused(await rest.app.get(f"/v1/schedules/{key}"), 404, "not_found")


async def test_bulk_items_with_a_time_are_schedules(rest):
    rest.clock.advance(1_893_456_000 - rest.clock.now() / 1000)
    body = [{"to": "alice", "title": "Now"}, {"to": "alice", "title": "Later", "send_at": "2030-01-31T12:00:00Z"}]
    now, later = (await rest.app.post("/v1/notifications/bulk", json=body)).json()["results"]
    assert list(now) == ["id"]
    assert later["schedule"]["next_at"] == "2030-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("plural", "body"),
    [
        ("schedules", BODY),
        ("templates", {"inbox": {"title": "Hello"}}),
        ("providers", {"channel": "email", "url": "smtp://mail.example?from=bell@example.com"}),
    ],
)
async def test_of_simultaneous_writes_of_an_object_one_creates_it(rest, plural, body):
    written = await asyncio.gather(*(rest.app.put(f"/v1/{plural}/week", json=body) for _ in range(8)))
    assert sorted(one.status_code for one in written) == [200] * 7 + [201]


async def test_conditional_write_of_a_schedule_replaces_only_the_one_that_was_read(rest):
    path = "/v1/schedules/week"
    only_new = {"if-none-match": "*"}
    assert (await rest.app.put(path, json=BODY, headers=only_new)).status_code == 201
    assert refused(await rest.app.put(path, json=BODY, headers=only_new), 412, "precondition_failed")
    tag = (await rest.app.get(path)).headers["etag"]
    changed = {**BODY, "timezone": "Europe/London"}
    assert refused(await rest.app.put(path, json=changed, headers={"if-match": '"other"'}), 412, "precondition_failed")
    # What a firing changes is not what a write replaces.
    assert (await rest.app.post(f"{path}/run")).status_code == 202
    assert (await rest.app.put(path, json=changed, headers={"if-match": tag})).status_code == 200
    for write in (
        rest.app.put(path, json=BODY, headers={"if-match": tag}),
        rest.app.put(f"{path}?dry_run=true", json=BODY, headers={"if-match": tag}),
        rest.app.delete(path, headers={"if-match": tag}),
    ):
        assert refused(await write, 412, "precondition_failed")
    current = await rest.app.get(path)
    assert current.json()["timezone"] == "Europe/London"
    assert (await rest.app.delete(path, headers={"if-match": current.headers["etag"]})).status_code == 204
    assert refused(await rest.app.put(path, json=BODY, headers={"if-match": tag}), 412, "precondition_failed")
    assert refused(await rest.app.delete(path), 404, "not_found")


async def test_notification_that_expires_before_its_time_is_refused(rest):
    at = {"send_at": "2030-01-31T12:00:00", "timezone": "Europe/Vienna"}
    rest.clock.advance(1_893_456_000 - rest.clock.now() / 1000)  # 2030-01-01
    draft = {"to": "alice", "title": "Later", "expires_at": "2030-01-31T11:00:00Z"}
    for path in ("/v1/notifications", "/v1/notifications?dry_run=true"):
        assert fields(await rest.app.post(path, json=draft | at)) == {"expires_at": "must be after send_at"}
    bulk = (await rest.app.post("/v1/notifications/bulk", json=[draft | at])).json()["results"][0]["error"]
    assert [one["field"] for one in bulk["errors"]] == ["0.expires_at"]
    # In each recipient's own zone, the first are fourteen hours ahead of UTC.
    early, local = draft | {"expires_at": "2030-01-30T22:00:00Z"}, at | {"timezone": "recipient"}
    assert fields(await rest.app.post("/v1/notifications", json=early | local)) == {
        "expires_at": "must be after send_at"
    }
    schedule = {"at": at["send_at"], "timezone": at["timezone"], "notification": draft}
    assert list(fields(await rest.app.put("/v1/schedules/x", json=schedule))) == ["notification.expires_at"]
    later = draft | {"expires_at": "2030-01-31T11:00:01Z"}
    assert (await rest.app.post("/v1/notifications", json=later | at)).status_code == 202
    assert (await rest.app.post("/v1/notifications", json=draft | local)).status_code == 202
