"""Captures example frames: plays a short scenario on a temporary server."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import running
from websockets.sync.client import ClientConnection, connect

Frame = dict[str, Any]
TIMEOUT = 20  # seconds; a loaded machine takes one
HANDLERS = """\
import bellcast

handlers = bellcast.Handlers()

@handlers.on("free_slots")
def free_slots(call):
    return ["10:00", "14:00"]
"""
CLAIMS = {"topics": ["presence-desk", "desk"], "publish": ["desk"], "name": "Alice"}


class Client:
    """A WebSocket of the scenario."""

    def __init__(self, connection: ClientConnection, frames: dict[str, Frame]) -> None:
        self._connection = connection
        self._frames = frames
        self._refs = 0

    def receive(self, name: str, key: str | None = None) -> Frame:
        """Wait for a frame of this type. Record it under `key`, and before it the first frame of every other type."""
        while (frame := self._next())["type"] != name:
            self._frames.setdefault(frame["type"], frame)
        self._frames.setdefault(key or name, frame)
        return frame

    def _next(self) -> Frame:
        return dict(json.loads(self._connection.recv(timeout=TIMEOUT)))

    def send(self, type: str, reply_type: str = "ack", key: str | None = None, **fields: Any) -> None:
        """Send a frame; record it and its reply as `request …` and `reply …`."""
        self._refs += 1
        request = {"type": type, **fields, "ref": self._refs}
        self._connection.send(json.dumps(request))
        while (reply := self.receive(reply_type)).get("ref") != self._refs:
            pass
        self._frames[f"request {key or type}"], self._frames[f"reply {key or type}"] = request, reply


class Story:
    """The scenario."""

    def __init__(self, server: running.Running) -> None:
        self.frames: dict[str, Frame] = {}
        self._url = server.url
        self._app = httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {server.secret}"})

    def token(self, recipient: str, **claims: Any) -> str:
        response = self._app.post("/v1/tokens", json={"recipient": recipient, **claims}).raise_for_status()
        return str(response.json()["token"])

    def notify(self, title: str, **fields: Any) -> str:
        response = self._app.post("/v1/notifications", json={"to": "alice", "title": title, **fields})
        return str(response.raise_for_status().json()["notifications"][0]["id"])

    @contextmanager
    def connect(self, token: str, **query: str) -> Iterator[Client]:
        url = f"{self._url.replace('http', 'ws')}/v1/ws?{urlencode({'token': token, **query})}"
        with connect(url) as connection:
            yield Client(connection, self.frames)

    def play(self) -> None:
        """Produce every frame of the page, in a fixed order."""
        with self.connect(self.token("alice", **CLAIMS), topics="desk,secret") as alice:
            position = alice.receive("ready")["position"]
            self._inbox(alice)
            self._topics(alice)
            self._rest(alice)
        with self.connect(self.token("alice"), position=position) as alice:
            alice.receive("ready", "ready resumed")
        with self.connect(self.token("alice"), position="0-1") as alice:
            alice.receive("reset")

    def _inbox(self, alice: Client) -> None:
        first = self.notify("New booking", body="Saturday, 14:00", type="booking", action_url="/bookings/7")
        alice.receive("notification")
        second = self.notify("Work is ready", type="booking")
        alice.receive("notification")
        alice.send("read", ids=[first])
        self._app.patch(f"/v1/notifications/{second}", json={"title": "Work is ready to view"}).raise_for_status()
        alice.receive("notification-update")
        alice.send("seen", ids=[first, second])
        alice.send("unread", ids=[first])
        alice.send("archive", all=True, of={"type": "booking"})
        alice.send("unarchive", all=True)
        alice.send("delete", ids=[second])
        self._app.delete(f"/v1/notifications/{first}").raise_for_status()
        alice.receive("notification-delete")
        self._app.put(
            "/v1/recipients/alice/preferences", json={"types": {"booking": {"email": False}}}
        ).raise_for_status()
        alice.receive("preferences")

    def _topics(self, alice: Client) -> None:
        alice.send("subscribe", topics=["presence-desk"])
        with self.connect(self.token("bob", **{**CLAIMS, "name": "Bob"}), topics="desk,presence-desk") as bob:
            bob.receive("ready")
            alice.receive("presence")
            alice.send("publish", topic="desk", name="lead.assigned", data={"lead": 7})
            bob.receive("event")
            alice.send("typing", topic="desk", on=True)
            bob.receive("typing")
        alice.receive("presence")
        alice.send("unsubscribe", topics=["presence-desk"])

    def _rest(self, alice: Client) -> None:
        alice.send("call", name="free_slots", data={"day": "2026-02-07"})
        alice.send("auth", token=self.token("alice", **CLAIMS))
        alice.send("ping", "pong")
        alice.send("publish", "error", "error", topic="secret", name="lead.assigned", data={"lead": 7})
        alice.receive("heartbeat")
        self._app.delete("/v1/recipients/alice/sessions").raise_for_status()
        alice.receive("close")

    def event_stream(self) -> str:
        """Return the first bytes of an event stream."""
        parts = urlsplit(self._url)
        request = f"GET /v1/stream?token={self.token('carol')} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n"
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=TIMEOUT) as connection:
            connection.sendall(request.encode())
            received = b""
            while b"event: ready" not in received or not received.endswith(b"\n\n"):
                received += connection.recv(65_536)
        return re.sub(r"retry: \d+", "retry: 3000", received.decode().partition("\r\n\r\n")[2])


def capture() -> tuple[dict[str, Frame], str]:
    """Return the frames by name, and the first lines of an event stream."""
    with running.server(HANDLERS, heartbeat="1s") as server:
        story = Story(server)
        story.play()
        return story.frames, story.event_stream()
