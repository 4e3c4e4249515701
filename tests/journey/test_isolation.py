"""Isolation of tenants: every path and every frame of every dialect, sent by one tenant with another's ids, returns
none of its data, changes nothing, and reaches none of its clients.
"""

import copy
import functools
import json
import random
import re
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product
from typing import Any, get_args
from urllib.parse import quote

import httpx
import pusher
import pytest
from pusher.errors import PusherError
from websockets.sync.client import ClientConnection, connect

from bellcast.auth.keys import SCOPES
from bellcast.live.native import protocol
from bellcast.rest.editor_access import EditorRight
from bellcast.server.api_app import HANDLERS
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.thoroughness import sampled
from tests.wire import socketio_raw
from tests.wire.clients import Socket, stream, websocket
from tests.wire.pusher_clients import bare

# Contained in all of Acme's data; anywhere else, it proves a leak.
MARK = "TOPSECRETOFACME"
TOPICS = ["presence-vault", "private-vault"]
# Paths of the project and its server; a tenant is named in its own path.
OF_THE_PROJECT = ("/v1/keys", "/v1/tenants/", "/healthz", "/readyz", "/docs", "/openapi.json", "/errors", "/bellcast")
# The console: operators see all tenants.
OF_THE_PROJECT += (
    "/console",
    "/v1/setup",
    "/v1/session",
    "/v1/operators",
    "/v1/audit",
    "/v1/feed",
    "/v1/requests",
    "/v1/settings",
    "/v1/pusher-apps",
    "/check",
    "/v1/check",
)
# Their signed tokens name the tenant.
OF_THE_PROJECT += ("/u/", "/preferences/", "/mailbox/")


ORIGIN = "https://app.example"
PASSWORD = "correct horse battery"
STEPS = [{"key": "wait", "type": "delay", "for": "1h"}, {"key": "bell", "type": "inbox", "title": MARK}]
# What each kind of Acme's objects is made with. Their ids, keys and lists follow from the responses.
OBJECTS: dict[str, tuple[str, str, Any]] = {
    "/v1/workflows": ("PUT", "/v1/workflows/workflow", {"note": MARK, "steps": STEPS}),
    "/v1/templates": ("PUT", "/v1/templates/booking", {"email": {"subject": MARK, "html": f"<p>{MARK}</p>"}}),
    "/v1/types": ("PUT", "/v1/types/booking", {"name": MARK}),
    "/v1/webhooks": ("POST", "/v1/webhooks", {"url": f"https://hook.example/{MARK}", "events": ["*"]}),
    "/v1/providers": (
        "PUT",
        "/v1/providers/mail",
        {"channel": "sms", "url": f"vonage://key:{MARK}@default?from={MARK}"},
    ),
    "/v1/schedules": (
        "PUT",
        "/v1/schedules/yearly",
        {"workflow": "workflow", "cron": "0 0 1 1 *", "to": "alice", "data": {"a": MARK}},
    ),
    "/v1/suppressions": ("PUT", "/v1/suppressions/email/alice@example.com", {"reason": "manual"}),
    "/v1/runs": ("POST", "/v1/workflows/workflow/trigger", {"to": "alice", "data": {"a": MARK}}),
    "/v1/messages": ("POST", "/v1/notifications", {"to": "alice", "title": MARK, "channels": ["email"]}),
}
# The keys of Acme's objects in the paths of their kind; a recipient of Globex has the key `alice` too.
KEYS = {
    "/v1/workflows": ["workflow"],
    "/v1/templates": ["booking"],
    "/v1/types": ["booking"],
    "/v1/providers": ["mail"],
    "/v1/schedules": ["yearly"],
    "/v1/tenants": ["acme"],
}
ACMES = [
    *(f"{path}?tenant=acme" for path in OBJECTS),
    "/v1/recipients?tenant=acme",
    "/v1/recipients/alice/export?tenant=acme",
    "/v1/recipients/alice/subscriptions?tenant=acme",
    *(f"/v1/topics/{topic}/{what}?tenant=acme" for topic in TOPICS for what in ("subscriptions", "presence")),
    "/v1/connections?tenant=acme",
    "/v1/stats?tenant=acme",
    "/v1/tenants/acme",
]
ALICES = ["/v1/inbox", "/v1/inbox/counts", "/v1/inbox?view=archived"]


