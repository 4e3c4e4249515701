"""Suppressed addresses, to which nothing is sent: after hard bounces, complaints and STOP, or by request."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from bellcast.api import bound_callers, context, list_positions, objects, request_body, responses, tenant_pages, tenants
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
from bellcast.model.identities import EVERY_TENANT
from bellcast.model.messages import EXTERNAL_CHANNELS, ExternalChannel
from bellcast.ports import Suppression
from bellcast.ports.list_scan import ListScan

MAX_REASON = 200


class SuppressionsQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of suppressions, by channel and address. The tenant `*` means all tenants."""

    limit: AppListLimit = 100
    after: str | None = None


class SuppressedAddress(Struct, frozen=True):
    """An address that must not be used. Bellcast adds those that bounced, with the reason `bounce`."""

    tenant: str | None
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
    bound_by="list",
    query=SuppressionsQuery,
    is_exported=True,
    response_types={200: SuppressionPage},
)
async def page(request: ApiRequest) -> ASGIApp:
    """List suppressed addresses.

    By channel and address. With `?tenant=*`, those of all tenants, by tenant, channel and address."""
    query = request_body.query(request, SuppressionsQuery)
    tenant = tenant_pages.tenant_of(request, query.tenant)
    found = await _suppressed(request, tenant, list_positions.key(tenant, query.after or ""), query.limit + 1)
    shown, following = list_positions.split(found, query.limit, lambda one: _position(tenant, *one))
    return responses.json(SuppressionPage([outside(*one) for one in shown], following))


async def _suppressed(
    request: ApiRequest, tenant: str, after: tuple[str, str], limit: int
) -> Sequence[tuple[str, Suppression]]:
    """Return suppressions with their tenants: of a tenant, or with `*` of all tenants of the caller."""
    suppressions = context.of(request).engines.store.suppressions
    bound = bound_callers.every(request) if tenant == EVERY_TENANT else [tenant]
    if bound is None:
        return await suppressions.page_of_all((after[0], *_pair(after[1])), limit)

    async def read(one: str, key: str, limit: int) -> ListScan[tuple[str, Suppression]]:
        return ListScan([(one, found) for found in await suppressions.page(one, _pair(key), limit)], None)

    return (await tenant_pages.by_key(bound, after, limit, read)).rows


def _pair(key: str) -> tuple[str, str]:
    """Return the channel and the address of a position."""
    channel, _, address = key.partition(":")
    return channel, address


def _position(tenant: str, owner: str, suppression: Suppression) -> str:
    key = f"{suppression.channel}:{suppression.address}"
    return list_positions.of_key(owner, key, is_in_every=tenant == EVERY_TENANT)


@operation(
    "PUT",
    "/v1/suppressions/{channel:str}/{address:str}",
    tag="Messages",
    required_scope="manage",
    query=DryRunQuery,
    body=SuppressionReason,
    is_body_optional=True,
    response_types={200: SuppressedAddress, 201: SuppressedAddress},
    example={"reason": "requested by phone"},
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
        return responses.json(outside(tenant, suppression))
    stored, is_new = await engines.store.suppressions.put(tenant, suppression)
    return responses.json(outside(tenant, stored), 201 if is_new else 200)


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
    suppressions = context.of(request).engines.store.suppressions
    if not await suppressions.delete(tenants.single_tenant(request), *_named(request)):
        raise NotFound("This address is not suppressed.")
    return responses.empty()


def _named(request: ApiRequest) -> tuple[ExternalChannel, str]:
    """Return the channel and the address in the path."""
    channel = next((one for one in EXTERNAL_CHANNELS if one == request_body.path(request, "channel")), None)
    if channel is None:
        raise Invalid.of("channel", f"must be one of: {', '.join(EXTERNAL_CHANNELS)}")
    address = request_body.path(request, "address")
    wrong = addresses.format_problem(channel, address)
    if wrong is not None:
        raise Invalid.of("address", wrong)
    validation.check(validation.text("address", address, addresses.MAX_ADDRESS))
    return channel, address


def outside(tenant: str, suppression: Suppression) -> SuppressedAddress:
    return SuppressedAddress(
        tenant=tenants.outside(tenant),
        channel=suppression.channel,
        address=suppression.address,
        reason=suppression.reason,
        created_at=times.to_rfc3339(suppression.created_at),
    )


def _check(body: SuppressionReason, ctx: ApiContext) -> None:
    validation.check(validation.text("reason", body.reason, MAX_REASON))


REASON = request_body.Shape(SuppressionReason, _check)
HANDLERS = [page, suppress, allow]
