"""Webhooks over HTTP: write them, rotate their secrets, and deliver past events again."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from bellcast.documents import store as documents
from bellcast.documents.store import Documents
from bellcast.kernel import ids, times
from bellcast.kernel.db.lists import ListPage
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound, PreconditionFailed
from bellcast.kernel.field_limits import Limit, ValueRule, list_of
from bellcast.kernel.http import ASGIApp, entity_tags, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.validation_errors import Suggestions, unknown
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.limits import Limits
from bellcast.kernel.times import Moment
from bellcast.kernel.validation import FieldErrors
from bellcast.live_feed import redact_url
from bellcast.rest import audit, objects, resource, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import Listing, ObjectsQuery, Recent, Resource, ResourceCall
from bellcast.rest.tenants import TenantQuery
from bellcast.webhooks.store import WebhookEvents
from bellcast.webhooks.types import NOT_FAILING, Webhook
from bellcast.webhooks.webhooks import KIND, TYPES, Webhooks

MAX_PATTERNS = 100
PATTERNS = {"*", *TYPES, *(f"{type.partition('.')[0]}.*" for type in TYPES)}


def _pattern_errors(field: str, patterns: list[str], _: Limits) -> FieldErrors:
    if not 1 <= len(patterns) <= MAX_PATTERNS:
        yield FieldError(field, f"must have 1 to {MAX_PATTERNS} types, got {len(patterns)}")
        return
    suggestions = Suggestions()
    for number, pattern in enumerate(patterns):
        if pattern not in PATTERNS:
            yield FieldError(f"{field}.{number}", unknown(pattern, PATTERNS, suggestions, "type"))


EVENTS = ValueRule(_pattern_errors, lambda _: list_of(MAX_PATTERNS, {"enum": sorted(PATTERNS)}, least=1))


class WebhookRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A URL, and the types of the events that it receives: names, `message.*`, or `*`."""

    url: Annotated[str, Limit("url")]
    events: Annotated[list[str], EVENTS]


class WebhookPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields to change."""

    url: Annotated[str | UnsetType, Limit("url")] = UNSET
    events: Annotated[list[str] | UnsetType, EVENTS] = UNSET
    active: bool | UnsetType = UNSET


class WebhookObject(Struct, frozen=True, kw_only=True):
    """A webhook. `failing_since` and `last_error` are null while deliveries succeed."""

    id: str
    tenant: str | None
    url: str
    events: list[str]
    active: bool
    failing_since: datetime | None
    last_error: str | None
    created_at: datetime


class ListedWebhook(WebhookObject, frozen=True, kw_only=True):
    """A webhook with its recent events: those among the newest 1,000 of the tenants that the list is of, also if they were not
    accepted."""

    recent_events: Recent


class CreatedWebhook(WebhookObject, frozen=True, kw_only=True):
    """A new webhook with its secret, which is not shown again."""

    secret: str


class WebhookSecret(Struct, frozen=True):
    """The new secret, which is not shown again; empty in a dry run."""

    secret: str


class WebhookAttempt(Struct, frozen=True, kw_only=True):
    """One request to a webhook. `event` is the `webhook-id`, `number` counts the attempts of the event. `status` is null without
    a response, `error` for an accepted event, and `next_at` is when the event is tried again, null if it is not."""

    event: str
    type: str
    at: datetime
    ms: int
    number: int
    status: int | None
    error: str | None
    next_at: datetime | None


class WebhookAttempts(Struct, frozen=True):
    """The last 20 attempts of a webhook, newest first."""

    attempts: list[WebhookAttempt]


class ResendRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The event that is delivered again: the `webhook-id` of its requests."""

    event: Annotated[str, Meta(max_length=100)]


class Resent(Struct, frozen=True):
    """The event that will be delivered again."""

    event: str


class ReplayRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The time from which events are delivered again."""

    since: Moment


class Replayed(Struct, frozen=True):
    """How many events will be delivered again."""

    replayed: int


def _check(body: WebhookRequest | WebhookPatch, ctx: ApiContext) -> None:
    if isinstance(body.url, str) and (problem := ctx.url_problem(body.url)) is not None:
        raise Invalid.of("url", problem)


def tenant_or_every(request: ApiRequest) -> str:
    """Return the tenant of a webhook; `*` for the events of all."""
    if request_body.query(request, TenantQuery).tenant == EVERY_TENANT:
        return EVERY_TENANT
    return tenants.single_tenant(request)


WEBHOOKS = Resource(
    "webhooks", "/{id:str}", tag="Objects", unknown="There is no webhook with this id.", tenant_of=tenant_or_every
)


@WEBHOOKS.create(
    request_body.Shape(WebhookRequest, _check),
    WebhookObject,
    is_sensitive=True,
    response_types={200: WebhookObject, 201: CreatedWebhook},
    refusals=(Conflict,),
    example={"url": "https://app.example.com/hooks/bellcast", "events": ["message.*"]},
)
async def create(call: ResourceCall[WebhookRequest]) -> WebhookObject:
    """Create a webhook.

    The response contains the secret that signs the webhook's requests. With `?tenant=*`, it receives the events of all
    tenants."""
    ctx, owner, body = call.ctx, call.tenant, call.body
    if call.is_dry_run:
        now = ctx.engines.clock.now()
        await Documents(ctx.engines.db).check_new(KIND, owner, "", now)
        planned = Webhook(url=body.url, events=tuple(body.events), secret="", created_at=now)
        return _item(owner, "", planned)
    id, webhook, secret = await ctx[Webhooks].create(owner, body.url, body.events)
    ctx.engines.router.forget()
    audit.note_changes(call.request, {}, _audited(webhook))
    return responses.item(CreatedWebhook, webhook, tenant=owner, id=id, events=list(webhook.events), secret=secret)


@WEBHOOKS.page(documents.LIST, ListedWebhook)
async def page(listing: Listing[ObjectsQuery]) -> ListPage[ListedWebhook]:
    """List the webhooks of a tenant.

    By id. With `?tenant=*`, those of all tenants, by tenant and id."""
    query, db = structs.replace(listing.list_query, filters={"kind": KIND}), listing.ctx.engines.db
    found = await Documents(db).owned(query)
    newest, is_exact = await resource.read_recent(listing.ctx, "events", query.tenants, WebhookEvents(db).recent)
    listed: list[ListedWebhook] = []
    for owner, one in found.items:
        webhook = msgspec.json.decode(one.body, type=Webhook)
        first = ids.uuid7_floor(webhook.created_at)
        own = [
            id for id, tenant, type in newest if owner in (EVERY_TENANT, tenant) and webhook.wants(type) and id >= first
        ]
        recent = Recent(len(own), is_exact, times.to_rfc3339(ids.made_at(max(own))) if own else None)
        listed.append(ListedWebhook(**structs.asdict(_item(owner, one.key, webhook)), recent_events=recent))
    return found.of(listed)


@WEBHOOKS.get(WebhookObject, response_headers=("ETag",))
async def read(call: ResourceCall[None]) -> Any:
    """Read a webhook."""
    found = await call.ctx[Webhooks].get(call.tenant, *call.key)
    return None if found is None else _tagged(call, found)


@WEBHOOKS.patch(
    request_body.Shape(WebhookPatch, _check),
    WebhookObject,
    is_sensitive=True,
    headers=objects.CONDITION_OF_CHANGE,
    refusals=(NotFound, PreconditionFailed),
    example={"active": True},
)
async def change(call: ResourceCall[WebhookPatch]) -> Any:
    """Change a webhook.

    Absent fields do not change. With `If-Match`, a webhook is not changed if its URL, events or state changed since it was read.
    Bellcast sets `active` to false after five days without a successful delivery, or after
    a 410."""
    changes = {name: value for name, value in structs.asdict(call.body).items() if value is not UNSET}
    if "events" in changes:
        changes["events"] = tuple(changes["events"])
    if changes.get("active"):
        changes |= NOT_FAILING

    def changes_of(webhook: Webhook) -> dict[str, Any]:
        entity_tags.check(call.request, entity_tags.tag_of(_content(webhook)))
        return changes

    (id,) = call.key
    found = await call.ctx[Webhooks].change(call.tenant, id, changes_of)
    if found is None:
        return None
    before, changed = found
    call.ctx.engines.router.forget()
    audit.note_changes(call.request, _audited(before), _audited(changed))
    return _tagged(call, changed)


@WEBHOOKS.delete(is_sensitive=True, headers=objects.CONDITION_OF_CHANGE, refusals=(NotFound, PreconditionFailed))
async def delete(call: ResourceCall[None]) -> bool:
    """Delete a webhook.

    With `If-Match`, it is not deleted if its URL, events or state changed since it was read."""
    (id,), webhooks = call.key, call.ctx[Webhooks]
    deleted = await webhooks.delete(
        call.tenant, id, lambda one: entity_tags.check(call.request, entity_tags.tag_of(_content(one)))
    )
    if deleted is not None:
        audit.note_changes(call.request, _audited(deleted), {})
    return deleted is not None


@WEBHOOKS.act("/rotate", WebhookSecret, is_sensitive=True)
async def rotate(call: ResourceCall[None]) -> WebhookSecret | None:
    """Rotate a webhook's secret.

    For 24 hours, requests are signed with both the old and the new secret."""
    webhooks = call.ctx[Webhooks]
    if call.is_dry_run:
        return None if await webhooks.get(call.tenant, *call.key) is None else WebhookSecret("")
    secret = await webhooks.rotate(call.tenant, *call.key)
    if secret is None:
        return None
    audit.note_change(call.request, "secret", None, "changed")
    return WebhookSecret(secret)


@WEBHOOKS.act("/replay", Replayed, body=ReplayRequest, status=202, example={"since": "2026-06-10T12:00:00Z"})
async def replay(call: ResourceCall[ReplayRequest]) -> Replayed | None:
    """Deliver past events again.

    They have the same `webhook-id` as before, so that a receiver can ignore duplicates."""
    webhooks, (id,), since = call.ctx[Webhooks], call.key, times.milliseconds(call.body.since)
    if await webhooks.get(call.tenant, id) is None:
        return None
    return Replayed(await webhooks.replay(call.tenant, id, since, is_dry_run=call.is_dry_run))


@WEBHOOKS.get(WebhookAttempts, "/attempts")
async def attempts(call: ResourceCall[None]) -> WebhookAttempts | None:
    """List the last attempts of a webhook.

    The last 20 requests, newest first, with their responses. A node stores its attempts every five seconds: those of other
    nodes appear then."""
    webhooks, (id,) = call.ctx[Webhooks], call.key
    if await webhooks.get(call.tenant, id) is None:
        return None
    return WebhookAttempts(
        [responses.item(WebhookAttempt, one) for one in await webhooks.last_attempts(call.tenant, id)]
    )


@WEBHOOKS.act(
    "/resend",
    Resent,
    body=ResendRequest,
    status=202,
    is_audited=True,
    refusals=(NotFound, Conflict),
    example={"event": "01a228c2-5212-7132-8506-3180c5b280e3"},
)
async def resend(call: ResourceCall[ResendRequest]) -> Resent | None:
    """Deliver an event again.

    It has the same `webhook-id` as before, a new signature, and is tried as often as a new event. It is refused (409) if the
    webhook is not active, or does not subscribe to the type of the event."""
    webhooks, (id,), event = call.ctx[Webhooks], call.key, call.body.event
    webhook = await webhooks.get(call.tenant, id)
    if webhook is None:
        return None
    if not webhook.active:
        raise Conflict("The webhook is not active: activate it first.")
    found = await webhooks.find_event(call.tenant, event)
    if found is None:
        raise NotFound("There is no event with this id: it may be older than the retention time.")
    if not webhook.wants(found.type):
        raise Conflict(f"The webhook does not subscribe to {found.type}: add the type to its events first.")
    if not call.is_dry_run:
        await webhooks.add_deliveries([(call.tenant, id, found.id)])
    audit.note_change(call.request, "event", None, event)
    return Resent(event)


def _audited(webhook: Webhook) -> dict[str, Any]:
    """Return the fields for the audit log, without parts of the URL that may be secret."""
    return {"url": redact_url(webhook.url), "events": webhook.events, "active": webhook.active}


def _content(webhook: Webhook) -> list[Any]:
    """Return what a change can replace; deliveries change the rest."""
    return [webhook.url, webhook.events, webhook.active]


def _tagged(call: ResourceCall[Any], webhook: Webhook) -> ASGIApp:
    (id,) = call.key
    shown = _item(call.tenant, id, webhook)
    return responses.json(shown, headers=entity_tags.tagged(_content(webhook), shown))


def _item(owner: str, id: str, webhook: Webhook) -> WebhookObject:
    return responses.item(WebhookObject, webhook, tenant=owner, id=id, events=list(webhook.events))
