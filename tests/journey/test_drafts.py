"""Drafts of workflows: saving, conflicts, publishing and its effects."""

import msgspec
import pytest

from bellcast.documents.types import DRAFT_MS, DRAFTED
from bellcast.rest import objects
from bellcast.server import maintenance
from tests.journey.rest import Rest, fields, refused

BELL = {"key": "bell", "type": "inbox", "title": "New booking"}
WAIT = {"key": "later", "type": "delay", "for": "30m"}
MAIL = {"key": "mail", "type": "email", "subject": "New booking", "text": "Hello"}
DRAFT = "/v1/workflows/booking/draft"
PUBLISH = "/v1/workflows/booking/publish"


def values(*steps, **others):
    return {"steps": list(steps), **others}


async def save(rest: Rest, body, base=None, **options):
    return await rest.app.put(DRAFT, json={"values": body, "base": base}, **options)


async def publish(rest: Rest, tag: str, body=None, **options):
    return await rest.app.post(PUBLISH, json=body or {}, headers={"if-match": tag}, **options)


async def test_draft_may_be_invalid_and_names_its_errors(rest):
    saved = await save(rest, values(BELL, {**WAIT, "for": "soon"}))
    assert saved.status_code == 201
    assert [one["field"] for one in saved.json()["errors"]] == ["steps.1.for"]
    read = await rest.app.get(DRAFT)
    assert (read.json(), read.headers["etag"]) == (saved.json(), saved.headers["etag"])
    assert (read.json()["by"], read.json()["base"]) == ("project secret", None)
    assert fields(await publish(rest, saved.headers["etag"])).keys() == {"steps.1.for"}
    assert refused(await rest.app.get("/v1/workflows/booking"), 404, "not_found")


async def test_draft_is_published_as_the_next_version_with_its_author_and_note(rest):
    saved = await save(rest, values(BELL))
    first = await publish(rest, saved.headers["etag"])
    assert (first.status_code, first.json()["version"]) == (200, 1)
    assert refused(await rest.app.get(DRAFT), 404, "not_found")
    saved = await save(rest, values(BELL, WAIT), base=1)
    await publish(rest, saved.headers["etag"], {"note": "Waits first"})
    versions = (await rest.app.get("/v1/workflows/booking/versions")).json()["versions"]
    assert [(one["version"], one["by"], one["note"]) for one in versions] == [
        (2, "project secret", "Waits first"), (1, "project secret", None),
    ]  # fmt: skip


OBJECTS = {
    "workflows": values(BELL),
    "templates": {"inbox": {"title": "Booked"}},
    "types": {"required": ["inbox"]},
    "sources": {"event": "booked", "notification": {"to": "alice", "title": "Booked"}},
}


@pytest.mark.parametrize("plural", OBJECTS)
async def test_object_beyond_the_maximum_of_a_tenant_is_refused_in_each_way_of_writing_it(rest, monkeypatch, plural):
    """Each process reads some kinds as a whole."""
    monkeypatch.setattr("bellcast.documents.store.MAX_OF_KIND", 2)
    body, third = OBJECTS[plural], {"kind": plural, "key": "c", "tenant": "acme", "values": OBJECTS[plural]}
    for key in ("a", "b", "a"):
        assert (await rest.app.put(f"/v1/{plural}/{key}?tenant=acme", json=body)).is_success
    answers = [await rest.app.put(f"/v1/{plural}/c?tenant=acme{dry}", json=body) for dry in ("", "&dry_run=true")]
    answers.append(await rest.app.post("/v1/bundle", json={"source": "git", "objects": [third]}))
    if plural in DRAFTED:
        draft = f"/v1/{plural}/c/draft?tenant=acme"
        saved = await rest.app.put(draft, json={"values": body, "base": None})
        assert (await rest.app.put(draft.replace("/c/", "/a/"), json={"values": body, "base": 1})).status_code == 201
        answers.append(await rest.app.put(draft.replace("/c/", "/d/"), json={"values": body, "base": None}))
        tag = {"if-match": saved.headers["etag"]}
        answers.append(await rest.app.post(f"/v1/{plural}/c/publish?tenant=acme", json={}, headers=tag))
    for answer in answers:
        assert refused(answer, 409, "conflict"), answer.text
        assert answer.json()["detail"].startswith("There are already 2 ")
    assert (await rest.app.put(f"/v1/{plural}/c", json=body)).status_code == 201
    assert (await rest.app.delete(f"/v1/{plural}/a?tenant=acme")).status_code == 204
    assert (await rest.app.put(f"/v1/{plural}/c?tenant=acme", json=body)).status_code == 201


