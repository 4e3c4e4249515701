"""Operators with the role viewer list objects and their states, but read no content and no addresses."""

from typing import Any

import pytest

from tests.contract.app import App
from tests.contract.channels.test_store_messages import message
from tests.contract.replays.test_store_replays import set_dead
from tests.journey import operators
from tests.journey.rest import Rest, refused

MARK = "secret-content"
CONTENT = {
    "title": MARK,
    "body": MARK,
    "action_url": f"/{MARK}",
    "data": {"a": MARK},
    "actor": MARK,
    "icon": f"/{MARK}.png",
}
LISTS = [
    *("notifications", "announcements", "recipients", "tenants", "topics", "messages", "runs", "connections"),
    *("failures", "failures/causes", "workflows", "templates", "providers", "jobs", "replays"),
]


@pytest.fixture
async def filled(rest: Rest, cheap_hashes: None) -> Rest:
    """A tenant with one object of each kind, with the mark in all content."""
    of = {"tenant": "acme"}
    person = {"name": MARK, "email": f"{MARK}@example.com", "phone": "+436601234567", "data": {"a": MARK}}
    await rest.app.put("/v1/recipients/alice", json=person, params=of)
    await rest.app.put("/v1/topics/news/subscriptions/alice", json={}, params=of)
    await rest.app.put("/v1/tenants/acme", json={"name": MARK, "settings": {"plan": MARK}})
    await rest.send("alice", **CONTENT, **of)
    await rest.store.messages.add(
        [message(tenant="acme", id="01", recipient="alice", address=MARK, content=f'{{"text":"{MARK}"}}'.encode())]
    )
    await rest.send({"topic": "news"}, **CONTENT, **of)
    steps = [{"key": "bell", "type": "inbox", "title": MARK}]
    await rest.app.put("/v1/workflows/w", json={"steps": steps}, params=of)
    started = await rest.app.post("/v1/workflows/w/trigger", json={"to": "alice", "data": {"a": MARK}}, params=of)
    assert started.status_code == 202, started.text
    email = {"subject": MARK, "html": f"<p>{MARK}</p>"}
    template = {"inbox": {"title": MARK}, "email": email, "translations": {"de": {"email": email}}}
    assert (await rest.app.put("/v1/templates/t", json=template, params=of)).status_code == 201
    provider = {"channel": "email", "url": f"smtp://{MARK}:{MARK}@mail.example.com?from={MARK}@example.com"}
    assert (await rest.app.put("/v1/providers/p", json=provider, params=of)).status_code == 201
    await set_dead(App(rest.store, rest.clock), "dead", "acme", error=f"Refused: {MARK}@example.com")
    assert (await rest.app.post("/v1/replays", json={"filter": {"kind": "job"}}, params=of)).status_code == 202
    return rest


@pytest.mark.parametrize("tenant", ["acme", "*"])
async def test_viewer_lists_everything_without_its_content(filled: Rest, tenant: str) -> None:
    viewer = await operators.signed_in(filled, "vera", "viewer")
    found: dict[str, Any] = {}
    for name in LISTS:
        query = {} if name == "tenants" else {"tenant": tenant}
        listed = await viewer.get(f"/v1/{name}", params=query)
        assert listed.status_code == 200, listed.text
        assert MARK not in listed.text, name
        assert "+43660" not in listed.text
        found[name] = listed.json()
        owner = (await filled.app.get(f"/v1/{name}", params=query)).json()
        (rows,) = [key for key, value in owner.items() if isinstance(value, list)]
        # The fields are those of other callers, and names, states and counts are the same.
        assert [one.keys() for one in found[name][rows]] == [one.keys() for one in owner[rows]]
        assert {**found[name], rows: None} == {**owner, rows: None}
    assert found["notifications"]["notifications"][0]["recipient"] == "alice"
    assert found["messages"]["messages"][0]["state"] == "queued"
    assert found["runs"]["runs"][0]["workflow"] == "w"
    assert all(found[name][name] for name in (*LISTS[:7], *LISTS[-5:]))
    assert found["workflows"]["workflows"] == [
        {
            "key": "w",
            "tenant": "acme",
            "version": 1,
            "active": True,
            "in_code": False,
            "steps": [],
            "draft": None,
            "managed": None,
            "published_by": "project secret",
            "recent_runs": {"value": 1, "exact": True},
            "updated_at": found["workflows"]["workflows"][0]["updated_at"],
        }
    ]
    (template,) = found["templates"]["templates"]
    assert (template["email"], template["translations"]) == ({}, {})
    assert found["providers"]["providers"][-1]["url"] == "smtp://…@mail.example.com"
    (job,) = found["jobs"]["jobs"]
    assert (job["id"], job["error"], type(job["attempts"])) == ("dead", None, int)


async def test_viewer_opens_no_object_and_exports_no_list(filled: Rest) -> None:
    viewer = await operators.signed_in(filled, "vera", "viewer")
    for name in LISTS:
        if name == "failures/causes":
            continue
        for media_type in ("text/csv", "application/x-ndjson"):
            export = await viewer.get(f"/v1/{name}", headers={"accept": media_type})
            assert refused(export, 403, "forbidden")
    rows = (await viewer.get("/v1/notifications?tenant=acme")).json()["notifications"]
    for path in (
        f"notifications/{rows[0]['id']}",
        "recipients/alice",
        "tenants/acme",
        "templates/t",
        "workflows/w",
        "providers/p",
        "types",
        "requests",
        "suppressions",
    ):
        assert refused(await viewer.get(f"/v1/{path}"), 403, "forbidden"), path


async def test_viewer_finds_recipients_by_key_only(filled: Rest) -> None:
    viewer = await operators.signed_in(filled, "vera", "viewer")
    for query in ("prefix=ali", "keys=alice"):
        (found,) = (await viewer.get(f"/v1/recipients?tenant=acme&{query}")).json()["recipients"]
        assert (found["key"], found["name"]) == ("alice", None)
    assert refused(await viewer.get("/v1/recipients?tenant=acme&text=alice@"), 403, "forbidden")


async def test_bound_viewer_lists_its_tenants_only(filled: Rest) -> None:
    viewer = await operators.signed_in(filled, "vera", "viewer", tenants=["globex", "initech"])
    for name in LISTS:
        assert (
            "alice" not in (await viewer.get(f"/v1/{name}", params={"tenant": "*"} if name != "tenants" else {})).text
        )
        if name != "tenants":
            assert refused(await viewer.get(f"/v1/{name}?tenant=acme"), 403, "forbidden")
    of_keys = "/v1/recipients?tenant=*&keys=acme/alice&keys=globex/alice"
    assert (await viewer.get(of_keys)).json()["recipients"] == []
