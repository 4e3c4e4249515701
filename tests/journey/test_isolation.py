"""Isolation of tenants: every path and every frame of every dialect, sent by one tenant with another's ids, returns
none of its data, changes nothing, and reaches none of its clients.
"""

import functools
import json
import random
import re
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pusher
import pytest
from websockets.sync.client import ClientConnection, connect

from bellcast.auth.keys import SCOPES
from bellcast.live.native import protocol
from bellcast.server.api_app import HANDLERS
from tests.servers import ServerProcess
from tests.wire.clients import Socket, websocket
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


class Acme(NamedTuple):
    """The data of Acme, with the ids that Globex might obtain."""

    server: ServerProcess
    notification: str
    announcement: str
    connection: str
    position: str
    bell: Socket

    @property
    def ids(self) -> list[str]:
        return [self.notification, self.announcement]

    def snapshot(self) -> dict[str, Any]:
        """Return everything that must remain unchanged."""
        app, alice = self.server.as_app(), self.server.as_recipient("alice", tenant="acme")
        with httpx.Client(base_url=self.server.url) as client:
            responses = {path: client.get(path, headers=app).text for path in ACMES}
            return responses | {path: client.get(path, headers=alice).text for path in ALICES}


ACMES = [
    "/v1/recipients?tenant=acme",
    "/v1/recipients/alice/export?tenant=acme",
    "/v1/recipients/alice/subscriptions?tenant=acme",
    *(f"/v1/topics/{topic}/{what}?tenant=acme" for topic in TOPICS for what in ("subscriptions", "presence")),
    "/v1/connections?tenant=acme",
    "/v1/stats?tenant=acme",
    "/v1/tenants/acme",
]
ALICES = ["/v1/inbox", "/v1/inbox/counts", "/v1/inbox?view=archived"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("isolation") / "data", {"BELLCAST_PUBLIC_TOPICS": "public-*"}) as server:
        yield server


@pytest.fixture(scope="module")
def acme(server: ServerProcess) -> Iterator[Acme]:
    """The recipient Alice of Acme. Globex has one of the same name."""
    app = httpx.Client(base_url=server.url, headers=server.as_app(), params={"tenant": "acme"})
    app.put("/v1/tenants/acme", params={}, json={"name": MARK, "settings": {"plan": MARK}})
    app.put("/v1/recipients/alice", json={"name": MARK, "email": f"{MARK}@example.com", "roles": ["admin"]})
    for topic in TOPICS:
        app.put(f"/v1/topics/{topic}/subscriptions/alice")
    sent = app.post("/v1/notifications", json={"to": "alice", "title": MARK, "tags": [MARK], "data": {"a": MARK}})
    announced = app.post("/v1/notifications", json={"to": {"all": True}, "title": MARK})
    httpx.put(f"{server.url}/v1/recipients/alice?tenant=globex", json={"name": "Alice"}, headers=server.as_app())
    claims = {"tenant": "acme", "topics": ["*"], "publish": ["*"], "name": MARK}
    with websocket(server, "alice", topics=",".join(TOPICS), claims=claims) as bell:
        ready = bell.until("ready")
        ids = sent.json()["notifications"][0]["id"], announced.json()["announcement"]["id"]
        yield Acme(server, *ids, ready["connection"], ready["position"], bell)
    app.close()


def operations() -> list[tuple[str, str, Any]]:
    operations_found = [
        (one.method, one.path, one.operation) for one in HANDLERS if not one.path.startswith(OF_THE_PROJECT)
    ]
    assert len(operations_found) > 30
    return sorted(operations_found, key=lambda one: one[:2])


def filled(path: str, acme: Acme) -> list[str]:
    """Return the path once for each combination of Acme's ids."""
    values = {"id": acme.ids, "key": ["alice", "bob"], "recipient": ["alice"], "topic": TOPICS, "name": ["workflow"]}
    values |= {"channel": ["email"], "address": ["alice@example.com"], "tenant": ["acme"]}
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
    server, before = acme.server, acme.snapshot()
    recipient = operation.required_scope == "recipient"
    headers = server.as_recipient("alice", tenant="globex") if recipient else server.as_app()
    with httpx.Client(base_url=server.url, headers=headers) as globex:
        for one, query, body in product(
            filled(path, acme), QUERIES["recipient" if recipient else "server"], bodies(operation, acme)
        ):
            response = globex.request(method, f"{one}?{query.format(position=acme.position)}", json=body)
            assert response.status_code < 500, response.text
            assert MARK not in response.text, (one, query, body)
            assert acme.connection not in response.text
    assert acme.snapshot() == before
    assert frames_until_pong(acme.bell) == []


