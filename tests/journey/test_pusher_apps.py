"""Pusher apps of the store: credentials, isolation by tenant, rotation, and the precedence of the project's app."""

import asyncio
import hashlib
import hmac
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from bellcast.auth.permissions import AccessConfig
from bellcast.kernel.encryption import Encryption
from bellcast.kernel.identities import Project
from bellcast.live.pusher.apps import PusherApp, PusherAppDirectory
from tests.journey.operators import keyed, set_up, signed_in
from tests.journey.rest import PROJECT, Rest, fields, opened, refused
from tests.journey.shell import bellcast
from tests.servers import ServerProcess
from tests.wire.pusher_clients import Bare, bare
from tests.wire.test_pusher_http import signed

APPS = "/v1/pusher-apps"
INBOX = "private-App.Models.User."  # the default alias of inboxes
MOVED = {
    "name": "Moved",
    "id": "1234567",
    "key": "0a1b2c3d4e5f",
    "secret": "a secret of the former provider".replace(" ", "-"),
}

TEST = "/v1/settings/test"
VALUES = {name: MOVED[name] for name in ("id", "key", "secret")}


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Rest]:
    async with opened(tmp_path) as rest:
        yield rest


async def test_secret_is_shown_once_and_encrypted_at_rest(rest: Rest) -> None:
    created = (await rest.app.post(APPS, json={"name": "Lead market"})).json()
    assert (created["source"], created["state"], created["enabled"]) == ("database", "active", True)
    assert len(created["secret"]) >= 40
    listed = (await rest.app.get(APPS)).json()["apps"]
    assert [(one["id"], one["source"]) for one in listed] == [(PROJECT.id, "project"), (created["id"], "database")]
    assert [one["previous_until"] for one in listed] == [None, None]
    assert created["secret"] not in str(listed)
    with closing(sqlite3.connect(rest.file)) as connection:
        stored = str(connection.execute("SELECT * FROM documents").fetchall())
    assert created["key"] in stored
    assert created["secret"] not in stored
    rotated = (await rest.app.post(f"{APPS}/{created['id']}/rotate")).json()
    assert rotated["secret"] != created["secret"]
    assert rotated["previous_until"] is not None


async def test_credentials_can_be_moved_but_not_taken(rest: Rest) -> None:
    created = await rest.app.post(APPS, json=MOVED)
    assert (created.status_code, created.json()["secret"]) == (201, MOVED["secret"])
    assert refused(await rest.app.post(APPS, json=MOVED), 409, "conflict")
    for field, value in (("id", PROJECT.id), ("key", PROJECT.key), ("key", MOVED["key"])):
        body = {"name": "x", field: value}
        assert refused(await rest.app.post(APPS, json=body), 409, "conflict")
    for method, path in (("PATCH", ""), ("POST", "/rotate"), ("DELETE", "")):
        response = await rest.app.request(method, f"{APPS}/{PROJECT.id}{path}", json={"enabled": False})
        assert refused(response, 409, "conflict")
    wrong = await rest.app.post(APPS, json={"name": "x", "origins": ["https://ok.example.com", "no origin"]})
    assert list(fields(wrong)) == ["origins.1"]
    for name, value in (("id", "a/b"), ("key", "a b"), ("secret", "short"), ("name", "")):
        assert refused(await rest.app.post(APPS, json=MOVED | {name: value}), 422, "invalid")
    assert (await rest.app.post(APPS, json={})).json()["name"] == ""
    for name in ("id", "key", "secret"):
        response = await rest.app.post(APPS, json=MOVED | {"id": "2", "key": "k2", name: f"{MOVED[name]}\n"})
        assert list(fields(response)) == [name]


async def test_project_takes_precedence_over_a_stored_app(rest: Rest) -> None:
    await rest.app.post(APPS, json=MOVED)
    project = type(PROJECT)(MOVED["id"], "the-key-of-the-environment", "the secret of the environment")
    node = PusherAppDirectory(rest.store, rest.clock, Encryption(b"key"), project, lambda: None)
    await node.reload()
    assert [one.state for one in node.all] == ["active", "overridden"]
    assert node.by_id.get(MOVED["id"]) is node.all[0]
    assert node.by_key.get(MOVED["key"]) is None


async def test_app_with_an_unknown_encryption_key_is_disabled(rest: Rest) -> None:
    await rest.app.post(APPS, json=MOVED)
    node = PusherAppDirectory(rest.store, rest.clock, Encryption(b"another key"), PROJECT, lambda: None)
    await node.reload()
    app = node.by_id.get(MOVED["id"])
    assert app is not None
    assert (app.enabled, node.all[1].state) == (False, "unreadable")


