"""Telling people things: notifications and announcements."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Required, TypedDict, Unpack
from uuid import uuid4

import msgspec

from bellcast.client.answers import BulkResult, BulkResults, Notification, Priority, Sent
from bellcast.client.errors import BellcastError, BulkInterrupted
from bellcast.client.request import Body, Request, T, given, json, nothing, path, reads

# What the server takes in one bulk request: 10,000 items, 16 MiB; a little room is left for whoever stands between.
SLICE_ITEMS = 10_000
SLICE_BYTES = 15 * 1024 * 1024


class ToTopic(TypedDict):
    topic: str


class ToRole(TypedDict):
    role: str


class ToTenant(TypedDict):
    tenant: str


class ToAll(TypedDict):
    all: bool


Target = str | Sequence[str] | ToTopic | ToRole | ToTenant | ToAll
"""One recipient, several, or an audience: of a topic, a role, a tenant, or everyone."""


class ActorFields(TypedDict, total=False):
    id: str
    name: str
    avatar: str


class Content(TypedDict, total=False):
    """What a notification says."""

    title: Required[str]
    body: str | None
    type: str
    priority: Priority
    action_url: str | None
    action_text: str | None
    icon: str | None
    actor: str | ActorFields | None
    data: Mapping[str, Any]
    tags: Sequence[str]
    group: str | None
    expires_at: datetime | str | None
    channels: Sequence[str]
    tenant: str | None


class Item(Content, total=False):
    """One notification of a bulk send."""

    to: Required[Target]
    idempotency_key: str


class Edit(TypedDict, total=False):
    """What can be changed afterwards; None takes a field away."""

    title: str
    body: str | None
    priority: Priority
    action_url: str | None
    action_text: str | None
    icon: str | None
    data: Mapping[str, Any]
    expires_at: datetime | str | None


def notify(to: Target, *, idempotency_key: str | None = None, **content: Unpack[Content]) -> Request[Sent]:
    """Tell one recipient, several, or an audience. Sent once, however often it has to be tried."""
    return _once("/v1/notifications", json({"to": to, **content}), idempotency_key, Sent)


def bulk(items: Iterable[Item]) -> Generator[Request[Any], Any, list[BulkResult]]:
    """Send any number of notifications, in slices the server takes; the results come in the order of the items.

    A refused item does not stop the others: its result has the `error`. When the server cannot be reached any more,
    `BulkInterrupted` carries the results so far; give items your own `idempotency_key` to send the rest again safely.
    """
    results: list[BulkResult] = []
    try:
        for lines in _slices(items):
            answer = yield from _slice(lines)
            results += answer.results
    except BellcastError as error:
        raise BulkInterrupted(results) from error
    return results


def read(id: str, *, tenant: str | None = None) -> Request[Notification]:
    """A notification with its recipient and timeline, or an announcement."""
    return Request("GET", path("notifications", id), reads(Notification), params=given(tenant=tenant))


def edit(id: str, *, tenant: str | None = None, **changes: Unpack[Edit]) -> Request[Notification]:
    """Change what was sent, in every inbox that has it."""
    return Request(
        "PATCH", path("notifications", id), reads(Notification), params=given(tenant=tenant), **json(changes)
    )


def recall(id: str, *, tenant: str | None = None) -> Request[None]:
    """Take back what was sent, from every inbox that has it."""
    return Request("DELETE", path("notifications", id), nothing, params=given(tenant=tenant))


def _once(where: str, body: Body, idempotency_key: str | None, kind: type[T]) -> Request[T]:
    """A send that stays one send: every try carries the same key."""
    headers = body["headers"] | {"Idempotency-Key": idempotency_key or str(uuid4())}
    return Request("POST", where, reads(kind), headers=headers, content=body["content"], harmless=True)


def _slice(lines: Sequence[bytes]) -> Request[BulkResults]:
    """One slice. The server makes a key for each item that has none from the key of the slice."""
    body: Body = {"content": b"".join(lines), "headers": {"Content-Type": "application/x-ndjson"}}
    return _once("/v1/notifications/bulk", body, None, BulkResults)


def _slices(items: Iterable[Item]) -> Generator[list[bytes], None, None]:
    lines: list[bytes] = []
    size = 0
    for item in items:
        line = msgspec.json.encode(item) + b"\n"
        if lines and (len(lines) == SLICE_ITEMS or size + len(line) > SLICE_BYTES):
            yield lines
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield lines
