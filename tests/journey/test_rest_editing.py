"""Editing workflows and templates over REST: conditions of writes, YAML, and lists of all tenants."""

import asyncio
from typing import Any

import pytest

from bellcast.kernel.http import entity_tags
from tests.journey import operators
from tests.journey.rest import Caller, Rest, refused

WORKFLOW = {"steps": [{"key": "bell", "type": "inbox", "title": "First"}]}
OTHER_WORKFLOW = {"steps": [{"key": "bell", "type": "inbox", "title": "Second"}]}
TEMPLATE = {"email": {"subject": "First", "text": "Hello"}}
OTHER_TEMPLATE = {"email": {"subject": "Second", "text": "Hello"}}
KINDS = [("workflows", WORKFLOW, OTHER_WORKFLOW), ("templates", TEMPLATE, OTHER_TEMPLATE)]
YAML = {"content-type": "application/yaml"}


async def tag_of(rest: Rest, path: str) -> str:
    tag: str = (await rest.app.get(path)).headers["etag"]
    return tag


@pytest.mark.parametrize(("plural", "first", "second"), KINDS)
class TestConditions:
    async def test_write_under_the_tag_of_a_read_is_refused_after_another_write(
        self, rest: Rest, plural: str, first: Any, second: Any
    ) -> None:
        path = f"/v1/{plural}/booking"
        await rest.app.put(path, json=first)
        stale = {"if-match": await tag_of(rest, path)}
        assert (await rest.app.put(path, json=second, headers=stale)).status_code == 200
        changed = (await rest.app.get(path)).json()
        for dry_run in ("true", "false"):
            late = await rest.app.put(path, json=first, headers=stale, params={"dry_run": dry_run})
            assert refused(late, 412, "precondition_failed")
        assert (await rest.app.get(path)).json() == changed
        fresh = {"if-match": await tag_of(rest, path)}
        assert (await rest.app.put(path, json=first, headers=fresh)).status_code == 200

    async def test_delete_under_the_tag_of_a_read_is_refused_after_a_write(
        self, rest: Rest, plural: str, first: Any, second: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = f"/v1/{plural}/booking"
        assert refused(await rest.app.delete(path, headers={"if-match": "*"}), 404, "not_found")
        await rest.app.put(path, json=first)
        stale = {"if-match": await tag_of(rest, path)}
        await rest.app.put(path, json=second)
        assert refused(await rest.app.delete(path, headers=stale), 412, "precondition_failed")
        fresh = {"if-match": await tag_of(rest, path)}
        check = entity_tags.check

        def changed_after_the_check(*args: Any) -> None:
            check(*args)
            monkeypatch.setattr(type(documents), "change", staticmethod(write_then_change))

        async def write_then_change(kind: str, tenant: str, key: str, *args: Any) -> bool:
            await documents.put(kind, tenant, key, other, 1)
            return await change(kind, tenant, key, *args)

        documents, change = rest.store.documents, rest.store.documents.change
        stored = await documents.get(plural, "", "booking")
        assert stored is not None
        other = stored.body.replace(b"Second", b"Third")
        monkeypatch.setattr(entity_tags, "check", changed_after_the_check)
        assert refused(await rest.app.delete(path, headers=fresh), 412, "precondition_failed")
        monkeypatch.undo()
        assert b"Third" in (await rest.app.get(path)).content
        fresh = {"if-match": await tag_of(rest, path)}
        assert (await rest.app.delete(path, headers=fresh)).status_code == 204
        assert (await rest.app.get(path)).status_code == 404

    async def test_only_one_of_two_writes_at_a_time_succeeds(
        self, rest: Rest, plural: str, first: Any, second: Any
    ) -> None:
        path = f"/v1/{plural}/booking"
        await rest.app.put(path, json=first)
        same = {"if-match": await tag_of(rest, path)}
        others = [{**second, "type": str(number)} if plural == "workflows" else second for number in range(5)]
        statuses = [
            one.status_code
            for one in await asyncio.gather(*(rest.app.put(path, json=one, headers=same) for one in others))
        ]
        assert sorted(statuses) == [200, 412, 412, 412, 412]

    async def test_if_none_match_creates_an_object_but_replaces_none(
        self, rest: Rest, plural: str, first: Any, second: Any
    ) -> None:
        path, new = f"/v1/{plural}/booking", {"if-none-match": "*"}
        assert refused(await rest.app.put(path, json=first, headers={"if-match": "*"}), 412, "precondition_failed")
        assert (await rest.app.put(path, json=first, headers=new)).status_code == 201
        assert refused(await rest.app.put(path, json=second, headers=new), 412, "precondition_failed")
        assert (await rest.app.put(path, json=second, headers={"if-match": '"x", *'})).status_code == 200

    async def test_tenant_copies_what_applies_to_it(self, rest: Rest, plural: str, first: Any, second: Any) -> None:
        path = f"/v1/{plural}/booking"
        await rest.app.put(path, json=first)
        applied = {"if-match": await tag_of(rest, f"{path}?tenant=acme")}
        own = await rest.app.put(f"{path}?tenant=acme", json=second, headers=applied)
        assert (own.status_code, own.json()["tenant"]) == (201, "acme")
        late = await rest.app.put(f"{path}?tenant=acme", json=second, headers=applied)
        assert refused(late, 412, "precondition_failed")

    async def test_all_tenants_are_listed_by_tenant_and_key(
        self, rest: Rest, plural: str, first: Any, second: Any
    ) -> None:
        for tenant, key in (("", "b"), ("acme", "a"), ("a/b", "c"), ("globex", "a")):
            await rest.app.put(f"/v1/{plural}/{key}", json=first, params={"tenant": tenant})
        listed, after = [], ""
        while after is not None:
            query = {"tenant": "*", "limit": "1"} | ({"after": after} if after else {})
            page = (await rest.app.get(f"/v1/{plural}", params=query)).json()
            listed += [(one["tenant"], one["key"]) for one in page[plural]]
            after = page["next"]
        assert listed == [(None, "b"), ("a/b", "c"), ("acme", "a"), ("globex", "a")]
        key = (
            await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["read"], "tenants": ["acme", "a/b"]})
        ).json()
        bound = Caller(rest.client, {"authorization": f"Bearer {key['key']}"})
        for query in ({"tenant": "*"}, {}):
            page = (await bound.get(f"/v1/{plural}", params=query)).json()
            assert [(one["tenant"], one["key"]) for one in page[plural]] == [("a/b", "c"), ("acme", "a")]
        assert refused(await rest.app.get(f"/v1/{plural}?tenant=*&after=x"), 400, "bad_request")


