"""Requests of bound callers: operators and API keys that are restricted to some tenants. Before the handler runs, each
request is narrowed to one allowed tenant or refused, so handlers only see a query with an allowed tenant and a body
that names no other."""

import asyncio
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from bellcast.auth import tenant_bounds
from bellcast.kernel.errors import Forbidden, TooLarge
from bellcast.kernel.http import bulk_items, request_body
from bellcast.kernel.http.request_body import TENANT, ApiRequest
from bellcast.kernel.identities import EVERY_TENANT, Caller

# How an operation limits a bound caller. "query": the query names the tenant. "list": like "query", and `*` means all
# tenants of the caller. "path": the path names the tenant. "handler": the handler compares the tenants itself.
# "refused" or None: bound callers are refused.
TenantRule = Literal["query", "list", "path", "handler", "refused"]
# If this name does not occur in the JSON text, no field has it; a backslash escape could hide it.
MARKS = (b"tenant", b"\\u")
# Larger bodies are decoded in another thread.
INLINE_BYTES = 65_536
# A decoded value takes about 80 bytes.
MAX_VALUES = 1_000_000
EVERY = "every_tenant"


def limit(request: ApiRequest, caller: Caller, rule: TenantRule | None) -> None:
    """Limit a request to a tenant of its caller. Raises Forbidden."""
    if caller.tenants is None or rule == "handler":
        return
    scope: Any = request.scope
    if rule == "path":
        tenant = request_body.path(request, "key")
        tenant_bounds.check(caller.tenants, tenant)
    elif rule in (None, "refused"):
        raise Forbidden(tenant_bounds.NOT_OPEN)
    else:
        given = request_body.pairs(scope["query_string"])
        named = request_body.single(TENANT, given[TENANT]) if TENANT in given else None
        tenant = tenant_bounds.choose(caller.tenants, named, accepts_every=rule == "list")
        scope["query_string"] = urlencode(given | {TENANT: [tenant]}, doseq=True, quote_via=quote).encode()
    if tenant == EVERY_TENANT:
        scope["state"][EVERY] = caller.tenants

    async def check(body: bytes) -> None:
        media_type = request_body.media_type(request)
        # Parsing YAML of this size takes a second.
        if len(body) <= INLINE_BYTES and media_type not in request_body.YAML_TYPES:
            _check(media_type, body, tenant)
        else:
            await asyncio.to_thread(_check, media_type, body, tenant)

    scope["state"][request_body.CHECK_BODY] = check


def every(request: ApiRequest) -> tuple[str, ...] | None:
    """Return the tenants that `*` means in a request of a bound caller; None for all."""
    result: tuple[str, ...] | None = request.scope["state"].get(EVERY)
    return result


def has_same_rights(one: Caller, other: Caller) -> bool:
    """Return whether two callers have the same scopes for the same tenants."""
    return (one.tenants, one.scopes) == (other.tenants, other.scopes)


def _check(media_type: str, body: bytes, tenant: str) -> None:
    """Raise Forbidden if a body names a tenant that is not allowed, BadRequest if a part cannot be decoded."""
    is_escaped = media_type == request_body.FORM or media_type in request_body.YAML_TYPES
    if not is_escaped and not any(mark in body for mark in MARKS):
        return
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise TooLarge(f"A request of a caller that is restricted to tenants may have at most {MAX_VALUES} values.")
    for value in values_of(media_type, body):
        tenant_bounds.check_value(tenant, value)


def values_of(media_type: str, body: bytes) -> Iterable[Any]:
    """Decode the values in a body of any type. Raises BadRequest."""
    if media_type in request_body.YAML_TYPES:
        from bellcast.kernel.yaml_text import YamlText

        return [YamlText(body).value]
    if media_type == request_body.FORM:
        return [request_body.anything(text.encode()) for text in request_body.form_fields(body).values()]
    if media_type in request_body.NDJSON_TYPES:
        return (request_body.anything(line[0]) for line in bulk_items.LINE.finditer(body))
    # Each element of a list is decoded when it is read: a decoding holds the interpreter's lock, for 0.1 s if 16 MB are
    # decoded in one call. Other JSON is one value.
    try:
        items = request_body.decoder(list[msgspec.Raw]).decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return [request_body.anything(body)]
    return (request_body.anything(bytes(item)) for item in items)
