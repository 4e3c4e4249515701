"""Settings in the database: they apply without a restart, keep a history, and yield to the environment."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest

from bellcast.auth.permissions import AccessConfig
from bellcast.documents.store import Documents
from bellcast.documents.types import PROJECT, Document
from bellcast.server.app import _unchanged
from bellcast.settings import Settings, load
from bellcast.settings.database import GROUPS, DatabaseSettings, SettingsRevision
from tests import fake_stores
from tests.clock import FakeClock
from tests.contexts import NO_FEED
from tests.faults.raw_sockets import eventually
from tests.journey.rest import Rest
from tests.servers import ServerProcess

ORIGIN = "https://shop.example.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with ServerProcess(tmp_path_factory.mktemp("settings") / "data", {"BELLCAST_LIMIT_TAGS": "7"}) as server:
        yield server


def call(server: ServerProcess, method: str, path: str = "", body: Any = None) -> httpx.Response:
    return httpx.request(method, f"{server.url}/v1/settings{path}", headers=server.as_app(), json=body, timeout=30)


def values(server: ServerProcess) -> dict[str, Any]:
    return {one["name"]: one for one in call(server, "GET").json()["settings"]}


def revision(server: ServerProcess) -> int:
    number: int = call(server, "GET").json()["revision"]
    return number


def change(server: ServerProcess, **body: Any) -> httpx.Response:
    return call(server, "PATCH", "", {"revision": revision(server), **body})


def allowed(server: ServerProcess) -> bool:
    response = httpx.get(f"{server.url}/v1/inbox", headers=server.as_recipient("alice") | {"origin": ORIGIN})
    return response.status_code == 200


def test_origin_applies_immediately_and_can_be_rolled_back(server: ServerProcess) -> None:
    assert change(server, set={"origins": "https://other.example.com"}).status_code == 200
    assert not allowed(server)
    before = revision(server)
    changed = change(server, set={"origins": f"https://other.example.com,{ORIGIN}"}).json()
    assert changed["changes"] == [
        {
            "name": "origins",
            "before": "https://other.example.com",
            "after": f"https://other.example.com,{ORIGIN}",
        }
    ]
    assert allowed(server)
    assert values(server)["origins"]["source"] == "database"
    preflight = {"origin": ORIGIN, "access-control-request-method": "GET"}
    response = httpx.options(f"{server.url}/v1/inbox", headers=preflight)
    assert response.headers["access-control-allow-origin"] == ORIGIN
    rolled = call(server, "POST", "/rollback", {"revision": revision(server), "to": before}).json()
    assert rolled["revision"] == before + 2
    assert not allowed(server)
    newest = call(server, "GET", "/history").json()["revisions"][0]
    assert (newest["revision"], newest["by"]) == (before + 2, "project secret")
    assert change(server, reset=["origins"]).status_code == 200
    assert values(server)["origins"]["source"] == "default"
    assert allowed(server)


def test_environment_locks_a_setting_and_is_named(server: ServerProcess) -> None:
    tags = values(server)["limit_tags"]
    assert (tags["value"], tags["source"], tags["locked"]) == ("7", "environment", True)
    assert tags["locked_by"] == "BELLCAST_LIMIT_TAGS"
    refused = change(server, set={"limit_tags": "9"}).json()
    assert refused["errors"][0]["field"] == "set.limit_tags"
    assert "BELLCAST_LIMIT_TAGS" in refused["errors"][0]["message"]


def test_stale_revision_is_a_conflict_and_a_dry_run_changes_nothing(server: ServerProcess) -> None:
    before = revision(server)
    assert change(server, set={"limit_title": "100"}, dry_run=True).json()["revision"] == before + 1
    assert revision(server) == before
    assert call(server, "PATCH", "", {"revision": before + 1, "set": {}}).status_code == 409


def test_wrong_values_are_refused_together(server: ServerProcess) -> None:
    body = {"set": {"origins": "not an origin", "limit_title": "-1", "host": "0.0.0.0", "limit_to": ""}}
    body["set"]["limit_replay"] = "9" * 30
    errors = {one["field"] for one in change(server, **body).json()["errors"]}
    assert errors == {"set.origins", "set.limit_title", "set.host", "set.limit_to", "set.limit_replay"}


def test_setting_that_is_both_set_and_reset_is_refused(server: ServerProcess) -> None:
    before = revision(server)
    for dry_run in (True, False):
        refused = change(server, set={"limit_title": "100"}, reset=["limit_title"], dry_run=dry_run)
        assert (refused.status_code, [one["field"] for one in refused.json()["errors"]]) == (422, ["reset.limit_title"])
    assert revision(server) == before


def test_value_that_could_not_be_changed_back_or_has_a_password_is_refused(server: ServerProcess) -> None:
    body = {"limit_request": "100", "session_url": "https://bell:pass@app.example.com/session"}
    errors = {one["field"]: one["message"] for one in change(server, set=body).json()["errors"]}
    assert errors.keys() == {"set.limit_request", "set.session_url"}
    assert "65536" in errors["set.limit_request"]
    assert "BELLCAST_SESSION_URL" in errors["set.session_url"]


def test_settings_of_sign_in_and_urls_are_for_owners(server: ServerProcess) -> None:
    """A key with all scopes is not an owner, not even for a rollback that would restore such a value."""
    scopes = ["send", "read", "manage", "observe", "configure", "admin"]
    key = httpx.post(f"{server.url}/v1/keys", headers=server.as_app(), json={"name": "all", "scopes": scopes}).json()
    headers = {"authorization": f"Bearer {key['key']}"}

    def refused(method: str, path: str, **body: Any) -> bool:
        url = f"{server.url}/v1/settings{path}"
        response = httpx.request(method, url, headers=headers, json={"revision": revision(server), **body}, timeout=30)
        return response.status_code == 403 and "owners" in response.json()["detail"]

    for name in ("jwks_url", "session_url", "handler_url", "pusher_webhook_url"):
        assert refused("PATCH", "", set={name: "https://app.example.com"}, dry_run=True)
        assert values(server)[name]["is_owner_only"]
    assert change(server, set={"session_url": "http://127.0.0.1:9/session"}).status_code == 200
    before = revision(server)
    assert refused("PATCH", "", reset=["session_url"])
    assert change(server, reset=["session_url"]).status_code == 200
    assert refused("POST", "/rollback", to=before)
    assert not values(server)["limit_title"]["is_owner_only"]
    assert values(server)["session_url"]["source"] == "default"


def test_every_setting_that_can_be_changed_is_applied_and_reset(server: ServerProcess) -> None:
    """Each setting is set to another value of its type, and shown as it was set."""
    every = {name: one for name, one in values(server).items() if not one["locked"]}
    assert len(every) > 45
    wanted = {name: other(one) for name, one in every.items()}
    changed = change(server, set=wanted)
    assert changed.status_code == 200, changed.text
    present = values(server)
    assert {name: present[name]["value"] for name in wanted} == wanted
    assert {present[name]["source"] for name in wanted} == {"database"}
    assert change(server, reset=list(wanted)).status_code == 200
    present = values(server)
    assert {name: present[name]["value"] for name in wanted} == {name: one["value"] for name, one in every.items()}


def other(setting: dict[str, Any]) -> str:
    """Another valid value."""
    name, default = setting["name"], setting["default"]
    if default in ("on", "off") and name != "access_log":
        return "off" if default == "on" else "on"
    if default in ("allow", "deny"):
        return "allow" if default == "deny" else "deny"
    texts = {
        "origins": ORIGIN,
        "public_topics": "news.*",
        "presence_topics": "room.*",
        "jwt_claims": "recipient=sub",
        "jwks_issuer": "issuer",
    }
    texts |= {"pusher_aliases": "private-user.{recipient}", "topic_history": "*=1h", "simulate": "email,sms"}
    texts |= {
        "access_log": "errors",
        "newcomers": "3d",
        "retries": "10,60",
        "locale": "de",
        "timezone": "Europe/Vienna",
        "brand": '{"color":"#0a5c36"}',
    }
    texts |= {"jwks_audience": "bell", "retention": "90d", "tombstones": "20d", "run_retention": "7d"}
    if name.endswith("_url") and not default:
        return "https://app.example.com/bell"
    return texts.get(name) or ("70000" if name == "limit_request" else str(int(float(default or 0)) + 700))


def test_limit_applies_to_the_next_request(server: ServerProcess) -> None:
    def send() -> int:
        body = {"to": "alice", "title": "x" * 50}
        return httpx.post(f"{server.url}/v1/notifications", headers=server.as_app(), json=body).status_code

    assert send() == 201
    change(server, set={"limit_title": "10"})
    assert send() == 422
    change(server, reset=["limit_title"])
    assert send() == 201


def kept(server: ServerProcess, topic: str) -> int:
    """Publish an event, and count the stored events of its topic."""
    event = {"topic": topic, "name": "moved", "data": {}}
    httpx.post(f"{server.url}/v1/events", headers=server.as_app(), json=event)
    return len(httpx.get(f"{server.url}/v1/topics/{topic}/events", headers=server.as_app()).json()["events"])


def test_history_of_topics_is_switched_off_and_on(server: ServerProcess) -> None:
    for name, value in (("topic_history", f"{ORIGIN[8:]}=off,*=off"), ("limit_history", "0")):
        assert kept(server, f"on-{name}") == 1
        assert change(server, set={name: value}).status_code == 200
        assert kept(server, f"off-{name}") == 0
        change(server, reset=[name])
        assert kept(server, f"off-{name}") == 1


def test_errors_are_logged_without_the_other_requests(server: ServerProcess) -> None:
    change(server, set={"access_log": "errors"})
    began = len(server.log.read_text())
    for path in ("/v1/tenants", "/v1/tenants/absent"):
        httpx.get(f"{server.url}{path}", headers=server.as_app())

    def logged() -> str:
        return server.log.read_text()[began:]

    assert eventually(lambda: "/v1/tenants/absent" in logged())
    assert logged().count("request_served") == 1
    change(server, set={"access_log": "all"})
    httpx.get(f"{server.url}/v1/tenants", headers=server.as_app())
    assert eventually(lambda: "path=/v1/tenants " in logged())
    change(server, reset=["access_log"])


@pytest.mark.parametrize(("name", "other"), [("LOG_REQUESTS", "ACCESS_LOG"), ("ACCESS_LOG", "LOG_REQUESTS")])
def test_each_name_of_the_access_log_locks_both(name: str, other: str) -> None:
    settings = load({}, {f"BELLCAST_{name}": "off"})
    assert _unchanged(settings, None).sources[f"BELLCAST_{other}"] == f"BELLCAST_{name}"
    assert load({}, {"BELLCAST_LOG_REQUESTS": "on", "BELLCAST_ACCESS_LOG": "off"}).server.logged_requests == "all"


def test_links_in_messages_lead_to_the_changed_app(server: ServerProcess) -> None:
    change(server, set={"app_url": "https://app.example.com"})
    body = {"to": "linked", "title": "x", "action_url": "/orders/1", "channels": ["email"]}
    httpx.put(f"{server.url}/v1/recipients/linked", headers=server.as_app(), json={"email": "l@example.com"})
    httpx.post(f"{server.url}/v1/notifications", headers=server.as_app(), json=body)
    listed = httpx.get(f"{server.url}/v1/messages", params={"recipient": "linked"}, headers=server.as_app()).json()
    assert "https://app.example.com/orders/1" in listed["messages"][0]["content"]["text"]
    change(server, reset=["app_url"])


def test_limit_of_connections_applies_to_the_next_one(server: ServerProcess) -> None:
    change(server, set={"limit_connections": "1"})
    headers = server.as_recipient("connected")
    with httpx.stream("GET", f"{server.url}/v1/stream", headers=headers) as first:
        assert first.status_code == 200
        with httpx.stream("GET", f"{server.url}/v1/stream", headers=headers) as second:
            assert '"reason":"unavailable"' in second.read().decode()
    change(server, reset=["limit_connections"])


async def test_other_node_applies_a_change_when_it_reads_the_settings(rest: Rest) -> None:
    access = AccessConfig()
    targets = {name: [Settings().group(name)] for name in GROUPS} | {"access": [access]}
    other = DatabaseSettings(Documents(rest.store), rest.clock, NO_FEED, Settings(), targets, lambda revision: None)
    await rest.app.patch("/v1/settings", json={"revision": 0, "set": {"origins": ORIGIN}})
    await other.reload()
    assert (other.revision, access.origins) == (1, (ORIGIN,))
    await rest.app.patch("/v1/settings", json={"revision": 1, "reset": ["origins"]})
    await other.reload()
    assert access.origins == ()


async def test_change_is_stored_where_nodes_of_earlier_builds_read_it(rest: Rest) -> None:
    """Else they keep the values before during a rolling upgrade, and after its roll-back refuse each change with 409."""
    for number, origin in enumerate((ORIGIN, "https://other.example.com")):
        await rest.app.patch("/v1/settings", json={"revision": number, "set": {"origins": origin}})
        found = await Documents(rest.store).get("settings", PROJECT, "current")
        assert found is not None
        assert msgspec.json.decode(found.body) == {"revision": number + 1, "values": {"origins": origin}}


async def test_revision_read_before_a_newer_one_was_applied_is_ignored() -> None:
    access, gate = AccessConfig(), asyncio.Event()
    revisions = [(1, "https://old.example.com"), (2, ORIGIN)]

    async def newest(*_: Any) -> list[Document]:
        number, origin = revisions.pop(0)
        if number == 1:
            await gate.wait()
        values = {"origins": origin}
        body = msgspec.json.encode(SettingsRevision(revision=number, at=1, by="", values=values, changes=[]))
        return [Document(key=str(number), body=body, created_at=1, updated_at=1)]

    targets = {name: [Settings().group(name)] for name in GROUPS} | {"access": [access]}
    store = fake_stores.db(SimpleNamespace(documents=SimpleNamespace(newest=newest)))
    node = DatabaseSettings(Documents(store), FakeClock(), NO_FEED, Settings(), targets, lambda revision: None)
    slow = asyncio.create_task(node.reload())
    await asyncio.sleep(0)
    await node.reload()
    gate.set()
    await slow
    assert (node.revision, access.origins) == (2, (ORIGIN,))


def test_pusher_is_tested_step_by_step_and_can_be_switched_off(server: ServerProcess) -> None:
    report = call(server, "POST", "/test", {"target": "pusher"}).json()
    assert [(one["step"], one["state"]) for one in report["steps"] if one["state"] != "ok"] == []
    assert report["state"] == "ok"
    change(server, set={"pusher_enabled": "off"})
    response = httpx.get(f"{server.url}/apps/1/channels")
    assert response.status_code in (403, 404)
    change(server, reset=["pusher_enabled"])


def test_recipient_may_not_read_settings(server: ServerProcess) -> None:
    assert httpx.get(f"{server.url}/v1/settings", headers=server.as_recipient("eve")).status_code == 403


def test_values_may_be_numbers_booleans_and_lists(server: ServerProcess) -> None:
    given = {"limit_title": 120, "anonymous": False, "origins": [ORIGIN, "https://other.example.com"]}
    assert change(server, set=given).status_code == 200
    found = {name: values(server)[name]["value"] for name in given}
    assert found == {"limit_title": "120", "anonymous": "deny", "origins": f"{ORIGIN},https://other.example.com"}
    wrong = {"limit_title": 1.5, "origins": ["a,b"]}
    for name, value in wrong.items():
        response = change(server, set={name: value})
        assert response.status_code == 422, name
        assert response.json()["errors"][0]["field"] == f"set.{name}"
    assert change(server, reset=list(given)).status_code == 200
