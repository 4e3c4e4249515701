"""Calls of clients to the app: to Python handlers in the server, or to the app's URL."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.faults.raw_sockets import eventually, live, unharmed
from tests.servers import ServerProcess
from tests.wire.app_server import AppRequest, running_app
from tests.wire.clients import Socket, stream, websocket

SHOP = """
import asyncio
import bellcast

handlers = bellcast.Handlers()
gone = []

@handlers.on("echo")
async def echo(call):
    return {"data": call.data, "args": call.args, "who": call.recipient, "tenant": call.tenant, "roles": call.roles,
            "dialect": call.dialect, "namespace": call.namespace, "connection": call.connection}

@handlers.on("nothing")
async def nothing(call):
    pass

@handlers.on("several")
async def several(call):
    return 1, "two"

@handlers.on("plain")
def plain(call):
    call.wait(call.emit("from a thread", call.data))
    return "done"

@handlers.on("emit")
async def emit(call):
    await call.emit("none")
    await call.emit("one", {"n": 1})
    await call.emit("two", 1, 2)
    return "emitted"

@handlers.on("shout")
async def shout(call):
    await call.publish("room", "shouted", call.data)

@handlers.on("join")
async def join(call):
    await call.join("room")

@handlers.on("leave")
async def leave(call):
    await call.leave("room")

@handlers.on("fail")
async def fail(call):
    raise RuntimeError("a secret of the app")

@handlers.on("strange")
async def strange(call):
    return object()

@handlers.on("strange emit")
async def strange_emit(call):
    await call.emit("strange", object())

@handlers.on("no")
async def no(call):
    raise bellcast.Refused("Not on Sundays.", data={"day": 7})

@handlers.on("ask")
async def ask(call):
    return await call.ask("are you there?", timeout=1)

@handlers.on("close")
async def close(call):
    await call.close(reconnect=call.data)

@handlers.on("disconnect me")
async def disconnect_me(call):
    await call.disconnect()
    await call.emit("last words")
    return "done"

@handlers.on("gone")
async def told_gone(call):
    return gone

@handlers.on("connect")
async def connect(call):
    if "curious" in call.handshake.query:
        await call.emit("handshake", call.handshake)
    if call.recipient is None:
        call.accept("walk-in", roles=["guest"], tenant="lobby")
        return
    if call.recipient == "agent":
        call.accept("client")
    if call.recipient == "banned":
        raise bellcast.Refused("You are banned.")
    if call.recipient == "broken":
        raise RuntimeError("oops")
    if call.recipient == "strange":
        await call.emit("strange", object())
    if call.recipient == "numbered":
        await call.join(7)
    if call.recipient == "ranked":
        call.accept("ranked", roles=[7])
    if call.recipient in ("unwanted", "later"):
        await call.close(reconnect=call.recipient == "later")
    if call.recipient == "greeted":
        await call.emit("welcome", {"to": call.recipient})
        await call.join("room")
        await call.join("never-mind")
        await call.leave("never-mind")

@handlers.on("join later")
async def join_later(call):
    await asyncio.sleep(0.3)
    await call.join("presence-room")
    gone.append("joined later")

@handlers.on("disconnect")
async def disconnect(call):
    await call.join("presence-room")
    await call.emit("too late")
    gone.append(call.recipient)
    if call.recipient == "bitter":
        raise bellcast.Refused("I do not want to go.")
"""


@pytest.fixture(scope="module")
def shop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop").mkdir()
    (folder / "shop" / "bells.py").write_text(SHOP)
    environ = {"PYTHONPATH": str(folder), "BELLCAST_ANONYMOUS": "allow", "BELLCAST_PUBLIC_TOPICS": "room"}
    with ServerProcess(folder / "data", environ, "--handlers", "shop.bells:handlers") as server:
        yield server


@pytest.fixture
def shop(shop_server: ServerProcess) -> Iterator[ServerProcess]:
    """A server with the app's handlers; after the test it has no connection left."""
    yield shop_server
    assert eventually(lambda: live(shop_server) == 0)


@pytest.fixture
def alice(shop: ServerProcess) -> Iterator[Socket]:
    claims = {"roles": ["admin"], "tenant": "acme"}
    with websocket(shop, "alice", claims=claims) as bell:
        bell.next()
        yield bell


