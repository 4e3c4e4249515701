"""Support for your app's tests: the real server in a thread, and a client that records its sends. pytest loads the
fixtures `bellcast_server` and `bellcast_fake` automatically."""

import asyncio
import json
import tempfile
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from bellcast.client import AsyncBellcast, Bellcast, BellcastError, Credentials
from bellcast.server import App, create_app
from bellcast.server.app import IN_PROCESS_URL
from bellcast.settings import load

__all__ = ["FakeBellcast", "LocalServer", "PublishedEvent", "SentDraft"]

# Seconds; an idle machine needs half a second.
START_TIMEOUT = 60.0
KEY_HEADER = "idempotency-key"


class LocalServer:
    """A Bellcast server with an empty store for the duration of the block. `settings` are named like the flags of
    `bellcast serve`."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._folder = tempfile.TemporaryDirectory(prefix="bellcast-test-")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bellcast-test", daemon=True)
        self.app: App

    def __enter__(self) -> Self:
        self.app = create_app(load({"data": Path(self._folder.name), **self._settings}, {}))
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.app.start(), self._loop).result(START_TIMEOUT)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self.app.stop(), self._loop).result(START_TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._folder.cleanup()

    @property
    def sync_client(self) -> Bellcast:
        """A blocking client of this server."""
        return self.app.sync_client

    @property
    def client(self) -> AsyncBellcast:
        """An async client of this server, for any event loop."""
        return AsyncBellcast(IN_PROCESS_URL, self.credentials, transport=self.app.loop_transport)

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.app.project.secret, self.app.project.key)


@dataclass(frozen=True, slots=True)
class SentDraft:
    """One notification that was sent: `to` is a recipient or an audience. `draft` is the REST body."""

    to: Any
    title: str | None
    body: str | None
    type: str
    tenant: str | None
    data: dict[str, Any]
    idempotency_key: str | None
    draft: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """One live event that was published: `to` is a topic, a list of topics, or `{"recipient": id}`."""

    to: Any
    name: str
    data: Any
    tenant: str | None


class RecordingTransport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Passes requests to the server in this process, and records the sends that it accepted."""

    def __init__(self, server: LocalServer) -> None:
        self._inner: httpx.BaseTransport = server.app.loop_transport
        # Different tests use the same idempotency keys for different sends.
        self._test = uuid.uuid4().hex[:8]
        self._keys: set[str] = set()
        self.sent: list[SentDraft] = []
        self.events: list[PublishedEvent] = []
        self.failure: BellcastError | None = None

    def clear(self) -> None:
        """Remove all records, and forget their keys."""
        self.sent.clear()
        self.events.clear()
        self._keys.clear()
        self._test = uuid.uuid4().hex[:8]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.failure is not None:
            raise self.failure
        # Idempotency keys of different tests differ.
        content = request.read()
        headers = dict(request.headers)
        if KEY_HEADER in headers:
            headers[KEY_HEADER] = f"{self._test}-{headers[KEY_HEADER]}"
        if request.url.path in ("/v1/notifications/bulk", "/v1/import"):
            lines = [json.loads(line) for line in content.splitlines() if line.strip()]
            for line in lines:
                if line.get("idempotency_key") is not None:
                    line["idempotency_key"] = f"{self._test}-{line['idempotency_key']}"
            content = b"\n".join(json.dumps(line).encode() for line in lines)
        headers.pop("content-length", None)
        request = httpx.Request(
            request.method, request.url, headers=headers, content=content, extensions=request.extensions
        )
        response = self._inner.handle_request(request)
        if request.method != "POST" or not response.is_success:
            return response
        match request.url.path:
            case "/v1/notifications":
                self._add(json.loads(content), headers.get(KEY_HEADER))
            case "/v1/notifications/bulk":
                results = response.json()["results"]
                for line, result in zip(map(json.loads, content.splitlines()), results, strict=True):
                    if result.get("error") is None:
                        self._add(line, line.get("idempotency_key"))
            case "/v1/events":
                body = json.loads(content)
                to = body.get("topic") or body.get("topics") or {"recipient": body.get("recipient")}
                self.events.append(PublishedEvent(to, body["name"], body.get("data"), body.get("tenant")))
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return await asyncio.to_thread(self.handle_request, request)

    def _add(self, draft: dict[str, Any], key: str | None) -> None:
        if key is not None:
            if key in self._keys:
                return
            self._keys.add(key)
        plain_key = None if key is None else key.partition("-")[2]
        self.sent += [
            SentDraft(
                to=to,
                title=draft.get("title"),
                body=draft.get("body"),
                type=draft.get("type", "general"),
                tenant=draft.get("tenant"),
                data=draft.get("data", {}),
                idempotency_key=plain_key,
                draft=draft,
            )
            for to in (draft["to"] if isinstance(draft["to"], list) else [draft["to"]])
        ]


class FakeBellcast(Bellcast):
    """A blocking client whose sends are in `sent`, in their order and one per recipient, and its live events in `events`."""

    def __init__(self, server: LocalServer, transport: RecordingTransport) -> None:
        super().__init__("http://127.0.0.1", server.credentials, transport=transport)
        self._transport = transport
        self.sent, self.events = transport.sent, transport.events

    def sent_to(self, recipient: Any) -> list[SentDraft]:
        """Return the notifications for a recipient, or for an audience."""
        to = recipient if isinstance(recipient, Mapping) else str(recipient)
        return [one for one in self.sent if one.to == to]

    def clear(self) -> None:
        """Remove all records, and forget their idempotency keys."""
        self._transport.clear()

    def fail_with(self, error: BellcastError | None) -> None:
        """Raise this error in all following calls; None ends that."""
        self._transport.failure = error
