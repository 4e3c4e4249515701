"""An app embeds the template editor: what an editor token opens, and what it does not."""

import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bellcast.auth import tokens
from bellcast.client import AsyncBellcast, Bellcast
from bellcast.kernel import base64url
from bellcast.kernel.identities import Project
from bellcast.rest import editor_access
from bellcast.rest.editor_access import REFUSED
from tests.journey.operators import set_up, signed_in
from tests.journey.rest import Rest, fields, refused
from tests.journey.test_email import app
from tests.servers import PROJECT, ServerProcess

APP = "https://app.example"
REQUEST: dict[str, Any] = {
    "tenant": "acme",
    "templates": ["booking", "news-*"],
    "can": ["edit", "publish", "test"],
    "origin": APP,
    "name": "Ann Lee",
    "email": "ann@example.com",
}
VALUES = {"email": {"subject": "Booked", "blocks": [{"type": "text", "text": "Hello {{ data.client }}"}]}}
HTML = {"email": {"subject": "Booked", "html": "<p>Hello</p>"}}
BOOKING = "/v1/templates/booking"


class Author:
    """A client with an editor token."""

    def __init__(self, client: httpx.AsyncClient, token: str, **headers: str) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {token}", **headers}

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self._client.request(method, path, json=body, headers=self._headers | headers)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with app(tmp_path, ORIGINS=APP) as (_, client):
        await client.put(BOOKING, json={"email": {"subject": "Project", "html": "<p>Project</p>"}})
        await client.put("/v1/templates/secret", json={"sms": {"text": "x"}})
        yield client


async def author(client: httpx.AsyncClient, **fields: Any) -> Author:
    made = await client.post("/v1/editor-tokens", json=REQUEST | fields)
    assert made.status_code == 201, made.text
    return Author(client, made.json()["token"])