class Acme:
    """The data of Acme, with the ids that Globex might obtain. `objects` are the ids of its other objects, by the path of
    their kind; `state` is everything that must remain unchanged."""

    def __init__(self, server: ServerProcess, notification: str, announcement: str, bell: Socket) -> None:
        ready = bell.until("ready")
        self.server, self.bell = server, bell
        self.ids = [notification, announcement]
        self.connection, self.position = ready["connection"], ready["position"]
        self.objects: dict[str, list[str]] = {"/v1/connections": [self.connection]}
        self.pusher_key = ""
        self.state: dict[str, str] = {}

    def snapshot(self) -> dict[str, str]:
        app, alice = self.server.as_app(), self.server.as_recipient("alice", tenant="acme")
        with httpx.Client(base_url=self.server.url) as client:
            responses = {path: client.get(path, headers=app).text for path in ACMES}
            return responses | {path: client.get(path, headers=alice).text for path in ALICES}

    def is_unchanged(self) -> bool:
        """Check that nothing of Acme has changed, and that its client has received nothing."""
        return self.snapshot() == self.state and frames_until_pong(self.bell) == []

    def leaks(self, text: str, sent: str) -> bool:
        """Return True if a response contains something of Acme that was not in the request."""
        secrets = [MARK, self.connection, self.pusher_key, *(id for ids in self.objects.values() for id in ids)]
        return any(one in text and one not in sent for one in secrets)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    options = {"PUBLIC_TOPICS": "public-*", "MCP": "on", "MCP_CALLS_PER_MINUTE": "10000", "ORIGINS": ORIGIN}
    environ = {f"BELLCAST_{name}": value for name, value in options.items()} | {"BELLCAST_PUSHER_CLIENT_EVENTS": "on"}
    with ServerProcess(tmp_path_factory.mktemp("isolation") / "data", environ) as server:
        yield server


@pytest.fixture(scope="module")
def acme(server: ServerProcess) -> Iterator[Acme]:
    """The recipient Alice of Acme. Globex has one of the same name."""
    with httpx.Client(base_url=server.url, headers=server.as_app(), params={"tenant": "acme"}) as app:
        app.put("/v1/tenants/acme", params={}, json={"name": MARK, "settings": {"plan": MARK}})
        app.put("/v1/recipients/alice", json={"name": MARK, "email": f"{MARK}@example.com", "roles": ["admin"]})
        for topic in TOPICS:
            app.put(f"/v1/topics/{topic}/subscriptions/alice")
        sent = app.post("/v1/notifications", json={"to": "alice", "title": MARK, "tags": [MARK], "data": {"a": MARK}})
        announced = app.post("/v1/notifications", json={"to": {"all": True}, "title": MARK})
        made = {kind: app.request(method, path, json=body) for kind, (method, path, body) in OBJECTS.items()}
        assert all(one.is_success for one in made.values()), [one.text for one in made.values() if not one.is_success]
        project = functools.partial(httpx.request, headers=server.as_app())
        pusher_app = project("POST", f"{server.url}/v1/pusher-apps", json={"name": MARK, "tenant": "acme"}).json()
        body = {"name": MARK, "scopes": ["send"], "tenants": ["acme"]}
        key = project("POST", f"{server.url}/v1/keys", json=body).json()
        project("PUT", f"{server.url}/v1/recipients/alice?tenant=globex", json={"name": "Alice"})
        claims = {"tenant": "acme", "topics": ["*"], "publish": ["*"], "name": MARK}
        with websocket(server, "alice", topics=",".join(TOPICS), claims=claims) as bell:
            acme = Acme(server, sent.json()["notifications"][0]["id"], announced.json()["announcement"]["id"], bell)
            acme.objects |= {kind: ids_of(app, kind) for kind in ("/v1/runs", "/v1/messages", "/v1/webhooks")}
            acme.objects |= {"/v1/pusher-apps": [pusher_app["id"]], "/v1/keys": [key["id"]]}
            acme.pusher_key = pusher_app["key"]
            assert all(acme.objects.values())
            # The webhook's server does not exist: its first delivery changes the webhook.
            assert eventually(lambda: app.get("/v1/webhooks").json()["webhooks"][0]["last_error"])
            acme.state = acme.snapshot()
            yield acme
            assert acme.is_unchanged()


def ids_of(app: httpx.Client, kind: str) -> list[str]:
    """Return the ids of Acme's objects of a kind."""
    (rows,) = (value for value in app.get(kind).json().values() if isinstance(value, list))
    return [one["id"] for one in rows]


