"""The connection test of a Pusher app: it uses the server's public URL in the same way as a server SDK and a
browser."""

import asyncio
import base64
import contextlib
import hashlib
import os
import secrets
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
from msgspec import Struct

from bellcast.kernel.clock import Clock
from bellcast.kernel.outbound import connection_steps
from bellcast.kernel.outbound.connection_steps import TIMEOUT_SECONDS, ConnectionStep, StepFailed, TestReport
from bellcast.kernel.outbound.guard import AddressGuard
from bellcast.kernel.outbound.http import HttpClients
from bellcast.kernel.outbound.port import Http
from bellcast.live.pusher import signatures as pusher_signatures
from bellcast.live.pusher.apps import PusherAppDirectory
from bellcast.live.pusher.types import PusherApp, PusherConfig

CHANNEL = "private-bellcast-test"
EVENT = "bellcast-test"
# RFC 6455, 5.2: the opcodes of text and close frames, the mask bit, and the sizes with an extended length.
TEXT, CLOSE, MASKED, LENGTH_16, LENGTH_64 = 1, 8, 0x80, 126, 127
# Maximum frame size; events of the test are far smaller.
MAX_FRAME = 65_536
FIXES = {
    "enabled": "Switch Pusher on with the setting pusher_enabled, and enable the app.",
    "url": "Set BELLCAST_PUBLIC_URL to the URL under which browsers reach this server.",
    "dns": "Check the host of BELLCAST_PUBLIC_URL, and its DNS record.",
    "connect": "Check that the proxy or the firewall lets this server reach its public URL, and its certificate.",
    "signed_call": "Check that the proxy passes /apps/ unchanged, and that the clocks agree.",
    "websocket": "Let the proxy pass WebSocket upgrades of /app/ (see the guide to proxies).",
    "subscription": "Check that every node behind the URL has the same credentials (BELLCAST_PROJECT, or the same store).",
    "event": "Check that every node behind the URL uses the same broker (BELLCAST_BROKER).",
}


class ConnectionTests(Struct, frozen=True):
    """Tests apps with the dependencies of this server."""

    apps: PusherAppDirectory
    config: PusherConfig
    http: Http
    clients: HttpClients
    clock: Clock
    public_url: Callable[[], str]

    async def run(self, app: PusherApp, url: str | None = None, *, is_trusted: bool = False) -> TestReport:
        """Test an app, stored or not, on a URL, by default the server's public one. An untrusted URL must not lead to a
        private address."""
        own = self.public_url()
        url = url or own
        is_own = url.rstrip("/") == own.rstrip("/")
        http, guard = (self.http, None) if is_trusted or is_own else (self.clients.guarded(), self.clients.guard)
        test = PusherTest(app, self.config, url, http, self.clock, guard)
        # Elsewhere, the app already runs in another server.
        with self.apps.trial(app, CHANNEL) if is_own else contextlib.nullcontext():
            return await test.run()