async def test_author_edits_and_publishes_the_override_of_its_tenant(client: httpx.AsyncClient) -> None:
    ann = await author(client)
    assert (await ann("GET", BOOKING)).json()["tenant"] is None
    saved = await ann("PUT", f"{BOOKING}/draft", {"values": VALUES})
    assert (saved.status_code, saved.json()["by"]) == (201, "editor:Ann Lee")
    shown = await ann("POST", f"{BOOKING}/preview", {"values": VALUES, "data": {"client": "Bob"}})
    assert "Hello Bob" in shown.json()["email"]["html"]
    assert (await ann("POST", f"{BOOKING}/check", {"values": VALUES})).status_code == 200
    assert (await ann("PUT", f"{BOOKING}?dry_run=true", VALUES)).status_code == 200
    published = await ann("POST", f"{BOOKING}/publish", {}, **{"if-match": saved.headers["etag"]})
    assert (published.status_code, published.json()["tenant"]) == (200, "acme")
    # The project's template is the same as before.
    assert (await client.get(BOOKING)).json()["email"]["subject"] == "Project"
    assert (await client.get(f"{BOOKING}?tenant=acme")).json()["email"]["subject"] == "Booked"
    versions = (await ann("GET", f"{BOOKING}/versions")).json()["versions"]
    assert [one["by"] for one in versions] == ["editor:Ann Lee"]
    entries = (await client.get("/v1/audit?tenant=acme")).json()["entries"]
    assert ("editor:Ann Lee", f"POST {BOOKING.replace('booking', '{key}')}/publish") in [
        (one["actor"], one["action"]) for one in entries
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/templates/secret"),
        ("PUT", "/v1/templates/secret/draft"),
        ("POST", "/v1/templates/bookings/preview"),
        ("GET", f"{BOOKING}?tenant=globex"),
        ("PUT", f"{BOOKING}/draft?tenant=globex"),
        ("POST", f"{BOOKING}/preview?tenant=globex"),
        ("GET", "/v1/templates"),
        ("PUT", BOOKING),
        ("PUT", f"{BOOKING}?tenant=acme"),
        ("PUT", f"{BOOKING}?dry_run=false"),
        ("DELETE", BOOKING),
        ("GET", "/v1/recipients"),
        ("POST", "/v1/notifications"),
        ("GET", "/v1/messages"),
        ("GET", "/v1/settings"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/editor-tokens"),
        ("DELETE", "/v1/editor-tokens?tenant=acme"),
        ("POST", "/v1/tokens"),
        ("GET", "/v1/tenants/acme/brand"),
        ("PUT", "/v1/tenants/acme/brand"),
        ("PUT", "/v1/tenants/acme"),
        ("POST", "/v1/templates/import"),
        ("GET", "/v1/workflows/booking"),
        ("GET", "/v1/types"),
        ("GET", "/v1/audit"),
        ("POST", "/mcp"),
    ],
)
async def test_token_opens_nothing_else(client: httpx.AsyncClient, method: str, path: str) -> None:
    ann = await author(client)
    response = await ann(method, path, {"values": VALUES} if method in ("PUT", "POST") else None)
    assert response.status_code in (403, 404), response.text
    assert response.status_code == 403 or path == "/mcp"
    assert (await ann("GET", "/v1/schemas/template")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/inbox", "/v1/me", "/v1/inbox/counts"])
async def test_editor_token_is_no_session_token(client: httpx.AsyncClient, path: str) -> None:
    ann = await author(client)
    assert (await ann("GET", path)).status_code in (401, 403)
    token = (await client.post("/v1/editor-tokens", json=REQUEST)).json()["token"]
    assert (await client.get(f"{path}?token={token}", headers={"authorization": ""})).status_code in (401, 403)


async def test_session_token_is_no_editor_token(client: httpx.AsyncClient) -> None:
    session = (await client.post("/v1/tokens", json={"recipient": "alice", "tenant": "acme"})).json()["token"]
    assert (await Author(client, session)("GET", BOOKING)).status_code == 403
    # Also not one with the claims of an editor token, signed with the secret as session tokens are.
    project = Project("p", "key", "secret")
    claims = {"sub": "alice", "aud": "editor", **REQUEST, "iat": 0, "exp": 9e9}
    parts = [tokens.encode({"alg": "HS256", "typ": "JWT"}), tokens.encode(claims)]
    signed = ".".join(parts)
    forged = f"{signed}.{base64url.encode(tokens._digest(project, signed.encode()))}"
    assert editor_access.is_editor(forged)
    assert (await Author(client, forged)("GET", BOOKING)).status_code == 401


async def test_token_is_refused_from_another_origin(client: httpx.AsyncClient) -> None:
    ann = await author(client)
    assert (await ann("GET", BOOKING, origin=APP)).status_code == 200
    assert (await ann("GET", BOOKING, origin="http://bell")).status_code == 200
    for origin in ("https://evil.example", "null", "https://app.example:8443"):
        assert (await ann("GET", BOOKING, origin=origin)).status_code == 403


async def test_author_without_html_may_keep_but_not_write_it(client: httpx.AsyncClient) -> None:
    ann, html = await author(client), await author(client, can=["edit", "publish", "html"])
    block = {"email": {"subject": "x", "blocks": [{"type": "html", "html": "<b>x</b>"}]}}
    nested = {"translations": {"de": {"email": {"blocks": [
        {"type": "columns", "columns": [{"blocks": block["email"]["blocks"]}, {"blocks": []}]}]}}}}  # type: ignore[index]  # fmt: skip
    for values in (HTML, block, nested):
        refused(await ann("PUT", f"{BOOKING}/draft", {"values": values}), 422, "invalid")
        refused(await ann("PUT", f"{BOOKING}?dry_run=true", values), 422, "invalid")
        refused(
            await ann("POST", f"{BOOKING}/test", {"channel": "email", "to": {"me": True}, "values": values}),
            422,
            "invalid",
        )
    kept = {"email": {"subject": "Ours", "html": "<p>Project</p>"}}
    assert (await ann("PUT", f"{BOOKING}/draft", {"values": kept})).status_code == 201
    written = await html("PUT", f"{BOOKING}/draft", {"values": HTML})
    assert written.status_code == 200
    match = {"if-match": written.headers["etag"]}
    refused(await ann("POST", f"{BOOKING}/publish", {}, **match), 422, "invalid")
    assert (await html("POST", f"{BOOKING}/publish", {}, **match)).status_code == 200
    yaml = "values: {email: {subject: x, html: <i>x</i>}}"
    token = (await client.post("/v1/editor-tokens", json=REQUEST)).json()["token"]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/yaml"}
    refused(await client.put(f"{BOOKING}/draft", content=yaml, headers=headers), 422, "invalid")


async def test_yaml_of_an_author_is_parsed_beside_the_event_loop(
    client: httpx.AsyncClient, yaml_threads: list[int]
) -> None:
    token = (await client.post("/v1/editor-tokens", json=REQUEST)).json()["token"]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/yaml"}
    saved = await client.put(f"{BOOKING}/draft", content="values: {sms: {text: x}}", headers=headers)
    assert saved.status_code == 201, saved.text
    assert yaml_threads != []
    assert threading.get_ident() not in yaml_threads


@pytest.mark.parametrize(
    "text",
    [
        "{{ '<b>x</b>' | safe }}",
        "{{ data.x | default('<b>') | safe }}",
        "{% filter safe %}{{ '<b>' }}{% endfilter %}",
        "{% set x | safe %}<b>{% endset %}{{ x }}",
        "{% autoescape false %}{{ '<b>' }}{% endautoescape %}",
        "{{ ['<b>'] | map('safe') | first }}",
        "{{ ['<b>'] | map('sa' ~ 'fe') | first }}",
        "{% set f = 'sa' %}{{ ['<b>'] | map(f ~ 'fe') | first }}",
    ],
)
async def test_author_without_html_cannot_switch_escaping_off(client: httpx.AsyncClient, text: str) -> None:
    ann, html = await author(client), await author(client, can=["edit", "html"])
    values = {"email": {"subject": "x", "blocks": [{"type": "text", "text": text}]}}
    for path in ("draft", "preview"):
        refused(
            await ann("PUT" if path == "draft" else "POST", f"{BOOKING}/{path}", {"values": values}), 422, "invalid"
        )
    assert (await html("PUT", f"{BOOKING}/draft", {"values": values})).status_code == 201
    harmless = {
        "email": {
            "subject": "safe",
            "blocks": [{"type": "text", "text": "A safe map {{ data.a | map('upper') | join }}"}],
        }
    }
    assert (await ann("PUT", f"{BOOKING}/draft", {"values": harmless})).status_code == 200


@pytest.mark.parametrize(
    ("can", "method", "path"),
    [
        ("publish", "PUT", "draft"),
        ("edit", "POST", "publish"),
        ("edit", "POST", "test"),
        ("test", "DELETE", "draft"),
    ],
)
async def test_token_needs_the_right(client: httpx.AsyncClient, can: str, method: str, path: str) -> None:
    ann = await author(client, can=[can])
    refused(await ann(method, f"{BOOKING}/{path}", {} if method != "DELETE" else None), 403, "forbidden")


async def test_tests_go_to_the_email_of_the_token_only(client: httpx.AsyncClient) -> None:
    await client.put("/v1/recipients/bob?tenant=acme", json={"email": "bob@example.com"})
    ann, unconfirmed = await author(client), await author(client, email=None)
    to_me = {"channel": "email", "to": {"me": True}, "values": VALUES, "data": {"client": "Bob"}}
    refused(await ann("POST", f"{BOOKING}/test", to_me | {"to": "bob"}), 403, "forbidden")
    refused(await unconfirmed("POST", f"{BOOKING}/test", to_me), 409, "conflict")
    sent = [(await ann("POST", f"{BOOKING}/test", to_me)).status_code for _ in range(11)]
    assert sent == [202] * 10 + [429]
    messages = (await client.get("/v1/messages?tenant=acme")).json()["messages"]
    assert {one["to"] for one in messages} == {"ann@example.com"}


async def test_expired_and_ended_tokens_are_refused(rest: Rest) -> None:
    made = (await rest.app.post("/v1/editor-tokens", json=REQUEST | {"ttl": "10m"})).json()["token"]
    await rest.app.put(BOOKING, json=HTML)
    headers = {"authorization": f"Bearer {made}"}
    assert (await rest.client.get(BOOKING, headers=headers)).status_code == 200
    rest.clock.advance(600)
    assert (await rest.client.get(BOOKING, headers=headers)).status_code == 401
    made, other = [
        (await rest.app.post("/v1/editor-tokens", json=REQUEST | {"tenant": tenant})).json()["token"]
        for tenant in ("acme", "globex")
    ]
    assert (await rest.app.delete("/v1/editor-tokens?tenant=acme")).status_code == 204
    assert (await rest.client.get(BOOKING, headers={"authorization": f"Bearer {made}"})).status_code == 401
    assert (await rest.client.get(BOOKING, headers={"authorization": f"Bearer {other}"})).status_code == 200
    rest.clock.advance(1)
    made = (await rest.app.post("/v1/editor-tokens", json=REQUEST)).json()["token"]
    assert (await rest.client.get(BOOKING, headers={"authorization": f"Bearer {made}"})).status_code == 200
    assert (await rest.app.delete("/v1/editor-tokens")).status_code == 422


async def test_tokens_of_an_erased_tenant_are_refused(rest: Rest) -> None:
    await rest.app.put("/v1/tenants/acme", json={"settings": {}})
    await rest.app.put(BOOKING, json=HTML)
    made = (await rest.app.post("/v1/editor-tokens", json=REQUEST)).json()["token"]
    rest.clock.advance(1)
    assert (await rest.app.delete("/v1/tenants/acme")).status_code == 204
    headers = {"authorization": f"Bearer {made}"}
    assert (await rest.client.put(f"{BOOKING}/draft", json={"values": VALUES}, headers=headers)).status_code == 401


async def test_previews_show_no_recipient_and_no_other_template(client: httpx.AsyncClient) -> None:
    layout = {"email": {"subject": "x", "html": "<p>SECRET {{ content }}</p>"}}
    for key in ("own", "news-frame", "other"):
        assert (await client.put(f"/v1/templates/{key}?tenant=acme", json=layout)).status_code == 201
    stored = {"email": {"subject": "x", "text": "x", "layout": "own"}}
    assert (await client.put(f"{BOOKING}?tenant=acme", json=stored)).status_code == 201
    await client.put("/v1/recipients/alice?tenant=acme", json={"email": "alice@example.com"})
    ann = await author(client)
    values = {"email": {"subject": "{{ recipient | tojson }}", "text": "x"}}
    for path in ("preview", "html"):
        body = {"values": values, "recipient": "alice"}
        assert refused(await ann("POST", f"{BOOKING}/{path}", body), 403, "forbidden")
    assert (await ann("POST", f"{BOOKING}/preview", {"values": values})).status_code == 200
    for name, status in {"own": 200, "news-frame": 200, "base": 200, None: 200, "other": 422, "secret": 422}.items():
        body = {"values": {"translations": {"de": {"email": {"subject": "x", "text": "x", "layout": name}}}}}
        for method, path in (("POST", "preview"), ("POST", "html"), ("PUT", "draft")):
            shown = await ann(method, f"{BOOKING}/{path}", body)
            if path != "html" or status == 422:  # there is no e-mail in the first language
                assert shown.is_success == (status == 200), (name, path, shown.text)
            assert status == 200 or fields(shown) == {"translations.de.email.layout": REFUSED["layout"]}
    draft = await client.put(f"{BOOKING}/draft?tenant=acme", json=body)  # by an author without a token
    assert draft.is_success, draft.text
    assert fields(await ann("POST", f"{BOOKING}/publish")) == {"translations.de.email.layout": REFUSED["layout"]}


async def test_author_sees_no_draft_of_the_project(client: httpx.AsyncClient) -> None:
    ann, steps = await author(client), [{"key": "text", "type": "sms", "template": "booking"}]
    for path, name in (("merger/draft", "globex"), ("visit/draft?tenant=acme", "room")):
        values = {"steps": steps, "data": {"type": "object", "properties": {name: {"type": "string"}}}}
        saved = await client.put(f"/v1/workflows/{path}", json={"values": values})
        assert (saved.status_code, saved.json()["errors"]) == (201, [])
    variables = (await ann("GET", f"{BOOKING}/variables")).json()
    assert {one["path"] for one in variables if one["from"].startswith("workflows/")} == {"data.room"}
    values = {"sms": {"text": "{{ data.room }} {{ data.globex }}"}}
    findings = (await ann("POST", f"{BOOKING}/check", {"values": values})).json()["findings"]
    assert "No data schema declares data.globex." in str(findings)
    assert "merger" not in str(findings)


async def test_token_ends_with_the_key_that_made_it(rest: Rest) -> None:
    body = {"name": "k", "scopes": ["manage", "read"], "ttl": "1h"}
    made = (await rest.app.post("/v1/keys", json=body)).json()
    headers = {"authorization": f"Bearer {made['key']}"}
    for path, more in {
        "/v1/keys": {"name": "child", "scopes": ["read"]},
        "/v1/keys?": {"name": "child", "scopes": ["read"], "ttl": "90d"},
        "/v1/tokens": {"recipient": "alice", "ttl": "30d"},
        "/v1/editor-tokens": REQUEST | {"ttl": "8h"},
    }.items():
        response = await rest.client.post(path, json=more, headers=headers)
        assert (response.status_code, response.json()["expires_at"]) == (201, made["expires_at"]), path
    shorter = await rest.client.post("/v1/tokens", json={"recipient": "alice", "ttl": "1m"}, headers=headers)
    assert shorter.json()["expires_at"] < made["expires_at"]


async def test_tokens_are_refused_once_the_key_that_made_them_is_revoked(rest: Rest) -> None:
    await rest.app.put(BOOKING, json=HTML)
    made = (await rest.app.post("/v1/keys", json={"name": "k", "scopes": ["manage"]})).json()
    key = {"authorization": f"Bearer {made['key']}"}
    opened: list[tuple[str, dict[str, str], bool]] = []
    for path, body, opens in (("tokens", {"recipient": "alice"}, "/v1/inbox"), ("editor-tokens", REQUEST, BOOKING)):
        for maker in (key, rest.app.headers):
            token = (await rest.client.post(f"/v1/{path}", json=body, headers=maker)).json()["token"]
            opened.append((opens, {"authorization": f"Bearer {token}"}, maker is key))
    for path, headers, _ in opened:
        assert (await rest.client.get(path, headers=headers)).status_code == 200
    assert (await rest.app.delete(f"/v1/keys/{made['id']}")).status_code == 204
    for path, headers, is_by_key in opened:
        response = await rest.client.get(path, headers=headers)
        assert response.status_code == (401 if is_by_key else 200), response.text
        assert not is_by_key or "was revoked" in response.json()["detail"]


@pytest.mark.usefixtures("cheap_hashes")
async def test_tokens_are_made_by_owners_and_keys_within_their_tenants(rest: Rest) -> None:
    owner = await set_up(rest)
    assert (await owner.post("/v1/editor-tokens", json=REQUEST)).status_code == 201
    refused(await (await signed_in(rest, "dev", "developer")).post("/v1/editor-tokens", json=REQUEST), 403, "forbidden")
    body = {"name": "k", "scopes": ["manage"], "tenants": ["globex"]}
    key = (await rest.app.post("/v1/keys", json=body)).json()["key"]
    headers = {"authorization": f"Bearer {key}"}
    refused(await rest.client.post("/v1/editor-tokens", json=REQUEST, headers=headers), 403, "forbidden")
    own = REQUEST | {"tenant": "globex"}
    assert (await rest.client.post("/v1/editor-tokens", json=own, headers=headers)).status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"tenant": ""},
        {"templates": []},
        {"templates": ["a/b"]},
        {"can": []},
        {"can": ["admin"]},
        {"origin": "app.example"},
        {"origin": "*"},
        {"name": ""},
        {"name": "a\nb"},
        {"email": "ann"},
        {"ttl": "9h"},
        {"ttl": 0},
    ],
)
async def test_wrong_request_makes_no_token(rest: Rest, wrong: dict[str, Any]) -> None:
    assert (await rest.app.post("/v1/editor-tokens", json=REQUEST | wrong)).status_code == 422