def test_call_returns_what_its_handler_returns(alice: Socket) -> None:
    reply = alice.ask("call", name="echo", data={"n": [1]})["data"]
    assert (reply["data"], reply["args"]) == ({"n": [1]}, [{"n": [1]}])
    assert (reply["who"], reply["tenant"], reply["roles"]) == ("alice", "acme", ["admin"])
    assert (reply["dialect"], reply["namespace"]) == ("native", "/")
    assert alice.ask("call", name="echo")["data"]["args"] == []
    assert alice.ask("call", name="nothing")["data"] is None
    assert alice.ask("call", name="several")["data"] == [1, "two"]


def test_plain_function_handles_a_call_in_a_thread(alice: Socket) -> None:
    alice.send("call", name="plain", data=7, ref=1)
    assert alice.next() == {"type": "event", "name": "from a thread", "data": 7}
    assert alice.next() == {"type": "ack", "ref": 1, "data": "done"}


def test_events_emitted_by_a_handler_precede_its_ack(alice: Socket) -> None:
    alice.send("call", name="emit", ref=1)
    assert [alice.next() for _ in range(4)] == [
        {"type": "event", "name": "none", "data": None},
        {"type": "event", "name": "one", "data": {"n": 1}},
        {"type": "event", "name": "two", "data": 1, "args": [1, 2]},
        {"type": "ack", "ref": 1, "data": "emitted"},
    ]


def test_handler_subscribes_its_caller_and_publishes_to_a_topic(shop: ServerProcess, alice: Socket) -> None:
    with websocket(shop, "ann") as ann, stream(shop, "ben", topics="room") as ben:
        ann.next(), ben.next()
        ann.ask("call", name="join")
        ann.send("call", name="shout", data="hello", ref=1)
        shouted = ann.next()
        assert (shouted["topic"], shouted["name"], shouted["data"]) == ("room", "shouted", "hello")
        assert ann.next() == {"type": "ack", "ref": 1, "data": None}
        assert ben.next()["data"] == "hello"
        ann.ask("call", name="leave")
        ann.send("call", name="shout", data="again", ref=2)
        assert ann.next()["ref"] == 2
        assert ben.next()["data"] == "again"
        alice.ask("call", name="join")  # in another tenant the same name is another topic
        ann.ask("call", name="shout", data="private")
        assert alice.ask("ping")["type"] == "pong"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("fail", "handler_failed"),
        ("strange", "handler_failed"),
        ("strange emit", "handler_failed"),
        ("ask", "handler_failed"),
        ("no", "forbidden"),
        ("unheard of", "no_handler"),
        ("connect", "no_handler"),
        ("disconnect", "no_handler"),
        ("", "invalid"),
    ],
)
def test_failed_call_is_an_error_and_keeps_the_connection(alice: Socket, name: str, code: str) -> None:
    reply = alice.ask("call", name=name, data=1)
    assert (reply["type"], reply["code"]) == ("error", code)
    assert "secret" not in reply["message"]
    assert alice.ask("call", name="echo", data=2)["data"]["data"] == 2


def test_refusal_carries_the_message_of_the_handler(alice: Socket) -> None:
    assert alice.ask("call", name="no")["message"] == "Not on Sundays."


@pytest.mark.parametrize("reconnect", [True, False])
def test_handler_can_close_the_connection(shop: ServerProcess, reconnect: bool) -> None:
    with websocket(shop, "leaving") as bell:
        bell.next()
        bell.send("call", name="close", data=reconnect)
        close = bell.until("close")
        assert (close["reason"], close["reconnect"]) == ("closed_by_app", reconnect)
        with pytest.raises(ConnectionClosed):
            bell.next()


# --- connect and disconnect


def test_connect_handler_can_refuse(shop: ServerProcess) -> None:
    with websocket(shop, "banned") as bell:
        assert bell.next() == {
            "type": "close",
            "code": 4403,
            "reason": "forbidden",
            "reconnect": False,
            "message": "You are banned.",
        }
    with stream(shop, "banned") as page:
        assert page.status == 403


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("/v1/ws?", None),
        ("/app/{key}?protocol=7&", None),
        ("/socket.io/?EIO=4&transport=websocket&", "40"),
    ],
    ids=["native", "pusher", "socketio"],
)
def test_connect_handler_receives_the_handshake_without_credentials(
    shop: ServerProcess, path: str, first: str | None
) -> None:
    url = shop.url.replace("http", "ws") + path.format(key=shop.key)
    headers = {"X-Shop": "7", "Authorization": f"Bearer {shop.token('alice')}", "Cookie": "a=b", "X-Long": "x" * 9_000}
    with connect(f"{url}curious=a%20b&curious=yes&token={shop.token('alice')}", additional_headers=headers) as client:
        if first is not None:
            client.send(first)
        frame = str(client.recv(timeout=20))
        while "x-shop" not in frame:
            frame = str(client.recv(timeout=20))
    handshake = frame.replace("\\", "")
    for expected in ('"curious":"yes"', '"x-shop":"7"', '"address":"127.0.0.1"'):
        assert expected in handshake
    for secret in ("authorization", "cookie", "token", "x-long"):
        assert secret not in handshake


