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

from tests.faults.fuzzing import ALLOWED, PATIENCE, grown, mangled
from tests.faults.raw import HANDSHAKE, RawSocket, cpu_seconds, eventually, live, request, unharmed
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
    said = json.loads(data)
    text = ":".join([socket_id, *(str(said[name]) for name in ("channel", "channel_data") if name in said)])
    return json.dumps({"event": "pusher:subscribe", "data": {**said, "auth": sign(server, text)}})


def fuzz_websocket(server: ServerProcess, chance: random.Random) -> None:
    try:
        with connect(server.url.replace("http", "ws") + PATH, close_timeout=1) as one:
            socket_id = json.loads(json.loads(one.recv(timeout=60))["data"])["socket_id"]
            seeds = SEEDS + [signature(server, socket_id, data) for data in SIGNED]
            for _ in range(chance.randrange(1, 12)):
                one.send(mangled(chance, seeds))
            one.recv(timeout=0.01)
    except (ConnectionClosed, TimeoutError):
        pass


def fuzz_http(server: ServerProcess, http: httpx.Client, chance: random.Random) -> None:
    said = mangled(chance, BODIES)
    body = said if isinstance(said, bytes) else said.encode()
    what = chance.choice(["events", "batch_events", "users/1/terminate_connections", "nowhere"])
    answer = http.post(signed(server, "POST", f"/apps/{server.project}/{what}", body), content=body)
    assert answer.status_code in (200, 400, 404, 413), answer.text
    query = mangled(chance, ["info=user_count&filter_by_prefix=presence-", "auth_key=1&auth_signature=2"])
    name = chance.choice(["", "/presence-a", "/presence-a/users", "/a%20b"])
    path = f"/apps/{server.project}/channels{name}?{quote(query, safe='=&%?[]')}"
    asked = http.get(path)
    assert asked.status_code in (400, 401, 404), asked.text


@pytest.mark.timeout(PATIENCE)
def test_fuzzed_frame_or_request_harms_neither_the_server_nor_other_clients(server: ServerProcess) -> None:
    chance = random.Random(7)
    with httpx.Client(base_url=server.url) as http, bare(server) as calm:
        calm.subscribe("private-calm")

        def attack() -> None:
            fuzz_websocket(server, chance)
            fuzz_http(server, http, chance)

        assert grown(server, attack) < ALLOWED
        assert [told["event"] for told in calm.settled()] == ["pusher_internal:subscription_count"]


def test_frames_in_single_bytes_are_handled(server: ServerProcess) -> None:
    said = frame(TEXT, SEEDS[0].encode()) + frame(TEXT, SEEDS[4].encode())
    with RawSocket(server) as one:
        one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in HANDSHAKE_BYTES + said:
            one.send(bytes((byte,)))
        assert one.answer()[0] == 101
        heard = [json.loads(one.frame()[1])["event"] for _ in range(3)]
        assert heard[:2] == ["pusher:connection_established", "pusher_internal:subscription_succeeded"]


@pytest.mark.parametrize("cut", [1, 5, 6, 7, 100, 131])
def test_frames_split_and_joined_anywhere_are_handled_the_same(server: ServerProcess, cut: int) -> None:
    with bare(server) as one:
        one.subscribe("private-cut")
        one.settled()
        wishes = [f'{{"event":"pusher:subscribe","data":{{"channel":"news-{number}"}}}}' for number in range(20)]
        whole = b"".join(frame(TEXT, wish.encode()) for wish in wishes)
        for start in range(0, len(whole), cut):
            one.raw.socket.sendall(whole[start : start + cut])
        heard = [one.until("pusher_internal:subscription_succeeded")["channel"] for _ in range(20)]
        assert heard == [f"news-{number}" for number in range(20)]


def test_incomplete_frame_leaves_nothing_behind(server: ServerProcess) -> None:
    whole = frame(TEXT, SEEDS[0].encode())
    for end in range(len(whole)):
        with RawSocket(server) as one:
            one.send(HANDSHAKE_BYTES + whole[:end])
            assert one.answer()[0] == 101
            one.vanish()
    assert eventually(lambda: live(server) == 0)


@pytest.mark.parametrize("size", [2_000, 15_000])
def test_deeply_nested_signed_data_is_refused(server: ServerProcess, size: int) -> None:
    """Apps sign data that their users send them."""
    deep = "[" * size + "]" * size
    with bare(server) as one:
        data = f'{{"user_id":1,"user_info":{deep}}}'
        one.raw.send(signature(server, one.socket_id, json.dumps({"channel": "presence-deep", "channel_data": data})))
        refused = json.loads(one.until("pusher:subscription_error")["data"])
        assert (refused["type"], "channel_data" in refused["error"]) == ("AuthError", True)
        user = f'{{"id":"deep","user_info":{deep}}}'
        signed_in = {"auth": sign(server, f"{one.socket_id}::user::{user}"), "user_data": user}
        one.say("pusher:signin", signed_in)
        assert close_code(one) == 4009