class PusherTest:
    """One test. Its steps share a connection. After a failed step, the others are skipped."""

    def __init__(
        self,
        app: PusherApp,
        pusher: PusherConfig,
        public_url: str,
        http: Http,
        clock: Clock,
        guard: AddressGuard | None = None,
    ) -> None:
        self._app = app
        self._project = app.credentials
        self._pusher = pusher
        self._guard = guard
        self._url = urlsplit(public_url)
        self._base = public_url.rstrip("/")
        self._http = http
        self._clock = clock
        self._socket: ClientSocket | None = None
        self._socket_id = ""

    async def run(self) -> TestReport:
        """Run all steps."""
        steps: dict[str, ConnectionStep] = {
            "enabled": self._check_enabled,
            "url": self._check_url,
            "dns": partial(connection_steps.resolve, self._host, self._port, self._guard),
            "connect": self._connect,
            "signed_call": self._call,
            "websocket": self._open,
            "subscription": self._subscribe,
            "event": self._receive_event,
        }
        try:
            return await connection_steps.run(steps, FIXES)
        finally:
            if self._socket is not None:
                self._socket.close()

    async def _check_enabled(self) -> str:
        if not self._pusher.enabled:
            raise StepFailed("Pusher is switched off.")
        if not self._app.enabled:
            raise StepFailed("This app is disabled.")
        return f"App id {self._project.id}, key {self._project.key}."

    async def _check_url(self) -> str:
        return self._base  # of the settings or the request, which have checked it

    @property
    def _host(self) -> str:
        return self._url.hostname or ""

    @property
    def _port(self) -> int:
        return self._url.port or (443 if self._url.scheme == "https" else 80)

    async def _connect(self) -> str:
        context = ssl.create_default_context() if self._url.scheme == "https" else None
        self._socket = ClientSocket(*await connection_steps.connect(self._host, self._port, self._guard, context))
        return f"Connected to port {self._port}{' with TLS' if context else ''}."

    async def _call(self) -> str:
        status, text = await self._signed("GET", f"/apps/{self._project.id}/channels/{CHANNEL}", b"")
        if status != 200:
            raise StepFailed(f"HTTP {status}: {text[:200]}")
        return "The signature was accepted."

    async def _signed(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        fields = {
            "auth_key": self._project.key,
            "auth_timestamp": str(self._clock.now() // 1000),
            "auth_version": "1.0",
        }
        if body:
            fields["body_md5"] = hashlib.md5(body, usedforsecurity=False).hexdigest()
        query = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
        fields["auth_signature"] = pusher_signatures.digest(self._project, f"{method}\n{path}\n{query}".encode())
        url = f"{self._base}{path}?{urlencode(fields)}"
        headers = {"content-type": "application/json"}
        response = await self._http.request(method, url, headers=headers, body=body, timeout=TIMEOUT_SECONDS)
        return response.status, response.body.decode(errors="replace")

    async def _open(self) -> str:
        socket = self._connected
        path = f"{self._url.path.rstrip('/')}/app/{self._project.key}?protocol=7&client=bellcast&version=1"
        await socket.upgrade(self._url.netloc, path, f"{self._url.scheme}://{self._url.netloc}")
        established = await self._until("pusher:connection_established")
        self._socket_id = msgspec.json.decode(established["data"])["socket_id"]
        return f"Pusher connected, socket {self._socket_id}."

    async def _subscribe(self) -> str:
        auth = pusher_signatures.sign(self._project, pusher_signatures.channel_string(self._socket_id, CHANNEL))
        self._connected.send({"event": "pusher:subscribe", "data": {"channel": CHANNEL, "auth": auth}})
        await self._until("pusher_internal:subscription_succeeded")
        return f"Subscribed to {CHANNEL}."

    async def _receive_event(self) -> str:
        nonce = secrets.token_hex(8)
        body = msgspec.json.encode({"name": EVENT, "channels": [CHANNEL], "data": nonce})
        status, text = await self._signed("POST", f"/apps/{self._project.id}/events", body)
        if status != 200:
            raise StepFailed(f"HTTP {status}: {text[:200]}")
        while (await self._until(EVENT))["data"] != nonce:
            pass  # an event of another test
        return "The event came back over the WebSocket."

    @property
    def _connected(self) -> "ClientSocket":
        if self._socket is None:
            raise StepFailed("There is no connection.")
        return self._socket

    async def _until(self, event: str) -> dict[str, Any]:
        async for frame in self._connected.frames():
            if frame["event"] == "pusher:error":
                raise StepFailed(str(frame["data"])[:200])
            if frame["event"] == event:
                return frame
        raise StepFailed("The connection was closed.")


class ClientSocket:
    """A minimal WebSocket client for the test (RFC 6455)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def upgrade(self, host: str, path: str, origin: str) -> None:
        """Upgrade the connection. Raises StepFailed."""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            f"Origin: {origin}",
            "Connection: Upgrade",
            "Upgrade: websocket",
        ]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", ""]
        self._writer.write("\r\n".join(lines).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = head.split("\r\n", 1)[0]
        if " 101 " not in f"{status} ":
            raise StepFailed(f"The response to the upgrade was {status[:100]!r}.")

    def send(self, value: object) -> None:
        """Send a JSON text in a masked frame, as required of clients."""
        payload, mask = msgspec.json.encode(value), os.urandom(4)
        size = len(payload)
        length = bytes((MASKED | size,)) if size < LENGTH_16 else struct.pack("!BH", MASKED | LENGTH_16, size)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._writer.write(bytes((0x80 | TEXT,)) + length + mask + masked)

    async def frames(self) -> AsyncIterator[dict[str, Any]]:
        """Yield JSON texts until the server closes."""
        while True:
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == LENGTH_16:
                (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif size == LENGTH_64:
                (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
            if size > MAX_FRAME:
                raise StepFailed("A frame is too large.")
            payload = await self._reader.readexactly(size)
            if first & 0x0F == CLOSE:
                raise StepFailed(f"Closed: {payload[2:].decode(errors='replace')}")
            if first & 0x0F == TEXT:
                yield msgspec.json.decode(payload)

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()
