"""A template that other objects use is not deleted, and stays a layout if they use it as one. They cannot name one that does not exist."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellcast.documents.store import Documents
from bellcast.kernel import times
from bellcast.rest import kinds
from bellcast.templates import rendering
from bellcast.templates.http import MAX_LAYOUT_ERRORS
from bellcast.templates.types import Template
from bellcast.workflows import usage
from tests.journey import channels
from tests.journey.rest import HOUR, Rest, fields
from tests.journey.test_email import app


async def test_template_names_its_uses_and_stays_while_it_has_any(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        refused = await client.put("/v1/types/booking", json={"template": "missing"})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "template"
        written = await client.put("/v1/templates/hello", json={"inbox": {"title": "Hello"}})
        assert (written.status_code, written.json()["uses"]) == (201, [])
        assert (await client.put("/v1/types/booking", json={"template": "hello"})).status_code == 201
        read = (await client.get("/v1/templates/hello")).json()
        assert read["uses"] == ["types/booking"]
        assert (await client.put("/v1/templates/hello", json=read)).status_code == 200
        assert (await client.get("/v1/templates")).json()["templates"][0]["uses"] == ["types/booking"]
        refused = await client.delete("/v1/templates/hello")
        assert refused.status_code == 409
        assert "types/booking" in refused.json()["detail"]
        assert (await client.put("/v1/templates/hello?tenant=acme", json={"inbox": {"title": "Hi"}})).status_code == 201
        assert (await client.delete("/v1/templates/hello?tenant=acme")).status_code == 204
        await client.delete("/v1/types/booking")
        assert (await client.delete("/v1/templates/hello")).status_code == 204


async def test_unknown_layout_is_refused(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        refused = await client.put("/v1/templates/t", json={"email": {"text": "Hi", "layout": "fancy"}})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "email.layout"
        assert (await client.put("/v1/templates/t", json={"email": {"text": "Hi", "layout": None}})).status_code == 201


async def test_layouts_of_many_languages_are_each_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched, checked = list[str](), list[str]()
    suggestion, layout_problem = Documents.suggestion, rendering.layout_problem

    async def search(documents: Documents, kind: str, tenant: str, key: str) -> str:
        searched.append(key)
        return await suggestion(documents, kind, tenant, key)

    def check(template: Template, key: str) -> str | None:
        checked.append(key)
        return layout_problem(template, key)

    monkeypatch.setattr(Documents, "suggestion", search)
    monkeypatch.setattr(rendering, "layout_problem", check)

    def translated(*layouts: str) -> dict[str, Any]:
        languages = [f"de-{number:03}" for number in range(len(layouts))]
        texts = [{"email": {"text": "Hallo", "layout": layout}} for layout in layouts]
        return {"email": {"subject": "Hi", "text": "Hi"}, "translations": dict(zip(languages, texts, strict=True))}

    async with app(tmp_path) as (_, client):
        await client.put("/v1/templates/plain", json={"email": {"text": "Hi"}})
        refused = await client.put("/v1/templates/t", json=translated(*["plain", "fancy"] * 100))
        assert len(fields(refused)) == MAX_LAYOUT_ERRORS
        assert (checked, searched) == (["plain"], ["fancy"])
        refused = await client.put("/v1/templates/t", json=translated(*[f"fancy-{number}" for number in range(200)]))
        assert list(fields(refused)) == [f"translations.de-{number:03}.email.layout" for number in range(10)]
        assert len(searched) == 1 + MAX_LAYOUT_ERRORS


async def test_template_of_a_workflow_stays(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/templates/hello", json={"email": {"subject": "Hello", "text": "Hi"}})
        steps = [{"key": "mail", "type": "email", "template": "hello"}]
        branch = {"key": "b", "type": "branch", "branches": [{"if": {"var": "data.x", "op": "exists"}, "steps": steps}]}
        written = await client.put("/v1/workflows/greeting", json={"steps": [branch]})
        assert written.status_code == 201, written.text
        assert (await client.get("/v1/templates/hello")).json()["uses"] == ["workflows/greeting"]
        assert (await client.delete("/v1/templates/hello")).status_code == 409
        await client.delete("/v1/workflows/greeting")
        assert (await client.delete("/v1/templates/hello")).status_code == 204


async def test_unknown_template_of_a_workflow_is_refused(rest: Rest) -> None:
    mail = {"key": "mail", "type": "email"}
    for field, content in (("template", {}), ("layout", {"subject": "Hi"})):
        refused = await rest.app.put("/v1/workflows/greeting", json={"steps": [{**mail, field: "missing", **content}]})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, f"steps.0.{field}")
    for layout in ("base", None):
        steps = [{**mail, "subject": "Hi", "layout": layout}]
        assert (await rest.app.put("/v1/workflows/greeting", json={"steps": steps})).is_success


async def test_unknown_template_is_refused_with_the_nearest_key(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/templates/booking", json={"inbox": {"title": "Booked"}})
        notification = {"to": "alice", "template": "bookng"}
        step = {"key": "mail", "type": "email", "template": "bookng"}
        refused = [
            await client.post("/v1/notifications", json=notification),
            await client.post("/v1/notifications", json={**notification, "to": {"all": True}}),
            await client.put("/v1/types/visit", json={"template": "bookng"}),
            await client.put("/v1/schedules/late", json={"cron": "0 8 * * *", "notification": notification}),
            await client.put("/v1/templates/hello", json={"email": {"text": "Hi", "layout": "bookng"}}),
            await client.put("/v1/workflows/greeting", json={"steps": [step]}),
            await client.post("/v1/templates/bookng/preview", json={}),
        ]
        assert [response.status_code for response in refused] == [422] * 6 + [404]
        for response in refused:
            assert "here is no template 'bookng'; did you mean 'booking'?" in response.json()["detail"], response.text
        far = await client.post("/v1/notifications", json={"to": "alice", "template": "invoice"})
        assert far.json()["errors"] == [{"field": "template", "message": "there is no template 'invoice'"}]


async def test_template_that_is_only_a_draft_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        draft = {"values": {"inbox": {"title": "Booked"}}, "base": None}
        await client.put("/v1/templates/visit/draft", params={"tenant": "acme"}, json=draft)
        step = {"key": "mail", "type": "email", "template": "visit"}
        for tenant, end in (("acme", ", only a draft: publish it"), ("", "")):
            body = {"steps": [step]}
            response = await client.put("/v1/workflows/greeting", params={"tenant": tenant}, json=body)
            expected = f"there is no template 'visit'{end}"
            assert response.json()["errors"] == [{"field": "steps.0.template", "message": expected}], tenant


async def test_unknown_workflow_provider_or_object_is_refused_with_the_nearest_key(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        await client.put("/v1/workflows/booking", json={"steps": [{"key": "bell", "type": "inbox", "title": "Booked"}]})
        await client.put(
            "/v1/providers/booking", json={"channel": "email", "url": "smtp://mail.example.com?from=a@b.example"}
        )
        await client.put("/v1/types/booking", json={"name": "Bookings"})
        names = {"workflow": "bookng", "to": "alice"}
        step = {"key": "next", "type": "trigger", **names}
        refused = [
            await client.post("/v1/workflows/bookng/trigger", json={"to": "alice"}),
            await client.get("/v1/workflows/bookng"),
            await client.get("/v1/types/bookng"),
            await client.get("/v1/providers/bookng"),
            await client.post("/v1/providers/bookng/test", json={}),
            await client.put("/v1/schedules/late", json={"cron": "0 8 * * *", **names}),
            await client.put("/v1/sources/leads", json={"event": "lead.added", **names}),
            await client.put("/v1/workflows/greeting", json={"steps": [step]}),
        ]
        assert [response.status_code for response in refused] == [404] * 5 + [422] * 3
        for response in refused:
            assert "bookng'; did you mean 'booking'?" in response.json()["detail"].replace("this key", "'bookng'")
        assert (await client.get("/v1/workflows/invoice")).json()["detail"] == "There is no workflow with this key."


async def put_types(rest: Rest, count: int, tenant: str = "") -> None:
    for number in range(count):
        await rest.store.documents.put("types", tenant, f"t{number:04}", b'{"template":"hello"}', 1)


@pytest.mark.parametrize(("count", "others"), [(5, ""), (6, " and others")])
async def test_refused_deletion_says_whether_there_are_more_uses(rest: Rest, count: int, others: str) -> None:
    await rest.app.put("/v1/templates/hello", json={"inbox": {"title": "Hello"}})
    await put_types(rest, count)
    detail = (await rest.app.delete("/v1/templates/hello")).json()["detail"]
    assert f"types/t0003, types/t0004{others}: change or delete these first." in detail


async def test_read_of_a_template_searches_and_lists_a_limited_number_of_uses(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "MAX_SEARCHED", 200)
    await put_types(rest, 120)
    await rest.store.documents.put("types", "acme", "own", b'{"template":"other"}', 1)
    await put_types(rest, 200, "globex")
    await rest.store.documents.put("types", "zeta", "last", b'{"template":"rare"}', 1)
    for key in ("hello", "other", "rare"):
        await rest.store.documents.put("templates", "", key, b'{"inbox":{"title":"Hello"}}', 1)
    listed = (await rest.app.get("/v1/templates")).json()["templates"]
    users = {one["key"]: one["uses"] for one in listed}
    assert len(users["hello"]) == kinds.MAX_USES
    assert (users["other"], users["rare"]) == (["types/own?tenant=acme"], [])
    refused = await rest.app.delete("/v1/templates/rare")  # a deletion searches all
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_read_of_a_tenants_template_searches_no_other_tenant(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    await rest.store.documents.put("templates", "", "hello", b'{"inbox":{"title":"Hello"}}', 1)
    for tenant in ("", "acme", "globex"):
        await put_types(rest, 1, tenant)
    searched: list[str | None] = []
    every = rest.store.documents.every

    def spied(kind: str, tenant: str | None = None) -> object:
        searched.append(tenant)
        return every(kind, tenant)

    monkeypatch.setattr(type(rest.store.documents), "every", staticmethod(spied))
    read = (await rest.app.get("/v1/templates/hello?tenant=acme")).json()
    assert read["uses"] == ["types/t0000"]
    assert set(searched) == {"", "acme"}


LAYOUT = {"email": {"subject": "L", "html": "<b>{{ content }}</b>"}}
PLAIN = {"email": {"subject": "L", "html": "<b>nothing</b>"}}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(PLAIN, id="without content"),
        pytest.param({"inbox": {"title": "L"}}, id="without e-mail"),
        pytest.param({"email": {"subject": "L", "text": "L"}}, id="without HTML"),
        pytest.param(LAYOUT | {"translations": {"de": PLAIN}}, id="without content in German"),
    ],
)
async def test_used_layout_stays_a_layout(rest: Rest, broken: dict[str, Any]) -> None:
    await rest.app.put("/v1/templates/frame", json=LAYOUT)
    await rest.app.put("/v1/templates/hello", json={"email": {"subject": "Hi", "html": "<p>Hi</p>", "layout": "frame"}})
    for query in ("", "?dry_run=true", "?tenant=acme"):
        refused = await rest.app.put(f"/v1/templates/frame{query}", json=broken)
        if query == "?tenant=acme" and "email" not in broken:
            assert refused.status_code == 201  # the e-mail of the project remains
            continue
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), query
        language = " in de" if "translations" in broken else ""
        assert refused.json()["detail"] == (
            "This template is used by templates/hello as a layout, and would have no HTML with {{ content }}"
            f"{language}: change or delete these first."
        )
    assert "nothing" not in (await rest.app.get("/v1/templates/frame")).text
    other = {"email": {"subject": "L", "html": "<i>{{ content }}</i>"}}
    assert (await rest.app.put("/v1/templates/frame", json=other)).status_code == 200
    await rest.app.delete("/v1/templates/hello")
    assert (await rest.app.put("/v1/templates/frame", json=broken)).status_code == 200


async def test_layout_that_is_used_only_as_a_template_can_become_one(rest: Rest) -> None:
    await rest.app.put("/v1/templates/frame", json=LAYOUT)
    await rest.app.put("/v1/types/booking", json={"template": "frame"})
    assert (await rest.app.put("/v1/templates/frame", json=PLAIN)).status_code == 200


async def test_tenants_layout_stays_while_the_projects_is_none(rest: Rest) -> None:
    await rest.app.put("/v1/templates/frame", json=PLAIN)
    await rest.app.put("/v1/templates/frame?tenant=acme", json=LAYOUT)
    hello = {"email": {"subject": "Hi", "html": "<p>Hi</p>", "layout": "frame"}}
    assert (await rest.app.put("/v1/templates/hello?tenant=acme", json=hello)).status_code == 201
    refused = await rest.app.delete("/v1/templates/frame?tenant=acme")
    assert refused.status_code == 409
    assert "templates/hello" in refused.json()["detail"]


async def test_template_with_a_translation_that_is_no_layout_cannot_be_a_layout(rest: Rest) -> None:
    await rest.app.put("/v1/templates/frame", json=LAYOUT | {"translations": {"de": PLAIN}})
    hello = {"email": {"subject": "Hi", "html": "<p>Hi</p>", "layout": "frame"}}
    refused = await rest.app.put("/v1/templates/hello", json=hello)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["message"].endswith("has no {{ content }} in de")


async def test_template_that_is_no_layout_is_refused_as_that_of_a_step_or_a_send(tmp_path: Path) -> None:
    mail = {"subject": "Hi", "layout": "frame"}
    steps = {"steps": [{"key": "mail", "type": "email", **mail}]}
    send = {"to": "alice", "title": "Hi", "channels": ["email"], "email": mail}
    async with channels.opened(tmp_path) as world:
        await world.put("/v1/recipients/alice", {"email": "alice@example.com"})
        for template, status in ((PLAIN, 422), (LAYOUT, 201)):
            await world.put("/v1/templates/frame", template)
            written = await world.client.put("/v1/workflows/greeting", json=steps)
            sent = await world.client.post("/v1/notifications", json=send)
            assert (written.status_code, sent.status_code) == (status, status)
            if status == 422:
                assert fields(written) == {"steps.0.layout": "the HTML of template 'frame' has no {{ content }}"}
                assert list(fields(sent)) == ["email.layout"]


SEND = {
    "to": "alice",
    "title": "Hi",
    "channels": ["email"],
    "email": {"subject": "Hi", "text": "Hi", "layout": "frame"},
}


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("/v1/sources/leads", {"event": "lead.assigned", "notification": SEND}),
        ("/v1/sources/leads", {"event": "lead.assigned", "notification": {"to": "alice", "template": "frame"}}),
        ("/v1/schedules/weekly", {"cron": "0 8 * * 1", "notification": SEND}),
        ("/v1/schedules/weekly", {"cron": "0 8 * * 1", "notification": {"to": "alice", "template": "frame"}}),
        ("/v1/workflows/greeting", {"steps": [{"key": "m", "type": "email", "subject": "Hi", "layout": "frame"}]}),
    ],
)
async def test_template_of_a_source_a_schedule_or_a_workflow_stays(rest: Rest, path: str, user: dict[str, Any]) -> None:
    await rest.app.put("/v1/templates/frame", json=LAYOUT)
    written = await rest.app.put(path, json=user)
    assert written.status_code == 201, written.text
    name = path.removeprefix("/v1/")
    assert (await rest.app.get("/v1/templates/frame")).json()["uses"] == [name]
    refused = await rest.app.delete("/v1/templates/frame")
    assert refused.status_code == 409
    assert f"is used by {name}: change or delete these first." in refused.json()["detail"]
    changed = await rest.app.put("/v1/templates/frame", json=PLAIN)
    assert changed.status_code == (409 if "layout" in msgspec.json.encode(user).decode() else 200)
    await rest.app.delete(path)
    assert (await rest.app.delete("/v1/templates/frame")).status_code == 204


async def test_template_of_a_waiting_send_stays_until_it_is_sent(rest: Rest) -> None:
    await rest.app.put("/v1/templates/hello", json={"inbox": {"title": "Hello"}})
    at = times.to_rfc3339(rest.clock.now() + HOUR).isoformat()
    sent = await rest.app.post("/v1/notifications", json={"to": "alice", "template": "hello", "send_at": at})
    key = sent.json()["schedule"]["key"]
    refused = await rest.app.delete("/v1/templates/hello")
    assert refused.status_code == 409
    assert f"schedules/{key}" in refused.json()["detail"]
    assert "send_at" in refused.json()["detail"]
    rest.clock.advance(2 * HOUR / 1000)  # as while no process runs jobs
    assert (await rest.app.delete("/v1/templates/hello")).status_code == 409


async def test_template_of_a_scheduled_send_that_was_sent_can_be_deleted(tmp_path: Path) -> None:
    async with channels.opened(tmp_path) as world:
        await world.put("/v1/templates/hello", {"inbox": {"title": "Hello"}})
        for zone in ("Europe/Vienna", "recipient"):
            send = {"to": "alice", "template": "hello", "send_at": "2026-06-10T18:00:00", "timezone": zone}
            await world.request("POST", "/v1/notifications", send)
        for moment, users in (("2026-06-10T15:00:00Z", 2), ("2026-06-10T17:00:00Z", 1), ("2026-06-11T07:00:00Z", 0)):
            await world.advance_to(moment)
            assert len((await world.get("/v1/templates/hello"))["uses"]) == users
        assert (await world.client.delete("/v1/templates/hello")).status_code == 204


async def test_uses_by_schedules_of_the_default_tenant_are_not_shown_to_another_tenant(rest: Rest) -> None:
    hello = {"inbox": {"title": "Hello"}}
    await rest.app.put("/v1/templates/hello", json=hello)
    await rest.app.put("/v1/templates/own?tenant=acme", json=hello)
    for key, notification in (
        ("weekly", {"to": "alice", "template": "hello"}),
        ("for-acme", {"to": "alice", "tenant": "acme", "template": "own"}),
    ):
        schedule = {"cron": "0 8 * * 1", "notification": notification}
        assert (await rest.app.put(f"/v1/schedules/{key}", json=schedule)).status_code == 201
    assert (await rest.app.get("/v1/templates/hello")).json()["uses"] == ["schedules/weekly"]
    assert (await rest.app.get("/v1/templates/hello?tenant=acme")).json()["uses"] == []
    assert (await rest.app.delete("/v1/templates/own?tenant=acme")).status_code == 409