@pytest.mark.parametrize("plural", ["workflows", "templates"])
async def test_read_states_who_saved_the_draft_of_the_tenant(rest, plural):
    url, body = f"/v1/{plural}/booking", values(BELL) if plural == "workflows" else {"inbox": {"title": "Booked"}}
    await rest.app.put(url, json=body)
    plain = await rest.app.get(url)
    assert plain.json()["draft"] is None
    await rest.app.put(f"{url}/draft", json={"values": body, "base": 1})
    read = await rest.app.get(url)
    draft = (await rest.app.get(f"{url}/draft")).json()
    assert read.json()["draft"] == {"by": "project secret", "updated_at": draft["updated_at"]}
    assert read.headers["etag"] != plain.headers["etag"]
    weak = await rest.app.put(url, json=body, headers={"if-match": f"W/{plain.headers['etag']}"})
    assert refused(weak, 412, "precondition_failed")
    # A write is conditional on what it replaces.
    assert (await rest.app.put(url, json=body, headers={"if-match": plain.headers["etag"]})).status_code == 200
    assert (await rest.app.get(f"{url}?version=1")).json()["draft"] == read.json()["draft"]
    inherited = (await rest.app.get(f"{url}?tenant=acme")).json()
    assert (inherited["tenant"], inherited["draft"]) == (None, None)
    await rest.app.put(f"{url}/draft?tenant=acme", json={"values": body})
    assert (await rest.app.get(f"{url}?tenant=acme")).json()["draft"]["by"] == "project secret"


async def test_two_editors_do_not_overwrite_each_other(rest):
    mine = (await save(rest, values(BELL), headers={"if-none-match": "*"})).headers["etag"]
    assert refused(await save(rest, values(MAIL), headers={"if-none-match": "*"}), 412, "precondition_failed")
    theirs = (await save(rest, values(BELL, WAIT), headers={"if-match": mine})).headers["etag"]
    assert refused(await save(rest, values(MAIL), headers={"if-match": mine}), 412, "precondition_failed")
    assert refused(await publish(rest, mine), 412, "precondition_failed")
    assert refused(await rest.app.delete(DRAFT, headers={"if-match": mine}), 412, "precondition_failed")
    assert (await rest.app.delete(DRAFT, headers={"if-match": theirs})).status_code == 204
    assert refused(await publish(rest, theirs), 404, "not_found")


async def test_publication_needs_the_reviewed_draft_and_a_current_base(rest):
    await rest.app.put("/v1/workflows/booking", json=values(BELL))
    saved = await save(rest, values(BELL, WAIT), base=1)
    assert "If-Match" in fields(await rest.app.post(PUBLISH, json={}))
    await rest.app.put("/v1/workflows/booking", json=values(MAIL))
    assert refused(await publish(rest, saved.headers["etag"]), 409, "conflict")
    again = await save(rest, values(BELL, WAIT), base=2)
    assert (await publish(rest, again.headers["etag"])).json()["version"] == 3


async def test_notes_are_text_that_every_store_accepts(rest):
    saved = await save(rest, values(BELL | {"note": "a\0b"}, note="a\0b"))
    message = "must not contain the NUL character"
    errors = [{"field": name, "message": message} for name in ("note", "steps.0.note")]
    assert saved.json()["errors"] == errors
    saved = await save(rest, values(BELL))
    wrong = await rest.app.post(PUBLISH, json={"note": "a\0b"}, headers={"if-match": saved.headers["etag"]})
    assert fields(wrong) == {"note": message}


