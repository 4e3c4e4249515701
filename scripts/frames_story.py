"""What is said on live connections, captured: a short story is played on a server that is started for it."""

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
WAIT = 20  # seconds; a loaded machine needs one
HANDLERS = """\
import bellcast

handlers = bellcast.Handlers()

@handlers.on("free_slots")
def free_slots(call):
    return ["10:00", "14:00"]
"""
CLAIMS = {"topics": ["presence-desk", "desk"], "publish": ["desk"], "name": "Alice"}


class Line:
    """One WebSocket of the story."""

    def __init__(self, connection: ClientConnection, kept: dict[str, Frame]) -> None:
        self._connection = connection
        self._kept = kept
        self._refs = 0

    def hear(self, name: str, key: str | None = None) -> Frame:
        """Wait for a frame of that type. The first of each type heard on the way is kept for the page, this one under `key`."""
        while (frame := self._next())["type"] != name:
            self._kept.setdefault(frame["type"], frame)
        self._kept.setdefault(key or name, frame)
        return frame

    def _next(self) -> Frame:
        return dict(json.loads(self._connection.recv(timeout=WAIT)))

    def say(self, type: str, answer: str = "ack", key: str | None = None, **fields: Any) -> None:
        """Say something; what was said and its answer are kept, as `said …` and `answer …`."""
        self._refs += 1
        said = {"type": type, **fields, "ref": self._refs}
        self._connection.send(json.dumps(said))
        while (told := self.hear(answer)).get("ref") != self._refs:
            pass
        self._kept[f"said {key or type}"], self._kept[f"answer {key or type}"] = said, told


class Story:
    """What happens while frames are captured."""

    def __init__(self, server: running.Running) -> None:
        self.kept: dict[str, Frame] = {}
        self._url = server.url
        self._app = httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {server.secret}"})

    def token(self, recipient: str, **claims: Any) -> str:
        answer = self._app.post("/v1/tokens", json={"recipient": recipient, **claims}).raise_for_status()
        return str(answer.json()["token"])

    def notify(self, title: str, **fields: Any) -> str:
        answer = self._app.post("/v1/notifications", json={"to": "alice", "title": title, **fields})
        return str(answer.raise_for_status().json()["notifications"][0]["id"])

    @contextmanager
    def line(self, token: str, **query: str) -> Iterator[Line]:
        url = f"{self._url.replace('http', 'ws')}/v1/ws?{urlencode({'token': token, **query})}"
        with connect(url) as connection:
            yield Line(connection, self.kept)

    def tell(self) -> None:
        """Everything that the page shows, in an order that is always the same."""
        with self.line(self.token("alice", **CLAIMS), topics="desk,secret") as alice:
            position = alice.hear("ready")["position"]
            self._inbox(alice)
            self._topics(alice)
            self._rest(alice)
        with self.line(self.token("alice"), position=position) as alice:
            alice.hear("ready", "ready resumed")
        with self.line(self.token("alice"), position="0-1") as alice:
            alice.hear("reset")

    def _inbox(self, alice: Line) -> None:
        first = self.notify("New booking", body="Saturday, 14:00", type="booking", action_url="/bookings/7")
        alice.hear("notification")
        second = self.notify("Work is ready", type="booking")
        alice.hear("notification")
        alice.say("read", ids=[first])
        self._app.patch(f"/v1/notifications/{second}", json={"title": "Work is ready to view"}).raise_for_status()
        alice.hear("notification-update")
        alice.say("seen", ids=[first, second])
        alice.say("unread", ids=[first])
        alice.say("archive", all=True, of={"type": "booking"})
        alice.say("unarchive", all=True)
        alice.say("delete", ids=[second])
        self._app.delete(f"/v1/notifications/{first}").raise_for_status()
        alice.hear("notification-delete")

    def _topics(self, alice: Line) -> None:
        alice.say("subscribe", topics=["presence-desk"])
        with self.line(self.token("bob", **{**CLAIMS, "name": "Bob"}), topics="desk,presence-desk") as bob:
            bob.hear("ready")
            alice.hear("presence")
            alice.say("publish", topic="desk", name="lead.assigned", data={"lead": 7})
            bob.hear("event")
            alice.say("typing", topic="desk", on=True)
            bob.hear("typing")
        alice.hear("presence")
        alice.say("unsubscribe", topics=["presence-desk"])

    def _rest(self, alice: Line) -> None:
        alice.say("call", name="free_slots", data={"day": "2026-02-07"})
        alice.say("auth", token=self.token("alice", **CLAIMS))
        alice.say("ping", "pong")
        alice.say("publish", "error", "error", topic="secret", name="lead.assigned", data={"lead": 7})
        alice.hear("heartbeat")
        self._app.delete("/v1/recipients/alice/sessions").raise_for_status()
        alice.hear("close")

    def event_stream(self) -> str:
        """The first bytes of an event stream, as they come."""
        parts = urlsplit(self._url)
        request = f"GET /v1/stream?token={self.token('carol')} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n"
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=WAIT) as line:
            line.sendall(request.encode())
            told = b""
            while b"event: ready" not in told or not told.endswith(b"\n\n"):
                told += line.recv(65_536)
        return re.sub(r"retry: \d+", "retry: 3000", told.decode().partition("\r\n\r\n")[2])


def capture() -> tuple[dict[str, Frame], str]:
    """The frames by name, and the first lines of an event stream."""
    with running.server(HANDLERS, heartbeat="1s") as server:
        story = Story(server)
        story.tell()
        return story.kept, story.event_stream()
