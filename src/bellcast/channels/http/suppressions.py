"""Suppressed addresses, to which nothing is sent."""

import msgspec

from bellcast.channels import addresses
from bellcast.channels.store import suppressions
from bellcast.channels.store.suppressions import Suppressions
from bellcast.channels.types import EXTERNAL_CHANNELS, ExternalChannel, SuppressedAddress, SuppressionReason
from bellcast.kernel import times, validation
from bellcast.kernel.clock import request_time
from bellcast.kernel.db.lists import ListPage, containing
from bellcast.kernel.errors import Invalid
from bellcast.kernel.http import request_body
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest.objects import ObjectSearchQuery
from bellcast.rest.resource import Listing, Resource, ResourceCall


def _address(request: ApiRequest) -> tuple[ExternalChannel, str]:
    """Return the channel and the address in the path. Raises Invalid."""
    channel = next((one for one in EXTERNAL_CHANNELS if one == request_body.path(request, "channel")), None)
    if channel is None:
        raise Invalid.of("channel", f"must be one of: {', '.join(EXTERNAL_CHANNELS)}")
    address = request_body.path(request, "address")
    wrong = addresses.format_problem(channel, address)
    if wrong is not None:
        raise Invalid.of("address", wrong)
    validation.check(validation.text("address", address, addresses.MAX_ADDRESS))
    return channel, address


SUPPRESSIONS = Resource(
    "suppressions", "/{channel:str}/{address:str}", _address, tag="Messages", unknown="This address is not suppressed."
)


@SUPPRESSIONS.page(suppressions.LIST, SuppressedAddress, query=ObjectSearchQuery)
async def page(listing: Listing[ObjectSearchQuery]) -> ListPage[SuppressedAddress]:
    """List suppressed addresses.

    By channel and address. With `?tenant=*`, those of all tenants, by tenant, channel and address."""
    return await Suppressions(listing.ctx.engines.db).page(
        msgspec.structs.replace(listing.list_query, filters=containing(listing.query.text))
    )


@SUPPRESSIONS.put(SuppressionReason, SuppressedAddress, is_body_optional=True, example={"reason": "requested by phone"})
async def suppress(call: ResourceCall[SuppressionReason]) -> tuple[SuppressedAddress, bool]:
    """Suppress an address.

    Nothing more is sent to it, and waiting messages become `suppressed`. 201 when it is new. The case of e-mail
    addresses does not matter."""
    (channel, address), reason, now = call.key, call.body.reason, request_time(call.ctx.engines.clock)
    if call.is_dry_run:
        return SuppressedAddress(call.tenant or None, channel, address, reason, times.to_rfc3339(now)), False
    return await Suppressions(call.ctx.engines.db).put(call.tenant, channel, address, reason, now)


@SUPPRESSIONS.delete()
async def allow(call: ResourceCall[None]) -> bool:
    """Allow an address again."""
    return await Suppressions(call.ctx.engines.db).delete(call.tenant, *call.key)