@pytest.mark.parametrize("who", ["broken", "strange", "numbered", "ranked"])
def test_connect_handler_that_fails_does_not_block_the_inbox(shop: ServerProcess, who: str) -> None:
    with websocket(shop, who) as bell, stream(shop, who) as page:
        for one in (bell, page):
            assert one.next()["recipient"] == who
        httpx.post(f"{shop.url}/v1/notifications", json={"to": who, "title": "Still ringing"}, headers=shop.as_app())
        for one in (bell, page):
            assert one.until("notification")["notification"]["title"] == "Still ringing"


def test_connect_handler_can_name_an_anonymous_client(shop: ServerProcess) -> None:
    with httpx.Client(base_url=shop.url, headers=shop.as_app()) as app, websocket(shop, None) as bell:
        ready = bell.next()
        assert (ready["recipient"], ready["unread"]) == ("walk-in", 0)
        app.post("/v1/notifications", json={"to": "walk-in", "title": "elsewhere"})
        app.post("/v1/notifications", json={"to": "walk-in", "title": "here", "tenant": "lobby"})
        assert bell.next()["notification"]["title"] == "here"
        reply = bell.ask("call", name="echo")["data"]
        assert (reply["who"], reply["tenant"], reply["roles"]) == ("walk-in", "lobby", ["guest"])
        assert app.get("/v1/recipients/walk-in", params={"tenant": "lobby"}).json()["roles"] == ["guest"]


def test_record_of_an_accepted_recipient_keeps_its_name_and_roles(shop: ServerProcess) -> None:
    record = {"name": "Cleo", "roles": ["guest"]}
    with httpx.Client(base_url=shop.url, headers=shop.as_app(), timeout=60) as app:
        app.put("/v1/recipients/client", json=record).raise_for_status()
        with websocket(shop, "agent", claims={"name": "Ada", "roles": ["staff"]}) as bell:
            assert bell.next()["recipient"] == "client"
            assert bell.ask("call", name="echo")["data"]["roles"] == []
            ack = bell.ask("subscribe", topics=["role.staff", "role.guest"])
            assert ack["topics"] == ["role.guest"]
        stored = app.get("/v1/recipients/client").json()
    assert {name: stored[name] for name in record} == record


def test_connect_handler_accepts_a_native_client_again_after_a_revocation(shop: ServerProcess) -> None:
    with websocket(shop, None) as bell:
        assert bell.next()["recipient"] == "walk-in"
    revoked = httpx.delete(
        f"{shop.url}/v1/recipients/walk-in/sessions", params={"tenant": "lobby"}, headers=shop.as_app()
    )
    assert revoked.status_code == 204
    with websocket(shop, None) as bell:
        assert bell.next()["recipient"] == "walk-in"


@pytest.mark.parametrize("follow", [stream, websocket], ids=["sse", "websocket"])
def test_actions_of_a_connect_handler_follow_ready(
    shop: ServerProcess, alice: Socket, follow: Callable[..., Any]
) -> None:
    with follow(shop, "greeted") as bell, websocket(shop, "ann") as ann:
        ann.next()
        assert bell.next()["type"] == "ready"
        welcome = bell.next()
        assert (welcome["name"], welcome["data"]) == ("welcome", {"to": "greeted"})
        listed = httpx.get(f"{shop.url}/v1/connections", headers=shop.as_app()).json()["connections"]
        assert [one["topics"] for one in listed if one["recipient"] == "greeted"] == [["room"]]
        ann.ask("call", name="shout", data="hello")
        assert bell.next()["name"] == "shouted"