async def test_author_changes_the_brand_and_no_other_setting(client: httpx.AsyncClient) -> None:
    await client.put("/v1/tenants/acme", json={"name": "Acme", "settings": {"sends_per_day": 5}})
    ann = await author(client, can=["brand"])
    brand = {"color": "#0a5c36", "font": "georgia"}
    assert (await ann("PUT", "/v1/tenants/acme/brand", brand)).status_code == 200
    assert (await ann("GET", "/v1/tenants/acme/brand")).json()["color"] == "#0a5c36"
    assert (await client.get("/v1/tenants/acme")).json()["settings"] == {"sends_per_day": 5, "brand": brand}
    refused(await ann("PUT", "/v1/tenants/globex/brand", brand), 403, "forbidden")
    refused(await ann("PUT", "/v1/tenants/acme/brand", {"color": "red"}), 422, "invalid")
    refused(await ann("PUT", "/v1/tenants/acme/brand", {"weight": 9}), 422, "invalid")


async def test_page_of_the_editor_names_who_may_embed_it(client: httpx.AsyncClient, tmp_path: Path) -> None:
    page = await client.get("/embed/template-editor?template=booking", headers={"authorization": ""})
    policy = page.headers["content-security-policy"]
    assert (page.status_code, f"frame-ancestors 'self' {APP}" in policy) == (200, True)
    assert "x-frame-options" not in page.headers
    assert "set-cookie" not in page.headers
    assert (await client.get("/embed/embed.js")).headers["content-type"].startswith("text/javascript")
    assert (await client.get("/embed/nothing.js")).status_code == 404
    token = (await client.post("/v1/editor-tokens", json=REQUEST)).json()["token"]
    form = {"token": token, "key": "booking", "request": json.dumps({"values": VALUES, "data": {"client": "Bob"}})}
    shown = await client.post("/embed/template-preview", data=form, headers={"authorization": ""})
    assert (shown.status_code, "Hello Bob" in shown.text) == (200, True)
    assert f"frame-ancestors 'self' {APP}" in shown.headers["content-security-policy"]
    assert "sandbox" in shown.headers["content-security-policy"]
    for wrong, status in (({"token": "x"}, 401), ({"key": "secret"}, 403)):
        refusal = await client.post("/embed/template-preview", data=form | wrong, headers={"authorization": ""})
        assert refusal.status_code == status, refusal.text
    other = await client.post("/embed/template-preview?tenant=globex", data=form, headers={"authorization": ""})
    assert other.status_code == 403