async def test_dry_run_states_the_effects_and_changes_nothing(rest):
    await rest.app.put("/v1/workflows/booking", json=values(BELL, MAIL))
    await rest.app.post("/v1/workflows/booking/trigger", json={"to": ["alice", "bob", "carol"]})
    await rest.app.post("/v1/workflows/booking/trigger?tenant=acme", json={"to": "dan"})
    schema = {"type": "object", "required": ["total"], "properties": {"total": {"type": "integer"}}}
    sms = {"key": "sms", "type": "sms", "text": "Hello"}
    saved = await save(rest, values(BELL, sms, data=schema), base=1)
    planned = (await publish(rest, saved.headers["etag"], params={"dry_run": "true"})).json()
    assert {one["code"]: one.get("n") for one in planned["effects"]} == {
        "runs_keep_version": 4, "data_refused": 2, "required_changed": 1, "channel_removed": None,
        "credentials_missing": None,
    }  # fmt: skip
    assert (await rest.app.get("/v1/workflows/booking")).json()["version"] == 1
    assert (await rest.app.get(DRAFT)).headers["etag"] == saved.headers["etag"]


async def test_dry_run_counts_the_schedules_that_the_new_schema_refuses(rest):
    await rest.app.put("/v1/workflows/booking", json=values(BELL))
    for key, more in (
        ("nightly", {}),
        ("paused", {"active": False}),
        ("right", {"data": {"total": 1}}),
    ):
        body = {"cron": "0 3 * * *", "workflow": "booking", "to": "alice", **more}
        assert (await rest.app.put(f"/v1/schedules/{key}", json=body)).status_code == 201
    schema = {"type": "object", "required": ["total"], "properties": {"total": {"type": "integer"}}}
    saved = await save(rest, values(BELL, data=schema), base=1)
    planned = (await publish(rest, saved.headers["etag"], params={"dry_run": "true"})).json()
    text = "Triggers of 1 schedule would be refused: nightly, data.total is missing."
    assert planned["effects"] == [
        {"code": "triggers_refused", "text": text, "n": 1},
        {"code": "required_changed", "text": "Triggers without data.total are refused.", "n": 1},
    ]


async def test_dry_run_names_the_data_that_triggers_must_have_from_now_on(rest):
    schema = {"type": "object", "required": ["client"], "properties": {"client": {}, "total": {}, "nights": {}}}
    await rest.app.put("/v1/workflows/booking", json=values(BELL, data=schema))

    async def effects(*required: str) -> dict[str, tuple[str, int]]:
        saved = await save(rest, values(BELL, data=schema | {"required": required}), base=1)
        planned = (await publish(rest, saved.headers["etag"], params={"dry_run": "true"})).json()
        return {one["code"]: (one["text"], one["n"]) for one in planned["effects"]}

    assert await effects() == await effects("client") == {}
    text = "Triggers without data.nights, data.total are refused."
    assert await effects("client", "total", "nights") == {"required_changed": (text, 2)}


async def test_dry_run_finds_variables_in_the_texts_of_steps_that_triggers_do_not_have(rest):
    schema = {"type": "object", "required": ["client"], "properties": {"client": {"type": "string"}, "phone": {}}}
    sms = {"key": "sms", "type": "sms", "text": "Call {{ data.phone }}"}
    known = {"if": {"var": "data.phone", "op": "exists"}, "steps": [sms]}
    steps = [
        {
            **BELL,
            "title": "Booked by {{ data.clint }}",
            "actions": [{"key": "open", "label": "Open", "url": "https://x.example/{{ data.id }}"}],
        },
        {"key": "gate", "type": "branch", "branches": [known], "else": [{**sms, "key": "other"}]},
        {**MAIL, "text": "{{ data.client }} booked {{ data.note | default('') }}"},
    ]
    saved = await save(rest, values(*steps, data=schema))
    planned = (await publish(rest, saved.headers["etag"], params={"dry_run": "true"})).json()
    written = await rest.app.put("/v1/workflows/booking", json=values(*steps, data=schema), params={"dry_run": "true"})
    assert planned["findings"] == written.json()["findings"]
    assert {one["field"]: (one["code"], one["message"].partition(":")[0]) for one in planned["findings"]} == {
        "steps.0.title": ("unknown_variable", "No data schema declares data.clint. Do you mean data.client?"),
        "steps.0.actions.0.url": ("unknown_variable", "No data schema declares data.id."),
        "steps.1.else.0.text": (
            "missing_variable",
            "data.phone may be absent, and the send would be refused",
        ),
        "steps.2.text": ("unknown_variable", "No data schema declares data.note."),
    }