async def test_uses_of_templates_are_those_of_their_tenants(rest: Rest) -> None:
    for tenant in ("", "acme", "globex"):
        await rest.app.put("/v1/templates/booking", json=TEMPLATE, params={"tenant": tenant})
    await rest.app.put("/v1/types/booking", json={"template": "booking"}, params={"tenant": "acme"})
    page = (await rest.app.get("/v1/templates?tenant=*")).json()["templates"]
    assert [(one["tenant"], one["uses"]) for one in page] == [
        (None, ["types/booking?tenant=acme"]),
        ("acme", ["types/booking"]),
        ("globex", []),
    ]


async def test_template_is_written_as_yaml_with_the_lines_of_its_errors(rest: Rest) -> None:
    text = "email:\n  subject: Hello\n  html: |\n    <p>\n    {{ data.name\n    </p>\ntranslations:\n  '?': {}\n"
    wrong = await rest.app.put("/v1/templates/booking", content=text, headers=YAML)
    assert [(one["field"], one["line"]) for one in wrong.json()["errors"]] == [("email.html", 6), ("translations", 7)]
    right = text.replace("data.name\n", "data.name }}\n").replace("'?': {}", "de: {sms: {text: Hallo}}")
    written = await rest.app.put("/v1/templates/booking", content=right, headers=YAML)
    assert written.status_code == 201, written.text
    assert written.json()["email"]["html"] == "<p>\n{{ data.name }}\n</p>\n"
    broken = await rest.app.put("/v1/templates/booking", content="email: [", headers=YAML)
    assert refused(broken, 400, "bad_request")
    assert [one["line"] for one in broken.json()["errors"]] == [1]


async def test_edit_of_an_operator_is_audited_with_its_changes(rest: Rest, cheap_hashes: None) -> None:
    await operators.set_up(rest)
    developer = await operators.signed_in(rest, "dev", "developer")
    support = await operators.signed_in(rest, "support", "support")
    path = "/v1/templates/booking"
    created = await developer.put(path, content="sms: {text: Hello}", headers=YAML | {"if-none-match": "*"})
    assert created.status_code == 201
    tag = (await support.get(path)).headers["etag"]
    assert refused(await support.put(path, json=TEMPLATE, headers={"if-match": tag}), 403, "forbidden")
    assert refused(
        await developer.put(path, json=TEMPLATE, headers={"if-match": '"other"'}), 412, "precondition_failed"
    )
    assert (await developer.put(path, json=TEMPLATE, headers={"if-match": tag})).status_code == 200
    entries = (await rest.app.get("/v1/audit")).json()["entries"]
    found = [(one["actor"], one["outcome"]) for one in entries if one["action"] == "PUT /v1/templates/{key}"]
    assert found == [("dev", "ok"), ("dev", "precondition_failed"), ("support", "forbidden"), ("dev", "ok")]
    (last,) = [one for one in entries if one["action"] == "PUT /v1/templates/{key}"][:1]
    assert {one["field"] for one in last["changes"]} == {"email", "sms", "version"}


@pytest.mark.parametrize("plural", ["workflows", "templates"])
async def test_wrong_query_is_refused_before_the_condition_is_checked(rest: Rest, plural: str) -> None:
    path, headers = f"/v1/{plural}/booking?dry_run=maybe", {"if-match": '"other"'}
    assert refused(
        await rest.app.put(path, json=dict(WORKFLOW if plural == "workflows" else TEMPLATE), headers=headers),
        422,
        "invalid",
    )