@pytest.fixture
def changing_acme(acme: Acme) -> Iterator[Acme]:
    """Acme, for a test that changes it."""
    yield acme
    acme.state = acme.snapshot()


def operations() -> list[tuple[str, str, Any]]:
    operations_found = [
        (one.method, one.path, one.operation) for one in HANDLERS if not one.path.startswith(OF_THE_PROJECT)
    ]
    assert len(operations_found) > 30
    return sorted(operations_found, key=lambda one: one[:2])


def filled(path: str, acme: Acme) -> list[str]:
    """Return the path once for each combination of Acme's ids."""
    kind = "/".join(path.split("/")[:3])
    values = {"id": acme.objects.get(kind, acme.ids), "key": KEYS.get(kind, ["alice", "bob"]), "topic": TOPICS}
    values |= {"recipient": ["alice"], "name": ["workflow"], "channel": ["email"], "address": ["alice@example.com"]}
    names = re.findall(r"{(\w+)", path)
    paths = []
    for chosen in product(*(values[name] for name in names)):
        one = path
        for name, value in zip(names, chosen, strict=True):
            one = re.sub(rf"{{{name}[^}}]*}}", quote(value, safe=""), one)
        paths.append(one)
    return paths


def bodies(operation: Any, acme: Acme) -> list[Any]:
    """Return request bodies: the documented example, and Acme's ids in every field that accepts them."""
    if operation.body is None:
        return [None]
    example = operation.example
    if isinstance(example, list):
        return [[{"to": "alice", "title": "x"}, {"to": {"topic": TOPICS[0]}, "title": "x"}]]
    if not isinstance(example, dict):
        return [example]
    request_bodies = (
        [example, {**example, "tenant": "globex"}] if "tenant" in operation.body.__struct_fields__ else [example]
    )
    if "ids" in operation.body.__struct_fields__:
        request_bodies.append({"ids": acme.ids})
    if "topic" in operation.body.__struct_fields__:
        request_bodies.append({"topic": TOPICS[0], "name": "x", "data": 1, "except": acme.connection})
        request_bodies.append({"recipient": "alice", "name": "x", "data": 1})
    if "to" in operation.body.__struct_fields__:
        request_bodies += [{"to": to, "title": "x"} for to in ({"topic": TOPICS[0]}, {"role": "admin"}, {"all": True})]
    return request_bodies


QUERIES = {
    "server": ["tenant=globex", "tenant=globex&after=&limit=100&search=a", "tenant=globex&limit=1"],
    "recipient": ["", "view=all", "view=archived", f"tag={MARK}", "view=all&before={position}"],
}


@pytest.mark.parametrize(
    ("method", "path", "operation"), operations(), ids=lambda one: one if isinstance(one, str) else ""
)
def test_no_path_returns_anything_of_another_tenant(acme: Acme, method: str, path: str, operation: Any) -> None:
    server = acme.server
    recipient = operation.required_scope == "recipient"
    headers = server.as_recipient("alice", tenant="globex") if recipient else server.as_app()
    with httpx.Client(base_url=server.url, headers=headers) as globex:
        for one, query, body in product(
            filled(path, acme), QUERIES["recipient" if recipient else "server"], bodies(operation, acme)
        ):
            response = globex.request(method, f"{one}?{query.format(position=acme.position)}", json=body)
            assert response.status_code < 500, response.text
            assert not acme.leaks(response.text, one), (one, query, body, response.text)
    # The snapshot takes most of the time. What a read has changed shows after the next write, or at the end.
    assert method == "GET" or acme.is_unchanged()


CALLERS = ["key", "recipient", "developer", "support", "viewer", "editor"]
# Operations on the caller itself: some end its session.
OF_THE_CALLER = ("/v1/session", "/v1/me", "/v1/setup")
# They show the caller's own requests, with the ids in them.
LOGS = ("/v1/requests", "/v1/audit")


