"""The HTTP API through the official server SDKs, and by single requests for cases the SDKs cannot produce."""

import hashlib
import hmac
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pusher
import pusher.errors
import pytest
from websockets.exceptions import ConnectionClosed

from tests.servers import ServerProcess
from tests.wire.clients import websocket
from tests.wire.pusher_clients import bare, installed

SETTINGS = {"BELLCAST_PUBLIC_TOPICS": "open-*", "BELLCAST_PUSHER_SUBSCRIPTION_COUNT": "off"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("pusher") / "data", SETTINGS) as server:
        yield server


@pytest.fixture
def python(server: ServerProcess) -> Any:
    """The package `pusher` from PyPI."""
    return pusher.Pusher(server.project, server.key, server.secret, host="127.0.0.1", port=server.port, ssl=False)


@pytest.fixture
def node(server: ServerProcess) -> Iterator[Any]:
    """The package `pusher` from npm."""
    options = {"appId": server.project, "key": server.key, "secret": server.secret}
    options |= {"host": "127.0.0.1", "port": server.port, "useTLS": False}
    process = subprocess.Popen(
        ["node", "server.mjs", json.dumps(options)],
        cwd=installed(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    writes, reads = process.stdin, process.stdout

    def call(*call_arguments: Any) -> Any:
        writes.write(json.dumps(call_arguments) + "\n")
        writes.flush()
        response = json.loads(reads.readline())
        return response["status"], response["body"]

    yield call
    writes.close()
    process.wait(timeout=90)
    reads.close()


def signed(
    server: ServerProcess, method: str, path: str, body: bytes = b"", *, secret: str | None = None, **parameters: str
) -> str:
    """Return the URL of a request signed by the documented rules."""
    parameters_sent = {"auth_key": server.key, "auth_timestamp": str(int(time.time())), "auth_version": "1.0"}
    if body:
        parameters_sent["body_md5"] = hashlib.md5(body).hexdigest()
    parameters_sent |= parameters
    text = f"{method}\n{path}\n" + "&".join(
        f"{name.lower()}={parameters_sent[name]}" for name in sorted(parameters_sent)
    )
    parameters_sent["auth_signature"] = hmac.new(
        (secret or server.secret).encode(), text.encode(), hashlib.sha256
    ).hexdigest()
    return f"{server.url}{path}?" + "&".join(f"{name}={quote(value)}" for name, value in parameters_sent.items())


def post(server: ServerProcess, what: str, body: Any, **parameters: str) -> httpx.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = f"/apps/{server.project}/{what}"
    return httpx.post(signed(server, "POST", path, raw, **parameters), content=raw)


def get(server: ServerProcess, what: str, **parameters: str) -> httpx.Response:
    return httpx.get(signed(server, "GET", f"/apps/{server.project}/{what}", **parameters))


# --- the SDKs


def test_python_sdk_triggers_queries_and_terminates(server: ServerProcess, python: Any) -> None:
    with bare(server) as client:
        client.subscribe("private-a")
        client.subscribe("presence-p", '{"user_id":"u 1"}')
        client.frames_until_pong()
        assert python.trigger(["private-a", "private-b"], "event", {"lead": 7}) == {}
        received = client.next()
        assert (received["event"], received["channel"], received["data"]) == ("event", "private-a", '{"lead": 7}')
        batch = [{"channel": "private-a", "name": f"b{number}", "data": "text"} for number in range(3)]
        python.trigger_batch(batch)
        assert [client.next()["event"] for _ in range(3)] == ["b0", "b1", "b2"]
        assert python.channels_info() == {"channels": {"presence-p": {}, "private-a": {}}}
        info = python.channels_info("presence-", ["user_count"])
        assert info == {"channels": {"presence-p": {"user_count": 1}}}
        assert python.channel_info("private-a", ["subscription_count"]) == {"occupied": True, "subscription_count": 1}
        assert python.channel_info("private-vacant") == {"occupied": False}
        assert python.users_info("presence-p") == {"users": [{"id": "u 1"}]}
        client.sign_in(id="leaving")
        client.until("reset")
        python.send_to_user("leaving", "hello", {"x": 1})
        received = client.until("hello")
        assert (received["channel"], received["data"]) == ("#server-to-user-leaving", '{"x": 1}')
        python.terminate_user_connections("leaving")
        with pytest.raises(ConnectionClosed) as closed:
            client.frames_until_pong()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4009


def test_python_sdk_signatures_are_valid(server: ServerProcess, python: Any) -> None:
    with bare(server) as client:
        auth = python.authenticate("presence-sdk", client.socket_id, {"user_id": "7", "user_info": {"n": "S"}})
        client.send_frame("pusher:subscribe", {"channel": "presence-sdk", **auth})
        assert json.loads(client.next()["data"])["presence"]["ids"] == ["7"]
        client.send_frame("pusher:signin", python.authenticate_user(client.socket_id, {"id": "sdk"}))
        assert client.next()["event"] == "pusher:signin_success"


def test_python_sdk_raises_its_own_errors(server: ServerProcess, python: Any) -> None:
    wrong = pusher.Pusher(server.project, server.key, "wrong", host="127.0.0.1", port=server.port, ssl=False)
    with pytest.raises(pusher.errors.PusherBadAuth, match="auth_signature"):
        wrong.trigger("private-a", "event", {})
    with pytest.raises(pusher.errors.PusherBadRequest, match="user_count"):
        python.channels_info("private-", ["user_count"])


def test_node_sdk_triggers_queries_and_terminates(server: ServerProcess, node: Any) -> None:
    with bare(server) as client, bare(server) as other:
        client.subscribe("private-n")
        other.subscribe("private-n")
        client.frames_until_pong()
        other.frames_until_pong()
        assert node("trigger", ["private-n"], "event", {"a": "ü"}, {"socket_id": client.socket_id}) == (200, "{}")
        assert other.next()["data"] == '{"a":"ü"}'
        assert client.frames_until_pong() == []
        status, body = node("trigger", "private-n", "event", {}, {"info": "subscription_count"})
        assert (status, json.loads(body)) == (200, {"channels": {"private-n": {"subscription_count": 2}}})
        batch = [{"channel": "private-n", "name": "one", "data": {"x": 1}, "info": "subscription_count"}]
        status, body = node("triggerBatch", [*batch, {"channel": "private-m", "name": "two", "data": "t"}])
        assert (status, json.loads(body)) == (200, {"batch": [{"subscription_count": 2}, {}]})
        status, body = node("get", "/channels/private-n", {"info": "subscription_count"})
        assert json.loads(body) == {"occupied": True, "subscription_count": 2}
        client.sign_in(id="a|b c")
        client.until("reset")
        assert node("sendToUser", "a|b c", "hello", {}) == (200, "{}")
        assert client.until("hello")["channel"] == "#server-to-user-a|b c"
        assert node("terminate", "a|b c")[0] == 200
        with pytest.raises(ConnectionClosed):
            client.frames_until_pong()


def test_node_sdk_reads_a_refusal(server: ServerProcess, node: Any) -> None:
    status, body = node("trigger", "private-n", "x" * 199, {"too": "x" * 11_000})
    assert (status, "data" in body) == (413, True)


def test_encrypted_channel_passes_ciphertext_through(server: ServerProcess) -> None:
    key = b"k" * 32
    options = {"host": "127.0.0.1", "port": server.port, "ssl": False}
    import base64

    sealed = pusher.Pusher(
        server.project,
        server.key,
        server.secret,
        encryption_master_key_base64=base64.b64encode(key).decode(),
        **options,
    )
    with bare(server) as client:
        client.subscribe("private-encrypted-a")
        client.frames_until_pong()
        sealed.trigger("private-encrypted-a", "event", {"secret": 1})
        data = client.next()["data"]
        assert set(json.loads(data)) == {"nonce", "ciphertext"}
        assert "secret" not in data


# --- other dialects


def test_triggered_data_reaches_native_followers_as_a_value(server: ServerProcess, python: Any) -> None:
    with websocket(server, "native", claims={"topics": ["private-*"]}) as bell:
        bell.next()
        bell.ask("subscribe", topics=["private-both"])
        python.trigger("private-both", "event", {"lead": 7})
        event = bell.next()
        assert (event["topic"], event["name"], event["data"]) == ("private-both", "event", {"lead": 7})


def test_excluded_connection_is_skipped_in_every_dialect(server: ServerProcess) -> None:
    with bare(server) as client, websocket(server, "left-out", claims={"topics": ["private-*"]}) as bell:
        bell.next()
        bell.ask("subscribe", topics=["private-but"])
        client.subscribe("private-but")
        client.frames_until_pong()
        body = {"topic": "private-but", "name": "x", "data": 1, "except": client.socket_id}
        httpx.post(f"{server.url}/v1/events", headers=server.as_app(), json=body)
        assert bell.next()["name"] == "x"
        assert client.frames_until_pong() == []


# --- signatures


EVENT = {"name": "e", "data": "{}", "channels": ["private-x"]}


def test_request_signed_by_the_documented_rules_is_accepted(server: ServerProcess) -> None:
    response = post(server, "events", EVENT)
    assert (response.status_code, response.json()) == (200, {})


@pytest.mark.parametrize("off", [-700, 700])
def test_request_more_than_ten_minutes_off_is_refused(server: ServerProcess, off: int) -> None:
    response = post(server, "events", EVENT, auth_timestamp=str(int(time.time()) + off))
    assert (response.status_code, "auth_timestamp" in response.text) == (401, True)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"auth_timestamp": "soon"}, "auth_timestamp"),
        ({"auth_timestamp": "9" * 400}, "auth_timestamp"),
        ({"auth_version": "2.0"}, "auth_version"),
        ({"auth_key": "another"}, "auth_key"),
        ({"body_md5": hashlib.md5(b"another").hexdigest()}, "body_md5"),
        ({"secret": "another secret"}, "auth_signature"),
    ],
)
def test_invalid_signature_is_refused_with_its_field(
    server: ServerProcess, parameters: dict[str, str], field: str
) -> None:
    response = post(server, "events", EVENT, **parameters)
    assert (response.status_code, field in response.text) == (401, True)