def test_flood_of_subscriptions_stops_at_the_limit_and_does_not_delay_others(server: ServerProcess) -> None:
    with bare(server) as greedy, bare(server) as calm:
        wishes = [f'{{"event":"pusher:subscribe","data":{{"channel":"news-{number}"}}}}' for number in range(10_000)]
        slowest = 0.0
        for start in range(0, len(wishes), 500):
            greedy.raw.socket.sendall(b"".join(frame(TEXT, wish.encode()) for wish in wishes[start : start + 500]))
            slowest = max(slowest, answer_time(server, calm))
        heard = greedy.settled()
        given = [told["channel"] for told in heard if told["event"] == "pusher_internal:subscription_succeeded"]
        refused = [json.loads(told["data"]) for told in heard if told["event"] == "pusher:subscription_error"]
        assert given == [f"news-{number}" for number in range(100)]
        assert len(refused) == 9_900
        assert {one["type"] for one in refused} == {"LimitReached"}
        assert slowest < 2


def answer_time(server: ServerProcess, calm: Bare) -> float:
    """Return the server's processor seconds until a ping is answered."""
    began = cpu_seconds(server)
    calm.settled()
    return cpu_seconds(server) - began


def test_client_beyond_the_rate_limit_is_closed_for_a_second(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server()
    with bare(server) as flood, bare(server) as calm:
        flood.subscribe("private-flood")
        calm.subscribe("private-flood")
        one = frame(TEXT, b'{"event":"client-x","channel":"private-flood","data":1}')
        flood.raw.socket.sendall(one * 1_000)
        assert 4100 <= close_code(flood) < 4200  # pusher-js waits a second
        heard = [told["event"] for told in calm.settled()]
        assert heard.count("client-x") <= 20  # ten a second, and the burst may span two seconds
        with bare(server) as polite:
            polite.subscribe("private-flood")
            polite.say("client-y", "heard", channel="private-flood")
            assert calm.until("client-y")["data"] == "heard"


class Watcher:
    """A member of a presence channel that tracks the other members by events."""

    def __init__(self, one: Bare, channel: str, number: int) -> None:
        told = json.loads(one.subscribe(channel, member(number))["data"])
        self.one = one
        self.here = set(told["presence"]["ids"])

    def look(self) -> set[str]:
        for told in self.one.settled():
            match told["event"]:
                case "pusher_internal:member_added":
                    self.here.add(json.loads(told["data"])["user_id"])
                case "pusher_internal:member_removed":
                    self.here.discard(json.loads(told["data"])["user_id"])
        return self.here


def close_code(one: Bare) -> int:
    """Return the code with which the server closes the connection."""
    try:
        while True:
            one.next()
    except ConnectionClosed as closed:
        return 0 if closed.rcvd is None else closed.rcvd.code


def test_flood_of_presence_changes_is_reported_correctly(server: ServerProcess) -> None:
    """With more than a hundred members changes are batched; ten other members join and leave as fast as they can."""
    channel, leave = "presence-flood", '{"event":"pusher:unsubscribe","data":{"channel":"presence-flood"}}'
    with ExitStack() as room:
        watcher = Watcher(room.enter_context(bare(server)), channel, 0)
        for number in range(1, 120):
            stay(server, room.enter_context(RawSocket(server)), channel, number)
        restless = [room.enter_context(bare(server)) for _ in range(10)]
        comings = [coming(server, one, channel, 1_000 + number) for number, one in enumerate(restless)]
        slowest = 0.0
        for _ in range(50):
            for one, come in zip(restless, comings, strict=True):
                one.raw.send(come)
                one.raw.send(leave)
            began = cpu_seconds(server)
            watcher.look()
            slowest = max(slowest, cpu_seconds(server) - began)
        for one, come in zip(restless[:3], comings, strict=False):
            one.raw.send(come)
        there = {str(number) for number in (*range(120), 1_000, 1_001, 1_002)}
        assert eventually(lambda: watcher.look() == there)
        newcomer = Watcher(room.enter_context(bare(server)), channel, 7)
        assert newcomer.here == there
        assert slowest < 2
        for one in restless:
            one.settled()


def stay(server: ServerProcess, one: RawSocket, channel: str, number: int) -> None:
    """Join a presence channel, and read nothing more."""
    one.send(HANDSHAKE_BYTES)
    assert one.answer()[0] == 101
    socket_id = json.loads(json.loads(one.frame()[1])["data"])["socket_id"]
    data = json.dumps({"channel": channel, "channel_data": member(number)})
    one.text(signature(server, socket_id, data))
    assert "subscription_succeeded" in json.loads(one.frame()[1])["event"]


def member(number: int) -> str:
    return json.dumps({"user_id": number})


def coming(server: ServerProcess, one: Bare, channel: str, number: int) -> str:
    return signature(server, one.socket_id, json.dumps({"channel": channel, "channel_data": member(number)}))
