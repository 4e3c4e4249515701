"""Access control: secrets, keys, session tokens, their tenants, and pages of other origins."""

import asyncio
import json

import pytest

from bellcast.auth.access_config import AccessConfig
from bellcast.model.limits import Limits
from tests.journey import rest as rests
from tests.journey.rest import Asker, fields, refused

# An operation of each scope, and one of a recipient.
OPERATIONS = {
    "send": ("POST", "/v1/notifications", {"to": "alice", "title": "x"}),
    "read": ("GET", "/v1/recipients", None),
    "manage": ("PUT", "/v1/recipients/alice", {}),
    "recipient": ("GET", "/v1/inbox", None),
}


async def ask(asker, door):
    method, path, body = OPERATIONS[door]
    return await asker.ask(method, path, **({} if body is None else {"json": body}))


async def key(rest, *scopes):
    made = await rest.app.post("/v1/keys", json={"name": "booking service", "scopes": list(scopes)})
    assert made.status_code == 201, made.text
    return Asker(rest.client, {"authorization": f"Bearer {made.json()['key']}"}), made.json()


class TestDoors:
    @pytest.mark.parametrize("door", OPERATIONS)
    async def test_request_without_credentials_is_refused(self, rest, door):
        answer = await ask(rest.nobody, door)
        assert refused(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"

    @pytest.mark.parametrize("door", OPERATIONS)
    @pytest.mark.parametrize(
        "credential", ["Bearer wrong", "Bearer ", "Basic YWxpY2U6eA==", "Bearer bc_1_2", "Bearer a.b.c"]
    )
    async def test_wrong_credentials_are_refused(self, rest, door, credential):
        answer = await ask(Asker(rest.client, {"authorization": credential}), door)
        assert refused(answer, 401, "unauthenticated")

    async def test_valid_credentials_of_another_scope_are_forbidden(self, rest):
        for door in ("send", "read", "manage"):
            assert refused(await ask(rest.recipient("alice"), door), 403, "forbidden")
        assert refused(await ask(rest.app, "recipient"), 403, "forbidden")

    async def test_credentials_are_checked_before_the_body(self, rest):
        answer = await rest.nobody.post("/v1/notifications", content=b"{")
        assert refused(answer, 401, "unauthenticated")

    async def test_authorization_scheme_ignores_case(self, rest):
        bearer = rest.app.headers["authorization"].replace("Bearer", "bEARER")
        assert (await ask(Asker(rest.client, {"authorization": bearer}), "read")).status_code == 200

    async def test_session_token_is_accepted_in_the_url_but_the_secret_is_not(self, rest):
        token = rest.recipient("alice").headers["authorization"].removeprefix("Bearer ")
        assert (await rest.nobody.get("/v1/inbox", params={"token": token})).status_code == 200
        secret = rest.app.headers["authorization"].removeprefix("Bearer ")
        assert (await rest.nobody.get("/v1/stats", params={"token": secret})).status_code == 401


class TestKeys:
    @pytest.mark.parametrize("scope", ["send", "read", "manage"])
    async def test_key_grants_only_its_scope(self, rest, scope):
        asker, _ = await key(rest, scope)
        for door in ("send", "read", "manage"):
            answer = await ask(asker, door)
            assert (answer.status_code == 403) is (door != scope), door
        assert refused(await ask(asker, "recipient"), 403, "forbidden")

    async def test_key_text_is_shown_once(self, rest):
        _, made = await key(rest, "read", "send")
        assert made["scopes"] == ["send", "read"]
        listed = await rest.app.get("/v1/keys")
        assert listed.json()["keys"] == [{name: value for name, value in made.items() if name != "key"}]
        assert made["key"].rpartition("_")[2] not in listed.text

    async def test_revoked_key_is_refused_and_still_listed(self, rest):
        asker, made = await key(rest, "read")
        assert (await rest.app.delete(f"/v1/keys/{made['id']}")).status_code == 204
        assert refused(await ask(asker, "read"), 401, "unauthenticated")
        assert (await rest.app.get("/v1/keys")).json()["keys"][0]["revoked_at"] is not None

    async def test_unknown_key_cannot_be_revoked(self, rest):
        assert refused(await rest.app.delete("/v1/keys/nothing"), 404, "not_found")

    async def test_key_cannot_grant_scopes_that_it_lacks(self, rest):
        manager, _ = await key(rest, "manage")
        assert (await manager.post("/v1/keys", json={"name": "x", "scopes": ["manage"]})).status_code == 201
        answer = await manager.post("/v1/keys", json={"name": "x", "scopes": ["manage", "send"]})
        assert refused(answer, 403, "forbidden")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"scopes": ["send"]}, "name"),
            ({"name": "", "scopes": ["send"]}, "name"),
            ({"name": "x"}, "scopes"),
            ({"name": "x", "scopes": []}, "scopes"),
            ({"name": "x", "scopes": ["send", "fly"]}, "scopes.1"),
            ({"name": "x", "scopes": ["send"], "ttl": 5}, "ttl"),
        ],
    )
    async def test_invalid_key_is_not_created(self, rest, body, field):
        answer = await rest.app.post("/v1/keys", json=body)
        assert fields(answer).keys() == {field}
        assert (await rest.app.get("/v1/keys")).json() == {"keys": []}


