"""A client for tests. It behaves like the real one, including errors, and records sends."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from bellcast.client import Bellcast, BellcastError
from bellcast.testing.local_server import LocalServer

KEY_HEADER = "idempotency-key"


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
        if request.method == "POST" and response.is_success:
            self._record(request, response)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return await asyncio.to_thread(self.handle_request, request)

    def _record(self, request: httpx.Request, response: httpx.Response) -> None:
        match request.url.path:
            case "/v1/notifications":
                self._add(json.loads(request.content), request.headers.get(KEY_HEADER))
            case "/v1/notifications/bulk":
                lines = [json.loads(line) for line in request.content.splitlines()]
                for line, result in zip(lines, response.json()["results"], strict=True):
                    if result.get("error") is None:
                        self._add(line, line.get("idempotency_key"))
            case "/v1/events":
                body = json.loads(request.content)
                to = body.get("topic") or body.get("topics") or {"recipient": body.get("recipient")}
                self.events.append(PublishedEvent(to, body["name"], body.get("data"), body.get("tenant")))

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