@pytest.mark.parametrize("caller", sampled(CALLERS))
def test_caller_of_a_tenant_reaches_no_other_tenant(acme: Acme, caller: str) -> None:
    """Each operation limits the caller to Globex, or refuses it: a key with all scopes, an operator of each role, an author
    of templates, a recipient."""
    own = [id for ids in acme.objects.values() for id in ids]
    with called(acme.server, caller) as globex:
        for one in sorted(HANDLERS, key=lambda one: (one.method, one.path)):
            rule, operation = one.operation.tenant_rule, one.operation
            if one.path.startswith(OF_THE_CALLER) or (operation.required_scope is None and rule is None):
                continue
            example = bodies(operation, acme)[0]
            # The response of the feed has no end.
            method = "HEAD" if one.path == "/v1/feed" else one.method
            for path in filled(one.path, acme):
                send = functools.partial(globex.request, method, path)
                if operation.required_scope in SCOPES and rule != "handler":
                    params = {"tenant": "acme"} if rule in ("query", "list") else {}
                    refused = send(params=params, json=example).status_code
                    assert refused == 403 or (refused == 404 and rule is None), (method, path, refused)
                for query, sent in (({}, naming_acme(example)), ({"tenant": "*"}, example)):
                    response = send(params=query, json=sent)
                    assert response.status_code < 500, response.text
                    known = f"{path} {own if one.path in LOGS else ()}"
                    assert not acme.leaks(response.text, known), (method, path, query, response.text)
                    is_checked = operation.required_scope in SCOPES and rule != "handler" and sent != example
                    assert not is_checked or response.status_code in (403, 404), (method, path, response.text)
    assert acme.is_unchanged()


def test_list_of_two_tenants_has_nothing_of_a_third(acme: Acme) -> None:
    with keyed(acme.server, "globex", "initech") as two:
        for one in HANDLERS:
            if one.operation.tenant_rule == "list" and one.path != "/v1/feed":
                for path in filled(one.path, acme):
                    response = two.request(
                        one.method, path, params={"tenant": "*"}, json=bodies(one.operation, acme)[0]
                    )
                    assert response.status_code < 500, response.text
                    assert MARK not in response.text, (one.method, path)
    assert acme.is_unchanged()


def called(server: ServerProcess, caller: str) -> httpx.Client:
    """Return the client of a caller that is limited to Globex."""
    if caller == "key":
        return keyed(server, "globex")
    if caller == "recipient":
        return httpx.Client(base_url=server.url, headers=server.as_recipient("alice", tenant="globex"))
    app = functools.partial(httpx.post, headers=server.as_app())
    if caller == "editor":
        body = {
            "tenant": "globex",
            "templates": ["*"],
            "can": list(get_args(EditorRight)),
            "origin": ORIGIN,
            "name": "A",
        }
        token = app(f"{server.url}/v1/editor-tokens", json={**body, "email": "ann@example.com"}).json()["token"]
        return httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}", "origin": ORIGIN})
    body = {"name": caller, "role": caller, "password": PASSWORD, "tenants": ["globex"]}
    assert app(f"{server.url}/v1/operators", json=body).status_code == 201
    page = {"origin": server.url, "sec-fetch-site": "same-origin"}
    signed_in = httpx.post(f"{server.url}/v1/session", json={"name": caller, "password": PASSWORD}, headers=page)
    return httpx.Client(base_url=server.url, headers=page, cookies=signed_in.cookies)


def test_tool_of_an_agent_reaches_no_other_tenant(acme: Acme) -> None:
    """Each tool, with the ids and keys of Acme in the required arguments and in all."""
    app = functools.partial(httpx.post, f"{acme.server.url}/v1/keys", headers=acme.server.as_app())
    body = {"name": "agent", "scopes": ["agent", "read", "observe", "manage"], "tenants": ["globex"]}
    values = [acme.ids[0], acme.objects["/v1/runs"][0], acme.objects["/v1/messages"][0], "alice", "workflow", "booking"]
    with httpx.Client(base_url=acme.server.url, headers={"accept": "application/json, text/event-stream"}) as agent:
        agent.headers["authorization"] = f"Bearer {app(json=body).json()['key']}"
        for tool in mcp(agent, "tools/list")["tools"]:
            agent.headers["authorization"] = f"Bearer {app(json=body).json()['key']}"  # 20 writes of a key in an hour
            schema = tool["inputSchema"]
            for value in values:
                every = {name: argument(one, value) for name, one in schema["properties"].items() if name != "tenant"}
                required = {name: every[name] for name in schema["required"] if name != "tenant"}
                for arguments in (every, required, {**required, "tenant": "acme"}):
                    result = mcp(agent, "tools/call", name=tool["name"], arguments=arguments)
                    answer = result["content"][0]["text"]
                    assert not acme.leaks(answer, value), (tool["name"], arguments, answer)
                    assert result["isError"] or "tenant" not in arguments, (tool["name"], answer)
    assert acme.is_unchanged()