def test_bound_key_reaches_no_other_tenant(acme: Acme) -> None:
    """Each operation limits a Globex key with all scopes to Globex, or refuses it. With a key of two tenants, lists of
    all tenants contain nothing of a third."""
    server, before = acme.server, acme.snapshot()
    with keyed(server, "globex") as globex, keyed(server, "globex", "initech") as two:
        for method, template, operation in operations_of_servers():
            rule, example = operation.tenant_rule, bodies(operation, acme)[0]
            path = filled(template.replace("/v1/tenants/{key", "/v1/tenants/{tenant"), acme)[0]
            # The response of the feed has no end.
            send = functools.partial(globex.request, "HEAD" if template == "/v1/feed" else method, path)
            if rule != "handler":
                refused = send(params={"tenant": "acme"} if rule in ("query", "list") else {}, json=example)
                assert refused.status_code == 403, (method, template)
            for query, sent in (({}, naming_acme(example)), ({"tenant": "*"}, example)):
                response = send(params=query, json=sent)
                assert response.status_code < 500, response.text
                assert MARK not in response.text, (method, template, query)
                assert acme.connection not in response.text
                assert rule == "handler" or sent == example or response.status_code in (403, 404), (
                    method,
                    template,
                    response.text,
                )
            if rule == "list" and template != "/v1/feed":
                response = two.request(method, path, params={"tenant": "*"}, json=example)
                assert response.status_code < 500, response.text
                assert MARK not in response.text, (method, template)
                assert acme.connection not in response.text, (method, template)
    assert acme.snapshot() == before
    assert frames_until_pong(acme.bell) == []


def keyed(server: ServerProcess, *tenants: str) -> httpx.Client:
    """Return a client with a key of these tenants and all scopes."""
    body = {"name": "bound", "scopes": SCOPES, "tenants": tenants}
    key = httpx.post(f"{server.url}/v1/keys", json=body, headers=server.as_app()).json()["key"]
    return httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {key}"})


def operations_of_servers() -> list[tuple[str, str, Any]]:
    found = [(one.method, one.path, one.operation) for one in HANDLERS if one.operation.required_scope in SCOPES]
    return sorted(found, key=lambda one: one[:2])


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
    return {**body, "tenant": "acme"}


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
    assert set(frames) == {one.__struct_config__.tag for one in protocol.AnyCommand.__args__}
    before = acme.snapshot()
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
    after = acme.snapshot()
    assert after == before
    assert frames_until_pong(acme.bell) == []


def socketio_events(acme: Acme) -> Iterator[tuple[str, list[Any]]]:
    """Return the same commands for Socket.IO: an event per command, with the fields as an object or as a list."""
    for name, variants in native_commands(acme).items():
        for fields in variants:
            yield name, [fields]
            yield name, list(fields.values())


def test_socketio_event_reaches_no_other_tenant(acme: Acme) -> None:
    before = acme.snapshot()
    claims = {"tenant": "globex", "topics": ["*"], "publish": ["*"]}
    url = f"{acme.server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
    with connect(url) as socket:
        socket.send("40" + json.dumps({"token": acme.server.token("alice", **claims)}))
        received = until(socket, "40{")
        for number, (name, args) in enumerate(socketio_events(acme), 1):
            socket.send(f"42{number}" + json.dumps([name, *args]))
        received += until(socket, f"43{number}")
    assert MARK not in "".join(received)
    assert acme.snapshot() == before
    assert frames_until_pong(acme.bell) == []


def until(socket: ClientConnection, beginning: str) -> list[str]:
    """Return the packets up to the first with that start."""
    received = [str(socket.recv(timeout=60))]
    while not received[-1].startswith(beginning):
        received.append(str(socket.recv(timeout=60)))
    return received


def test_pusher_client_sees_no_tenant(acme: Acme) -> None:
    server, before = acme.server, acme.snapshot()
    sdk = pusher.Pusher(server.project, server.key, server.secret, host="127.0.0.1", port=server.port, ssl=False)
    with bare(server) as default_tenant:
        default_tenant.sign_in(id="alice", watchlist=["alice", "bob"])
        for topic in TOPICS:
            member = '{"user_id":"mallory"}' if topic.startswith("presence-") else None
            assert "alice" not in str(default_tenant.subscribe(topic, member))
            default_tenant.send_frame("client-x", {"a": 1}, channel=topic)
        assert [one["id"] for one in sdk.users_info(TOPICS[0])["users"]] == ["mallory"]
        counted = sdk.channel_info(TOPICS[1], ["subscription_count"])
        assert counted["subscription_count"] == 1
        sdk.trigger(TOPICS, "x", {"a": 1})
        sdk.trigger("#server-to-user-alice", "x", {"a": 1})
        assert MARK not in json.dumps(default_tenant.frames_until_pong())
        sdk.terminate_user_connections("alice")
    assert acme.snapshot() == before
    assert frames_until_pong(acme.bell) == []


def test_position_of_another_tenant_reveals_nothing(acme: Acme) -> None:
    with websocket(acme.server, "alice", position=acme.position, claims={"tenant": "globex"}) as globex:
        received = [globex.until("ready"), *frames_until_pong(globex)]
    assert MARK not in json.dumps(received)


def test_event_of_a_tenant_reaches_no_other_tenant(acme: Acme) -> None:
    """The reverse: Globex and the default tenant follow while Acme sends everything."""
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


def test_idempotency_keys_of_two_tenants_are_independent(acme: Acme) -> None:
    url, headers = f"{acme.server.url}/v1/notifications", acme.server.as_app() | {"Idempotency-Key": "same"}
    responses = [
        httpx.post(url, params={"tenant": tenant}, json={"to": "carol", "title": tenant}, headers=headers)
        for tenant in ("acme", "globex")
    ]
    assert [one.status_code for one in responses] == [201, 201]
    assert responses[0].json() != responses[1].json()