def test_changed_body_path_or_parameter_breaks_the_signature(server: ServerProcess) -> None:
    path, raw = f"/apps/{server.project}/events", json.dumps(EVENT).encode()
    url = signed(server, "POST", path, raw)
    assert httpx.post(url, content=raw + b" ").status_code == 401
    assert httpx.post(url.replace("/events", "/batch_events"), content=raw).status_code == 401
    assert httpx.post(url + "&more=1", content=raw).status_code == 401
    assert httpx.post(url.replace("body_md5", "other"), content=raw).status_code == 401
    assert httpx.post(f"{server.url}{path}", content=raw).status_code == 401
    assert httpx.post(signed(server, "POST", path, raw, body_md5="é"), content=raw).status_code == 401


def test_lists_are_read_in_php_and_plain_notation(server: ServerProcess) -> None:
    path = f"/apps/{server.project}/channels/private-x"
    url = signed(server, "GET", path, info="subscription_count,cache")
    assert httpx.get(url).json() == {"occupied": False, "subscription_count": 0, "cache": None}
    assert (
        httpx.get(
            url.replace("info=subscription_count%2Ccache", "info[0]=subscription_count&info[1]=cache")
        ).status_code
        == 200
    )
    empty = signed(server, "GET", path, body_md5=hashlib.md5(b"").hexdigest())
    assert httpx.get(empty).status_code == 200