def mcp(agent: httpx.Client, method: str, **params: Any) -> Any:
    response = agent.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert response.status_code == 200, response.text
    return response.json()["result"]


def argument(schema: dict[str, Any], value: str) -> Any:
    """Return the value in the form of the schema."""
    if "enum" in schema:
        return schema["enum"][0]
    forms: dict[str, Any] = {"array": [value], "integer": 1, "boolean": True, "object": {}}
    return forms.get(str(schema.get("type")), value)


def keyed(server: ServerProcess, *tenants: str) -> httpx.Client:
    """Return a client with a key of these tenants and all scopes."""
    body = {"name": "bound", "scopes": SCOPES, "tenants": tenants}
    key = httpx.post(f"{server.url}/v1/keys", json=body, headers=server.as_app()).json()["key"]
    return httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"})


def naming_acme(body: Any) -> Any:
    """Return a body that names Acme in its audience, or as its tenant."""
    if isinstance(body, list):
        return [naming_acme(one) for one in body]
    if not isinstance(body, dict):
        return body
    if "to" in body:
        return {**body, "to": {"tenant": "acme"}}
    if isinstance(body.get("notification"), dict):
        return {**body, "notification": naming_acme(body["notification"])}
    return {**body, "tenants": ["acme"]} if "tenants" in body else {**body, "tenant": "acme"}


def frames_until_pong(bell: Socket) -> list[dict[str, Any]]:
    """Return the frames up to the response to a ping, without heartbeats."""
    received = []
    bell.send("ping", ref="settled")
    while (frame := bell.next()).get("ref") != "settled":
        if frame["type"] != "heartbeat":
            received.append(frame)
    return received


@pytest.mark.parametrize("how", ["query", "body"])
def test_subscription_belongs_to_the_tenant_in_the_request(acme: Acme, how: str) -> None:
    url, headers = f"{acme.server.url}/v1/topics/public-{how}/subscriptions", acme.server.as_app()
    options: dict[str, Any] = {"params": {"tenant": "globex"}} if how == "query" else {"json": {"tenant": "globex"}}
    assert httpx.put(f"{url}/alice", headers=headers, **options).status_code == 201
    listed = {
        tenant: [
            one["recipient"]
            for one in httpx.get(url, params={"tenant": tenant}, headers=headers).json()["subscriptions"]
        ]
        for tenant in ("globex", "acme", "")
    }
    assert listed == {"globex": ["alice"], "acme": [], "": []}
    conflicting = httpx.put(f"{url}/alice?tenant=acme", headers=headers, json={"tenant": "globex"})
    assert conflicting.status_code == 422


def native_commands(acme: Acme) -> dict[str, list[dict[str, Any]]]:
    """Return every command of a native client, with Acme's ids."""
    marks = ["seen", "read", "unread", "archive", "unarchive", "delete"]
    return {
        **{mark: [{"ids": acme.ids}, {"all": True}] for mark in marks},
        "subscribe": [{"topics": TOPICS}],
        "unsubscribe": [{"topics": TOPICS}],
        "publish": [{"topic": topic, "name": "x", "data": acme.connection} for topic in TOPICS],
        "typing": [{"topic": topic, "on": True} for topic in TOPICS],
        "call": [{"name": "x", "data": acme.ids}],
        "auth": [{"token": acme.server.token("alice", tenant="acme")}],
        "ping": [{}],
    }


def test_native_frame_reaches_no_other_tenant(acme: Acme) -> None:
    frames = native_commands(acme)
    assert set(frames) == {one.__struct_config__.tag for one in protocol.COMMANDS}
    claims = {"tenant": "globex", "topics": ["*"], "publish": ["*"]}
    with websocket(acme.server, "alice", topics=",".join(TOPICS), claims=claims) as globex:
        received = [globex.until("ready")]
        for chance in range(3):
            commands = [(name, one) for name, variants in frames.items() for one in variants]
            random.Random(chance).shuffle(commands)
            for name, fields in commands:
                received.append(globex.ask(name, **fields))
        received += frames_until_pong(globex)
        assert MARK not in json.dumps(received)
    assert acme.is_unchanged()


