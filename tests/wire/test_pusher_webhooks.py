"""Webhooks as received by the app's URL and validated by the SDK, and client events handled by the app."""

import json
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pusher
import pytest

from bellcast.live.pusher.webhooks import ENDED, VACATED_DELAY_MS
from tests.faults.raw_sockets import eventually
from tests.servers import ServerProcess
from tests.wire.pusher_clients import bare, sign

ENDS_AFTER_SECONDS = VACATED_DELAY_MS / 1000
# On a loaded machine a client may reconnect later than that: its disconnect is then reported correctly, and another client tries.
ATTEMPTS = 20
WAIT = 60  # seconds; a response takes milliseconds unless something is broken


class Receiver:
    """The app's URL. Responds with 500 to the next `refuse` requests."""

    def __init__(self) -> None:
        self.requests: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.refuse = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if len(body) < int(self.headers["content-length"]):
                    return  # the node was killed while it sent
                receiver.requests.put(({name.lower(): value for name, value in self.headers.items()}, body))
                receiver.refuse -= 1
                self.send_response(500 if receiver.refuse >= 0 else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/hooks"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def next(self) -> tuple[dict[str, str], bytes]:
        return self.requests.get(timeout=WAIT)

    def next_event(self, name: str, channel: str | None = None) -> dict[str, Any]:
        """Return the next event of that name, in that channel if one is given."""
        while True:
            for event in self._events():
                if event["name"] == name and channel in (None, event["channel"]):
                    return event

    def event_names_within(self, seconds: float, channel: str | None = None) -> list[str]:
        """Return the names of the events within that time, in that channel if one is given."""
        time.sleep(seconds)
        names = []
        while not self.requests.empty():
            names += [event["name"] for event in self._events() if channel in (None, event["channel"])]
        return names

    def _events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = json.loads(self.next()[1])["events"]
        return events

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


@pytest.fixture
def server(start_server: Callable[..., ServerProcess], receiver: Receiver) -> ServerProcess:
    return start_server(BELLCAST_PUSHER_WEBHOOK_URL=receiver.url, BELLCAST_PUSHER_SUBSCRIPTION_COUNT="off")


def test_webhook_is_valid_for_the_sdk(server: ServerProcess, receiver: Receiver) -> None:
    sdk = pusher.Pusher(server.project, server.key, server.secret, host="127.0.0.1", port=server.port, ssl=False)
    before = time.time_ns() // 1_000_000
    with bare(server) as client:
        client.subscribe("private-a")
        headers, body = receiver.next()
        assert headers["content-type"] == "application/json"
        webhook = sdk.validate_webhook(headers["x-pusher-key"], headers["x-pusher-signature"], body.decode())
        assert webhook["events"] == [{"name": "channel_occupied", "channel": "private-a"}]
        assert before <= webhook["time_ms"] <= time.time_ns() // 1_000_000
        assert sdk.validate_webhook(headers["x-pusher-key"], headers["x-pusher-signature"], body.decode() + " ") is None


def test_webhooks_report_members_client_events_and_cache_misses(server: ServerProcess, receiver: Receiver) -> None:
    with bare(server) as one:
        one.subscribe("presence-p", '{"user_id":"u"}')
        added = receiver.next_event("member_added")
        assert added == {"name": "member_added", "channel": "presence-p", "user_id": "u"}
        one.send_frame("client-x", {"a": 1}, channel="presence-p")
        received = receiver.next_event("client_event")
        assert received == {
            "name": "client_event",
            "channel": "presence-p",
            "event": "client-x",
            "data": '{"a":1}',
            "socket_id": one.socket_id,
            "user_id": "u",
        }
        one.subscribe("private-cache-c")
        assert receiver.next_event("cache_miss")["channel"] == "private-cache-c"
        with bare(server) as second:
            second.subscribe("private-cache-c")
            assert second.until("pusher:cache_miss")
        assert receiver.event_names_within(0.5) == []  # one webhook for both
    removed = receiver.next_event("member_removed")
    assert removed == {"name": "member_removed", "channel": "presence-p", "user_id": "u"}


@pytest.mark.thorough
def test_cache_miss_is_reported_again_after_the_cached_event_expired(
    start_server: Callable[..., ServerProcess], receiver: Receiver
) -> None:
    server = start_server(
        BELLCAST_PUSHER_WEBHOOK_URL=receiver.url,
        BELLCAST_PUSHER_SUBSCRIPTION_COUNT="off",
        BELLCAST_PUSHER_CACHE_TTL="1s",
    )
    sdk = pusher.Pusher(server.project, server.key, server.secret, host="127.0.0.1", port=server.port, ssl=False)
    with bare(server) as follower:
        follower.subscribe("private-cache-c")  # stays subscribed, so that the channel is never vacated
        assert receiver.next_event("cache_miss")["channel"] == "private-cache-c"
        sdk.trigger("private-cache-c", "kept", {})
        assert follower.until("kept")
        event = "kept"
        while event == "kept":
            with bare(server) as client:
                client.subscribe("private-cache-c")
                event = client.next()["event"]
        assert receiver.next_event("cache_miss")["channel"] == "private-cache-c"


@pytest.mark.thorough
def test_simultaneous_events_share_one_request(server: ServerProcess, receiver: Receiver) -> None:
    with bare(server) as client:
        for number in range(20):
            channel = f"private-{number}"
            auth = sign(server, f"{client.socket_id}:{channel}")
            client.send_frame("pusher:subscribe", {"channel": channel, "auth": auth})
        batches = [len(json.loads(receiver.next()[1])["events"])]
        while sum(batches) < 20:
            batches.append(len(json.loads(receiver.next()[1])["events"]))
        assert len(batches) < 10


@pytest.mark.thorough
def test_member_that_reloads_the_page_is_not_reported(server: ServerProcess, receiver: Receiver) -> None:
    for number in range(ATTEMPTS):
        channel = f"presence-p{number}"
        with bare(server) as client:
            client.subscribe(channel, '{"user_id":"u"}')
            receiver.next_event("member_added", channel)
            left_at = time.monotonic()
        with bare(server) as client:
            client.subscribe(channel, '{"user_id":"u"}')
            was_quick = time.monotonic() - left_at < ENDS_AFTER_SECONDS / 2
            if was_quick:
                assert receiver.event_names_within(4, channel) == []
        receiver.next_event("channel_vacated", channel)
        if was_quick:
            return
    pytest.fail("no client came back in time")


@pytest.mark.thorough
def test_refused_webhook_is_retried_unchanged(server: ServerProcess, receiver: Receiver) -> None:
    receiver.refuse = 2
    with bare(server) as client:
        client.subscribe("private-again")
        bodies = [receiver.next()[1] for _ in range(3)]
        assert len(set(bodies)) == 1
        assert receiver.event_names_within(1.5) == []


def is_end_saved(server: ServerProcess) -> bool:
    with closing(sqlite3.connect(server.data / "bellcast.db", timeout=60)) as store:
        return bool(store.execute("SELECT 1 FROM jobs WHERE kind = ?", (ENDED,)).fetchone())


@pytest.mark.thorough
def test_vacated_channel_is_reported_despite_a_restart(server: ServerProcess, receiver: Receiver) -> None:
    with bare(server) as client:
        client.subscribe("private-doomed")
        receiver.next_event("channel_occupied")
    assert eventually(lambda: is_end_saved(server))
    server.restart()
    assert receiver.next_event("channel_vacated")["channel"] == "private-doomed"


def test_subscription_counts_are_reported(start_server: Callable[..., ServerProcess], receiver: Receiver) -> None:
    server = start_server(BELLCAST_PUSHER_WEBHOOK_URL=receiver.url)
    with bare(server) as client:
        client.subscribe("private-n")
        counted = receiver.next_event("subscription_count")
        assert counted == {"name": "subscription_count", "channel": "private-n", "subscription_count": 1}


HANDLERS = """
import bellcast

handlers = bellcast.Handlers()


@handlers.on("request_dashboard_data")
async def dashboard(call):
    await call.emit("dashboard_data", {"for": call.recipient, "asked": call.data, "by": call.dialect})
    return {"ok": True}


@handlers.on("connect")
async def connect(call):
    if call.dialect != "pusher":
        raise bellcast.Refused("Pusher only")
    await call.join("private-news")
    await call.emit("welcome", {"hello": 1})
"""


def test_client_event_is_answered_by_the_handler_of_the_app(
    start_server: Callable[..., ServerProcess], tmp_path: Any
) -> None:
    (tmp_path / "shop_bells.py").write_text(HANDLERS)
    server = start_server(BELLCAST_HANDLERS="shop_bells:handlers", PYTHONPATH=str(tmp_path))
    with bare(server, f"/app/{server.key}?protocol=7") as client:
        assert [client.next()["event"] for _ in range(3)] == [
            "pusher:connection_established",
            "pusher_internal:subscription_succeeded",
            "welcome",
        ]
        httpx.post(
            f"{server.url}/v1/events",
            json={"topic": "private-news", "name": "news", "data": 1},
            headers=server.as_app(),
        ).raise_for_status()
        assert client.until("news")["channel"] == "private-news"
    with bare(server) as client:
        client.sign_in(id="ann")
        client.subscribe("private-dashboard")
        client.frames_until_pong()
        client.send_frame("client-request_dashboard_data", {"page": 2}, channel="private-dashboard")
        received, reply = client.until("dashboard_data"), client.next()
        assert received["channel"] == "private-dashboard"
        assert json.loads(received["data"]) == {"for": "ann", "asked": {"page": 2}, "by": "pusher"}
        assert (reply["event"], json.loads(reply["data"])) == ("request_dashboard_data", {"ok": True})