async def test_dry_run_compares_the_texts_of_steps_with_the_last_run_of_a_workflow_without_a_schema(rest):
    await rest.app.put("/v1/workflows/booking", json=values(WAIT))
    await rest.app.post("/v1/workflows/booking/trigger", json={"to": "alice", "data": {"client": "Ann"}})
    steps = [WAIT, {**MAIL, "subject": "{{ data.client }}", "text": "{{ data.id }} {{ data.note | default('') }}"}]
    written = await rest.app.put("/v1/workflows/booking", json=values(*steps), params={"dry_run": "true"})
    (found,) = written.json()["findings"]
    assert (found["field"], found["code"]) == ("steps.1.text", "missing_variable")
    assert found["message"].startswith("The last run of booking had no data.id, ")


async def test_list_shows_drafts_and_with_a_parameter_those_never_published(rest):
    for key in ("a", "c"):
        await rest.app.put(f"/v1/workflows/{key}", json=values(BELL))
    for key in ("b", "c", "d"):
        await rest.app.put(f"/v1/workflows/{key}/draft", json={"values": {}})
    listed = (await rest.app.get("/v1/workflows")).json()["workflows"]
    assert [(one["key"], one["draft"] and one["draft"]["by"]) for one in listed] == [
        ("a", None),
        ("c", "project secret"),
    ]
    pages, after = [], None
    while after is not None or not pages:
        page = (await rest.app.get("/v1/workflows", params={"drafts": "true", "limit": 1, "after": after or ""})).json()
        pages.append([(one["key"], one["version"]) for one in page["workflows"]])
        after = page["next"]
    assert pages == [[("a", 1)], [("b", 0)], [("c", 1)], [("d", 0)]]


async def test_draft_goes_with_its_workflow_or_after_90_days(rest):
    await rest.app.put("/v1/workflows/booking", json=values(BELL))
    await save(rest, values(MAIL), base=1)
    await rest.app.delete("/v1/workflows/booking")
    assert refused(await rest.app.get(DRAFT), 404, "not_found")
    await save(rest, values(MAIL))
    rest.clock.advance(DRAFT_MS / 1000 + 1)
    while await rest.store.documents.expire(
        "workflows-drafts", rest.clock.now() - DRAFT_MS, maintenance.MAINTENANCE_BATCH_ROWS
    ):
        pass
    assert refused(await rest.app.get(DRAFT), 404, "not_found")


async def test_draft_of_a_tenant_is_its_override(rest):
    await rest.app.put("/v1/workflows/booking", json=values(BELL))
    saved = await save(rest, values(MAIL), params={"tenant": "acme"})
    published = await rest.app.post(
        PUBLISH, json={}, params={"tenant": "acme"}, headers={"if-match": saved.headers["etag"]}
    )
    assert (published.json()["tenant"], published.json()["version"]) == ("acme", 1)
    assert (await rest.app.get("/v1/workflows/booking")).json()["steps"] == [BELL]


async def test_draft_may_be_as_large_as_an_object(rest):
    size = objects.MAX_BODY_BYTES - len(msgspec.json.encode({"text": ""}))
    assert (await save(rest, {"text": "x" * size})).status_code == 201
    assert fields(await save(rest, {"text": "x" * (size + 1)})).keys() == {"values"}


@pytest.mark.parametrize("base", [-1, 0, 3, 2**31])
async def test_base_is_a_version_that_exists(rest, base):
    for body in (values(BELL), values(BELL, WAIT)):
        await rest.app.put("/v1/workflows/booking", json=body)
    assert set(fields(await save(rest, values(BELL), base=base))) == {"base"}
    await rest.app.patch("/v1/workflows/booking", json={"version": 1})
    assert (await save(rest, values(BELL), base=2)).status_code == 201, (
        "begun before the older version was made current"
    )


@pytest.mark.parametrize("body", [{"values": []}, {"values": {}, "more": 1}, {"base": 1}])
async def test_wrong_draft_is_refused(rest, body):
    assert refused(await rest.app.put(DRAFT, json=body), 422, "invalid")


async def test_notes_of_steps_and_workflow_are_stored_and_never_executed(rest):
    noted = values({**BELL, "note": "Rings first."}, note="For hosts.")
    written = (await rest.app.put("/v1/workflows/booking", json=noted)).json()
    assert (written["note"], written["steps"][0]["note"]) == ("For hosts.", "Rings first.")
    wrong = await rest.app.put("/v1/workflows/booking", json=values({**BELL, "note": "x" * 501}, note=1))
    assert fields(wrong).keys() == {"note", "steps.0.note"}