def socketio_events(acme: Acme) -> Iterator[tuple[str, list[Any]]]:
    """Return the same commands for Socket.IO: an event per command, with the fields as an object or as a list."""
    for name, variants in native_commands(acme).items():
        for fields in variants:
            yield name, [fields]
            yield name, list(fields.values())


GLOBEX = {"tenant": "globex", "topics": ["*"], "publish": ["*"]}


def test_socketio_event_reaches_no_other_tenant(acme: Acme) -> None:
    """With and without an ack, in the same rooms as Alice of Acme; in no other namespace; and acks that nothing expects."""
    url = f"{acme.server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
    with connect(url, max_queue=None) as theirs, connect(url, max_queue=None) as socket:
        for one, tenant in ((theirs, "acme"), (socket, "globex")):
            one.send("40" + json.dumps({"token": acme.server.token("alice", **{**GLOBEX, "tenant": tenant})}))
            until(one, "40{")
            one.send("421" + json.dumps(["subscribe", {"topics": TOPICS}]))
            until(one, "431")
        before, acme.state = acme.state, acme.snapshot()  # with another connection
        for number, (name, args) in enumerate(socketio_events(acme), 2):
            socket.send(f"42{number}" + json.dumps([name, *args]))
            socket.send("42" + json.dumps([name, *args]))
            socket.send(f"43{number}" + json.dumps(args))
        socket.send('421["ping"]')
        received = until(socket, "431")
        assert not acme.leaks("".join(received), "")
        socket.send("40/vault," + json.dumps({"token": acme.server.token("alice", tenant="acme")}))
        assert "Invalid namespace" in until(socket, "44/vault,")[-1]
        theirs.send('422["ping"]')
        assert [one for one in until(theirs, "432") if "pong" not in one] == ["432[{}]"]
        assert acme.is_unchanged()
    live = "/v1/connections?tenant=acme"
    assert eventually(lambda: acme.snapshot()[live] == before[live])
    acme.state = acme.snapshot()


def test_socketio_client_of_another_tenant_recovers_nothing(changing_acme: Acme) -> None:
    """With the recovery id and the offset of Alice of Acme, which was cut and has missed notifications."""
    acme, server = changing_acme, changing_acme.server
    theirs = socketio_raw.Raw(server, {"token": server.token("alice", tenant="acme")}, keep_open=False)
    for token in (server.token("alice", **GLOBEX), server.token("alice"), server.token("bob", tenant="acme")):
        for offset in ({}, {"offset": acme.position}, {"offset": f"{acme.position}~1"}):
            late = socketio_raw.Raw(server, {"token": token, "pid": theirs.pid, **offset}, keep_open=False)
            assert late.sid != theirs.sid
            assert late.pid != theirs.pid
            assert [name for name, _ in late.before + late.after] == ["ready", "reset"]
            assert MARK not in json.dumps(late.before + late.after)


def until(socket: ClientConnection, beginning: str) -> list[str]:
    """Return the packets up to the first with that start."""
    received = [str(socket.recv(timeout=60))]
    while not received[-1].startswith(beginning):
        received.append(str(socket.recv(timeout=60)))
    return received


@pytest.mark.parametrize("tenant", ["", "globex"])
def test_pusher_app_reaches_no_other_tenant(acme: Acme, tenant: str) -> None:
    """The project's app, which is the default tenant's, and an app of Globex: its clients and its HTTP API."""
    server = copy.copy(acme.server)
    if tenant:
        body = {"name": tenant, "tenant": tenant}
        app = httpx.post(f"{server.url}/v1/pusher-apps", json=body, headers=server.as_app()).json()
        server.project, server.key, server.secret = app["id"], app["key"], app["secret"]
    connect_sdk = functools.partial(pusher.Pusher, host="127.0.0.1", port=server.port, ssl=False)
    sdk = connect_sdk(server.project, server.key, server.secret)
    foreign = connect_sdk(acme.objects["/v1/pusher-apps"][0], server.key, server.secret)
    with bare(server) as client:
        client.sign_in(id="alice", watchlist=["alice", "bob"])
        received = []
        for topic in [*TOPICS, "private-bellcast-inbox-alice"]:
            member = '{"user_id":"mallory"}' if topic.startswith("presence-") else None
            received.append(client.subscribe(topic, member))
            client.send_frame("client-x", {"a": 1}, channel=topic)
        assert [one["id"] for one in sdk.users_info(TOPICS[0])["users"]] == ["mallory"]
        assert sdk.channel_info(TOPICS[1], ["subscription_count"])["subscription_count"] == 1
        assert acme.pusher_key not in json.dumps(sdk.channels_info())
        for one in (sdk, foreign):
            calls = (
                functools.partial(one.trigger, TOPICS, "x", {"a": 1}, client.socket_id),
                functools.partial(
                    one.trigger_batch, [{"channel": topic, "name": "x", "data": "1"} for topic in TOPICS]
                ),
                functools.partial(one.trigger, "#server-to-user-alice", "x", {"a": 1}),
                functools.partial(one.channels_info, "presence-", ["user_count"]),
                functools.partial(one.users_info, TOPICS[0]),
            )
            for call in calls:
                with pytest.raises(PusherError) if one is foreign else nullcontext():
                    received.append(call())
        received += client.frames_until_pong()
        assert "alice" not in [one.get("channel") for one in received]
        assert not acme.leaks(json.dumps(received), acme.connection)
        sdk.terminate_user_connections("alice")
    assert acme.is_unchanged()