async def test_previous_secret_is_valid_for_a_day(rest: Rest) -> None:
    await rest.app.post(APPS, json=MOVED)
    node = PusherAppDirectory(rest.store, rest.clock, Encryption(b"key"), PROJECT, rest.store.open)
    await rest.app.post(f"{APPS}/{MOVED['id']}/rotate")
    await node.reload()
    app = node.by_id.get(MOVED["id"])
    assert app is not None
    assert [one.secret == MOVED["secret"] for one in app.valid_credentials(rest.clock.now())] == [False, True]
    rest.clock.advance(24 * 3_600_000)
    assert [one.secret == MOVED["secret"] for one in app.valid_credentials(rest.clock.now())] == [False]


@pytest.mark.thorough
async def test_simultaneous_changes_are_all_made(rest: Rest) -> None:
    app = (await rest.app.post(APPS, json={"name": "shop"})).json()
    changes = [rest.app.patch(f"{APPS}/{app['id']}", json={"name": f"shop {number}"}) for number in range(8)]
    assert [one.status_code for one in await asyncio.gather(*changes)] == [200] * 8


async def test_changes_are_audited_without_secrets_and_not_for_support(rest: Rest) -> None:
    owner = await set_up(rest)
    await owner.post(APPS, json=MOVED)
    await owner.patch(f"{APPS}/{MOVED['id']}", json={"enabled": False})
    await owner.post(f"{APPS}/{MOVED['id']}/rotate")
    await owner.delete(f"{APPS}/{MOVED['id']}")
    entries = (await owner.get("/v1/audit")).json()["entries"][:4]
    assert [one["action"].split()[0] for one in entries] == ["DELETE", "POST", "PATCH", "POST"]
    assert entries[2]["changes"] == [{"field": "enabled", "from": True, "to": False}]
    assert MOVED["secret"] not in str(entries)
    support = await signed_in(rest, "helper", "support")
    assert refused(await support.get(APPS), 403, "forbidden")


@pytest.mark.thorough
async def test_secrets_are_for_owners_and_keys_that_may_act_for_any_recipient(rest: Rest) -> None:
    """With an app's secret, one can sign in as any user, so `configure` alone does not suffice."""
    await set_up(rest)
    await rest.app.post(APPS, json=MOVED)
    one = f"{APPS}/{MOVED['id']}"
    values = {"target": "pusher", "values": VALUES | {"id": "777", "key": "tested"}}
    developer = await signed_in(rest, "dev", "developer")
    for caller in (await keyed(rest, "configure"), developer):
        for path, body in ((APPS, {"name": "x"}), (f"{one}/rotate", None), (TEST, values)):
            assert refused(await caller.post(path, json=body), 403, "forbidden"), path
        assert (await caller.get(APPS)).status_code == 200
        assert (await caller.patch(one, json={"name": "Renamed"})).status_code == 200
        assert [app.name for app in rest.pusher_apps.all] == ["", "Renamed"]
        assert (await caller.patch(one, json={"enabled": False})).status_code == 200
        for body in ({"enabled": True}, {"origins": ["https://evil.example"]}, {"origins": []}):
            assert refused(await caller.patch(one, json=body), 403, "forbidden"), body
    rest.clock.advance(11 * 60)
    assert refused(await developer.patch(one, json={"name": "Late"}), 403, "password_required")
    allowed = await keyed(rest, "configure", "manage")
    assert (await allowed.post(APPS, json={"name": "x"})).status_code == 201
    assert (await allowed.patch(one, json={"enabled": True, "origins": []})).status_code == 200
    assert (await allowed.post(f"{one}/rotate")).status_code == 200
    assert (await allowed.post(TEST, json=values)).status_code == 200


async def test_test_of_values_needs_a_fresh_password_and_is_audited_without_the_secret(rest: Rest) -> None:
    owner = await set_up(rest)
    assert (await owner.post(TEST, json={"values": VALUES})).status_code == 200
    entry = (await owner.get("/v1/audit")).json()["entries"][0]
    assert {one["field"]: one["to"] for one in entry["changes"]} == {
        "values.id": VALUES["id"],
        "values.key": VALUES["key"],
    }
    rest.clock.advance(11 * 60)
    assert refused(await owner.post(TEST, json={"values": VALUES}), 403, "password_required")
    assert (await owner.post(TEST, json={})).status_code == 200


@pytest.mark.parametrize("url", ["http://[x", "http://h:99999", "http://h:x", "http://:80", "http://h\n"])
async def test_url_of_a_test_is_validated(rest: Rest, url: str) -> None:
    response = await rest.app.post(TEST, json={"values": VALUES | {"url": url}})
    assert (response.status_code, list(fields(response))) == (422, ["values.url"])