# --- bad requests


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"[1", 400, "body"),
        (b"[" * 100_000, 400, "body"),
        ({**EVENT, "name": 7}, 400, "name"),
        ({**EVENT, "name": "x" * 201}, 400, "name"),
        ({**EVENT, "name": ""}, 400, "name"),
        ({**EVENT, "name": "pusher:error"}, 400, "name"),
        ({**EVENT, "data": {}}, 400, "data"),
        ({**EVENT, "data": "x" * 10_241}, 413, "data"),
        ({**EVENT, "data": "ü" * 5_121}, 413, "data"),
        ({**EVENT, "channels": []}, 400, "channels"),
        ({**EVENT, "channels": [f"private-{n}" for n in range(101)]}, 400, "channels"),
        ({**EVENT, "channels": ["bad channel"]}, 400, "channel"),
        ({**EVENT, "channels": ["x" * 165]}, 400, "channel"),
        ({**EVENT, "channels": ["private-a:b"]}, 400, "channel"),
        ({**EVENT, "socket_id": "abc"}, 400, "socket_id"),
        ({**EVENT, "info": "weather"}, 400, "info"),
        ({"name": "e", "data": "{}"}, 400, "channels"),
    ],
)
def test_invalid_event_is_refused_with_its_field(server: ServerProcess, body: Any, status: int, field: str) -> None:
    response = post(server, "events", body)
    assert (response.status_code, field in response.text) == (status, True), response.text