class TestTokenScopes:
    @pytest.mark.parametrize(("scopes", "status"), [(["manage"], 201), (["read", "send"], 403)])
    async def test_key_needs_the_scope_manage_to_create_session_tokens(self, rest, scopes, status):
        sender, _ = await key(rest, *scopes)
        answer = await sender.post("/v1/tokens", json={"recipient": "alice", "publish": ["room"]})
        assert answer.status_code == status, answer.text


class TestTokens:
    async def token(self, rest, **asked):
        answer = await rest.app.post("/v1/tokens", json={"recipient": "alice", **asked})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return Asker(rest.client, {"authorization": f"Bearer {made['token']}"}), made["expires_at"]

    async def test_token_opens_the_inbox_of_its_recipient(self, rest):
        await rest.tell("alice")
        asker, expires_at = await self.token(rest)
        assert (await asker.get("/v1/inbox/counts")).json()["unread"] == 1
        assert expires_at.startswith("2025-06-15T16:06:40")

    @pytest.mark.parametrize(("ttl", "seconds"), [(60, 60), ("90", 90), ("2m", 120), ("1h", 3600), ("30d", 2_592_000)])
    async def test_token_expires_after_its_ttl(self, rest, ttl, seconds):
        asker, _ = await self.token(rest, ttl=ttl)
        rest.clock.advance(seconds)
        assert (await asker.get("/v1/inbox/counts")).status_code == 200
        rest.clock.advance(3)
        assert refused(await asker.get("/v1/inbox/counts"), 401, "unauthenticated")

    async def test_token_opens_the_inbox_in_its_tenant(self, rest):
        await rest.tell("alice", tenant="acme")
        for asked, unread in (({}, 0), ({"tenant": "acme"}, 1), ({"tenant": "globex"}, 0)):
            asker, _ = await self.token(rest, **asked)
            assert (await asker.get("/v1/inbox/counts")).json()["unread"] == unread

    async def test_token_roles_and_name_are_saved_in_the_record(self, rest):
        asker, _ = await self.token(rest, roles=["admin"], name="Alice")
        await asker.get("/v1/inbox")
        kept = (await rest.app.get("/v1/recipients/alice")).json()
        assert (kept["roles"], kept["name"]) == (["admin"], "Alice")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "recipient"),
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
            ({"recipient": "a", "tenant": "*"}, "tenant"),
            ({"recipient": "a", "scope": "send"}, "scope"),
        ],
        ids=str,
    )
    async def test_invalid_token_is_not_created(self, rest, body, field):
        answer = await rest.app.post("/v1/tokens", json=body)
        assert refused(answer, 422, "invalid")
        assert fields(answer).keys() == {field}


async def end_sessions(rest, key):
    """End the sessions while the clock advances: the response waits for the end of the millisecond."""
    asking = asyncio.ensure_future(rest.app.delete(f"/v1/recipients/{key}/sessions"))
    while not asking.done():
        await asyncio.sleep(0)
        rest.clock.advance(0.001)
    assert (await asking).status_code == 204


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
            answer = await before.ask(method, path, **({"json": body} if body else {}))
            assert refused(answer, 401, "unauthenticated"), path
        rest.clock.advance(1)
        assert (await rest.recipient("alice").get("/v1/inbox")).status_code == 200

    async def test_revoked_session_does_not_save_its_roles_and_name(self, rest):
        before = rest.recipient("alice", roles=["admin"], name="Alice")
        assert (await before.get("/v1/inbox")).status_code == 200
        await rest.app.patch("/v1/recipients/alice", json={"roles": [], "name": "Al"})
        await end_sessions(rest, "alice")
        assert refused(await before.get("/v1/inbox"), 401, "unauthenticated")
        kept = (await rest.app.get("/v1/recipients/alice")).json()
        assert (kept["roles"], kept["name"]) == ([], "Al")

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


