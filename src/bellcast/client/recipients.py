"""Who can be notified: the records of recipients, and their sessions."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from bellcast.client.answers import IssuedToken, Recipient, RecipientPage, SessionToken
from bellcast.client.request import Answer, Request, given, json, nothing, path, reads


class Record(TypedDict, total=False):
    """What is known of a recipient; None takes a field away."""

    email: str | None
    phone: str | None
    locale: str | None
    timezone: str | None
    name: str | None
    roles: Sequence[str]
    data: Mapping[str, Any]


def put(key: str, *, tenant: str | None = None, **record: Unpack[Record]) -> Request[Recipient]:
    """Make the record what is given; fields not given are emptied."""
    return Request("PUT", path("recipients", key), reads(Recipient), params=given(tenant=tenant), **json(record))


def patch(key: str, *, tenant: str | None = None, **record: Unpack[Record]) -> Request[Recipient]:
    """Change the given fields of a record."""
    return Request("PATCH", path("recipients", key), reads(Recipient), params=given(tenant=tenant), **json(record))


def get(key: str, *, tenant: str | None = None) -> Request[Recipient]:
    """A recipient's record."""
    return Request("GET", path("recipients", key), reads(Recipient), params=given(tenant=tenant))


def delete(key: str, *, tenant: str | None = None) -> Request[None]:
    """Delete a recipient and everything kept for them."""
    return Request("DELETE", path("recipients", key), nothing, params=given(tenant=tenant))


def page(
    *, search: str | None = None, limit: int | None = None, after: str | None = None, tenant: str | None = None
) -> Request[RecipientPage]:
    """A page of recipients whose keys begin with `search`; give its `next` as `after` to get the page after it."""
    params = given(search=search, limit=limit, after=after, tenant=tenant)
    return Request("GET", "/v1/recipients", reads(RecipientPage), params=params)


def export(key: str, *, tenant: str | None = None) -> Request[dict[str, Any]]:
    """Everything kept for a recipient, to hand to them."""
    return Request("GET", path("recipients", key, "export"), reads(dict[str, Any]), params=given(tenant=tenant))


def token(
    recipient: str,
    *,
    ttl: int | str | None = None,
    topics: Sequence[str] | None = None,
    publish: Sequence[str] | None = None,
    roles: Sequence[str] | None = None,
    tenant: str | None = None,
) -> Request[SessionToken]:
    """A session token for a recipient's page, good for `ttl` (seconds, or "1h").

    `topics` and `publish` are patterns of topics it may follow and publish to.
    """
    body = given(recipient=recipient, ttl=ttl, topics=topics, publish=publish, roles=roles, tenant=tenant)
    return Request("POST", "/v1/tokens", _session_token, harmless=True, **json(body))


def revoke(recipient: str, *, tenant: str | None = None) -> Request[None]:
    """Close a recipient's live connections now, and refuse the tokens handed out so far."""
    return Request("DELETE", path("recipients", recipient, "sessions"), nothing, params=given(tenant=tenant))


_issued = reads(IssuedToken)


def _session_token(answer: Answer) -> SessionToken:
    issued = _issued(answer)
    return SessionToken(issued.token, issued.expires_at)