def test_events_of_a_topic_that_the_connect_handler_joins_are_recovered(shop: ServerProcess, alice: Socket) -> None:
    with websocket(shop, "ann") as ann:
        ann.next()
        with websocket(shop, "greeted") as bell:
            assert (bell.next()["type"], bell.next()["name"]) == ("ready", "welcome")
            ann.ask("call", name="shout", data="received")
            last = bell.next()
        ann.ask("call", name="shout", data="missed")
        with websocket(shop, "greeted", position=f"~{last['id']}") as bell:
            assert bell.next()["recovered"] is True
            assert [bell.next()["data"], bell.next()["name"]] == ["missed", "welcome"]
        with websocket(shop, "greeted", rewind=5) as bell:  # for topics that the client names
            assert [bell.next()["type"], bell.next()["name"]] == ["ready", "welcome"]


def test_disconnect_handler_runs_for_every_admitted_client(shop: ServerProcess, alice: Socket) -> None:
    for follow, who in ((websocket, "w"), (stream, "s"), (websocket, "bitter")):
        with follow(shop, who) as bell:
            bell.next()
    assert eventually(lambda: {"w", "s", "bitter"} <= set(alice.ask("call", name="gone")["data"]))
    assert "banned" not in alice.ask("call", name="gone")["data"]


def test_disconnected_client_does_not_join_topics(shop: ServerProcess, alice: Socket) -> None:
    with websocket(shop, "hasty") as bell:
        bell.next()
        bell.send("call", name="join later")
    assert eventually(lambda: {"joined later", "hasty"} <= set(alice.ask("call", name="gone")["data"]))
    present = httpx.get(f"{shop.url}/v1/topics/presence-room/presence", headers=shop.as_app()).json()
    assert present["members"] == []


