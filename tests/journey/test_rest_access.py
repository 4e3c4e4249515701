"""Access control: secrets, keys, session tokens, their tenants, and pages of other origins."""

import asyncio
import json
from datetime import datetime

import httpx
import pytest

from bellcast.auth.keys import SCOPES
from bellcast.auth.permissions import AccessConfig
from bellcast.console.pages import CHECK_RESULT
from bellcast.console.pages.check import CHECKS_PER_SECOND
from bellcast.kernel import times
from bellcast.kernel.clock import SystemClock, TestClock
from bellcast.kernel.limits import Limits
from bellcast.server import create_app
from bellcast.settings import load
from tests.journey import rest as rests
from tests.journey.rest import Caller, fields, refused

# An operation of each scope, and one of a recipient.
OPERATIONS = {
    "send": ("POST", "/v1/notifications", {"to": "alice", "title": "x"}),
    "read": ("GET", "/v1/recipients", None),
    "manage": ("PUT", "/v1/recipients/alice", {}),
    "admin": ("GET", "/v1/operators", None),
    "recipient": ("GET", "/v1/inbox", None),
}


async def send_request(client, operation):
    method, path, body = OPERATIONS[operation]
    return await client.request(method, path, **({} if body is None else {"json": body}))


async def key(rest, *scopes):
    created = await rest.app.post("/v1/keys", json={"name": "booking service", "scopes": list(scopes)})
    assert created.status_code == 201, created.text
    return Caller(rest.client, {"authorization": f"Bearer {created.json()['key']}"}), created.json()


class TestCredentials:
    @pytest.mark.parametrize("operation", OPERATIONS)
    async def test_request_without_credentials_is_refused(self, rest, operation):
        response = await send_request(rest.anonymous, operation)
        assert refused(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize(
        "credential", ["Bearer wrong", "Bearer ", "Basic YWxpY2U6eA==", "Bearer bc_1_2", "Bearer a.b.c"]
    )
    async def test_wrong_credentials_are_refused(self, rest, operation, credential):
        response = await send_request(Caller(rest.client, {"authorization": credential}), operation)
        assert refused(response, 401, "unauthenticated")

    async def test_valid_credentials_of_another_scope_are_forbidden(self, rest):
        for operation in ("send", "read", "manage", "admin"):
            assert refused(await send_request(rest.recipient("alice"), operation), 403, "forbidden")
        assert refused(await send_request(rest.app, "recipient"), 403, "forbidden")

    async def test_credentials_are_checked_before_the_body(self, rest):
        response = await rest.anonymous.post("/v1/notifications", content=b"{")
        assert refused(response, 401, "unauthenticated")

    async def test_authorization_scheme_ignores_case(self, rest):
        bearer = rest.app.headers["authorization"].replace("Bearer", "bEARER")
        assert (await send_request(Caller(rest.client, {"authorization": bearer}), "read")).status_code == 200

    async def test_session_token_is_accepted_in_the_url_but_the_secret_is_not(self, rest):
        token = rest.recipient("alice").headers["authorization"].removeprefix("Bearer ")
        assert (await rest.anonymous.get("/v1/inbox", params={"token": token})).status_code == 200
        secret = rest.app.headers["authorization"].removeprefix("Bearer ")
        assert (await rest.anonymous.get("/v1/stats", params={"token": secret})).status_code == 401


class TestKeys:
    @pytest.mark.parametrize("scope", SCOPES)
    async def test_key_grants_only_its_scope(self, rest, scope):
        client, _ = await key(rest, scope)
        for operation in ("send", "read", "manage", "admin"):
            response = await send_request(client, operation)
            assert (response.status_code == 403) is (operation != scope), operation
        assert refused(await send_request(client, "recipient"), 403, "forbidden")

    async def test_key_text_is_shown_once(self, rest):
        _, created = await key(rest, "read", "send")
        assert created["scopes"] == ["send", "read"]
        listed = await rest.app.get("/v1/keys")
        assert listed.json()["keys"] == [{name: value for name, value in created.items() if name != "key"}]
        assert created["key"].rpartition("_")[2] not in listed.text

    async def test_revoked_key_is_refused_and_still_listed(self, rest):
        client, created = await key(rest, "read")
        assert (await rest.app.delete(f"/v1/keys/{created['id']}")).status_code == 204
        assert refused(await send_request(client, "read"), 401, "unauthenticated")
        assert (await rest.app.get("/v1/keys")).json()["keys"][0]["revoked_at"] is not None

    async def test_unknown_key_cannot_be_revoked(self, rest):
        assert refused(await rest.app.delete("/v1/keys/nothing"), 404, "not_found")

    async def test_key_cannot_grant_scopes_that_it_lacks(self, rest):
        manager, _ = await key(rest, "manage")
        assert (await manager.post("/v1/keys", json={"name": "x", "scopes": ["manage"]})).status_code == 201
        response = await manager.post("/v1/keys", json={"name": "x", "scopes": ["manage", "send"]})
        assert refused(response, 403, "forbidden")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"scopes": ["send"]}, "name"),
            ({"name": "", "scopes": ["send"]}, "name"),
            ({"name": "x"}, "scopes"),
            ({"name": "x", "scopes": []}, "scopes"),
            ({"name": "x", "scopes": ["send", "fly"]}, "scopes.1"),
            ({"name": "x", "scopes": ["send"], "ttl": 0}, "ttl"),
        ],
    )
    async def test_invalid_key_is_not_created(self, rest, body, field):
        response = await rest.app.post("/v1/keys", json=body)
        assert fields(response).keys() == {field}
        assert (await rest.app.get("/v1/keys")).json() == {"keys": [], "next": None}