def test_position_of_another_tenant_reveals_nothing(acme: Acme) -> None:
    """Over both transports: in the query, as the last event's id, with an id of the topics, and with a rewind."""
    topics = ",".join(TOPICS)
    for position in (acme.position, f"{acme.position}~1", "~1"):
        with websocket(acme.server, "alice", position=position, topics=topics, claims=GLOBEX) as globex:
            received = [globex.until("ready"), *frames_until_pong(globex)]
            received += [globex.ask("subscribe", topics=TOPICS, position=position), *frames_until_pong(globex)]
        assert MARK not in json.dumps(received)
        for query in ({"position": position}, {"rewind": 100}, {"topics": "*,recipient:alice", "rewind": 100}):
            with stream(acme.server, "alice", last=position, claims=GLOBEX, **{"topics": topics, **query}) as following:
                event = {"recipient": "alice", "name": "end"}
                received = [following.until("ready")]
                httpx.post(f"{acme.server.url}/v1/events?tenant=globex", json=event, headers=acme.server.as_app())
                while received[-1].get("name") != "end":
                    received.append(following.next())
            assert MARK not in json.dumps(received)
            assert {one["type"] for one in received} <= {"ready", "reset", "event"}


def test_event_of_a_tenant_reaches_no_other_tenant(changing_acme: Acme) -> None:
    """The reverse: Globex and the default tenant follow while Acme sends everything."""
    acme = changing_acme
    server, headers = acme.server, acme.server.as_app()
    with (
        websocket(server, "alice", topics=",".join(TOPICS), claims={"tenant": "globex", "topics": ["*"]}) as globex,
        websocket(server, "alice", topics=",".join(TOPICS), claims={"topics": ["*"]}) as default_tenant,
    ):
        globex.until("ready")
        default_tenant.until("ready")
        with httpx.Client(base_url=server.url, headers=headers, params={"tenant": "acme"}) as app:
            for to in ("alice", {"topic": TOPICS[0]}, {"role": "admin"}, {"tenant": "acme"}, {"all": True}):
                assert app.post("/v1/notifications", json={"to": to, "title": MARK}).status_code == 201
            for address in ({"topic": TOPICS[0]}, {"topics": TOPICS}, {"recipient": "alice"}):
                assert app.post("/v1/events", json={**address, "name": "x", "data": MARK}).status_code == 202
            with websocket(server, "bob", topics=TOPICS[0], claims={"tenant": "acme", "topics": ["*"]}) as bob:
                bob.until("ready")
                bob.ask("typing", topic=TOPICS[0], on=True)
            assert app.delete("/v1/recipients/bob/sessions").status_code == 204
        assert frames_until_pong(globex) == frames_until_pong(default_tenant) == []
    acme.bell.until("notification")
    frames_until_pong(acme.bell)


def test_idempotency_keys_of_two_tenants_are_independent(changing_acme: Acme) -> None:
    acme = changing_acme
    url, headers = f"{acme.server.url}/v1/notifications", acme.server.as_app() | {"Idempotency-Key": "same"}
    responses = [
        httpx.post(url, params={"tenant": tenant}, json={"to": "carol", "title": tenant}, headers=headers)
        for tenant in ("acme", "globex")
    ]
    assert [one.status_code for one in responses] == [201, 201]
    assert responses[0].json() != responses[1].json()
