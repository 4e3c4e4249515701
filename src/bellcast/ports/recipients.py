"""Recipients, tenants and subscriptions."""

from typing import NamedTuple

from bellcast.model.tenants import Tenant


class SubscriptionGrant(NamedTuple):
    """A subscription by which connections of the recipient may follow the topic."""

    tenant: str
    recipient: str
    topic: str


class RecipientOfLink(NamedTuple):
    """The recipient of a signed link, and when the link was issued (UTC milliseconds). A link that opens more than one
    switch `ends_with_sessions`, when they are revoked."""

    tenant: str
    recipient: str
    issued_at: int
    ends_with_sessions: bool = False


class OwnPreferences(NamedTuple):
    """A recipient's own preferences as JSON, and when they last changed (UTC milliseconds); None: before Bellcast recorded
    it."""

    document: bytes
    updated_at: int | None


class TenantSummary(NamedTuple):
    """A tenant and its number of recipients, up to 10,000."""

    tenant: Tenant
    recipients: int