PAGE = {"origin": "https://shop.example"}


class TestOrigins:
    async def test_token_is_accepted_from_any_origin_until_origins_are_declared(self, rest):
        answer = await rest.recipient("alice").get("/v1/inbox", headers=PAGE)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert "ETag" in answer.headers["access-control-expose-headers"]

    async def test_refusal_is_readable_for_pages(self, rest):
        for answer in (
            await rest.nobody.get("/v1/inbox", headers=PAGE),
            await rest.nobody.get("/nowhere", headers=PAGE),
            await rest.nobody.delete("/healthz", headers=PAGE),
        ):
            assert answer.headers["access-control-allow-origin"] == PAGE["origin"], answer.status_code
            assert answer.headers["access-control-allow-credentials"] == "true"

    async def test_preflight_lists_allowed_methods_and_headers(self, rest):
        asked = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization"}
        answer = await rest.nobody.ask("OPTIONS", "/v1/inbox/x", headers=PAGE | asked)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert {"authorization", "content-type", "idempotency-key", "if-none-match"} <= set(allowed.split(", "))
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            assert method in answer.headers["access-control-allow-methods"]

    async def test_declared_origins_are_the_only_ones_allowed(self, tmp_path):
        async with rests.opened(tmp_path, access=AccessConfig(origins=("https://shop.example",))) as rest:
            alice = rest.recipient("alice")
            ours = await alice.get("/v1/inbox", headers=PAGE)
            assert ours.headers["access-control-allow-origin"] == "https://shop.example"
            assert ours.headers["access-control-allow-credentials"] == "true"
            assert "origin" in ours.headers["vary"].lower()
            theirs = await alice.get("/v1/inbox", headers={"origin": "https://evil.example"})
            assert refused(theirs, 403, "forbidden")
            assert theirs.headers["access-control-allow-origin"] == "https://evil.example"  # it may read the reason
            same = await alice.get("/v1/inbox", headers={"origin": "http://bell.test"})
            assert same.status_code == 200
            assert (await alice.get("/v1/inbox")).status_code == 200


class TestCookies:
    """The app's session cookie, which the app resolves (BELLCAST_SESSION_URL)."""

    @pytest.fixture
    async def app(self):
        async def answer(reader, writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            body = json.dumps({"recipient": "alice"}) if "session=alices" in head else "{}"
            status = "200 OK" if "session=alices" in head else "401 Unauthorized"
            told = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n{body}"
            writer.write(told.encode())
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/session"

    @pytest.fixture
    async def bell(self, app, tmp_path):
        access = AccessConfig(session_url=app, origins=("https://shop.example",))
        async with rests.opened(tmp_path, access=access) as rest:
            yield rest

    async def test_cookie_opens_the_inbox_of_its_owner(self, bell):
        await bell.tell("alice")
        asked = await Asker(bell.client, {"cookie": "session=alices"}).get("/v1/inbox/counts")
        assert (asked.status_code, asked.json()["unread"]) == (200, 1)
        assert refused(
            await Asker(bell.client, {"cookie": "session=forged"}).get("/v1/inbox/counts"), 401, "unauthenticated"
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
        await bell.tell("alice")
        alice = Asker(bell.client, {"cookie": "session=alices"} | ({"origin": origin} if origin else {}))
        answer = await alice.post("/v1/inbox/read", json={"all": True})
        assert answer.status_code == (200 if may else 403)
        unread = (await bell.recipient("alice").get("/v1/inbox/counts")).json()["unread"]
        assert unread == (0 if may else 1)

    async def test_cookie_opens_no_server_path(self, bell):
        alice = Asker(bell.client, {"cookie": "session=alices", "origin": "http://bell.test"})
        assert refused(await alice.get("/v1/recipients"), 401, "unauthenticated")


async def test_address_beyond_the_rate_limit_is_refused_with_a_delay(tmp_path):
    async with rests.opened(tmp_path, limits=Limits(requests_per_second=3)) as rest:
        asked = [await rest.nobody.get("/healthz") for _ in range(4)]
        assert [answer.status_code for answer in asked] == [200, 200, 200, 429]
        assert refused(asked[-1], 429, "too_many")
        assert asked[-1].headers["retry-after"] == "1"
        rest.clock.advance(1)
        assert (await rest.nobody.get("/healthz")).status_code == 200