class TestTokenScopes:
    @pytest.mark.parametrize(("scopes", "status"), [(["manage"], 201), (["read", "send"], 403)])
    async def test_key_needs_the_scope_manage_to_create_session_tokens(self, rest, scopes, status):
        sender, _ = await key(rest, *scopes)
        response = await sender.post("/v1/tokens", json={"recipient": "alice", "publish": ["room"]})
        assert response.status_code == status, response.text


class TestTokens:
    async def token(self, rest, **options):
        response = await rest.app.post("/v1/tokens", json={"recipient": "alice", **options})
        assert response.status_code == 201, response.text
        created = response.json()
        return Caller(rest.client, {"authorization": f"Bearer {created['token']}"}), created["expires_at"]

    async def test_token_opens_the_inbox_of_its_recipient(self, rest):
        await rest.send("alice")
        client, expires_at = await self.token(rest)
        assert (await client.get("/v1/inbox/counts")).json()["unread"] == 1
        assert expires_at.startswith("2025-06-15T16:06:40")

    @pytest.mark.parametrize(("ttl", "seconds"), [(60, 60), ("90", 90), ("2m", 120), ("1h", 3600), ("30d", 2_592_000)])
    async def test_token_expires_after_its_ttl(self, rest, ttl, seconds):
        client, _ = await self.token(rest, ttl=ttl)
        rest.clock.advance(seconds - 1)
        assert (await client.get("/v1/inbox/counts")).status_code == 200
        rest.clock.advance(1)
        assert refused(await client.get("/v1/inbox/counts"), 401, "unauthenticated")

    async def test_token_opens_the_inbox_in_its_tenant(self, rest):
        await rest.send("alice", tenant="acme")
        for claims, unread in (({}, 0), ({"tenant": "acme"}, 1), ({"tenant": "globex"}, 0)):
            client, _ = await self.token(rest, **claims)
            assert (await client.get("/v1/inbox/counts")).json()["unread"] == unread

    async def test_token_roles_and_name_are_saved_in_the_record(self, rest):
        client, _ = await self.token(rest, roles=["admin"], name="Alice")
        await client.get("/v1/inbox")
        record = (await rest.app.get("/v1/recipients/alice")).json()
        assert (record["roles"], record["name"]) == (["admin"], "Alice")

    async def test_token_time_of_membership_selects_announcements_and_is_saved(self, rest):
        await rest.app.post("/v1/notifications", json={"to": {"all": True}, "title": "Before"})
        rest.clock.advance(0.5)
        client, _ = await self.token(rest, since=rest.clock.now() / 1000)
        await rest.app.post("/v1/notifications", json={"to": {"all": True}, "title": "After"})
        assert [row["title"] for row in (await client.get("/v1/inbox")).json()["notifications"]] == ["After"]
        record = (await rest.app.get("/v1/recipients/alice")).json()
        assert times.milliseconds(datetime.fromisoformat(record["member_since"])) == rest.clock.now()

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "recipient"),
            ({"recipient": "a", "since": -1}, "since"),
            ({"recipient": "a", "since": "2026-01-01T00:00:00Z"}, "since"),
            ({"recipient": ""}, "recipient"),
            ({"recipient": "a", "ttl": 0}, "ttl"),
            ({"recipient": "a", "ttl": -5}, "ttl"),
            ({"recipient": "a", "ttl": "31d"}, "ttl"),
            ({"recipient": "a", "ttl": "soon"}, "ttl"),
            ({"recipient": "a", "ttl": True}, "ttl"),
            ({"recipient": "a", "ttl": 1e300}, "ttl"),
            ({"recipient": "a", "ttl": "9" * 400}, "ttl"),
            ({"recipient": "a", "ttl": 10**400}, "ttl"),
            ({"recipient": "a", "topics": ["ok.*", "not ok"]}, "topics.1"),
            ({"recipient": "a", "publish": [""]}, "publish.0"),
            ({"recipient": "a", "roles": "admin"}, "roles"),
            ({"recipient": "a", "roles": ["ok", "*"]}, "roles.1"),
            ({"recipient": "a", "roles": ["r" * 160]}, "roles.0"),
            ({"recipient": "a", "topics": ["t" * 100] * 100}, ""),
            ({"recipient": "a", "tenant": "*"}, "tenant"),
            ({"recipient": "a", "scope": "send"}, "scope"),
        ],
        ids=lambda value: str(value)[:60],
    )
    async def test_invalid_token_is_not_created(self, rest, body, field):
        response = await rest.app.post("/v1/tokens", json=body)
        assert refused(response, 422, "invalid")
        assert fields(response).keys() == {field}


