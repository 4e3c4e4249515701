"""Pusher's own clients for tests: pusher-js and Laravel Echo in Node, driven line by line, and a bare WebSocket."""

import hashlib
import hmac
import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from websockets.sync.client import ClientConnection, connect

from tests import npm_packages
from tests.servers import ServerProcess

NODE = Path(__file__).parent / "node"
WAIT = 60  # seconds; a response takes milliseconds unless something is broken
Report = dict[str, Any]


def installed() -> Path:
    """Return the folder of the stock libraries."""
    return npm_packages.installed(NODE).parent


def sign(server: ServerProcess, text: str) -> str:
    digest = hmac.new(server.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{server.key}:{digest}"


class Node:
    """A Node process with any number of named pusher-js clients."""

    def __init__(self, server: ServerProcess, endpoint: str | None = None) -> None:
        self.server = server
        self.endpoint = endpoint
        self._process = subprocess.Popen(
            ["node", "client.mjs"], cwd=installed(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._incoming: queue.Queue[Report] = queue.Queue()
        self._skipped: list[Report] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self._incoming.put(json.loads(line))

    def run(self, *command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        done = self.until("done", command=command[0])
        assert done["what"] == "done"

    def until(self, what: str, **fields: Any) -> Report:
        """Return the next report of that kind with those fields; keep other reports."""
        for number, report in enumerate(self._skipped):
            if matches(report, what, fields):
                return self._skipped.pop(number)
        while True:
            try:
                report = self._incoming.get(timeout=WAIT)
            except queue.Empty:
                raise AssertionError(f"no {what} {fields}; received {self._skipped[-8:]}") from None
            if report["what"] == "failed":
                raise AssertionError(report["error"])
            if matches(report, what, fields):
                return report
            self._skipped.append(report)

    def reports(self, what: str, **fields: Any) -> list[Report]:
        """Return all unread reports of that kind."""
        while not self._incoming.empty():
            self._skipped.append(self._incoming.get())
        return [report for report in self._skipped if matches(report, what, fields)]

    def connect(self, name: str = "a", *, key: str | None = None, **options: Any) -> str:
        """Connect a pusher-js and return its socket id."""
        self.start(name, key=key, **options)
        return str(self.until("state", name=name, state="connected")["socket_id"])

    def start(self, name: str = "a", *, key: str | None = None, **options: Any) -> None:
        self.run("connect", name, key or self.server.key, self.options(**options))

    def options(self, **more: Any) -> dict[str, Any]:
        """Return the guide's client options for this server."""
        options = {
            "cluster": "",
            "wsHost": "127.0.0.1",
            "wsPort": self.server.port,
            "forceTLS": False,
            "enabledTransports": ["ws", "wss"],
        }
        if self.endpoint is not None:
            options["channelAuthorization"] = {"endpoint": f"{self.endpoint}/auth"}
            options["userAuthentication"] = {"endpoint": f"{self.endpoint}/user-auth"}
            options["authEndpoint"] = f"{self.endpoint}/auth"
        return {**options, **more}

    def subscribe(self, name: str, channel: str) -> Report:
        self.run("subscribe", name, channel)
        return self.until("subscribed", name=name, channel=channel)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=WAIT)
        self._reader.join()
        self._process.stdout.close()


def matches(report: Report, what: str, fields: dict[str, Any]) -> bool:
    return report["what"] == what and all(report.get(name) == value for name, value in fields.items())


@contextmanager
def node(server: ServerProcess, endpoint: str | None = None) -> Iterator[Node]:
    opened = Node(server, endpoint)
    try:
        yield opened
    finally:
        opened.close()


class AppEndpoint:
    """An app's auth endpoint: it signs every request, for the user in `user`."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.member: dict[str, Any] = {"user_id": 1, "user_info": {"name": "One"}}
        self.user: dict[str, Any] = {"id": "one"}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def _handler(self) -> Callable[..., BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                params = {name: values[0] for name, values in form.items()}
                body = json.dumps(endpoint.sign(params)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def sign(self, params: dict[str, str]) -> dict[str, str]:
        socket_id, channel = params["socket_id"], params.get("channel_name")
        if channel is None:
            data = json.dumps(params.get("as") or self.user)
            return {"auth": sign(self.server, f"{socket_id}::user::{data}"), "user_data": data}
        if channel.startswith("presence-"):
            data = json.dumps(json.loads(params["as"]) if "as" in params else self.member)
            return {"auth": sign(self.server, f"{socket_id}:{channel}:{data}"), "channel_data": data}
        return {"auth": sign(self.server, f"{socket_id}:{channel}")}

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class Bare:
    """A WebSocket that uses protocol 7, frame by frame."""

    def __init__(self, server: ServerProcess, raw: ClientConnection) -> None:
        self.server = server
        self.raw = raw
        self.socket_id = ""

    def next(self) -> Report:
        frame: Report = json.loads(self.raw.recv(timeout=WAIT))
        return frame

    def until(self, event: str) -> Report:
        while (frame := self.next())["event"] != event:
            pass
        return frame

    def send_frame(self, event: str, data: Any = None, **fields: Any) -> None:
        self.raw.send(json.dumps({"event": event, "data": data, **fields}))

    def subscribe(self, channel: str, channel_data: str | None = None) -> Report:
        """Subscribe to a channel with the required signature."""
        text = f"{self.socket_id}:{channel}" + ("" if channel_data is None else f":{channel_data}")
        data = {"channel": channel, "auth": sign(self.server, text)}
        self.send_frame("pusher:subscribe", data if channel_data is None else {**data, "channel_data": channel_data})
        return self.until("pusher_internal:subscription_succeeded")

    def sign_in(self, **user: Any) -> None:
        """Send a sign-in without waiting for the response."""
        data = json.dumps(user)
        self.send_frame(
            "pusher:signin", {"auth": sign(self.server, f"{self.socket_id}::user::{data}"), "user_data": data}
        )

    def frames_until_pong(self) -> list[Report]:
        """Return all frames up to the response to a ping."""
        self.send_frame("pusher:ping", {})
        frames = []
        while (frame := self.next())["event"] != "pusher:pong":
            if frame["event"] != "pusher:ping":  # after two minutes of silence
                frames.append(frame)
        return frames


@contextmanager
def bare(server: ServerProcess, path: str | None = None, **headers: str) -> Iterator[Bare]:
    """Open a connection. Without a `path`, skip its first frame."""
    url = server.url.replace("http", "ws") + (path or f"/app/{server.key}?protocol=7&client=test&version=1")
    with connect(url, open_timeout=WAIT, close_timeout=1, additional_headers=headers) as raw:
        opened = Bare(server, raw)
        if path is None:
            opened.socket_id = json.loads(opened.until("pusher:connection_established")["data"])["socket_id"]
        yield opened