async def test_app_under_test_may_use_its_channel_only(rest: Rest) -> None:
    app = PusherApp(credentials=Project(**VALUES))
    server = cast(Any, SimpleNamespace(url="", key=VALUES["key"]))
    now = str(rest.clock.now() // 1000)

    async def call(method: str, path: str, body: Any = None) -> int:
        raw = b"" if body is None else json.dumps(body).encode()
        target = f"/apps/{VALUES['id']}{path}"
        url = signed(server, method, target, raw, secret=VALUES["secret"], auth_timestamp=now)
        return (await rest.anonymous.request(method, url, content=raw)).status_code

    event = {"name": "lead", "data": "1"}
    with rest.pusher_apps.trial(app, "private-bellcast-test"):
        assert await call("GET", "/channels/private-bellcast-test") == 200
        assert await call("POST", "/events", event | {"channels": ["private-bellcast-test"]}) == 200
        published = len(rest.published)
        assert await call("POST", "/events", event | {"channels": ["private-bellcast-test", "private-a"]}) == 403
        assert await call("POST", "/events", event | {"channel": "#server-to-user-alice"}) == 403
        assert await call("POST", "/batch_events", {"batch": [event | {"channel": "private-bellcast-test"}]}) == 403
        assert await call("GET", "/channels") == 403
        assert await call("GET", "/channels/private-a") == 403
        assert await call("POST", "/users/alice/terminate_connections", {}) == 403
        assert len(rest.published) == published
    assert await call("GET", "/channels/private-bellcast-test") == 404


@pytest.mark.parametrize(("method", "body", "status"), [("PATCH", {"enabled": False}, 403), ("DELETE", None, 404)])
async def test_app_that_is_disabled_before_the_end_of_the_body_publishes_nothing(
    rest: Rest, method: str, body: dict[str, Any] | None, status: int
) -> None:
    app = (await rest.app.post(APPS, json=MOVED)).json()
    raw = json.dumps({"name": "lead", "channel": "news", "data": "1"}).encode()
    server = cast(Any, SimpleNamespace(url="", key=app["key"]))
    now = str(rest.clock.now() // 1000)
    url = signed(server, "POST", f"/apps/{app['id']}/events", raw, secret=app["secret"], auth_timestamp=now)

    async def halves() -> AsyncIterator[bytes]:
        yield raw[:10]
        assert (await rest.app.request(method, f"{APPS}/{app['id']}", json=body)).is_success
        yield raw[10:]

    published = len(rest.published)
    response = await rest.anonymous.request("POST", url, content=halves())
    assert (response.status_code, len(rest.published)) == (status, published)


@pytest.mark.parametrize("tenant", ["*", ""])
async def test_app_of_a_text_that_is_no_tenant_is_refused(rest: Rest, tenant: str) -> None:
    response = await rest.app.post(APPS, json={"name": "x", "tenant": tenant})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "tenant")


async def test_app_of_an_erased_tenant_is_unknown_immediately(rest: Rest) -> None:
    await rest.app.put("/v1/tenants/leads", json={"name": "Leads"})
    created = (await rest.app.post(APPS, json={"name": "Leads", "tenant": "leads"})).json()
    assert rest.pusher_apps.by_id.get(created["id"]) is not None
    assert (await rest.app.delete("/v1/tenants/leads")).status_code == 204
    assert rest.pusher_apps.by_id.get(created["id"]) is None


def sign(app: dict[str, Any], text: str) -> str:
    return f"{app['key']}:{hmac.new(app['secret'].encode(), text.encode(), hashlib.sha256).hexdigest()}"


def subscribe(client: Bare, app: dict[str, Any], channel: str) -> None:
    auth = sign(app, f"{client.socket_id}:{channel}")
    client.send_frame("pusher:subscribe", {"channel": channel, "auth": auth})


def trigger(server: ServerProcess, app: dict[str, Any], secret: str, channel: str) -> httpx.Response:
    body = json.dumps({"name": "lead.assigned", "channels": [channel], "data": '{"id":7}'}).encode()
    url = signed(server, "POST", f"/apps/{app['id']}/events", body, secret=secret, auth_key=app["key"])
    return httpx.post(url, content=body)


def test_app_of_a_tenant_has_its_own_channels_until_it_is_disabled(bellcast_server: ServerProcess) -> None:
    """The stock protocol with an app's credentials: sign-in, private channel, rotation, and the end of its connections."""
    server = bellcast_server
    project = {"BELLCAST_URL": server.url, "BELLCAST_SECRET": server.secret}
    app = bellcast("pusher-app", "create", "Leads", "--tenant", "leads", "--json", **project).json
    path = f"/app/{app['key']}?protocol=7&client=test&version=1"
    channel = "private-provider.7"
    with bare(server, path) as client, bare(server) as other:
        client.socket_id = json.loads(client.until("pusher:connection_established")["data"])["socket_id"]
        subscribe(client, app, channel)
        client.until("pusher_internal:subscription_succeeded")
        other.subscribe(channel)
        assert trigger(server, app, server.secret, channel).status_code == 401
        assert trigger(server, app, app["secret"], channel).status_code == 200
        assert client.until("lead.assigned")["data"] == '{"id":7}'
        assert [one["event"] for one in other.frames_until_pong() if one["event"] == "lead.assigned"] == []
        rotated = bellcast("pusher-app", "rotate", app["id"], "--json", **project).json
        for secret in (app["secret"], rotated["secret"]):
            assert trigger(server, app, secret, channel).status_code == 200
        subscribe(client, rotated, "private-admin")
        client.until("pusher_internal:subscription_succeeded")
        assert bellcast("pusher-app", "disable", app["id"], **project).status == 0
        with pytest.raises(ConnectionClosed) as closed:
            client.until("nothing more")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4003
        assert trigger(server, app, rotated["secret"], channel).status_code == 403
        other.frames_until_pong()
    assert f"{app['id']}\t{app['key']}\tdisabled\tLeads" in bellcast("pusher-app", "list", **project).out
    assert bellcast("pusher-app", "delete", app["id"], **project).status == 0


def test_values_that_are_not_saved_can_be_tested(bellcast_server: ServerProcess) -> None:
    body: dict[str, Any] = {"target": "pusher", "values": VALUES}
    url = f"{bellcast_server.url}/v1/settings/test"
    report = httpx.post(url, headers=bellcast_server.as_app(), json=body, timeout=30).json()
    assert [(one["step"], one["detail"]) for one in report["steps"] if one["state"] != "ok"] == []
    listed = httpx.get(f"{bellcast_server.url}{APPS}", headers=bellcast_server.as_app()).json()["apps"]
    assert MOVED["id"] not in [one["id"] for one in listed]
    injected = body | {"values": VALUES | {"url": "http://127.0.0.1:1/\r\nX-Evil: 1"}}
    assert httpx.post(url, headers=bellcast_server.as_app(), json=injected).status_code == 422


@pytest.mark.parametrize("host", ["127.0.0.1:1", "169.254.169.254", "[::1]:6379", "10.0.0.1"])
async def test_key_cannot_reach_private_addresses_by_a_test(rest: Rest, host: str) -> None:
    """Only an owner may test a server in the private network."""
    caller = await keyed(rest, "configure", "manage")
    values = VALUES | {"url": f"http://{host}"}
    response = await caller.post(TEST, json={"target": "pusher", "values": values})
    assert "private address" in fields(response)["values.url"]


async def test_channel_that_carries_an_inbox_is_never_public(tmp_path: Path) -> None:
    async with opened(tmp_path, access=AccessConfig(public_topics=("*",))) as rest:
        alice = rest.recipient("alice")
        for channel, status in (("private-news", 200), (f"{INBOX}alice", 200), (f"{INBOX}bob", 403)):
            form = {"socket_id": "1.2", "channel_name": channel}
            assert (await alice.post("/pusher/auth", json=form)).status_code == status


async def test_pattern_of_a_token_does_not_authorize_the_inbox_of_another_recipient(tmp_path: Path) -> None:
    form = {"socket_id": "1.2", "channel_name": f"{INBOX}bob"}
    async with opened(tmp_path) as rest:
        for pattern in ("*", "private-*", f"{INBOX}*"):
            alice = rest.recipient("alice", topics=[pattern])
            assert (await alice.post("/pusher/auth", json=form | {"channel_name": f"{INBOX}alice"})).status_code == 200
            assert (await alice.post("/pusher/auth", json=form | {"channel_name": f"{INBOX}"})).status_code == 200
            refused = await alice.post("/pusher/auth", json=form)
            assert (refused.status_code, "full name" in refused.text) == (403, True)
        alice = rest.recipient("alice", topics=[f"{INBOX}bob"])
        assert (await alice.post("/pusher/auth", json=form)).status_code == 200
        assert (await rest.app.put(f"/v1/topics/{INBOX}bob/subscriptions/alice")).is_success
        assert (await rest.recipient("alice", topics=["*"]).post("/pusher/auth", json=form)).status_code == 200


async def test_channel_of_two_aliases_needs_a_permission_for_the_other_inbox(tmp_path: Path) -> None:
    """`private-vip-bob` carries the inboxes of `vip-bob` and of `bob`."""
    aliases = "private-{recipient},private-vip-{recipient}"
    async with opened(tmp_path) as rest:
        changed = await rest.app.patch("/v1/settings", json={"revision": 0, "set": {"pusher_aliases": aliases}})
        assert changed.is_success, changed.text
        for recipient, channel, status in (
            ("vip-bob", "private-vip-bob", 403),
            ("bob", "private-vip-bob", 403),
            ("bob", "private-bob", 200),
        ):
            form = {"socket_id": "1.2", "channel_name": channel}
            assert (await rest.recipient(recipient).post("/pusher/auth", json=form)).status_code == status