def test_batch_with_one_invalid_event_is_refused_entirely(server: ServerProcess) -> None:
    good = {"channel": "private-batch", "name": "good", "data": "1"}
    with bare(server) as client:
        client.subscribe("private-batch")
        client.frames_until_pong()
        assert post(server, "batch_events", {"batch": [good, {**good, "channel": "a b"}]}).status_code == 400
        assert post(server, "batch_events", {"batch": [good] * 11}).status_code == 400
        assert client.frames_until_pong() == []
        large = {**good, "data": "x" * 10_240}
        assert post(server, "batch_events", {"batch": [large] * 10}).json() == {}
        assert len(client.frames_until_pong()) == 10


def test_repeated_channel_receives_once_and_an_unknown_socket_id_excludes_no_connection(server: ServerProcess) -> None:
    with bare(server) as client:
        client.subscribe("private-once")
        client.frames_until_pong()
        post(server, "events", {**EVENT, "channels": ["private-once"] * 3, "socket_id": "1.1"})
        assert len(client.frames_until_pong()) == 1


def test_data_arrives_byte_for_byte(server: ServerProcess) -> None:
    with bare(server) as client:
        client.subscribe("private-bytes")
        client.frames_until_pong()
        for data in ['{ "a" : 1.0e2 }', "not json", '"quoted"', "", "123456789012345678901234567890", "\u2028é\n"]:
            post(server, "events", {"name": "e", "data": data, "channel": "private-bytes"})
            assert client.next()["data"] == data


def test_unknown_app_path_or_method_is_refused(server: ServerProcess) -> None:
    assert httpx.post(signed(server, "POST", "/apps/1/events", b"{}"), content=b"{}").status_code == 404
    assert get(server, "nonsense").status_code == 404
    assert get(server, "events").status_code == 405
    assert get(server, "channels/private-x/users").status_code == 400


def test_presence_channel_has_both_counts(server: ServerProcess, python: Any, node: Any) -> None:
    both = {"user_count": 1, "subscription_count": 2}
    with bare(server) as one, bare(server) as two:
        for client in (one, two):
            client.subscribe("presence-both", '{"user_id":"ann"}')
            client.frames_until_pong()
        assert python.channel_info("presence-both", ["user_count", "subscription_count"]) == {"occupied": True, **both}
        infos = python.channels_info("presence-b", ["user_count", "subscription_count"])
        assert infos == {"channels": {"presence-both": both}}
        event = {"channel": "presence-both", "name": "one", "data": "t", "info": "user_count,subscription_count"}
        status, body = node("trigger", "presence-both", "event", {}, {"info": event["info"]})
        assert (status, json.loads(body)) == (200, {"channels": {"presence-both": both}})
        status, body = node("triggerBatch", [event])
        assert (status, json.loads(body)) == (200, {"batch": [both]})


def test_cache_query_returns_data_and_ttl(server: ServerProcess) -> None:
    post(server, "events", {"name": "price", "data": "5", "channel": "cache-price"})
    channel = get(server, "channels/cache-price", info="cache").json()
    assert channel["cache"]["data"] == "5"
    assert 1_700 < channel["cache"]["ttl"] <= 1_800


def test_events_of_one_publisher_keep_their_order(server: ServerProcess) -> None:
    with bare(server) as client, httpx.Client() as http:
        client.subscribe("private-order")
        client.frames_until_pong()
        for number in range(50):
            raw = json.dumps({"name": "n", "data": str(number), "channel": "private-order"}).encode()
            http.post(signed(server, "POST", f"/apps/{server.project}/events", raw), content=raw)
        assert [frame["data"] for frame in client.frames_until_pong()] == [str(number) for number in range(50)]
