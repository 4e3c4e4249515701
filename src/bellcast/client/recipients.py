"""Requests for recipient records, their push endpoints, sessions and preferences."""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import NoneType
from typing import Annotated, Any, TypedDict, Unpack

from bellcast.client import arguments
from bellcast.client.arguments import Document, Duration, Names, Text
from bellcast.client.credentials import API_KEY, Credentials
from bellcast.client.errors import InvalidArgument
from bellcast.client.request import HttpRequest, HttpResponse, call, drop_none, json, path, reads
from bellcast.client.responses import IssuedToken, Recipient, RecipientPage, SessionToken

DEFAULT_TTL = 3600  # seconds, the limit of POST /v1/tokens
LONGEST_TTL = 30 * 24 * 3600
MAX_BULK = 10_000  # recipients, the limit of POST /v1/recipients/bulk


class Record(TypedDict, total=False):
    """The fields of a recipient record. None removes a field."""

    email: Text | None
    phone: Text | None
    chat: Annotated[Mapping[str, Any] | None, arguments.document]
    locale: Text | None
    timezone: Text | None
    name: Text | None
    roles: Names
    member_since: Annotated[datetime | None, arguments.moment]
    data: Document


_RECORD = arguments.converters(Record)


def put(key: Text, *, tenant: Text | None = None, **record: Unpack[Record]) -> HttpRequest[Recipient]:
    """Create or replace a recipient's record. Absent fields are cleared."""
    return _write("PUT", key, tenant, record)


def patch(key: Text, *, tenant: Text | None = None, **record: Unpack[Record]) -> HttpRequest[Recipient]:
    """Change the given fields of a recipient's record."""
    return _write("PATCH", key, tenant, record)


def bulk(
    records: Iterable[Mapping[str, Any]], *, tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, list[dict[str, Any]]]]:
    """Create or change up to 10,000 recipients. Each record has a `key` and the fields of `patch`; the result has
    `results`, in order: the `key`, or the `error` that caused the refusal of this recipient."""
    items = []
    for number, record in enumerate(records):
        values = arguments.mapping(f"records[{number}]", record)
        key = arguments.name(f"records[{number}].key", values.pop("key", None))
        items.append({"key": key, **arguments.fields(f"records[{number}].", values, _RECORD)})
    if len(items) > MAX_BULK:
        raise InvalidArgument("records", f"must have at most {MAX_BULK} recipients, got {len(items)}")
    kind = dict[str, list[dict[str, Any]]]
    return call("POST", "/v1/recipients/bulk", kind, items, tenant=tenant, dry_run=dry_run)


def get(key: Text, *, tenant: Text | None = None) -> HttpRequest[Recipient]:
    """Return a recipient's record."""
    return call("GET", path("recipients", key=key), Recipient, tenant=tenant)