async def end_sessions(rest, key):
    """End the sessions while the clock advances: the response waits for the end of the millisecond."""
    request = asyncio.ensure_future(rest.app.delete(f"/v1/recipients/{key}/sessions"))
    while not request.done():
        await asyncio.sleep(0)
        rest.clock.advance(0.001)
    assert (await request).status_code == 204


class TestRevocation:
    async def test_revocation_refuses_older_tokens_and_accepts_newer_ones(self, rest):
        before = rest.recipient("alice")
        assert (await before.get("/v1/inbox")).status_code == 200
        rest.clock.advance(1)
        await end_sessions(rest, "alice")
        for method, path, body in (
            ("GET", "/v1/inbox", None),
            ("GET", "/v1/inbox/counts", None),
            ("POST", "/v1/inbox/read", {"all": True}),
            ("DELETE", "/v1/inbox?view=all", None),
        ):
            response = await before.request(method, path, **({"json": body} if body else {}))
            assert refused(response, 401, "unauthenticated"), path
        rest.clock.advance(1)
        assert (await rest.recipient("alice").get("/v1/inbox")).status_code == 200

    async def test_revoked_session_does_not_save_its_roles_and_name(self, rest):
        before = rest.recipient("alice", roles=["admin"], name="Alice")
        assert (await before.get("/v1/inbox")).status_code == 200
        await rest.app.patch("/v1/recipients/alice", json={"roles": [], "name": "Al"})
        await end_sessions(rest, "alice")
        assert refused(await before.get("/v1/inbox"), 401, "unauthenticated")
        record = (await rest.app.get("/v1/recipients/alice")).json()
        assert (record["roles"], record["name"]) == ([], "Al")

    @pytest.mark.parametrize("erased", ["/v1/recipients/alice?tenant=acme", "/v1/tenants/acme"])
    async def test_revoked_session_does_not_recreate_erased_records(self, rest, erased):
        before = rest.recipient("alice", tenant="acme")
        assert (await before.get("/v1/inbox")).status_code == 200
        for path in dict.fromkeys((erased, "/v1/tenants/acme")):
            assert (await rest.app.delete(path)).status_code == 204
        assert refused(await before.get("/v1/inbox"), 401, "unauthenticated")
        assert (await rest.app.get("/v1/recipients/alice?tenant=acme")).status_code == 404
        assert (await rest.app.get("/v1/tenants/acme")).status_code == 404

    async def test_revocation_affects_only_that_recipient_of_that_tenant(self, rest):
        others = [rest.recipient("bob"), rest.recipient("alice", tenant="acme")]
        rest.clock.advance(1)
        await end_sessions(rest, "alice")
        for other in others:
            assert (await other.get("/v1/inbox")).status_code == 200


