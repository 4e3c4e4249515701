"""Requests for notifications and announcements."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import NoneType
from typing import Annotated, Any, Required, TypedDict, Unpack
from uuid import uuid4

from bellcast.client import arguments
from bellcast.client.arguments import ActionFields, ActorFields, ChannelFields, Document, Name, Names, Text
from bellcast.client.errors import BellcastError, BulkInterrupted, InvalidArgument
from bellcast.client.request import HttpRequest, T, call, drop_none, json, path, reads
from bellcast.client.responses import BulkResult, BulkResults, FieldError, ImportResults, Notification, Problem, Sent
from bellcast.inbox.types import BodyFormat
from bellcast.preferences.types import Priority

# The server accepts 10,000 items and 16 MiB in one bulk request. The byte limit leaves headroom for proxies.
SLICE_ITEMS = 10_000
SLICE_BYTES = 15 * 1024 * 1024
# Seconds for one bulk request: 10,000 items take about a second on an idle server.
BULK_TIMEOUT = 30.0


class Audience(TypedDict, total=False):
    """The subscribers of a topic, the recipients with a role, or all recipients, optionally of a tenant; or a whole tenant."""

    topic: Text
    role: Text
    tenant: Text
    all: bool


ToTopic = ToRole = ToTenant = ToAll = Audience  # earlier names
Target = Text | Sequence[Text] | Audience
"""One recipient, several, or an audience: of a topic, a role, a tenant, or everyone."""
Moment = datetime | timedelta | str
"""An aware datetime, an RFC 3339 text, a timedelta from now or a duration from now such as "2h"."""
Expiry = Moment | None


class OtherContent(TypedDict, total=False):
    """The fields of a notification except its title, type and data."""

    body: Text | None
    priority: Priority
    action_url: Text | None
    action_text: Text | None
    icon: Text | None
    actor: Annotated[Text | ActorFields | None, arguments.actor]
    tags: Names
    group: Text | None
    expires_at: Annotated[Expiry, arguments.moment]
    body_format: BodyFormat
    actions: Annotated[Sequence[ActionFields], arguments.actions]
    channels: Annotated[Sequence[Text | ChannelFields], arguments.channels]
    template: Name
    email: Annotated[Mapping[str, Text | None], arguments.texts("subject", "text", "html", "layout")]
    sms: Annotated[Mapping[str, Text], arguments.texts("text")]
    push: Annotated[Mapping[str, Text], arguments.texts("title", "body")]
    chat: Annotated[Mapping[str, Text], arguments.texts("text")]
    send_at: Annotated[Moment, arguments.moment]
    timezone: Name
    tenant: Text | None


class Content(OtherContent, total=False):
    """The fields of a notification except its title. `send_at` sends it later: a point in time, or a text without an offset in
    `timezone` (an IANA name, or "recipient")."""

    type: Name
    data: Document


class Item(Content, total=False):
    """One notification of a bulk send."""

    to: Required[Annotated[Target, arguments.target]]
    title: Name
    idempotency_key: Name


class ImportedItem(Item, total=False):
    """One notification of another system, with its times. It is for named recipients and only for the inbox."""

    created_at: Annotated[datetime | str, arguments.moment]
    seen_at: Annotated[datetime | str | None, arguments.moment]
    read_at: Annotated[datetime | str | None, arguments.moment]
    archived_at: Annotated[datetime | str | None, arguments.moment]


class Edit(TypedDict, total=False):
    """The fields that can be changed afterwards; None removes a field."""

    title: Name
    body: Text | None
    priority: Priority
    action_url: Text | None
    action_text: Text | None
    icon: Text | None
    data: Document
    expires_at: Annotated[Expiry, arguments.moment]
    body_format: BodyFormat
    actions: Annotated[Sequence[ActionFields], arguments.actions]


_EDIT = arguments.converters(Edit)
_CONTENT = {"title": arguments.name} | arguments.converters(Content)
_ITEM = arguments.converters(Item)
_IMPORTED = arguments.converters(ImportedItem)
# Fields that an edit can set to null.
_REMOVABLE = frozenset({"body", "action_url", "action_text", "icon", "expires_at"})


def draft(to: Target, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of POST /v1/notifications, without fields that are None."""
    return _complete({"to": arguments.target("to", to), **arguments.fields("", drop_none(**content), _CONTENT)})


def _complete(fields: dict[str, Any]) -> dict[str, Any]:
    if "to" not in fields:
        raise InvalidArgument("to", "is required")
    if "title" not in fields and "template" not in fields:
        raise InvalidArgument("title", "is required without a template")
    return fields


