"""The live feed and the list of requests of a running server."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bellcast.console.http import live_feed
from bellcast.console.http.live_feed import REAUTHORIZE_MS
from bellcast.console.watchers import MAX_WATCHERS, LiveFeed
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.http import AsgiMessage
from bellcast.live_feed import IS_WEBSOCKET, STATE, cut
from bellcast.server.request_log import MAX_LISTED_KEY, MAX_REFUSED_TOPICS
from tests.contract.kernel.test_broker import wait_until
from tests.journey import rest as rests
from tests.journey.channels_app import app
from tests.journey.operators import PASSWORD, set_up, signed_in
from tests.journey.shell import bellcast, end, lines, running
from tests.servers import ServerProcess
from tests.wire.clients import websocket

KEY = "feed-alice"


@contextlib.contextmanager
def watching(server: ServerProcess, **params: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield the next events of the feed, each with its name."""
    with httpx.stream("GET", f"{server.url}/v1/feed", headers=server.as_app(), params=params, timeout=60) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        found = response.iter_lines()
        assert next(found) == ": feed"
        yield events(found)


def events(found: Iterator[str]) -> Iterator[dict[str, Any]]:
    name = ""
    for line in found:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield {"event": name, **json.loads(line.removeprefix("data: "))}


def first(found: Iterator[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(one for one in found if one["event"] == kind)


def send(server: ServerProcess, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/notifications", headers=server.as_app(), json=body)


def test_send_is_seen_as_request_and_as_send(bellcast_server: ServerProcess) -> None:
    with watching(bellcast_server, text=KEY) as found:
        send(bellcast_server, to=KEY, title="Hello", data={"token": "hidden", "room": 7})
        seen = first(found, "send")
    assert (seen["kind"], seen["recipient"], seen["tenant"]) == ("send", KEY, None)
    assert seen["detail"]["title"] == "Hello"
    assert seen["detail"]["data"] == {"token": "[redacted]", "room": 7}


def test_send_without_the_inbox_is_seen_with_its_recipient(bellcast_server: ServerProcess) -> None:
    with watching(bellcast_server, text=f"{KEY}-mail") as found:
        address = httpx.put(
            f"{bellcast_server.url}/v1/recipients/{KEY}-mail",
            headers=bellcast_server.as_app(),
            json={"email": "alice@example.com"},
        )
        assert address.status_code in (200, 201)
        assert send(bellcast_server, to=f"{KEY}-mail", title="Hello", channels=["email"]).status_code == 201
        seen = first(found, "send")
    assert (seen["recipient"], seen["detail"]["recipients"]) == (f"{KEY}-mail", 1)


def test_connection_is_seen_from_connect_to_disconnect(bellcast_server: ServerProcess) -> None:
    with watching(bellcast_server, recipient=KEY) as found:
        with websocket(bellcast_server, KEY, topics="feed-room", claims={"topics": ["*"]}) as client:
            ready = client.until("ready")
        kinds = {kind: first(found, kind) for kind in ("connect", "subscribe", "disconnect")}
    assert {one["connection"] for one in kinds.values()} == {ready["connection"]}
    assert kinds["subscribe"]["topic"] == "feed-room"
    assert kinds["disconnect"]["detail"]["reason"]


def test_refused_topics_are_events_of_the_connection(bellcast_server: ServerProcess) -> None:
    many = ["feed-own", *(f"feed-foreign-{number}" for number in range(MAX_REFUSED_TOPICS + 5))]
    with watching(bellcast_server, recipient=f"{KEY}-topics", kind="refused") as found:
        for topics in ("feed-own,feed-secret", "feed-own", ",".join(many)):
            claims = {"topics": ["feed-own"]}
            with websocket(bellcast_server, f"{KEY}-topics", topics=topics, claims=claims) as client:
                ready = client.until("ready")
                refused = [one["topic"] for one in ready["refused"]][:MAX_REFUSED_TOPICS]
                seen = [next(found) for _ in refused]
                assert [one["topic"] for one in seen] == refused
                assert {one["connection"] for one in seen} <= {ready["connection"]}
        with websocket(bellcast_server, f"{KEY}-topics") as client:
            ready = client.until("ready")
            for ref, topic in enumerate(("feed-last", "not a topic")):
                client.send("subscribe", ref=ref, topics=[topic])
            last, invalid = next(found), next(found)
    assert (last["topic"], last["connection"]) == ("feed-last", ready["connection"])
    assert (last["detail"]["code"], last["detail"]["protocol"]) == ("forbidden", "native")
    assert (invalid["topic"], invalid["detail"]["code"]) == ("not a topic", "invalid")


def test_publish_to_two_connections_is_one_event(bellcast_server: ServerProcess) -> None:
    with contextlib.ExitStack() as stack:
        for name in ("a", "b"):
            client = stack.enter_context(
                websocket(bellcast_server, f"{KEY}-{name}", topics="feed-map", claims={"topics": ["*"]})
            )
            client.until("ready")
        found = stack.enter_context(watching(bellcast_server, topic="feed-map", kind="publish"))
        for number in (1, 2):
            body = {"topic": "feed-map", "name": "moved", "data": number}
            httpx.post(f"{bellcast_server.url}/v1/events", headers=bellcast_server.as_app(), json=body)
        seen = [first(found, "publish") for _ in range(2)]
    assert [(one["detail"]["data"], one["detail"]["delivered"]) for one in seen] == [(1, 2), (2, 2)]
    assert seen[0]["text"] == "moved to feed-map, 2 connections"


def test_refusal_names_its_reason_and_is_listed(bellcast_server: ServerProcess) -> None:
    headers = {"x-request-id": "feed-refusal", "origin": "https://shop.example"}
    with watching(bellcast_server, kind="refused", text="feed-refusal") as found:
        httpx.post(
            f"{bellcast_server.url}/v1/notifications",
            headers=bellcast_server.as_app() | headers,
            json={"to": KEY, "titel": "x", "password": "hunter2"},
        )
        seen = first(found, "refused")
    assert (seen["trace"], seen["detail"]["status"], seen["detail"]["code"]) == ("feed-refusal", 422, "invalid")
    assert "titel" in {one["field"] for one in seen["detail"]["errors"]}
    assert "hunter2" not in json.dumps(seen)
    response = httpx.get(
        f"{bellcast_server.url}/v1/requests", params={"id": "feed-refusal"}, headers=bellcast_server.as_app()
    )
    (listed,) = response.json()["requests"]
    assert response.json()["total"] == {"value": 1, "exact": True}
    assert (listed["status"], listed["code"], listed["route"]) == (422, "invalid", "/v1/notifications")
    assert listed["origin"] == "https://shop.example"
    assert listed["body"] == {"to": KEY, "titel": "x", "password": "[redacted]"}
    assert listed["errors"]


def test_refused_request_that_is_not_utf_8_is_listed_without_its_body(bellcast_server: ServerProcess) -> None:
    headers = bellcast_server.as_app() | {"x-request-id": "feed-latin-1", "content-type": "application/json"}
    body = b'{"to": "alice", "title": "Gr\xfc\xdfe"}'
    assert httpx.post(f"{bellcast_server.url}/v1/notifications", headers=headers, content=body).status_code == 400
    params = {"id": "feed-latin-1"}
    response = httpx.get(f"{bellcast_server.url}/v1/requests", params=params, headers=bellcast_server.as_app())
    (listed,) = response.json()["requests"]
    assert (listed["status"], listed["code"], listed["body"]) == (400, "bad_request", None)


def test_long_tenant_is_listed_for_its_own_callers_only(bellcast_server: ServerProcess) -> None:
    def listed(tenant: str) -> set[str]:
        body = {"name": "bound", "scopes": ["observe"], "tenants": [tenant]}
        key = httpx.post(f"{bellcast_server.url}/v1/keys", headers=bellcast_server.as_app(), json=body).json()["key"]
        headers = {"authorization": f"Bearer {key}"}
        requests = httpx.get(f"{bellcast_server.url}/v1/requests", headers=headers).json()["requests"]
        return {one["path"] for one in requests}

    tenant = "t" * MAX_LISTED_KEY * 2
    send(bellcast_server, to="feed-long", title="Hello", tenant=tenant)
    assert listed(tenant) == {"/v1/notifications"}
    assert listed(cut(tenant, MAX_LISTED_KEY)) == set()
    longer = tenant + "t"
    refused = send(bellcast_server, to="feed-long", title="Hello", tenant=longer)
    params = {"id": refused.headers["x-request-id"]}
    response = httpx.get(f"{bellcast_server.url}/v1/requests", params=params, headers=bellcast_server.as_app())
    (entry,) = response.json()["requests"]
    assert (entry["status"], entry["tenant"]) == (422, None)


def test_credentials_of_other_services_are_not_listed(bellcast_server: ServerProcess) -> None:
    values = {"channel": "chat", "url": "https://discord.com/api/webhooks/1/hunter2"}
    pushed = {"source": "shop", "objects": [{"kind": "providers", "key": "feed", "values": values | {"wrong": 1}}]}
    for method, path, route, body in (
        ("PUT", "/v1/providers/feed", "/v1/providers/{key}", values),
        ("POST", "/v1/bundle", "/v1/bundle", pushed),
    ):
        headers = bellcast_server.as_app() | {"x-request-id": f"feed-credentials-{method}"}
        assert httpx.request(method, f"{bellcast_server.url}{path}", headers=headers, json=body).status_code == 422
        params = {"id": f"feed-credentials-{method}"}
        response = httpx.get(f"{bellcast_server.url}/v1/requests", params=params, headers=bellcast_server.as_app())
        (listed,) = response.json()["requests"]
        assert (listed["route"], listed["body"]) == (route, None)
        assert "hunter2" not in response.text


def test_body_of_a_retry_of_messages_is_listed(bellcast_server: ServerProcess) -> None:
    """Only the paths of `/v1/me` have passwords, and not all that begin with these letters."""
    headers = bellcast_server.as_app() | {"x-request-id": "feed-messages"}
    assert httpx.post(f"{bellcast_server.url}/v1/messages/retry", headers=headers, json={"x": 1}).status_code == 422
    params = {"id": "feed-messages"}
    response = httpx.get(f"{bellcast_server.url}/v1/requests", params=params, headers=bellcast_server.as_app())
    (listed,) = response.json()["requests"]
    assert listed["body"] == {"x": 1}


def test_refused_live_connection_is_an_event(bellcast_server: ServerProcess) -> None:
    with watching(bellcast_server, kind="refused", text="/v1/stream") as found:
        httpx.get(f"{bellcast_server.url}/v1/stream", headers={"accept": "text/event-stream"})
        seen = first(found, "refused")
    assert seen["detail"]["code"] == "unauthenticated"


def test_last_repeats_events_from_before(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server()  # that of other tests may still have one of their watchers, which has closed its connection
    send(server, to=f"{KEY}-before", title="Early", body="Of whom?")
    with watching(server, recipient=f"{KEY}-before", kind="send", last=200) as found:
        seen = first(found, "send")
    assert seen["detail"]["title"] == "Early"
    assert "body" not in seen["detail"]  # not watched when it was sent


def test_send_and_publish_have_the_trace_of_their_request(bellcast_server: ServerProcess) -> None:
    sent = send(bellcast_server, to=f"{KEY}-trace", title="Hello")
    published = httpx.post(
        f"{bellcast_server.url}/v1/events",
        headers=bellcast_server.as_app(),
        json={"topic": f"{KEY}-trace", "name": "a", "data": {}},
    )
    for kind, response, filtered in (("send", sent, "recipient"), ("publish", published, "topic")):
        with watching(bellcast_server, kind=kind, last=200, **{filtered: f"{KEY}-trace"}) as found:
            assert first(found, kind)["trace"] == response.headers["x-request-id"]


def over_websocket(server: ServerProcess, headers: dict[str, str], **params: str) -> ClientConnection:
    url = f"{server.url.replace('http', 'ws', 1)}/v1/feed?{urlencode(params)}"
    # Without a queue limit the client always reads, so the close handshake cannot wait until its timeout.
    return connect(url, additional_headers=headers, open_timeout=60, max_queue=None)


def test_websocket_has_the_same_events(bellcast_server: ServerProcess) -> None:
    with over_websocket(bellcast_server, bellcast_server.as_app(), recipient=f"{KEY}-ws", kind="send") as socket:
        assert socket.response is not None
        assert socket.response.headers["x-request-id"]
        send(bellcast_server, to=f"{KEY}-ws", title="Hello")
        seen = json.loads(socket.recv(timeout=60))
    assert (seen["event"], seen["recipient"], seen["detail"]["title"]) == ("send", f"{KEY}-ws", "Hello")
    nodes = httpx.get(f"{bellcast_server.url}/v1/nodes", headers=bellcast_server.as_app()).json()["nodes"]
    assert seen["node"] in {one["id"] for one in nodes}


def test_websocket_hides_links_to_preferences(bellcast_server: ServerProcess) -> None:
    body = {"name": "reader", "scopes": ["observe", "read"]}
    key = httpx.post(f"{bellcast_server.url}/v1/keys", headers=bellcast_server.as_app(), json=body).json()["key"]
    headers = {"authorization": f"Bearer {key}"}
    path = f"{bellcast_server.url}/v1/recipients/{KEY}-link/preferences-link"
    url = httpx.post(path, headers=bellcast_server.as_app()).json()["url"]
    with over_websocket(bellcast_server, headers, recipient=f"{KEY}-link", kind="send") as socket:
        send(bellcast_server, to=f"{KEY}-link", title="Hello", body=url)
        seen = json.loads(socket.recv(timeout=60))
    head, _, token = url.rpartition("/")
    assert seen["detail"]["body"] == f"{head}/{'hidden'.ljust(len(token), '-')}"


def test_websocket_accepts_no_messages_and_frees_its_place(bellcast_server: ServerProcess) -> None:
    for _ in range(MAX_WATCHERS + 1):
        with over_websocket(bellcast_server, bellcast_server.as_app(), text="nothing") as socket:
            socket.ping().wait(60)
            socket.send("hello")
            with pytest.raises(ConnectionClosedError) as closed:
                socket.recv(timeout=60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008


def test_websocket_is_refused_like_the_stream(bellcast_server: ServerProcess) -> None:
    for headers, status in (({}, 401), (bellcast_server.as_recipient("eve"), 403)):
        with pytest.raises(InvalidStatus) as refused, over_websocket(bellcast_server, headers):
            pass
        assert refused.value.response.status_code == status
    with pytest.raises(InvalidStatus) as refused, over_websocket(bellcast_server, bellcast_server.as_app(), kind="x"):
        pass
    assert refused.value.response.status_code == 422


def test_feed_of_an_operator_needs_a_page_of_this_server(bellcast_server: ServerProcess) -> None:
    url, body = bellcast_server.url, {"name": "feed-watcher", "password": "correct horse battery"}
    with httpx.Client(base_url=url, headers={"origin": url}) as browser:
        created = browser.post("/v1/operators", json=body | {"role": "developer"}, headers=bellcast_server.as_app())
        assert created.status_code == 201
        assert browser.post("/v1/session", json=body).status_code == 200
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    with over_websocket(bellcast_server, {"cookie": cookie, "origin": url}, text=f"{KEY}-own") as socket:
        send(bellcast_server, to=f"{KEY}-own", title="Hello")
        assert json.loads(socket.recv(timeout=60))["event"] in ("request", "send")
    # A WebSocket of a page has an origin, an EventSource of this server's own page only `Sec-Fetch-Site`.
    for foreign in ({"origin": "https://evil.example"}, {}, {"sec-fetch-site": "same-origin"}):
        with pytest.raises(InvalidStatus) as refused, over_websocket(bellcast_server, {"cookie": cookie} | foreign):
            pass
        assert refused.value.response.status_code == 403
    for page, status in (
        ({}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": url}, 200),
    ):
        with httpx.stream("GET", f"{url}/v1/feed", headers={"cookie": cookie} | page, timeout=60) as response:
            assert response.status_code == status, page


@pytest.mark.parametrize("path", ["/v1/feed", "/v1/requests"])
def test_recipients_and_strangers_see_nothing(bellcast_server: ServerProcess, path: str) -> None:
    url = f"{bellcast_server.url}{path}"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers=bellcast_server.as_recipient("eve")).status_code == 403


def test_key_without_the_scope_read_sees_no_content(bellcast_server: ServerProcess) -> None:
    body = {"name": "monitor", "scopes": ["observe"]}
    key = httpx.post(f"{bellcast_server.url}/v1/keys", headers=bellcast_server.as_app(), json=body).json()["key"]
    headers = {"authorization": f"Bearer {key}"}
    params = {"recipient": f"{KEY}-private", "kind": "send"}
    with httpx.stream("GET", f"{bellcast_server.url}/v1/feed", headers=headers, params=params, timeout=60) as response:
        found = response.iter_lines()
        assert next(found) == ": feed"
        send(bellcast_server, to=f"{KEY}-private", title="Private")
        seen = first(events(found), "send")
    assert "title" not in seen["detail"]
    listed = httpx.get(f"{bellcast_server.url}/v1/requests", headers=headers).json()["requests"]
    assert {one["body"] for one in listed} == {None}


def test_key_without_the_scope_read_cannot_search_the_content(bellcast_server: ServerProcess) -> None:
    body = {"name": "monitor", "scopes": ["observe"]}
    key = httpx.post(f"{bellcast_server.url}/v1/keys", headers=bellcast_server.as_app(), json=body).json()["key"]
    headers = {"authorization": f"Bearer {key}"}
    url = f"{bellcast_server.url}/v1/feed?text=zebra"
    with httpx.stream("GET", url, headers=headers, timeout=60) as response:
        found = response.iter_lines()
        assert next(found) == ": feed"
        send(bellcast_server, to=f"{KEY}-searched", title="zebra")
        event = {"topic": "feed-searched", "name": "zebra"}
        httpx.post(f"{bellcast_server.url}/v1/events", headers=bellcast_server.as_app(), json=event)
        assert next(events(found))["event"] == "publish"


@pytest.mark.parametrize("passed", [REAUTHORIZE_MS / 1000, -3_600], ids=["later", "the clock was set back"])
async def test_watch_ends_when_the_role_of_its_operator_changes(tmp_path: Path, passed: float) -> None:
    async with rests.opened(tmp_path) as rest:
        owner = await set_up(rest)
        developer = await signed_in(rest, "dora", "developer")
        operator = (await developer.get("/v1/me")).json()["id"]
        response = asyncio.create_task(developer.get("/v1/feed"))
        await wait_until(lambda: rest.feed.is_watched)
        changed = await owner.patch(f"/v1/operators/{operator}", json={"role": "support"})
        assert changed.status_code == 204, changed.text
        rest.clock.advance(passed)
        await rest.send("alice")
        (ended,) = [one for one in events(iter((await response).text.splitlines())) if one["event"] == "end"]
        assert ended["code"] == "forbidden"


async def test_checks_of_an_operator_and_pages_of_the_reference_are_no_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emitted: list[str] = []
    monkeypatch.setattr(LiveFeed, "emit", lambda _, event: emitted.append(event.text))
    monkeypatch.setattr(LiveFeed, "add_request", lambda _, request: emitted.append(request.event.text))
    async with app(tmp_path) as (_, client):
        operator = {"name": "dora", "role": "developer", "password": PASSWORD}
        assert (await client.post("/v1/operators", json=operator)).status_code == 201
        del client.headers["authorization"]
        client.base_url, client.headers["origin"] = httpx.URL("http://127.0.0.1"), "http://127.0.0.1"
        assert (await client.post("/v1/session", json={"name": "dora", "password": PASSWORD})).status_code == 200
        emitted.clear()
        assert (await client.get("/docs")).status_code == 200
        for path, body, status in (
            ("/v1/replays", {"filter": {}, "dry_run": True}, 200),
            ("/v1/notifications?dry_run=true", {"to": "alice", "title": "Hi"}, 200),
            ("/v1/workflows/none/simulate", {"to": ["alice"]}, 404),
        ):
            assert (await client.post(path, json=body)).status_code == status
        assert not any(text.startswith("dora") for text in emitted)
        assert (await client.post("/v1/notifications", json={"to": "alice", "title": "Hi"})).status_code == 201
        assert "dora: POST /v1/notifications" in emitted


async def test_watch_that_cannot_be_audited_keeps_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any) -> None:
        raise Unavailable("The store is full.")

    async with rests.opened(tmp_path) as rest:
        await set_up(rest)
        support = await signed_in(rest, "sam", "support")
        monkeypatch.setattr(type(rest.store.audit), "record", staticmethod(fail))
        assert rests.refused(await support.get("/v1/feed"), 503, "unavailable")
        assert not rest.feed.is_watched


async def test_failure_after_the_accept_of_a_websocket_sends_no_http_response(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> AsyncIterator[Any]:
        yield []
        raise RuntimeError

    async def receive() -> AsgiMessage:
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[str] = []

    async def keep(message: AsgiMessage) -> None:
        sent.append(message["type"])

    monkeypatch.setattr(live_feed, "_batches", fail)
    async with rests.opened(tmp_path) as rest:
        headers = [(name.encode(), value.encode()) for name, value in rest.app.headers.items()]
        paths = {"path": "/v1/feed", "raw_path": b"/v1/feed", "query_string": b"", "scheme": "http"}
        scope = {"type": "http", "method": "GET", "headers": headers, STATE: {IS_WEBSOCKET: True}, **paths}
        with pytest.raises(RuntimeError):
            await rest.client._transport.app(scope, receive, keep)
    assert sent == ["websocket.accept"]


def test_unknown_kind_is_refused(bellcast_server: ServerProcess) -> None:
    response = httpx.get(f"{bellcast_server.url}/v1/feed?kind=everything", headers=bellcast_server.as_app())
    assert response.json()["errors"][0]["field"] == "kind"


@pytest.mark.parametrize(
    ("kind", "secret", "hint"), [("everything", None, "check the options"), ("send", "wrong", "check the secret")]
)
def test_refused_command_says_what_to_check(
    bellcast_server: ServerProcess, kind: str, secret: str | None, hint: str
) -> None:
    project = {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": secret or bellcast_server.secret}
    refused = bellcast("feed", "--kind", kind, **project)
    assert refused.status == 1
    assert refused.err.endswith(f"; {hint}.\n")


def test_commands_print_events_and_requests(bellcast_server: ServerProcess) -> None:
    project = {"BELLCAST_URL": bellcast_server.url, "BELLCAST_SECRET": bellcast_server.secret}
    send(bellcast_server, to=f"{KEY}-cli", title="Hello")
    with running("feed", "--kind", "send", "--recipient", f"{KEY}-cli", "--json", **project) as process:
        assert json.loads(next(lines(process)))["recipient"] == f"{KEY}-cli"
        assert end(process, signal.SIGINT).status == 0
    listed = bellcast("requests", "--status", "4xx", "--route", "/v1/none", **project)
    assert (listed.status, listed.out) == (0, "")
    listed = bellcast("requests", "--json", "--limit", 1, **project)
    assert "ms" in listed.json


@pytest.mark.parametrize(("after", "status"), [("x", 400), ("1~", 400), (f"{'9' * 5000}~x", 422)])
def test_wrong_cursor_of_requests_is_refused(bellcast_server: ServerProcess, after: str, status: int) -> None:
    url = f"{bellcast_server.url}/v1/requests"
    response = httpx.get(url, params={"after": after}, headers=bellcast_server.as_app())
    assert response.status_code == status


def test_question_who_is_signed_in_is_no_refused_request(bellcast_server: ServerProcess) -> None:
    with watching(bellcast_server, kind="refused", text="feed-question") as found:
        for path in ("me", "tenants"):
            headers = {"x-request-id": f"feed-question-{path}"}
            assert httpx.get(f"{bellcast_server.url}/v1/{path}", headers=headers).status_code == 401
        assert first(found, "refused")["trace"] == "feed-question-tenants"


def test_icons_and_scripts_of_the_server_are_no_listed_requests(bellcast_server: ServerProcess) -> None:
    with watching(bellcast_server, kind="request,refused", text="feed-file") as found:
        for path in ("/favicon.svg", "/bellcast.js", "/v1/tenants"):
            httpx.get(f"{bellcast_server.url}{path}", headers={"x-request-id": f"feed-file-{path[-4:]}"})
        assert first(found, "refused")["trace"] == "feed-file-ants"