async def request_with_pause(client, method, path, body, pause):
    """Send a request. Between the halves of its body, `pause` is called."""
    text = json.dumps(body).encode()

    async def halves():
        yield text[:10]
        await pause()
        yield text[10:]

    return await client.request(method, path, content=halves(), headers={"content-type": "application/json"})


class TestSlowBody:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/v1/push-endpoints", {"kind": "fcm", "token": "cVx3:APA91bH"}),
            ("PUT", "/v1/preferences", {"channels": {"sms": False}}),
            ("PATCH", "/v1/preferences", {"channels": {"sms": False}}),
            ("POST", "/v1/inbox/read", {"all": True}),
        ],
    )
    async def test_session_that_is_revoked_before_the_end_of_the_body_writes_nothing(self, rest, method, path, body):
        alice = rest.recipient("alice")
        await rest.send("alice")
        rest.clock.advance(1)
        response = await request_with_pause(alice, method, path, body, lambda: end_sessions(rest, "alice"))
        assert refused(response, 401, "unauthenticated")
        assert (await rest.app.get("/v1/recipients/alice/push-endpoints")).json() == {"push_endpoints": []}
        assert "channels" not in (await rest.app.get("/v1/recipients/alice/preferences")).json()
        assert (await rest.app.get("/v1/recipients/alice")).json()["unread"] == 1

    async def test_session_of_an_erased_recipient_does_not_create_it_again(self, rest):
        alice = rest.recipient("alice")
        await rest.send("alice")
        rest.clock.advance(1)

        async def erase():
            assert (await rest.app.delete("/v1/recipients/alice")).status_code == 204

        response = await request_with_pause(alice, "PUT", "/v1/preferences", {"channels": {"sms": False}}, erase)
        assert refused(response, 401, "unauthenticated")
        assert refused(await rest.app.get("/v1/recipients/alice"), 404, "not_found")

    async def test_key_that_is_revoked_before_the_end_of_the_body_creates_nothing(self, rest, monkeypatch):
        monkeypatch.setattr("bellcast.kernel.http.request_body.SLOW_SECONDS", 0)
        made = (await rest.app.post("/v1/keys", json={"name": "stolen", "scopes": ["manage"]})).json()
        stolen = Caller(rest.client, {"authorization": f"Bearer {made['key']}"})

        async def revoke():
            assert (await rest.app.delete(f"/v1/keys/{made['id']}")).status_code == 204

        body = {"name": "another", "scopes": ["manage"]}
        response = await request_with_pause(stolen, "POST", "/v1/keys", body, revoke)
        assert refused(response, 401, "unauthenticated")
        assert [one["name"] for one in (await rest.app.get("/v1/keys")).json()["keys"]] == ["stolen"]


PAGE = {"origin": "https://shop.example"}


class TestOrigins:
    async def test_token_is_accepted_from_any_origin_until_origins_are_declared(self, rest):
        response = await rest.recipient("alice").get("/v1/inbox", headers=PAGE)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers
        assert "ETag" in response.headers["access-control-expose-headers"]

    async def test_refusal_is_readable_for_pages(self, rest):
        for response in (
            await rest.anonymous.get("/v1/inbox", headers=PAGE),
            await rest.anonymous.get("/nowhere", headers=PAGE),
            await rest.anonymous.delete("/healthz", headers=PAGE),
        ):
            assert response.headers["access-control-allow-origin"] == PAGE["origin"], response.status_code
            assert response.headers["access-control-allow-credentials"] == "true"

    async def test_preflight_lists_allowed_methods_and_headers(self, rest):
        preflight_headers = {
            "access-control-request-method": "PATCH",
            "access-control-request-headers": "authorization",
        }
        response = await rest.anonymous.request("OPTIONS", "/v1/inbox/x", headers=PAGE | preflight_headers)
        assert response.status_code == 204
        assert response.headers["access-control-allow-origin"] == "*"
        allowed = response.headers["access-control-allow-headers"].lower()
        assert {"authorization", "content-type", "idempotency-key", "if-match", "if-none-match"} <= set(
            allowed.split(", ")
        )
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            assert method in response.headers["access-control-allow-methods"]

    async def test_declared_origins_are_the_only_ones_allowed(self, tmp_path):
        async with rests.opened(tmp_path, access=AccessConfig(origins=("https://shop.example",))) as rest:
            alice = rest.recipient("alice")
            allowed_page = await alice.get("/v1/inbox", headers=PAGE)
            assert allowed_page.headers["access-control-allow-origin"] == "https://shop.example"
            assert allowed_page.headers["access-control-allow-credentials"] == "true"
            assert "origin" in allowed_page.headers["vary"].lower()
            other_page = await alice.get("/v1/inbox", headers={"origin": "https://evil.example"})
            assert refused(other_page, 403, "forbidden")
            assert other_page.headers["access-control-allow-origin"] == "https://evil.example"  # it may read the reason
            same = await alice.get("/v1/inbox", headers={"origin": "http://bell.test"})
            assert same.status_code == 200
            assert (await alice.get("/v1/inbox")).status_code == 200