async def test_page_of_the_editor_is_closed_without_declared_origins(tmp_path: Path) -> None:
    async with app(tmp_path) as (_, client):
        for method, path in (("GET", "/embed/template-editor"), ("POST", "/embed/template-preview")):
            assert (await client.request(method, path)).status_code == 403


async def test_awaited_client_makes_editor_tokens(bellcast_server: ServerProcess) -> None:
    async with AsyncBellcast(bellcast_server.url, bellcast_server.secret) as bell:
        token = await bell.editor_token("sdk", ["a-*"], can=["edit"], origin=APP, name="Ann", ttl="2h")
    claims = editor_access.signed_claims(Project(*PROJECT), token, 0)
    assert (claims.tenant, claims.templates, claims.exp - claims.iat) == ("sdk", ("a-*",), 7200)


def test_blocking_client_makes_and_ends_editor_tokens(bellcast_server: ServerProcess) -> None:
    with Bellcast(bellcast_server.url, bellcast_server.secret) as bell:
        token = bell.editor_token("sync", ["a"], can=["edit"], origin=APP, name="Ann")
        assert editor_access.is_editor(token)
        bell.end_editor_tokens("sync")
    ended = httpx.get(f"{bellcast_server.url}/v1/templates/a", headers={"authorization": f"Bearer {token}"})
    assert ended.status_code == 401
