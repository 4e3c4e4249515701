"""Readers that do not read are closed in time, can resume, and do not affect others."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from tests.faults.raw_sockets import Raw, RawSocket, eventually, live, memory, raw_stream, raw_websocket, unharmed
from tests.law.device import Device
from tests.servers import ServerProcess
from tests.unit.live.framing.client import TEXT, frame
from tests.wire.clients import stream, websocket

names = (f"reader{number}" for number in itertools.count())
WINDOW = 4_096  # bytes of the reader's kernel buffer
LARGE = "x" * 50_000
FOLLOWING = [raw_websocket, raw_stream]
TRANSPORTS = ["websocket", "sse"]
# Shorter than the 30 s that a server waits for a slow reader, longer than any pause of a loaded machine.
STALL_SECONDS = 20


@pytest.fixture(scope="module")
def tight_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a buffer of 64 KiB per reader and no rate limit."""
    limits = {"UNSENT": "65536", "FRAMES_PER_SECOND": "0", "EVENT_DATA": "60000"}
    environ = {f"BELLCAST_LIMIT_{name}": value for name, value in limits.items()}
    with ServerProcess(tmp_path_factory.mktemp("tight") / "data", environ) as server:
        yield server


@pytest.fixture
def tight(tight_server: ServerProcess) -> Iterator[ServerProcess]:
    """The shared server. After the test it has logged no error and has no connection left."""
    yield tight_server
    assert unharmed(tight_server)
    assert eventually(lambda: live(tight_server) == 0)


@pytest.fixture
def app(tight: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=tight.url, headers=tight.as_app()) as client:
        yield client


def notify(app: httpx.Client, recipient: str, count: int, size: int) -> None:
    """Send this many notifications of about this size."""
    sends = [{"to": recipient, "title": str(number), "body": "x" * size} for number in range(count)]
    results = app.post("/v1/notifications/bulk", json=sends).json()["results"]
    assert all("id" in one for one in results)


def snapshot(server: ServerProcess, recipient: str) -> dict[str, Any]:
    """Fetch the whole inbox, page by page."""
    with httpx.Client(base_url=server.url, headers=server.as_recipient(recipient)) as client:
        whole = page = client.get("/v1/inbox", params={"limit": 100}).json()
        while page["next"] is not None:
            page = client.get("/v1/inbox", params={"limit": 100, "before": page["next"]}).json()
            whole["notifications"] += page["notifications"]
    return {name: whole[name] for name in ("notifications", "unread", "unseen", "position")}


@pytest.mark.parametrize("follow", FOLLOWING, ids=TRANSPORTS)
def test_slow_reader_is_closed_and_can_resume(
    tight: ServerProcess, app: httpx.Client, follow: Callable[..., Any]
) -> None:
    recipient = next(names)
    device = Device(snapshot(tight, recipient))
    with follow(tight, recipient, window=WINDOW) as slow, websocket(tight, recipient) as quick:
        quick.next()
        sent = 0
        while live(tight) == 2 and sent < 2_000:  # 18 MB, of which the kernel buffers 4
            notify(app, recipient, 20, 9_000)
            for _ in range(20):
                assert quick.next()["type"] == "notification"
            sent += 20
        assert live(tight) == 1
        for event in _events(slow):
            device.apply(event)
            if event["type"] == "close":
                break
        assert (event["code"], event["reconnect"]) == (4430, True)
    fresh = snapshot(tight, recipient)
    assert device.position != fresh["position"]
    with websocket(tight, recipient, position=device.position) as resumed:
        assert resumed.next()["resumed"] is True
        while device.position != fresh["position"]:
            device.apply(resumed.next())
    assert device.snapshot == fresh


def _events(slow: Raw) -> Iterator[dict[str, Any]]:
    """Read the events that were written to a slow reader."""
    if isinstance(slow, RawSocket):
        while True:
            yield slow.next()
    name = ""
    while True:
        line = slow.line()
        if line.startswith(b"event: "):
            name = line[7:].decode()
        elif line.startswith(b"data: "):
            yield {"type": name, **json.loads(line[6:])}


