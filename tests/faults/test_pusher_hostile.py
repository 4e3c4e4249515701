"""Hostile Pusher clients harm only themselves."""

import json
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import quote

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.faults.fuzzing import ALLOWED, TIMEOUT, growth_of, mangled
from tests.faults.raw_sockets import HANDSHAKE, RawSocket, cpu_seconds, eventually, live, request, unharmed
from tests.servers import ServerProcess
from tests.unit.live.framing.client import TEXT, frame
from tests.wire.pusher_clients import Bare, bare, sign
from tests.wire.test_pusher_http import signed

PATH = "/app/test-project-key?protocol=7"
HANDSHAKE_BYTES = request(PATH, **{name.replace("-", "_"): value for name, value in HANDSHAKE.items()})
SEEDS = [
    '{"event":"pusher:subscribe","data":{"channel":"news-1","auth":""}}',
    '{"event":"pusher:subscribe","data":{"channel":"news-cache-1"}}',
    '{"event":"pusher:subscribe","data":"{\\"channel\\":\\"news-2\\"}"}',
    '{"event":"pusher:unsubscribe","data":{"channel":"news-1"}}',
    '{"event":"pusher:ping","data":{}}', '{"event":"pusher:pong"}',
    '{"event":"client-typing","channel":"news-1","data":{"on":true}}',
    '{"event":"pusher:signin","data":{"auth":"a:b","user_data":"{\\"id\\":\\"1\\"}"}}',
    '{"event":"pusher_internal:subscription_succeeded","channel":"news-1","data":"{}"}',
]  # fmt: skip
SIGNED = [
    '{"channel":"private-a"}', '{"channel":"private-cache-a"}', '{"channel":"private-encrypted-a"}',
    '{"channel":"presence-a","channel_data":"{\\"user_id\\":1,\\"user_info\\":{\\"n\\":[]}}"}',
]  # fmt: skip
BODIES = [
    '{"name":"e","data":"{}","channels":["news-1","private-a"],"info":"subscription_count"}',
    '{"name":"e","data":"x","channel":"presence-a","socket_id":"1.2"}',
    '{"batch":[{"name":"e","data":"1","channel":"news-1"},{"name":"f","data":"2","channel":"private-cache-a"}]}',
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    settings = {"BELLCAST_PUBLIC_TOPICS": "news-*", "BELLCAST_LIMIT_FRAMES_PER_SECOND": "0"}
    with ServerProcess(tmp_path_factory.mktemp("pusher") / "data", settings) as server:
        yield server
        assert eventually(lambda: live(server) == 0)
        assert unharmed(server)


def signature(server: ServerProcess, socket_id: str, data: str) -> str:
    """Return a subscription with a valid signature."""
    fields = json.loads(data)
    text = ":".join([socket_id, *(str(fields[name]) for name in ("channel", "channel_data") if name in fields)])
    return json.dumps({"event": "pusher:subscribe", "data": {**fields, "auth": sign(server, text)}})


def fuzz_websocket(server: ServerProcess, rng: random.Random) -> None:
    try:
        with connect(server.url.replace("http", "ws") + PATH, close_timeout=1) as client:
            socket_id = json.loads(json.loads(client.recv(timeout=60))["data"])["socket_id"]
            seeds = SEEDS + [signature(server, socket_id, data) for data in SIGNED]
            for _ in range(rng.randrange(1, 12)):
                client.send(mangled(rng, seeds))
            client.recv(timeout=0.01)
    except (ConnectionClosed, TimeoutError):
        pass


def fuzz_http(server: ServerProcess, http: httpx.Client, rng: random.Random) -> None:
    body_text = mangled(rng, BODIES)
    body = body_text if isinstance(body_text, bytes) else body_text.encode()
    what = rng.choice(["events", "batch_events", "users/1/terminate_connections", "nowhere"])
    response = http.post(signed(server, "POST", f"/apps/{server.project}/{what}", body), content=body)
    assert response.status_code in (200, 400, 404, 413), response.text
    query = mangled(rng, ["info=user_count&filter_by_prefix=presence-", "auth_key=1&auth_signature=2"])
    name = rng.choice(["", "/presence-a", "/presence-a/users", "/a%20b"])
    path = f"/apps/{server.project}/channels{name}?{quote(query, safe='=&%?[]')}"
    response = http.get(path)
    assert response.status_code in (400, 401, 404), response.text


@pytest.mark.thorough
@pytest.mark.timeout(TIMEOUT)
def test_fuzzed_frame_or_request_harms_neither_the_server_nor_other_clients(server: ServerProcess) -> None:
    rng = random.Random(7)
    with httpx.Client(base_url=server.url) as http, bare(server) as regular:
        regular.subscribe("private-calm")

        def attack() -> None:
            fuzz_websocket(server, rng)
            fuzz_http(server, http, rng)

        assert growth_of(server, attack) < ALLOWED
        assert [event["event"] for event in regular.frames_until_pong()] == ["pusher_internal:subscription_count"]


def test_frames_in_single_bytes_are_handled(server: ServerProcess) -> None:
    frames = frame(TEXT, SEEDS[0].encode()) + frame(TEXT, SEEDS[4].encode())
    with RawSocket(server) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in HANDSHAKE_BYTES + frames:
            client.send(bytes((byte,)))
        assert client.read_head()[0] == 101
        received = [json.loads(client.frame()[1])["event"] for _ in range(3)]
        assert received[:2] == ["pusher:connection_established", "pusher_internal:subscription_succeeded"]


@pytest.mark.parametrize("cut", [1, 5, 6, 7, 100, 131])
def test_frames_split_and_joined_anywhere_are_handled_the_same(server: ServerProcess, cut: int) -> None:
    with bare(server) as client:
        client.subscribe("private-cut")
        client.frames_until_pong()
        subscriptions = [f'{{"event":"pusher:subscribe","data":{{"channel":"news-{number}"}}}}' for number in range(20)]
        whole = b"".join(frame(TEXT, subscription.encode()) for subscription in subscriptions)
        for start in range(0, len(whole), cut):
            client.raw.socket.sendall(whole[start : start + cut])
        received = [client.until("pusher_internal:subscription_succeeded")["channel"] for _ in range(20)]
        assert received == [f"news-{number}" for number in range(20)]


def test_incomplete_frame_leaves_nothing_behind(server: ServerProcess) -> None:
    whole = frame(TEXT, SEEDS[0].encode())
    for end in range(len(whole)):
        with RawSocket(server) as client:
            client.send(HANDSHAKE_BYTES + whole[:end])
            assert client.read_head()[0] == 101
            client.reset()
    assert eventually(lambda: live(server) == 0)


@pytest.mark.parametrize("size", [2_000, 15_000])
def test_deeply_nested_signed_data_is_refused(server: ServerProcess, size: int) -> None:
    """Apps sign data that their users send them."""
    deep = "[" * size + "]" * size
    with bare(server) as client:
        data = f'{{"user_id":1,"user_info":{deep}}}'
        client.raw.send(
            signature(server, client.socket_id, json.dumps({"channel": "presence-deep", "channel_data": data}))
        )
        refused = json.loads(client.until("pusher:subscription_error")["data"])
        assert (refused["type"], "channel_data" in refused["error"]) == ("AuthError", True)
        user = f'{{"id":"deep","user_info":{deep}}}'
        signed_in = {"auth": sign(server, f"{client.socket_id}::user::{user}"), "user_data": user}
        client.send_frame("pusher:signin", signed_in)
        assert close_code(client) == 4009


def test_flood_of_subscriptions_stops_at_the_limit_and_does_not_delay_others(server: ServerProcess) -> None:
    with bare(server) as greedy, bare(server) as regular:
        subscriptions = [
            f'{{"event":"pusher:subscribe","data":{{"channel":"news-{number}"}}}}' for number in range(10_000)
        ]
        slowest = 0.0
        for start in range(0, len(subscriptions), 500):
            greedy.raw.socket.sendall(
                b"".join(frame(TEXT, subscription.encode()) for subscription in subscriptions[start : start + 500])
            )
            slowest = max(slowest, ping_seconds(server, regular))
        received = greedy.frames_until_pong()
        granted = [event["channel"] for event in received if event["event"] == "pusher_internal:subscription_succeeded"]
        refused = [json.loads(event["data"]) for event in received if event["event"] == "pusher:subscription_error"]
        assert granted == [f"news-{number}" for number in range(100)]
        assert len(refused) == 9_900
        assert {client["type"] for client in refused} == {"LimitReached"}
        assert slowest < 2


def ping_seconds(server: ServerProcess, regular: Bare) -> float:
    """Return the server's processor seconds until a pong arrives."""
    started = cpu_seconds(server)
    regular.frames_until_pong()
    return cpu_seconds(server) - started


def test_client_beyond_the_rate_limit_is_closed_for_a_second(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    with bare(server) as flood, bare(server) as regular:
        flood.subscribe("private-flood")
        regular.subscribe("private-flood")
        client = frame(TEXT, b'{"event":"client-x","channel":"private-flood","data":1}')
        flood.raw.socket.sendall(client * 1_000)
        assert 4100 <= close_code(flood) < 4200  # pusher-js waits a second
        received = [event["event"] for event in regular.frames_until_pong()]
        assert received.count("client-x") <= 20  # the limit is ten a second, and the burst may span two seconds
        with bare(server) as polite:
            polite.subscribe("private-flood")
            polite.send_frame("client-y", "heard", channel="private-flood")
            assert regular.until("client-y")["data"] == "heard"


@pytest.mark.thorough
def test_reader_that_does_not_read_is_closed_and_others_still_receive(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server(BELLCAST_LIMIT_UNSENT="100000", BELLCAST_LIMIT_EVENT_DATA="60000")
    with (
        bare(server) as unread,
        bare(server) as reading,
        httpx.Client(base_url=server.url, headers=server.as_app()) as http,
    ):
        for client in (unread, reading):
            client.subscribe("private-large")
        for _ in range(300):
            http.post("/v1/events", json={"topic": "private-large", "name": "large", "data": "x" * 50_000})
            assert len(reading.until("large")["data"]) == 50_000
            if live(server) == 1:
                break
        else:
            raise AssertionError("the connection that does not read is still held")


class Watcher:
    """A member of a presence channel that tracks the other members by events."""

    def __init__(self, client: Bare, channel: str, number: int) -> None:
        event = json.loads(client.subscribe(channel, member(number))["data"])
        self.client = client
        self.members = set(event["presence"]["ids"])

    def update(self) -> set[str]:
        for event in self.client.frames_until_pong():
            match event["event"]:
                case "pusher_internal:member_added":
                    self.members.add(json.loads(event["data"])["user_id"])
                case "pusher_internal:member_removed":
                    self.members.discard(json.loads(event["data"])["user_id"])
        return self.members


def close_code(client: Bare) -> int:
    """Return the close code that the server sends."""
    try:
        while True:
            client.next()
    except ConnectionClosed as closed:
        return 0 if closed.rcvd is None else closed.rcvd.code


def test_flood_of_presence_changes_is_reported_correctly(server: ServerProcess) -> None:
    """With more than a hundred members, changes are batched; ten other members join and leave as fast as they can."""
    channel, unsubscribe = "presence-flood", '{"event":"pusher:unsubscribe","data":{"channel":"presence-flood"}}'
    with ExitStack() as stack:
        watcher = Watcher(stack.enter_context(bare(server)), channel, 0)
        for number in range(1, 120):
            join_channel(server, stack.enter_context(RawSocket(server)), channel, number)
        moving = [stack.enter_context(bare(server)) for _ in range(10)]
        subscriptions = [
            subscription_frame(server, client, channel, 1_000 + number) for number, client in enumerate(moving)
        ]
        slowest = 0.0
        for _ in range(50):
            for client, subscribe in zip(moving, subscriptions, strict=True):
                client.raw.send(subscribe)
                client.raw.send(unsubscribe)
            started = cpu_seconds(server)
            watcher.update()
            slowest = max(slowest, cpu_seconds(server) - started)
        for client, subscribe in zip(moving[:3], subscriptions, strict=False):
            client.raw.send(subscribe)
        expected = {str(number) for number in (*range(120), 1_000, 1_001, 1_002)}
        assert eventually(lambda: watcher.update() == expected)
        late_watcher = Watcher(stack.enter_context(bare(server)), channel, 7)
        assert late_watcher.members == expected
        assert slowest < 2
        for client in moving:
            client.frames_until_pong()


def join_channel(server: ServerProcess, client: RawSocket, channel: str, number: int) -> None:
    """Join a presence channel, and stop reading."""
    client.send(HANDSHAKE_BYTES)
    assert client.read_head()[0] == 101
    socket_id = json.loads(json.loads(client.frame()[1])["data"])["socket_id"]
    data = json.dumps({"channel": channel, "channel_data": member(number)})
    client.text(signature(server, socket_id, data))
    assert "subscription_succeeded" in json.loads(client.frame()[1])["event"]


def member(number: int) -> str:
    return json.dumps({"user_id": number})


def subscription_frame(server: ServerProcess, client: Bare, channel: str, number: int) -> str:
    return signature(server, client.socket_id, json.dumps({"channel": channel, "channel_data": member(number)}))
