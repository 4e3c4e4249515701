"""Suppressed addresses, and why they must not be used."""

from datetime import datetime
from typing import Annotated

from msgspec import Struct

from bellcast.channels.types import ExternalChannel
from bellcast.kernel.field_limits import Limit

MAX_REASON = 200


class SuppressionReason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the address must not be used."""

    reason: Annotated[str, Limit(MAX_REASON)] = "manual"


class SuppressedAddress(Struct, frozen=True):
    """An address that must not be used. Bellcast adds those that bounced, with the reason `bounce`."""

    tenant: str | None
    channel: ExternalChannel
    address: str
    reason: str
    created_at: datetime