def delete(key: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Delete a recipient and everything stored for them."""
    return call("DELETE", path("recipients", key=key), NoneType, tenant=tenant)


def page(
    *, search: Text | None = None, limit: int | None = None, after: str | None = None, tenant: Text | None = None
) -> HttpRequest[RecipientPage]:
    """Return a page of recipients with keys that begin with `search`. Pass its `next` as `after` to get the next page."""
    return call("GET", "/v1/recipients", RecipientPage, search=search, limit=limit, after=after, tenant=tenant)


def export(key: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return all data stored about a recipient, for a copy on request."""
    return call("GET", f"{path('recipients', key=key)}/export", dict[str, Any], tenant=tenant)


def token(
    recipient: Text,
    *,
    ttl: Duration = DEFAULT_TTL,
    name: Text | None = None,
    topics: Sequence[Text] | None = None,
    publish: Sequence[Text] | None = None,
    roles: Sequence[Text] | None = None,
    tenant: Text | None = None,
    since: float | datetime | None = None,
) -> HttpRequest[SessionToken]:
    """Return a session token for a recipient's page.

    It is valid for `ttl` (seconds, "2h" or a timedelta), from 1 second to 30 days. `topics` and `publish` are patterns
    of the topics that it may subscribe and publish to. `name`, `roles` and `since` are stored in the recipient's
    record. `since` (epoch seconds or a datetime) is when the recipient joined the app; this recipient does not receive
    earlier announcements.

    With the project secret the token is signed in this process: no request is made, and the server need not be running.
    Its names have at most the lengths of the server's default limits. With an API key (`bc_…`, scope manage) the server
    signs it, with its own limits."""
    sub = arguments.name("recipient", recipient)
    seconds = arguments.seconds("ttl", ttl)
    if not 1 <= seconds <= LONGEST_TTL:
        raise InvalidArgument("ttl", "must be between 1 second and 30 days")
    lists = {"topics": topics, "publish": publish, "roles": roles}
    claims: dict[str, Any] = {
        claim: arguments.names(claim, value) for claim, value in lists.items() if value is not None
    }
    claims |= {claim: arguments.text(claim, value) for claim, value in drop_none(name=name, tenant=tenant).items()}

    if since is not None:
        claims["since"] = arguments.epoch_seconds("since", since)

    def signed(credentials: Credentials) -> SessionToken | None:
        """Return a JWT (HS256 under the project secret). Without the project's public key it has no `kid`, which the server
        does not require. Raises InvalidArgument if the server would refuse the token."""
        if credentials.secret.startswith(API_KEY):
            return None
        arguments.check_session(sub, claims)
        now = time.time()  # noqa: TID251  outside the server there is no Clock port
        header = {"alg": "HS256", "typ": "JWT", **({"kid": credentials.key} if credentials.key else {})}
        content = f"{_part(header)}.{_part({'sub': sub, 'iat': now, 'exp': now + seconds, **claims})}"
        digest = hmac.digest(credentials.secret.encode(), content.encode(), "sha256")
        text = f"{content}.{_base64(digest)}"
        if len(text) > arguments.MAX_TOKEN:
            longest = max(claims, key=lambda claim: len(repr(claims[claim])), default="recipient")
            raise InvalidArgument(
                longest, f"must be shorter: a token has at most {arguments.MAX_TOKEN} characters, got {len(text)}"
            )
        return SessionToken(text, datetime.fromtimestamp(now + seconds, UTC))

    def issued(response: HttpResponse) -> SessionToken:
        read = reads(IssuedToken)(response)
        return SessionToken(read.token, read.expires_at)

    body = {"recipient": sub, "ttl": seconds, **claims}
    return HttpRequest("POST", "/v1/tokens", issued, harmless=True, local=signed, **json(body))


def revoke(recipient: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Close a recipient's live connections and refuse the tokens issued so far."""
    return call("DELETE", f"{path('recipients', recipient=recipient)}/sessions", NoneType, tenant=tenant)


def _write(method: str, key: Text, tenant: Text | None, record: Record) -> HttpRequest[Recipient]:
    return call(method, path("recipients", key=key), Recipient, arguments.fields("", record, _RECORD), tenant=tenant)


def _part(value: Mapping[str, Any]) -> str:
    return _base64(arguments.json(value))


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


KINDS = arguments.one_of("fcm", "apns")


def endpoints_page(recipient: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return a recipient's push endpoints, the most recently registered first."""
    return call("GET", _endpoints(recipient), dict[str, Any], tenant=tenant)


def register_endpoint(
    recipient: Text,
    subscription: Mapping[str, Any] | None = None,
    *,
    kind: Text | None = None,
    token: Text | None = None,
    tenant: Text | None = None,
) -> HttpRequest[dict[str, Any]]:
    """Register a browser's `PushSubscription` (as from `toJSON()`), or an app's `kind` ("fcm" or "apns") and device `token`;
    the result has its id. A known endpoint moves to this recipient."""
    if (subscription is None) == (token is None) or (token is None) != (kind is None):
        raise InvalidArgument("subscription", "expected a subscription, or kind and token")
    body: object = drop_none(
        kind=None if kind is None else KINDS("kind", kind),
        token=None if token is None else arguments.name("token", token),
    )
    if subscription is not None:
        body = arguments.document("subscription", subscription)
    return call("POST", _endpoints(recipient), dict[str, Any], body, tenant=tenant)


def delete_endpoint(recipient: Text, id: Text, *, tenant: Text | None = None) -> HttpRequest[None]:
    """Delete a push endpoint."""
    where = path("recipients", arguments.name("recipient", recipient), "push-endpoints", arguments.name("id", id))
    return call("DELETE", where, NoneType, tenant=tenant)


def endpoint_key(recipient: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return the `public_key` that a browser's subscription needs (`applicationServerKey`)."""
    return call("GET", f"{_endpoints(recipient)}/key", dict[str, Any], tenant=tenant)


def _endpoints(recipient: Text) -> str:
    return f"{path('recipients', recipient=recipient)}/push-endpoints"


def preferences(recipient: Text, *, tenant: Text | None = None) -> HttpRequest[dict[str, Any]]:
    """Return a recipient's preferences. `updated_at` is the time of the last change; `effective` are the resulting
    switches."""
    return call("GET", _preferences(recipient), dict[str, Any], tenant=tenant)


def put_preferences(
    recipient: Text, body: Mapping[str, Any], *, tenant: Text | None = None, dry_run: bool = False
) -> HttpRequest[dict[str, Any]]:
    """Replace a recipient's preferences. A dry run only validates them."""
    value = arguments.document("body", body)
    return call("PUT", _preferences(recipient), dict[str, Any], value, tenant=tenant, dry_run=dry_run)


def change_preferences(
    recipient: Text, body: Mapping[str, Any], *, tenant: Text | None = None
) -> HttpRequest[dict[str, Any]]:
    """Change a recipient's preferences with a merge patch: None removes a field."""
    return call("PATCH", _preferences(recipient), dict[str, Any], arguments.document("body", body), tenant=tenant)


def preferences_link(
    recipient: Text, *, ttl: Duration = "30d", tenant: Text | None = None
) -> HttpRequest[dict[str, Any]]:
    """Create a link to a page on which the recipient changes preferences without a login: `{"url": …}`."""
    address = f"{path('recipients', recipient=recipient)}/preferences-link"
    return call("POST", address, dict[str, Any], {"ttl": arguments.seconds("ttl", ttl)}, tenant=tenant)


def _preferences(recipient: Text) -> str:
    return f"{path('recipients', recipient=recipient)}/preferences"
