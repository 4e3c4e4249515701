"""Suppressed addresses, to which nothing is sent: after hard bounces, complaints and STOP, or by request."""

from datetime import datetime

from msgspec import Struct

from bellcast.api import context, objects, request_body, responses, tenants
from bellcast.api.context import ApiContext
from bellcast.api.list_limit import AppListLimit
from bellcast.api.objects import DryRunQuery
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.api.tenants import TenantQuery
from bellcast.channels import addresses
from bellcast.errors import Invalid, NotFound
from bellcast.model import times, validation
from bellcast.model.asgi import ASGIApp
from bellcast.model.messages import EXTERNAL_CHANNELS, ExternalChannel
from bellcast.ports import Suppression

# Maximum characters of an address. Push endpoints and webhook URLs are the longest.
MAX_ADDRESS = 2048
MAX_REASON = 200


class SuppressionsQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of suppressions, by channel and address."""

    limit: AppListLimit = 100
    after: str | None = None


class SuppressedAddress(Struct, frozen=True):
    """An address that must not be used. Bellcast adds those that bounced, with the reason `bounce`."""

    channel: ExternalChannel
    address: str
    reason: str
    created_at: datetime


class SuppressionPage(Struct, frozen=True):
    """A page of suppressions; `next` is the value of `after` for the next page."""

    suppressions: list[SuppressedAddress]
    next: str | None


class SuppressionReason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the address must not be used."""

    reason: str = "manual"


@operation(
    "GET",
    "/v1/suppressions",
    tag="Messages",
    required_scope="read",
    query=SuppressionsQuery,
    response_types={200: SuppressionPage},
)
async def page(request: ApiRequest) -> ASGIApp:
    """List suppressed addresses.

    By channel and address."""
    query = request_body.query(request, SuppressionsQuery)
    channel, _, address = (query.after or "").partition(":")
    messages = context.of(request).engines.store.messages
    found = await messages.suppressions(tenants.single_tenant(request), (channel, address), query.limit + 1)
    shown = found[: query.limit]
    following = f"{shown[-1].channel}:{shown[-1].address}" if len(found) > query.limit else None
    return responses.json(SuppressionPage([_outside(one) for one in shown], following))


@operation(
    "PUT",
    "/v1/suppressions/{channel:str}/{address:str}",
    tag="Messages",
    required_scope="manage",
    query=DryRunQuery,
    body=SuppressionReason,
    is_body_optional=True,
    response_types={200: SuppressedAddress, 201: SuppressedAddress},
    example={"reason": "asked by phone"},
)
async def suppress(request: ApiRequest) -> ASGIApp:
    """Suppress an address.

    Nothing more is sent to it, and waiting messages become `suppressed`. 201 when it is new. The case of e-mail
    addresses does not matter."""
    engines = context.of(request).engines
    tenant = tenants.single_tenant(request)
    channel, address = _named(request)
    body = await request_body.optional_body(request, REASON) or SuppressionReason()
    suppression = Suppression(channel=channel, address=address, reason=body.reason, created_at=engines.clock.now())
    if objects.is_dry_run(request):
        return responses.json(_outside(suppression))
    stored, is_new = await engines.store.messages.suppress(tenant, suppression)
    return responses.json(_outside(stored), 201 if is_new else 200)


@operation(
    "DELETE",
    "/v1/suppressions/{channel:str}/{address:str}",
    tag="Messages",
    required_scope="manage",
    query=TenantQuery,
    response_types={204: None},
    refusals=(NotFound,),
)
async def allow(request: ApiRequest) -> ASGIApp:
    """Allow an address again."""
    messages = context.of(request).engines.store.messages
    if not await messages.allow(tenants.single_tenant(request), *_named(request)):
        raise NotFound("This address is not suppressed.")
    return responses.empty()


def _named(request: ApiRequest) -> tuple[ExternalChannel, str]:
    """Return the channel and the address in the path."""
    channel = next((one for one in EXTERNAL_CHANNELS if one == request_body.path(request, "channel")), None)
    if channel is None:
        raise Invalid.of("channel", f"must be one of: {', '.join(EXTERNAL_CHANNELS)}")
    address = request_body.path(request, "address")
    if channel == "email" and not addresses.is_email(address):
        raise Invalid.of("address", "must be an e-mail address")
    if channel == "sms" and not addresses.is_phone(address):
        raise Invalid.of("address", "must be a number such as +436601234567")
    validation.check(validation.text("address", address, MAX_ADDRESS))
    return channel, address


def _outside(suppression: Suppression) -> SuppressedAddress:
    created_at = times.to_rfc3339(suppression.created_at)
    return SuppressedAddress(suppression.channel, suppression.address, suppression.reason, created_at)


def _check(body: SuppressionReason, ctx: ApiContext) -> None:
    validation.check(validation.text("reason", body.reason, MAX_REASON))


REASON = request_body.Shape(SuppressionReason, _check)
HANDLERS = [page, suppress, allow]
