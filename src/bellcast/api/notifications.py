"""Send notifications, and read, correct and recall them."""

from datetime import datetime
from typing import Any

import msgspec
from litestar.types import ASGIApp
from msgspec import UNSET, Struct, UnsetType

from bellcast.api import context, request_body, responses, tenants
from bellcast.api.context import ApiContext
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.errors import IdempotencyMismatch, Invalid, NotFound
from bellcast.inbox import sending, sent
from bellcast.model import patterns, times, validation
from bellcast.model.identities import EVERY_TENANT
from bellcast.model.notifications import Audience, Draft, Edit, Notification
from bellcast.ports import SentItem

EXAMPLE = {
    "to": "alice",
    "title": "New booking",
    "body": "Saturday, 14:00",
    "type": "booking",
    "action_url": "/bookings/7",
}


class CreatedNotification(Struct, frozen=True):
    """A created notification and its recipient."""

    id: str
    recipient: str


class AnnouncementMade(Struct, frozen=True):
    """A created announcement."""

    id: str


class Sent(Struct, frozen=True):
    """The created objects: notifications for named recipients, an announcement for an audience."""

    notifications: list[CreatedNotification] | UnsetType = UNSET
    announcement: AnnouncementMade | UnsetType = UNSET


class TimelineEntry(Struct, frozen=True):
    """A past or scheduled event in the life of a notification."""

    at: datetime
    what: str
    detail: str | None = None


class SentNotification(Notification, frozen=True, kw_only=True):
    """A notification or announcement as the server side sees it. An announcement has an audience instead of a
    recipient."""

    recipient: str | None
    tenant: str | None
    audience: Audience | None
    timeline: list[TimelineEntry]


class Correction(Edit, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields that can be changed after sending. Absent fields stay."""

    tenant: str | None = None


@operation(
    "POST",
    "/v1/notifications",
    tag="Sending",
    required_scope="send",
    query=TenantQuery,
    body=Draft,
    headers=("Idempotency-Key",),
    response_types={201: Sent},
    refusals=(IdempotencyMismatch,),
    example=EXAMPLE,
)
async def send(request: ApiRequest) -> ASGIApp:
    """Send a notification.

    To a recipient, to several, or to an audience. The response is sent after the commit: an acknowledged
    notification is never lost. A repetition with the same `Idempotency-Key` and body within 24 hours returns the
    first response."""
    ctx = context.of(request)
    draft = await request_body.body(request, DRAFT)
    tenant = request_body.query(request, TenantQuery).tenant
    draft = with_defaults(draft, tenant, request_body.header(request, b"idempotency-key"))
    return responses.complete(201, await sending.send(ctx.engines, ctx.limits, draft))


def with_defaults(draft: Draft, tenant: str | None, idempotency_key: str | None) -> Draft:
    """Apply the query and header values to the draft."""
    chosen = tenants.tenant_of(tenant, draft.tenant)
    if idempotency_key is not None and draft.idempotency_key not in (None, idempotency_key):
        raise Invalid.of("idempotency_key", "must be the same in the body and in the Idempotency-Key header")
    key = draft.idempotency_key if idempotency_key is None else idempotency_key
    if chosen == draft.tenant and key == draft.idempotency_key:
        return draft
    return msgspec.structs.replace(draft, tenant=chosen, idempotency_key=key)


@operation(
    "GET",
    "/v1/notifications/{id:str}",
    tag="Sending",
    required_scope="read",
    query=TenantQuery,
    response_types={200: SentNotification},
    refusals=(NotFound,),
)
async def read(request: ApiRequest) -> ASGIApp:
    """Read a sent notification.

    A notification or an announcement, with its audience and its timeline."""
    ctx = context.of(request)
    item = await sent.find(ctx.engines, tenants.single_tenant(request), request_body.path(request, "id"))
    return responses.json(sent_notification(item, ctx.engines.clock.now()))


@operation(
    "PATCH",
    "/v1/notifications/{id:str}",
    tag="Sending",
    required_scope="manage",
    query=TenantQuery,
    body=Correction,
    response_types={200: SentNotification},
    refusals=(NotFound,),
    example={"title": "Booking moved", "body": "Sunday, 10:00"},
)
async def correct(request: ApiRequest) -> ASGIApp:
    """Correct a sent notification.

    The change applies to every inbox that has it."""
    ctx = context.of(request)
    params = await request_body.body(request, CORRECTION)
    tenant = tenants.single_tenant(request, params.tenant)
    edit = Edit(**{field: getattr(params, field) for field in Edit.__struct_fields__})
    item = await sent.edit(ctx.engines, ctx.limits, tenant, request_body.path(request, "id"), edit)
    return responses.json(sent_notification(item, ctx.engines.clock.now()))


@operation(
    "DELETE",
    "/v1/notifications/{id:str}",
    tag="Sending",
    required_scope="manage",
    query=TenantQuery,
    response_types={204: None},
    refusals=(NotFound,),
)
async def recall(request: ApiRequest) -> ASGIApp:
    """Recall a sent notification.

    It is removed from every inbox that has it."""
    ctx = context.of(request)
    await sent.recall(ctx.engines, tenants.single_tenant(request), request_body.path(request, "id"))
    return responses.empty()


def sent_notification(item: SentItem, now: int) -> SentNotification:
    """Convert a stored notification or announcement for the server side."""
    return SentNotification(
        **msgspec.structs.asdict(item.notification),
        recipient=item.recipient,
        tenant=tenants.outside(item.tenant),
        audience=_audience(item) if item.announcement else None,
        timeline=_timeline(item, now),
    )


def _audience(item: SentItem) -> Audience:
    if item.topic is not None and item.topic.startswith(patterns.ROLE_PREFIX):
        return Audience(role=item.topic.removeprefix(patterns.ROLE_PREFIX))
    if item.topic is not None:
        return Audience(topic=item.topic)
    if item.tenant in ("", EVERY_TENANT):
        return Audience(all=True, tenant=item.tenant or None)
    return Audience(tenant=item.tenant)


def _timeline(item: SentItem, now: int) -> list[TimelineEntry]:
    notification = item.notification
    expired = notification.expires_at is not None and times.milliseconds(notification.expires_at) <= now
    happened: dict[str, Any] = {
        "created": notification.created_at,
        "edited": times.to_rfc3339_or_null(item.edited_at),
        "seen": notification.seen_at,
        "read": notification.read_at,
        "archived": notification.archived_at,
        "expired" if expired else "expires": notification.expires_at,
    }
    return sorted((TimelineEntry(at, what) for what, at in happened.items() if at is not None), key=lambda one: one.at)


def _check(draft: Draft, ctx: ApiContext) -> None:
    validation.check_draft(draft, ctx.limits, times.to_rfc3339(ctx.engines.clock.now()))


def _check_correction(edit: Correction, ctx: ApiContext) -> None:
    validation.check_edit(edit, ctx.limits, times.to_rfc3339(ctx.engines.clock.now()))


DRAFT = request_body.Shape(Draft, _check, {"to": "x", "title": "x"}, ruled_later=True)
CORRECTION = request_body.Shape(Correction, _check_correction, ruled_later=True)