def notify(
    to: Target, title: Text | None = None, *, idempotency_key: Text | None = None, **content: Unpack[Content]
) -> HttpRequest[Sent]:
    """Notify one recipient, several, or an audience (`{"topic": …}`, `{"role": …}`, `{"tenant": …}`, `{"all": True}`).
    A template can supply the title.

    Retries send nothing twice, because all attempts have the same idempotency key. Pass your own `idempotency_key` to
    make calls safe to repeat for 24 hours. A repeated call must have the same content, so pass `expires_at` and
    `send_at` as points in time. With `send_at`, the result has the `schedule`, and no ids yet."""
    return once("/v1/notifications", json(draft(to, {"title": title, **content})), idempotency_key, Sent)


def bulk(items: Iterable[Item]) -> Generator[HttpRequest[Any], Any, list[BulkResult]]:
    """Send any number of notifications, in requests of 10,000 items at most. Results are in the order of the items.

    An item rejected by the client or the server does not stop the others: its result has the `error`. If the server
    becomes unreachable, `BulkInterrupted` has the results so far. Give items your own `idempotency_key` so that you can
    safely send the rest again.
    """
    return (yield from _post("/v1/notifications/bulk", items, _ITEM))


def import_notifications(items: Iterable[ImportedItem]) -> Generator[HttpRequest[Any], Any, ImportResults]:
    """Import notifications of another system with their times (scope `manage`). An import causes no messages and no
    toasts. Results and errors are those of `bulk`. Give items an `idempotency_key` and `created_at`, so that a repeated
    import adds nothing twice; `existing` of the results is the number of items that changed nothing."""
    return (yield from _post("/v1/import", items, _IMPORTED))


def read(id: Text, *, tenant: Text | None = None) -> HttpRequest[Notification]:
    """Return a notification with its recipient and timeline, or an announcement."""
    return call("GET", path("notifications", id=id), Notification, tenant=tenant)


def edit(id: Text, *, tenant: Text | None = None, **changes: Unpack[Edit]) -> HttpRequest[Notification]:
    """Change a sent notification in every inbox that contains it. None removes a field."""
    fields = arguments.fields("", changes, _EDIT)
    for argument, value in fields.items():
        if value is None and argument not in _REMOVABLE:
            raise InvalidArgument(argument, "cannot be removed, only changed")
    return call("PATCH", path("notifications", id=id), Notification, fields, tenant=tenant)


def recall(id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Remove a sent notification from every inbox that contains it."""
    return call("DELETE", path("notifications", id=id), NoneType, tenant=tenant)


def once(
    where: str, body: dict[str, Any], idempotency_key: Text | None, kind: type[T], timeout: float | None = None
) -> HttpRequest[T]:
    """Return the request with an idempotency key, so that retries send nothing twice."""
    key = str(uuid4()) if idempotency_key is None else arguments.name("idempotency_key", idempotency_key)
    if not key.isascii():
        raise InvalidArgument("idempotency_key", "must be ASCII: it is an HTTP header")
    headers = body["headers"] | {"Idempotency-Key": key}
    content = body["content"]
    return HttpRequest("POST", where, reads(kind), headers=headers, content=content, harmless=True, timeout=timeout)


def _post(
    where: str, items: Iterable[Mapping[str, Any]], converters: Mapping[str, arguments.Convert]
) -> Generator[HttpRequest[Any], Any, ImportResults]:
    """Send items in slices. Raises BulkInterrupted with the results so far."""
    results = ImportResults()
    try:
        for entries in _slices(items, converters):
            lines = [entry for entry in entries if isinstance(entry, bytes)]
            response = BulkResults(results=[])
            if lines:
                # For items without a key, the server derives one from the slice's key.
                body = {"content": b"".join(lines), "headers": {"Content-Type": "application/x-ndjson"}}
                response = yield from once(where, body, None, BulkResults, BULK_TIMEOUT)
            sent = iter(response.results)
            results.existing += response.existing
            results += [next(sent) if isinstance(entry, bytes) else entry for entry in entries]
    except BellcastError as error:
        raise BulkInterrupted(results) from error
    return results


def _slices(
    items: Iterable[Mapping[str, Any]], converters: Mapping[str, arguments.Convert]
) -> Iterator[list[bytes | BulkResult]]:
    """Yield the items of each request: their lines, or their errors in the server's form."""
    entries: list[bytes | BulkResult] = []
    size = 0
    for number, item in enumerate(items):
        entry: bytes | BulkResult
        try:
            values = arguments.mapping(f"items[{number}]", item)
            content = {name: value for name, value in values.items() if value is not None}
            entry = arguments.json(_complete(arguments.fields("", content, converters))) + b"\n"
        except InvalidArgument as error:
            wrong = [FieldError(field=error.argument, message=error.message)]
            entry = BulkResult(error=Problem(status=422, code="invalid", detail=str(error), errors=wrong))
        length = len(entry) if isinstance(entry, bytes) else 0
        if entries and (len(entries) == SLICE_ITEMS or size + length > SLICE_BYTES):
            yield entries
            entries, size = [], 0
        entries.append(entry)
        size += length
    if entries:
        yield entries
