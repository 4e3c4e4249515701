"""The connection test of a Pusher app: it uses the server's public URL in the same way as a server SDK and a
browser."""

import asyncio
import base64
import contextlib
import hashlib
import os
import secrets
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

import msgspec
from msgspec import Struct

from bellcast.kernel.clock import Clock
from bellcast.kernel.outbound import Http, connection_steps
from bellcast.kernel.outbound.connection_steps import TIMEOUT_SECONDS, ConnectionStep, StepFailed, TestReport
from bellcast.kernel.outbound.guard import AddressGuard
from bellcast.kernel.outbound.http import HttpClients
from bellcast.live.framing import websocket
from bellcast.live.pusher import signatures as pusher_signatures
from bellcast.live.pusher.apps import PusherApp, PusherAppDirectory
from bellcast.live.pusher.plugin import PusherConfig

CHANNEL = "private-bellcast-test"
EVENT = "bellcast-test"
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
        http, guard = (self.http, None) if is_trusted or is_own else (self.clients.guarded, self.clients.guard)
        test = PusherTest(app, self.config, url, http, self.clock, guard)
        # Elsewhere, the app already runs in another server.
        with self.apps.trial(app, CHANNEL) if is_own else contextlib.nullcontext():
            return await test.run()


class PusherTest(Struct):
    """One test, on a public URL. Its steps share a connection. After a failed step, the others are skipped."""

    app: PusherApp
    pusher: PusherConfig
    base: str
    http: Http
    clock: Clock
    guard: AddressGuard | None = None
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None
    _socket_id: str = ""

    async def run(self) -> TestReport:
        """Run all steps."""
        steps: dict[str, ConnectionStep] = {
            "enabled": self._check_enabled,
            "url": self._check_url,
            "dns": partial(connection_steps.resolve, self._server[0], self.guard),
            "connect": self._connect,
            "signed_call": self._call,
            "websocket": self._open,
            "subscription": self._subscribe,
            "event": self._receive_event,
        }
        try:
            return await connection_steps.run(steps, FIXES)
        finally:
            if self._writer is not None:
                self._writer.close()

    async def _check_enabled(self) -> str:
        if not self.pusher.enabled:
            raise StepFailed("Pusher is switched off.")
        if not self.app.enabled:
            raise StepFailed("This app is disabled.")
        return f"App id {self.app.credentials.id}, key {self.app.credentials.key}."

    async def _check_url(self) -> str:
        return self.base.rstrip("/")  # of the settings or the request, which have checked it

    @property
    def _url(self) -> SplitResult:
        return urlsplit(self.base)

    @property
    def _server(self) -> tuple[str, int]:
        return self._url.hostname or "", self._url.port or (443 if self._url.scheme == "https" else 80)

    async def _connect(self) -> str:
        context = ssl.create_default_context() if self._url.scheme == "https" else None
        self._reader, self._writer = await connection_steps.connect(*self._server, self.guard, context)
        return f"Connected to port {self._server[1]}{' with TLS' if context else ''}."

    async def _call(self) -> str:
        await self._signed("GET", f"/apps/{self.app.credentials.id}/channels/{CHANNEL}", b"")
        return "The signature was accepted."

    async def _signed(self, method: str, path: str, body: bytes) -> None:
        """Send a signed request. Raises StepFailed for another response than 200."""
        fields = {
            "auth_key": self.app.credentials.key,
            "auth_timestamp": str(self.clock.now() // 1000),
            "auth_version": "1.0",
        }
        if body:
            fields["body_md5"] = hashlib.md5(body, usedforsecurity=False).hexdigest()
        query = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
        fields["auth_signature"] = pusher_signatures.digest(self.app.credentials, f"{method}\n{path}\n{query}".encode())
        url = f"{self.base.rstrip('/')}{path}?{urlencode(fields)}"
        headers = {"content-type": "application/json"}
        response = await self.http.request(method, url, headers=headers, body=body, timeout=TIMEOUT_SECONDS)
        if response.status != 200:
            raise StepFailed(f"HTTP {response.status}: {response.body.decode(errors='replace')[:200]}")

    async def _open(self) -> str:
        """Upgrade the connection (RFC 6455, 4.1). Raises StepFailed."""
        reader, writer = self._connected
        host, path = self._url.netloc, f"{self._url.path.rstrip('/')}/app/{self.app.credentials.key}"
        lines = [
            f"GET {path}?protocol=7&client=bellcast&version=1 HTTP/1.1",
            f"Host: {host}",
            f"Origin: {self._url.scheme}://{host}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        ]
        writer.write("\r\n".join((*lines, "", "")).encode())
        status = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n", 1)[0]
        if " 101 " not in f"{status} ":
            raise StepFailed(f"The response to the upgrade was {status[:100]!r}.")
        established = await self._until("pusher:connection_established")
        self._socket_id = msgspec.json.decode(established["data"])["socket_id"]
        return f"Pusher connected, socket {self._socket_id}."

    async def _subscribe(self) -> str:
        auth = pusher_signatures.sign(self.app.credentials, pusher_signatures.channel_string(self._socket_id, CHANNEL))
        command = {"event": "pusher:subscribe", "data": {"channel": CHANNEL, "auth": auth}}
        self._connected[1].write(websocket.client_frame(websocket.TEXT_OPCODE, msgspec.json.encode(command)))
        await self._until("pusher_internal:subscription_succeeded")
        return f"Subscribed to {CHANNEL}."

    async def _receive_event(self) -> str:
        nonce = secrets.token_hex(8)
        body = msgspec.json.encode({"name": EVENT, "channels": [CHANNEL], "data": nonce})
        await self._signed("POST", f"/apps/{self.app.credentials.id}/events", body)
        while (await self._until(EVENT))["data"] != nonce:
            pass  # an event of another test
        return "The event came back over the WebSocket."

    @property
    def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            raise StepFailed("There is no connection.")
        return self._reader, self._writer

    async def _until(self, event: str) -> dict[str, Any]:
        """Return the next event of this name. Raises StepFailed if the server sends an error or closes."""
        reader, _ = self._connected
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F
            if size >= websocket.TWO_BYTES_FOLLOW:
                size = int.from_bytes(await reader.readexactly(2 if size == websocket.TWO_BYTES_FOLLOW else 8))
            if size > MAX_FRAME:
                raise StepFailed("A frame is too large.")
            payload = await reader.readexactly(size)
            if first & 0x0F == websocket.CLOSE_OPCODE:
                raise StepFailed(f"Closed: {payload[2:].decode(errors='replace')}")
            if first & 0x0F != websocket.TEXT_OPCODE:
                continue
            frame: dict[str, Any] = msgspec.json.decode(payload)
            if frame["event"] == "pusher:error":
                raise StepFailed(str(frame["data"])[:200])
            if frame["event"] == event:
                return frame