def test_handlers_that_cannot_be_loaded_stop_the_start(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", {}, "--handlers", "no.such.module:handlers")
    with pytest.raises(AssertionError, match="BELLCAST_HANDLERS"):
        server.start()
    assert "Traceback" not in server.log.read_text()
    assert server.stop() == 2


def test_call_that_ends_its_connection_is_acknowledged_first(shop: ServerProcess) -> None:
    with websocket(shop, "parting") as bell:
        bell.next()
        bell.send("call", name="disconnect me", ref=1)
        assert bell.next()["name"] == "last words"
        assert bell.next() == {"type": "ack", "ref": 1, "data": "done"}
        reply = bell.next()
        assert (reply["type"], reply["code"], reply["reconnect"]) == ("close", 4403, False)


def test_client_closed_in_connect_learns_whether_to_reconnect(shop: ServerProcess) -> None:
    with websocket(shop, "unwanted") as bell:
        reply = bell.next()
        assert (reply["type"], reply["code"], reply["reconnect"]) == ("close", 4403, False)
    with websocket(shop, "later") as bell:
        reply = bell.next()
        assert (reply["type"], reply["code"], reply["reconnect"]) == ("close", 1012, True)
    assert httpx.get(f"{shop.url}/v1/stream", headers=shop.as_recipient("unwanted")).status_code == 403
    with stream(shop, "later") as page:
        assert page.next()["reconnect"] is True
        assert page.ends()


# --- the app's URL


class App:
    """Responds to calls by name, and checks that Bellcast signed them."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.slow = threading.Event()
        self.calls: list[dict[str, Any]] = []

    def __call__(self, request: AppRequest) -> tuple[int, bytes]:
        self._verify(request)
        call = json.loads(request.body)
        self.calls.append(call)
        match call["name"]:
            case "echo":
                return 200, json.dumps({"reply": call["args"]}).encode()
            case "emit":
                emitted = [{"name": "one", "args": [1]}, {"name": "all", "args": [1, 2], "to": "room"}]
                return 200, json.dumps({"reply": "ok", "emit": emitted}).encode()
            case "slow":
                self.slow.wait(8)
                return 200, b"{}"
            case "nonsense":
                return 200, b"<html>"
            case "large":
                return 200, b'{"reply":"' + b"x" * 2_000_000 + b'"}'
            case "empty":
                return 200, b""
            case "unknown":
                return 404, b""
            case "connect" if call["recipient"] is None:
                welcome = [{"name": "welcome", "args": ["Walk in"]}]
                return 200, json.dumps({"accept": {"recipient": "walk-in"}, "join": ["hall"], "emit": welcome}).encode()
            case "connect" if call["recipient"] == "banned":
                return 200, b'{"refuse":{"message":"You are banned."}}'
            case _:
                return 500, b'{"reply":"no"}'

    def _verify(self, request: AppRequest) -> None:
        """Signed according to the Standard Webhooks specification, with the bytes of the project secret as the key."""
        id, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        assert abs(time.time() - int(timestamp)) < 60
        signed = f"{id}.{timestamp}.".encode() + request.body
        digest = hmac.new(self._secret.encode(), signed, hashlib.sha256).digest()
        assert f"v1,{base64.b64encode(digest).decode()}" in request.headers["webhook-signature"].split()


def test_calls_are_posted_to_the_app_url_and_return_its_response(
    start_server: Callable[..., ServerProcess],
) -> None:
    secret = "test-project-secret-of-forty-characters-x"
    app = App(secret)
    with running_app(app) as url:
        server = start_server(BELLCAST_HANDLER_URL=url.url, BELLCAST_PUBLIC_TOPICS="room")
        assert server.secret == secret
        with (
            websocket(server, "alice", claims={"tenant": "acme", "roles": ["admin"]}) as alice,
            websocket(server, "bob", topics="room", claims={"tenant": "acme"}) as bob,
        ):
            ready = alice.next()
            bob.next()
            assert [one["name"] for one in app.calls][:1] == ["connect"]
            assert alice.ask("call", name="echo", data={"n": 1})["data"] == [{"n": 1}]
            assert app.calls[-1] == {
                "name": "echo",
                "args": [{"n": 1}],
                "recipient": "alice",
                "tenant": "acme",
                "roles": ["admin"],
                "connection": ready["connection"],
                "dialect": "native",
            }
            alice.send("call", name="emit", ref=1)
            assert alice.next() == {"type": "event", "name": "one", "data": 1}
            assert alice.next() == {"type": "ack", "ref": 1, "data": "ok"}
            to_all = bob.next()
            assert (to_all["topic"], to_all["name"], to_all["data"]) == ("room", "all", [1, 2])
            assert alice.ask("call", name="empty")["data"] is None
            assert alice.ask("call", name="unknown")["code"] == "no_handler"
            for name in ("nonsense", "large", "broken"):
                assert alice.ask("call", name=name)["code"] == "handler_failed"
            started = time.monotonic()
            alice.send("call", name="slow", ref="slow")
            assert bob.ask("call", name="echo")["data"] == []  # other callers do not wait
            reply = alice.next()
            assert (reply["ref"], reply["code"]) == ("slow", "handler_failed")
            assert time.monotonic() - started > 4.5
            app.slow.set()
            url.stop()
            assert alice.ask("call", name="echo")["code"] == "handler_failed"
            assert alice.ask("ping")["type"] == "pong"
        assert eventually(lambda: live(server) == 0)
        assert unharmed(server)


@pytest.mark.thorough
def test_app_url_can_accept_refuse_and_receives_disconnects(start_server: Callable[..., ServerProcess]) -> None:
    app = App("test-project-secret-of-forty-characters-x")
    with running_app(app) as url:
        server = start_server(BELLCAST_HANDLER_URL=url.url, BELLCAST_ANONYMOUS="allow")
        with websocket(server, None) as bell:
            ready = bell.next()
            assert ready["recipient"] == "walk-in"
            assert bell.next() == {"type": "event", "name": "welcome", "data": "Walk in"}
            publish = {"topic": "hall", "name": "rung", "data": 1}
            httpx.post(f"{server.url}/v1/events", json=publish, headers=server.as_app())
            assert bell.next()["name"] == "rung"
        disconnected = {"name": "disconnect", "recipient": "walk-in", "connection": ready["connection"]}
        assert eventually(lambda: any(disconnected.items() <= one.items() for one in app.calls))
        handshake = next(one for one in app.calls if one["name"] == "connect")["handshake"]
        assert (handshake["query"], handshake["address"]) == ({}, "127.0.0.1")
        assert handshake["headers"]["upgrade"] == "websocket"
        with websocket(server, "banned") as bell:
            reply = bell.next()
            assert (reply["code"], reply["message"]) == (4403, "You are banned.")
        with websocket(server, "anybody") as bell:  # the app fails to respond, which does not delay the connection
            assert bell.next()["type"] == "ready"
        before = len(app.calls)
        with websocket(server, "anybody") as bell:  # nor does it end the calls for other clients
            assert bell.next()["type"] == "ready"
            assert bell.ask("call", name="echo", data=1)["data"] == [1]
        assert [one["name"] for one in app.calls[before:] if one["name"] != "disconnect"] == ["connect", "echo"]