class TestCookies:
    """The app's session cookie, which the app itself resolves (BELLCAST_SESSION_URL)."""

    @pytest.fixture
    async def app(self):
        async def response(reader, writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            body = json.dumps({"recipient": "alice"}) if "session=alices" in head else "{}"
            status = "200 OK" if "session=alices" in head else "401 Unauthorized"
            message = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}"
            writer.write(message.encode())
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(response, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/session"

    @pytest.fixture
    async def bell(self, app, tmp_path):
        access = AccessConfig(session_url=app, origins=("https://shop.example",))
        async with rests.opened(tmp_path, access=access) as rest:
            yield rest

    async def test_cookie_opens_the_inbox_of_its_owner(self, bell):
        await bell.send("alice")
        response = await Caller(bell.client, {"cookie": "session=alices"}).get("/v1/inbox/counts")
        assert (response.status_code, response.json()["unread"]) == (200, 1)
        assert refused(
            await Caller(bell.client, {"cookie": "session=forged"}).get("/v1/inbox/counts"), 401, "unauthenticated"
        )

    @pytest.mark.parametrize(
        ("origin", "may"),
        [
            ("http://bell.test", True),
            ("https://shop.example", True),
            ("https://evil.example", False),
            ("null", False),
            (None, False),
        ],
    )
    async def test_change_by_cookie_needs_a_declared_origin(self, bell, origin, may):
        await bell.send("alice")
        alice = Caller(bell.client, {"cookie": "session=alices"} | ({"origin": origin} if origin else {}))
        response = await alice.post("/v1/inbox/read", json={"all": True})
        assert response.status_code == (200 if may else 403)
        unread = (await bell.recipient("alice").get("/v1/inbox/counts")).json()["unread"]
        assert unread == (0 if may else 1)

    async def test_cookie_opens_no_server_path(self, bell):
        alice = Caller(bell.client, {"cookie": "session=alices", "origin": "http://bell.test"})
        assert refused(await alice.get("/v1/recipients"), 401, "unauthenticated")


async def test_address_beyond_the_rate_limit_is_refused_with_a_delay(tmp_path):
    async with rests.opened(tmp_path, limits=Limits(requests_per_second=3)) as rest:
        responses = [await rest.anonymous.get("/healthz") for _ in range(4)]
        assert [response.status_code for response in responses] == [200, 200, 200, 429]
        assert refused(responses[-1], 429, "too_many")
        assert responses[-1].headers["retry-after"] == "1"
        rest.clock.advance(1)
        assert (await rest.anonymous.get("/healthz")).status_code == 200


async def test_rates_of_an_address_follow_the_system_time_also_with_a_test_clock(tmp_path, monkeypatch):
    now = 1_750_000_000_000
    monkeypatch.setattr(SystemClock, "now", lambda _: now)
    environment = {"BELLCAST_PROJECT": "p:key:secret", "BELLCAST_LIMIT_REQUESTS_PER_SECOND": "1"}
    server = create_app(load({"data": str(tmp_path)}, environment), test_clock=TestClock(now))
    transport = httpx.ASGITransport(server)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://bell") as client:
            assert [(await client.get("/healthz")).status_code for _ in range(2)] == [200, 429]
            now += 1_000
            assert (await client.get("/healthz")).status_code == 200
            server.settings.limits.requests_per_second = 0
            checks = [(await client.post(CHECK_RESULT)).status_code for _ in range(CHECKS_PER_SECOND + 1)]
            assert checks == [200] * CHECKS_PER_SECOND + [429]
            now += 1_000
            assert (await client.post(CHECK_RESULT)).status_code == 200
    finally:
        await server.stop()
