"""Drafts of templates: publishing them as versions, its effects, and rolling back."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from bellcast.documents.store import Documents
from bellcast.documents.types import TEMPLATES
from bellcast.kernel.db import lists
from tests.journey import channels
from tests.journey.rest import Rest, fields, refused

BOOKING = "/v1/templates/booking"
FIRST = {"inbox": {"title": "New booking"}, "sms": {"text": "New booking"}}
SECOND = {"inbox": {"title": "Booked by {{ data.client }}"}}


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """A server that renders templates."""
    async with channels.opened(tmp_path) as world:
        yield SimpleNamespace(app=world.client, store=world.store, clock=world.clock)


async def save(rest: Rest, values, base=None, path=BOOKING, **options):
    return await rest.app.put(f"{path}/draft", json={"values": values, "base": base}, **options)


async def publish(rest: Rest, tag: str, body=None, path=BOOKING, **params):
    return await rest.app.post(f"{path}/publish", json=body or {}, params=params, headers={"if-match": tag})


async def title(rest: Rest, **options) -> str:
    sent = await rest.app.post("/v1/notifications", json={"to": "alice", "template": "booking", **options})
    assert sent.status_code == 201, sent.text
    (item,) = sent.json()["notifications"]
    return (await rest.app.get(f"/v1/notifications/{item['id']}")).json()["title"]


async def versions(rest: Rest, **params) -> list[tuple[int, str | None, str | None]]:
    found = (await rest.app.get(f"{BOOKING}/versions", params=params)).json()["versions"]
    return [(one["version"], one["by"], one["note"]) for one in found]


async def test_invalid_draft_is_kept_and_names_its_errors(rest):
    saved = await save(rest, {"inbox": {"title": "{{ data."}, "email": {"layout": "unknown", "subject": "x"}})
    assert saved.status_code == 201
    assert {one["field"] for one in saved.json()["errors"]} == {"inbox.title"}
    assert fields(await publish(rest, saved.headers["etag"])).keys() == {"inbox.title"}
    assert refused(await rest.app.get(BOOKING), 404, "not_found")
    saved = await save(
        rest, {"email": {"layout": "unknown", "subject": "x"}}, headers={"if-match": saved.headers["etag"]}
    )
    assert [one["field"] for one in saved.json()["errors"]] == ["email.layout"]


async def test_sends_use_the_published_version_and_never_the_draft(rest):
    first = await rest.app.put(BOOKING, json=FIRST)
    assert (first.status_code, first.json()["version"]) == (201, 1)
    saved = await save(rest, SECOND, base=1)
    assert await title(rest) == "New booking"
    published = await publish(rest, saved.headers["etag"], {"note": "Names the client"})
    assert (published.status_code, published.json()["version"]) == (200, 2)
    assert await title(rest, data={"client": "Ann"}) == "Booked by Ann"
    assert refused(await rest.app.get(f"{BOOKING}/draft"), 404, "not_found")
    assert await versions(rest) == [(2, "project secret", "Names the client"), (1, "project secret", None)]


async def test_earlier_version_is_read_and_made_current_again(rest):
    for values in (FIRST, SECOND, SECOND):
        await rest.app.put(BOOKING, json=values)
    assert [number for number, _, _ in await versions(rest)] == [2, 1]  # the same content is no version
    old = (await rest.app.get(BOOKING, params={"version": 1})).json()
    assert (old["version"], old["inbox"]) == (1, FIRST["inbox"])
    assert refused(await rest.app.get(BOOKING, params={"version": 3}), 404, "not_found")
    rolled = await rest.app.patch(BOOKING, json={"version": 1})
    assert (rolled.status_code, rolled.json()["version"], rolled.json()["sms"]) == (200, 1, FIRST["sms"])
    assert await title(rest) == "New booking"
    assert fields(await rest.app.patch(BOOKING, json={"version": 3})).keys() == {"version"}
    assert refused(await rest.app.patch("/v1/templates/none", json={"version": 1}), 404, "not_found")
    assert (await rest.app.put(BOOKING, json={"chat": {"text": "Hi"}})).json()["version"] == 3


async def test_time_of_the_last_write_is_read_and_listed_and_a_write_ignores_it(rest):
    times = []
    for values in (FIRST, SECOND):
        await rest.app.put(BOOKING, json=values)
        (listed,) = (await rest.app.get("/v1/templates")).json()["templates"]
        read = (await rest.app.get(BOOKING)).json()
        assert listed["updated_at"] == read["updated_at"]
        times.append(read["updated_at"])
        rest.clock.set(rest.clock.now() + 60_000)
    assert times[0] < times[1]
    assert (await rest.app.get(BOOKING, params={"version": 1})).json()["updated_at"] == times[0]
    assert (await rest.app.put(BOOKING, json={**read, "updated_at": times[0]})).json()["version"] == 2
    assert times[1] < (await rest.app.get(BOOKING)).json()["updated_at"]


async def test_tag_of_a_write_is_the_condition_of_the_next(rest):
    for path, texts in (
        ("/v1/types/tagged", [{"name": "One"}, {"name": "Two"}]),
        ("/v1/templates/tagged", [{"inbox": {"title": "One"}}, {"inbox": {"title": "Two"}}]),
        (
            "/v1/templates/tagged?tenant=acme",
            [{"translations": {"de": {"inbox": {"title": one}}}} for one in ("Eins", "Zwei")],
        ),
    ):
        written = await rest.app.put(path, json=texts[0])
        assert written.status_code == 201, written.text
        matched = {"if-match": written.headers["etag"]}
        assert (await rest.app.put(path, json=texts[1], headers=matched)).status_code == 200
        assert (await rest.app.put(path, json=texts[0], headers=matched)).status_code == 412


async def test_version_whose_layout_was_deleted_is_not_made_current(rest):
    await rest.app.put("/v1/templates/frame", json={"email": {"subject": "x", "html": "<div>{{ content }}</div>"}})
    await rest.app.put(BOOKING, json={"email": {"subject": "x", "text": "y", "layout": "frame"}})
    await rest.app.put(BOOKING, json=FIRST)
    await rest.app.delete("/v1/templates/frame")
    assert refused(await rest.app.patch(BOOKING, json={"version": 1}), 409, "conflict")


async def test_template_of_an_older_server_gets_its_content_as_the_first_version(rest):
    body = msgspec.json.encode(FIRST)
    await rest.store.documents.put(TEMPLATES, "", "booking", body, rest.clock.now())
    assert (await rest.app.get(BOOKING)).json()["version"] == 1
    assert await versions(rest) == [(1, None, None)]
    assert (await rest.app.get(BOOKING, params={"version": 1})).json()["inbox"] == FIRST["inbox"]
    saved = await save(rest, SECOND, base=1)
    assert (await publish(rest, saved.headers["etag"])).json()["version"] == 2
    assert (await rest.app.patch(BOOKING, json={"version": 1})).json()["inbox"] == FIRST["inbox"]


async def test_publication_needs_the_reviewed_draft_and_a_current_base(rest):
    await rest.app.put(BOOKING, json=FIRST)
    saved = await save(rest, SECOND, base=1)
    assert "If-Match" in fields(await rest.app.post(f"{BOOKING}/publish", json={}))
    again = await save(rest, {"inbox": {"title": "Other"}}, base=1, headers={"if-match": saved.headers["etag"]})
    assert refused(await publish(rest, saved.headers["etag"]), 412, "precondition_failed")
    await rest.app.put(BOOKING, json=SECOND)
    assert refused(await publish(rest, again.headers["etag"]), 409, "conflict")


async def test_dry_run_states_the_effects_and_changes_nothing(rest):
    before = {
        "email": {"subject": "x", "html": "<div>{{ content }}</div>"},
        "sms": {"text": "{{ data.old }} {{ data.some | default('') }}"},
        "translations": {"de": {"sms": {"text": "Hallo"}}},
    }
    await rest.app.put(BOOKING, json=before)
    await rest.app.put("/v1/templates/other", json={"email": {"subject": "x", "text": "y", "layout": "booking"}})
    after = {"email": {"subject": "x", "html": "<p>{{ data.some }}{% if data.more %}{{ data.more }}{% endif %}</p>"}}
    saved = await save(rest, after, base=1)
    planned = (await publish(rest, saved.headers["etag"], dry_run="true")).json()
    assert planned["version"] == 2
    assert {one["code"]: one.get("n") for one in planned["effects"]} == {
        "language_lost": None, "channel_removed": None, "required_changed": 1, "breaks_use": 1,
    }  # fmt: skip
    texts = {one["code"]: one["text"] for one in planned["effects"]}
    assert "data.some" in texts["required_changed"]
    assert "templates/other" in texts["breaks_use"]
    assert refused(await publish(rest, saved.headers["etag"]), 409, "conflict")
    assert (await rest.app.get(f"{BOOKING}/draft")).headers["etag"] == saved.headers["etag"]
    assert (await rest.app.get(BOOKING)).json()["version"] == 1


async def test_list_shows_drafts_and_with_a_parameter_those_never_published(rest):
    for key in ("a", "c"):
        await rest.app.put(f"/v1/templates/{key}", json=FIRST)
    for key in ("b", "c", "d"):
        await save(rest, {}, path=f"/v1/templates/{key}")
    for tenant in ({}, {"tenant": "*"}):
        listed = (await rest.app.get("/v1/templates", params=tenant)).json()["templates"]
        assert [(one["key"], one["draft"] and one["draft"]["by"]) for one in listed] == [
            ("a", None), ("c", "project secret"),
        ]  # fmt: skip
        pages, after = [], ""
        while after is not None:
            query = {"drafts": "true", "limit": 1, "after": after, **tenant}
            page = (await rest.app.get("/v1/templates", params=query)).json()
            pages.append([(one["key"], one["version"]) for one in page["templates"]])
            after = page["next"]
        assert pages == [[("a", 1)], [("b", 0)], [("c", 1)], [("d", 0)]]


async def test_list_shows_who_published_the_version(rest):
    await rest.app.put(BOOKING, json=FIRST)
    await rest.app.put(BOOKING, json=SECOND, params={"tenant": "acme"})
    await save(rest, {}, path="/v1/templates/new")
    for tenant in ("", "acme", "*"):
        listed = (await rest.app.get("/v1/templates", params={"tenant": tenant, "drafts": "true"})).json()["templates"]
        authors = [(one["key"], one["tenant"], one.get("published_by")) for one in listed]
        known = [("booking", None, "project secret"), ("booking", "acme", "project secret"), ("new", None, None)]
        assert authors == {"": [known[0], known[2]], "acme": [known[1]], "*": [known[0], known[2], known[1]]}[tenant]


async def test_list_is_searched_by_a_part_of_the_keys_also_of_drafts(rest, monkeypatch):
    monkeypatch.setattr(lists, "MAX_SCANNED_ROWS", 2)  # the search continues after each second row
    for key, tenant in (
        ("a.mail", {}),
        ("b", {}),
        ("b.mail", {"tenant": "acme"}),
        ("c", {}),
        ("d", {}),
        ("e.Mail", {}),
    ):
        await rest.app.put(f"/v1/templates/{key}", json=FIRST, params=tenant)
    await save(rest, {}, path="/v1/templates/c.mail")

    async def found(**query: str) -> list[str]:
        keys, after = [], ""
        while after is not None:
            parameters = {"text": "mail", "limit": 2, "after": after, **query}
            page = (await rest.app.get("/v1/templates", params=parameters)).json()
            keys += [one["key"] for one in page["templates"]]
            after = page["next"]
        return keys

    assert await found() == ["a.mail", "e.Mail"]
    assert await found(tenant="acme") == ["a.mail", "b.mail", "e.Mail"]
    assert await found(tenant="*") == ["a.mail", "e.Mail", "b.mail"]
    assert await found(tenant="*", drafts="true") == ["a.mail", "c.mail", "e.Mail", "b.mail"]
    assert await found(text="%") == []
    assert set(fields(await rest.app.get("/v1/templates", params={"text": "x" * 101}))) == {"text"}


async def test_draft_of_a_tenant_is_its_override(rest):
    await rest.app.put(BOOKING, json=FIRST)
    saved = await save(rest, SECOND, params={"tenant": "acme"})
    published = await publish(rest, saved.headers["etag"], tenant="acme")
    assert (published.json()["tenant"], published.json()["version"]) == ("acme", 1)
    applied = (await rest.app.get(BOOKING, params={"tenant": "acme"})).json()
    assert (applied["inbox"], applied["sms"]) == (SECOND["inbox"], FIRST["sms"])
    assert await title(rest) == "New booking"
    listed = (await rest.app.get("/v1/templates", params={"tenant": "acme", "drafts": "true"})).json()["templates"]
    assert [(one["key"], one["tenant"], one["draft"]) for one in listed] == [("booking", "acme", None)]


async def test_draft_goes_with_its_template(rest):
    await rest.app.put(BOOKING, json=FIRST)
    await save(rest, SECOND, base=1)
    await rest.app.delete(BOOKING)
    assert refused(await rest.app.get(f"{BOOKING}/draft"), 404, "not_found")
    assert (await rest.app.put(BOOKING, json=SECOND)).json()["version"] == 2


async def test_write_during_a_publication_is_not_overwritten(rest, monkeypatch):
    await rest.app.put(BOOKING, json=FIRST)
    saved = await save(rest, SECOND, base=1)
    find, theirs = Documents.get, {"inbox": {"title": "Theirs"}}
    reads = 0

    async def get_after_a_write(self, kind, tenant, key):
        nonlocal reads
        reads += kind == TEMPLATES
        if reads == 2:  # after the publication compared the version with the base
            monkeypatch.undo()
            await rest.app.put(BOOKING, json=theirs)
        return await find(self, kind, tenant, key)

    monkeypatch.setattr(Documents, "get", get_after_a_write)
    assert refused(await publish(rest, saved.headers["etag"]), 412, "precondition_failed")
    assert (await rest.app.get(BOOKING)).json()["inbox"] == theirs["inbox"]
    assert (await rest.app.get(f"{BOOKING}/draft")).headers["etag"] == saved.headers["etag"]