def test_slow_readers_of_a_topic_delay_no_other_and_use_little_memory(tight: ServerProcess, app: httpx.Client) -> None:
    claims = {"topics": ["news"]}
    with ExitStack() as stack, websocket(tight, next(names), topics="news", claims=claims) as quick:
        quick.next()
        for follow in FOLLOWING * 10:
            stack.enter_context(follow(tight, next(names), "&topics=news", claims, window=WINDOW))
        before, slowest, sent = memory(tight), 0.0, 0
        while live(tight) > 1 and sent < 200:  # 12 MB, of which the kernel buffers 4
            started = time.monotonic()
            assert app.post("/v1/events", json={"topic": "news", "name": str(sent), "data": LARGE}).is_success
            assert quick.next()["name"] == str(sent)
            slowest = max(slowest, time.monotonic() - started)
            sent += 1
        assert live(tight) == 1
        assert slowest < STALL_SECONDS
        assert memory(tight) < before + 20


@pytest.mark.parametrize("follow", FOLLOWING, ids=TRANSPORTS)
def test_long_replay_follows_the_pace_of_the_reader_and_is_complete(
    tight: ServerProcess, app: httpx.Client, follow: Callable[..., Any]
) -> None:
    """Ten megabytes with a buffer of 64 KiB; changes during the replay follow it with the right types."""
    recipient = next(names)
    device = Device(snapshot(tight, recipient))
    notify(app, recipient, 1_000, 9_500)
    with _resuming(follow, tight, recipient, device.position) as slow:
        newest = snapshot(tight, recipient)["notifications"][0]["id"]
        app.patch(f"/v1/notifications/{newest}", json={"title": "edited"})
        notify(app, recipient, 5, 10)
        fresh = snapshot(tight, recipient)
        received = []
        for event in _events(slow):
            device.apply(event)
            if "notification" in event:
                received.append((event["type"], event["notification"]["id"]))
            if device.position == fresh["position"]:
                break
        assert device.snapshot == fresh
        assert [kind for kind, _ in received[:1_000]] == ["notification"] * 1_000
        assert sorted(received[1_000:]) == sorted(
            [("notification-update", newest), *(("notification", one["id"]) for one in fresh["notifications"][:5])]
        )
        notify(app, recipient, 1, 10)
        assert next(_events(slow))["type"] == "notification"


def test_live_events_during_an_unread_replay_are_bounded(tight: ServerProcess, app: httpx.Client) -> None:
    recipient = next(names)
    position = snapshot(tight, recipient)["position"]
    notify(app, recipient, 1_000, 9_500)
    with _resuming(raw_websocket, tight, recipient, position), _resuming(raw_stream, tight, recipient, position):
        before, sent = memory(tight), 0
        while live(tight) > 0 and sent < 50:
            assert app.post("/v1/events", json={"recipient": recipient, "name": "n", "data": LARGE}).is_success
            sent += 1
        assert live(tight) == 0
        assert sent < 10
        assert memory(tight) < before + 20


def test_unread_responses_are_bounded(tight: ServerProcess, app: httpx.Client) -> None:
    """A client that sends requests and does not read the responses, even during a replay."""
    recipient = next(names)
    position = snapshot(tight, recipient)["position"]
    notify(app, recipient, 1_000, 9_500)
    before = memory(tight)
    ping = frame(TEXT, json.dumps({"type": "ping", "ref": "x" * 60_000}).encode())
    with (
        _resuming(raw_websocket, tight, recipient, position) as replaying,
        raw_websocket(tight, next(names), window=WINDOW) as reading_nothing,
    ):
        for flooding in (replaying, reading_nothing):
            flooding.flood(ping, most=20_000_000)
        assert eventually(lambda: live(tight) == 0)
        assert memory(tight) < before + 20


@contextmanager
def _resuming(follow: Callable[..., Any], server: ServerProcess, recipient: str, position: str) -> Iterator[Raw]:
    with follow(server, recipient, f"&position={position}", window=WINDOW) as slow:
        yield slow


def test_client_beyond_the_replay_limit_receives_one_reset(tight: ServerProcess, app: httpx.Client) -> None:
    recipient = next(names)
    position = snapshot(tight, recipient)["position"]
    notify(app, recipient, 1_001, 10)
    for follow in (stream, websocket):
        with follow(tight, recipient, position=position) as resumed:
            ready, reset = resumed.next(), resumed.next()
            assert (ready["resumed"], reset["type"], reset["unread"]) == (False, "reset", 1_001)
            assert reset["position"] == ready["position"] == snapshot(tight, recipient)["position"]
            app.post("/v1/events", json={"recipient": recipient, "name": "live"})
            assert resumed.next()["name"] == "live"
