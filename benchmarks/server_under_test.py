"""The server under test: a default `bellcast serve` with its own data folder."""

import contextlib
import hashlib
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import msgspec

import bellcast
from benchmarks import handshakes, target
from benchmarks.client_pool import ClientKind
from benchmarks.epoll_loop import Deadline
from benchmarks.http_load import send_request
from benchmarks.processes import Process, Used, free_port
from benchmarks.target import TOPIC, MeasuredServer

APP = "bench"
KEY = "bench-key"
SECRET = secrets.token_urlsafe(32)
TOKEN_LIFE_S = 3600
SOURCE = Path(bellcast.__file__).parents[1]

# Printed by a server once it accepts connections.
READY_WORDS = " is listening on "

# A field of `ready` that no other frame has.
READY = b'"connection"'

# Connection requests of stock clients, which authenticate later.
STOCK_GREETINGS: dict[ClientKind, bytes] = {
    "pusher": target.websocket_request(f"/app/{KEY}?protocol=7&client=js&version=8.4.0&flash=false"),
    "socketio": target.websocket_request(target.SOCKETIO),
}

JsonObject = Mapping[str, Any]


class BenchServer:
    """Builds requests and tokens for one running server."""

    def __init__(self, process: Process, address: tuple[str, int], data: Path) -> None:
        self.process = process
        self.address = address
        self.data = data
        self.authorization = f"Authorization: Bearer {SECRET}\r\n"

    def used(self) -> Used:
        """CPU time so far."""
        return {"server": self.process.cpu()}

    def token(self, recipient: str, topics: Sequence[str] = (), tenant: str | None = None) -> str:
        now = int(time.time())
        claims: dict[str, Any] = {"sub": recipient, "iat": now, "exp": now + TOKEN_LIFE_S, "topics": list(topics)}
        claims |= {"tenant": tenant} if tenant else {}
        return jwt.encode(claims, SECRET, "HS256", headers={"kid": KEY})

    def greeting(self, kind: ClientKind, token: str, topics: str = "", position: str = "") -> bytes:
        query = f"token={token}" + (f"&topics={topics}" if topics else "")
        query += f"&position={quote(position)}" if position else ""
        if kind == "websocket":
            return target.websocket_request(f"/v1/ws?{query}")
        return target.sse_request(f"/v1/stream?{query}")

    def send(self, path: str, body: Any) -> bytes:
        return target.post(path, msgspec.json.encode(body), self.authorization)

    def put(self, path: str, body: Any) -> bytes:
        return b"PUT" + self.send(path, body).removeprefix(b"POST")

    def trigger(self, body: bytes) -> bytes:
        """Return a request of Pusher's HTTP API, signed as its SDKs do."""
        path = f"/apps/{APP}/events"
        query = f"auth_key={KEY}&auth_timestamp={int(time.time())}&auth_version=1.0"
        query += f"&body_md5={hashlib.md5(body).hexdigest()}"
        signature = handshakes.sign(SECRET.encode(), f"POST\n{path}\n{query}")
        return target.post(f"{path}?{query}&auth_signature={signature}", body)

    def bulk(self, items: Sequence[JsonObject]) -> bytes:
        return self.send("/v1/notifications/bulk", items)

    def bulk_lines(self, items: Sequence[JsonObject]) -> bytes:
        lines = b"\n".join(msgspec.json.encode(item) for item in items)
        return target.post("/v1/notifications/bulk", lines, self.authorization, "application/x-ndjson")

    def read(self, path: str, token: str) -> bytes:
        return target.get(path, f"Authorization: Bearer {token}\r\n")

    def send_request(self, deadline: Deadline, request: bytes, status: int = 200) -> Any:
        return msgspec.json.decode(send_request(deadline, self.address, request, status))

    def target(self) -> MeasuredServer:
        def recipient(number: int) -> str:
            return f"recipient-{number}"

        def token(number: int) -> str:
            return self.token(recipient(number), [TOPIC])

        def greeting(kind: ClientKind, number: int) -> bytes:
            return STOCK_GREETINGS.get(kind) or self.greeting(kind, token(number), TOPIC)

        def idle(kind: ClientKind, number: int) -> bytes:
            return self.greeting(kind, self.token(recipient(number)))

        def publish(data: bytes) -> bytes:
            return self.send("/v1/events", {"topic": TOPIC, "name": "note", "data": msgspec.Raw(data)})

        return MeasuredServer(
            name="bellcast",
            process=self.process,
            address=self.address,
            handshakes={
                "websocket": handshakes.until(READY),
                "sse": handshakes.until(READY),
                "pusher": handshakes.Pusher(KEY, SECRET, TOPIC, user=recipient),
                "socketio": handshakes.socketio(token),
            },
            greeting=greeting,
            idle=idle,
            publish=publish,
        )


@contextlib.contextmanager
def running(
    folder: Path,
    deadline: Deadline,
    settings: Mapping[str, str] = {},
    name: str = "bellcast",
    python: str = sys.executable,
    source: Path = SOURCE,
) -> Iterator[BenchServer]:
    """Start a server with its data in the folder and stop it afterwards. `settings` are the non-default ones; `python` runs
    the package in `source`."""
    data, address = folder / name, ("127.0.0.1", free_port())
    command = [python, "-P", "-m", "bellcast", "serve", "--host", address[0], "--port", str(address[1])]
    # Neither the caller's environment nor its folder (-P) applies: the server runs this package with defaults.
    env = {"BELLCAST_PROJECT": f"{APP}:{KEY}:{SECRET}", "PYTHONPATH": str(source)}
    with Process(name, [*command, "--data", str(data)], folder / f"{name}.log", {**env, **settings}) as process:
        # A server of several processes prints this once all of them accept connections.
        process.wait_until_logged(READY_WORDS, deadline)
        send_request(deadline, address, target.get("/readyz"))
        yield BenchServer(process, address, data)


@contextlib.contextmanager
def as_target(folder: Path, deadline: Deadline) -> Iterator[MeasuredServer]:
    with running(folder, deadline) as server:
        yield server.target()


def booking(recipient: str | Sequence[str], number: int = 0) -> JsonObject:
    return {
        "to": recipient,
        "type": "booking",
        "title": "New booking",
        "body": f"{target.MARK.decode()}-{number:06d}: Saturday, 14:00, garden",
        "action_url": f"/bookings/{number}",
    }
