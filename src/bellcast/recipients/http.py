"""Recipients: their fields, their stored data, and revocation of their sessions; and their push endpoints: browsers and apps that
receive push messages, registered by the recipient or by the app's server."""

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins
from msgspec.structs import force_setattr, replace

from bellcast.channels import push
from bellcast.channels.addresses import MAX_ADDRESS
from bellcast.inbox import http as inbox
from bellcast.kernel import times, validation
from bellcast.kernel.db.lists import ListPage, containing
from bellcast.kernel.errors import (
    BadRequest,
    BellcastError,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
)
from bellcast.kernel.field_limits import KEY, NULL, TEXT, Schema
from bellcast.kernel.http import ASGIApp, entity_tags, list_parameters, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest, DryRunFlag
from bellcast.kernel.identities import DEFAULT_TENANT
from bellcast.kernel.times import Moment
from bellcast.recipients import changes, store
from bellcast.recipients.store import PushEndpoints, Recipients
from bellcast.recipients.types import (
    MAX_PUSH_ENDPOINTS,
    RECORD_FIELDS,
    PushEndpoint,
    PushKind,
    Recipient,
    RecipientFields,
    merge,
)
from bellcast.rest import audit, context, guards, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import DryRunQuery, Listing, ObjectsQuery, Resource, ResourceCall, SearchedText

EXAMPLE = {"name": "Alice", "email": "alice@example.com", "locale": "en-GB", "roles": ["admin"]}
# Fields in the audit log. Values that may identify a person are omitted.
AUDITED = ("roles", *RECORD_FIELDS)
# The fields that are neither content nor personal.
IMPERSONAL = frozenset({"locale", "timezone", "roles", "member_since"})


# A page of names: a request has at most 100 parameters.
MAX_KEYS = 90


class PageQuery(ObjectsQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys."""

    before: str | None = None  # alias of the cursor, as in the inbox

    def __post_init__(self) -> None:
        """Raises Invalid if both names of the cursor are used."""
        if self.before is not None:
            if self.after is not None:
                raise Invalid.of("before", "is another name of `after`: use one of them")
            force_setattr(self, "after", self.before)


class SearchQuery(PageQuery, frozen=True, kw_only=True):
    """A page of recipients. `prefix` is the beginning of their keys, `search` its alias. `text` is a part of their keys, names
    or e-mail addresses; the case of letters is ignored (on SQLite: of ASCII letters). `from` and `to` filter by creation
    time. The tenant `*` means all tenants, ordered by their keys. `keys`, repeated, are those of the
    recipients to read, in one page and without other filters; of all tenants, each is `tenant/key`, with the tenant
    percent-encoded."""

    keys: Annotated[list[str], Meta(max_length=MAX_KEYS)] = msgspec.field(default_factory=list)
    search: str | None = None
    prefix: str | None = None
    text: SearchedText | None = None
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")


def key(request: ApiRequest, name: str = "key") -> str:
    """Return the recipient's key in the path. Raises Invalid."""
    result = request_body.path(request, name)
    validation.check(validation.key(name, result, context.of(request).limits))
    return result


RECIPIENTS = Resource("recipients", "/{key:str}", key, tag="Recipients", unknown=store.UNKNOWN)


@RECIPIENTS.page(store.LIST, Recipient, query=SearchQuery, shown=" ".join((*IMPERSONAL, "unread", "unseen")))
async def page(listing: Listing[SearchQuery]) -> ListPage[Recipient]:
    """List recipients by key.

    Operators with the role viewer cannot search by `text`, since they read no names and addresses: 403."""
    query = listing.query
    if query.text and guards.caller(listing.request).role == "viewer":
        raise Forbidden("Viewers do not search names and addresses: use `prefix`, which compares keys.")
    if query.keys:
        if any((query.prefix, query.search, query.text, query.after, query.start, query.end)):
            raise Invalid.of("keys", "cannot be combined with other filters")
        try:
            owners = [list_parameters.key(query.tenant or DEFAULT_TENANT, one) for one in query.keys]
        except BadRequest:
            raise Invalid.of("keys", "must be `tenant/key` each for the tenant `*`") from None
        listed = listing.list_query.tenants
        owners = [(tenant, key) for tenant, key in owners if listed is None or tenant in listed]
        return ListPage(await Recipients(listing.ctx.engines.db).of_keys(owners))
    prefix, filters = query.prefix or query.search or "", containing(query.text)
    wanted = replace(listing.list_query, prefix=prefix, filters=filters)
    return await Recipients(listing.ctx.engines.db).page(wanted)


@RECIPIENTS.get(Recipient)
async def read(call: ResourceCall[None]) -> Recipient | None:
    """Read a recipient.

    The response includes the counters of its inbox."""
    return await Recipients(call.ctx.engines.db).get(call.tenant, *call.key)


@RECIPIENTS.put(RecipientFields, Recipient, headers=("If-None-Match",), refusals=(PreconditionFailed,), example=EXAMPLE)
async def write(call: ResourceCall[RecipientFields]) -> tuple[Recipient, bool]:
    """Write a recipient.

    The request replaces the recipient: absent fields are cleared. 201 when the recipient is new. With
    `If-None-Match: *`, only a new one is written. `timezone` is an IANA name, and `locale` a language tag such as `de-AT`;
    other values are refused."""
    return await _put(call, replace=True)


@RECIPIENTS.patch(RecipientFields, Recipient, query=DryRunQuery, example={"locale": "de"})
async def change(call: ResourceCall[RecipientFields]) -> Recipient:
    """Change a recipient.

    Absent fields do not change."""
    recipient, _ = await _put(call, replace=False)
    return recipient


async def _put(call: ResourceCall[RecipientFields], *, replace: bool) -> tuple[Recipient, bool]:
    request, ctx = call.request, call.ctx
    fields = call.body
    tenant, (key,) = call.tenant, call.key
    is_new = (request_body.header(request, entity_tags.IF_NONE_MATCH) == entity_tags.ANY or None) if replace else False
    before = None
    if not replace or is_new or call.is_dry_run or audit.is_by_operator(request):
        before = await Recipients(ctx.engines.db).get(tenant, key)
    if before is None and not replace:
        raise NotFound(store.UNKNOWN)
    if is_new and before is not None:
        raise PreconditionFailed
    if call.is_dry_run:
        created_at = times.to_rfc3339(ctx.engines.clock.now())
        base = before or Recipient(key=key, tenant=tenant or None, created_at=created_at)
        return merge(base, fields, replace=replace), False
    written = await changes.put(ctx.engines, tenant, key, fields, replace=replace, is_new=is_new)
    # Record the names of the changed fields. The audit log outlives the erasure of a recipient, so it contains no
    # personal values.
    after = written[0]
    for field in AUDITED:
        # An empty value counts as none.
        old = to_builtins(getattr(before, field, None)) or None
        new = to_builtins(getattr(after, field)) or None
        if field in IMPERSONAL:
            audit.note_change(request, field, old, new)
        elif old != new:
            audit.note_change(request, field, None, "changed")
    return written


@RECIPIENTS.delete(roles=("owner",), is_sensitive=True)
async def erase(call: ResourceCall[None]) -> bool:
    """Erase a recipient.

    All stored data of the recipient is deleted, and its live connections close. Responses under idempotency keys stay
    for their 24 hours, so that a late retry does not send again. Suppressed addresses stay suppressed, and the audit log
    keeps what operators did."""
    return await changes.delete(call.ctx.engines, call.ctx.token_clock, call.tenant, *call.key)


@RECIPIENTS.delete("/sessions", tag="Access", refusals=())
async def revoke(call: ResourceCall[None]) -> bool:
    """End every session of a recipient.

    Its live connections close, and tokens and preferences links issued earlier are refused. Unsubscribe links stay
    valid."""
    await changes.revoke(call.ctx.engines, call.ctx.token_clock, call.tenant, *call.key)
    return True


MAX_RECIPIENTS = 10_000


class BulkRecipient(RecipientFields, frozen=True, kw_only=True):
    """A recipient with its key. Absent fields of a known recipient do not change."""

    key: Annotated[str, KEY]


class WrittenRecipient(Struct, frozen=True, omit_defaults=True):
    """The result for one recipient: its key, or the problem that caused its refusal."""

    key: str | UnsetType = UNSET
    error: dict[str, Any] | UnsetType = UNSET


class WrittenRecipients(Struct, frozen=True):
    """One result for each recipient, in order."""

    results: list[WrittenRecipient]


@operation(
    "POST",
    "/v1/recipients/bulk",
    tag="Recipients",
    required_scope="manage",
    query=DryRunQuery,
    body=list[BulkRecipient],
    body_types=("application/json", *request_body.NDJSON_TYPES),
    response_types={200: WrittenRecipients},
    example=[{"key": "alice", "email": "alice@example.com"}, {"key": "bob", "roles": ["admin"]}],
    id="recipients_bulk.write",
)
async def write_many(request: ApiRequest) -> ASGIApp:
    """Write many recipients.

    Up to 10,000, each created or changed, or refused separately: a JSON array, or one JSON object per line
    (`application/x-ndjson`)."""
    ctx = context.of(request)
    items = await request_body.bulk_items(request, MAX_RECIPIENTS, ctx.engines.pace, "recipients")
    results: list[WrittenRecipient] = []
    named: set[str | None] = set()
    async for some in ctx.engines.pace.slices(items):
        read = [_read_one(ctx, item) async for item in ctx.engines.pace.each(some)]
        writes = [_write_one(request, number, fields, named) for number, fields in enumerate(read, len(results))]
        results += await asyncio.gather(*writes)
    tenants.log_tenant_of_items(request, guards.caller(request), named)
    return responses.json(WrittenRecipients(results))


def _read_one(ctx: ApiContext, item: bytes | msgspec.Raw) -> BulkRecipient | BellcastError:
    """Decode one recipient. The result of an invalid item is its refusal."""
    try:
        request_body.check_item_size(item)
        return request_body.json(bytes(item), BulkRecipient, ctx)
    except BellcastError as refusal:
        return refusal


async def _write_one(
    request: ApiRequest, number: int, fields: BulkRecipient | BellcastError, named: set[str | None]
) -> WrittenRecipient:
    """Write one recipient, and add its tenant to `named` (None if it is the default tenant or unknown)."""
    tenant = None
    try:
        if isinstance(fields, BellcastError):
            raise fields
        tenant = tenants.tenant_of_item(request, None if fields.tenant is UNSET else fields.tenant)
        if not request_body.is_dry_run(request):
            await changes.put(context.of(request).engines, tenant, fields.key, fields, replace=False)
    except BellcastError as refusal:
        return WrittenRecipient(error=responses.problem_fields(refusal, within=str(number)))
    finally:
        named.add(tenant or None)
    return WrittenRecipient(fields.key)


# --- push endpoints

APNS_TOKEN = re.compile(r"[0-9A-Fa-f]{8,200}")
# Tokens are sent in headers and paths of requests to the vendor.
FCM_TOKEN = re.compile(r"[0-9A-Za-z_:.-]+")
SUBSCRIPTION = {
    "endpoint": "https://push.example.com/send/abc",
    "expirationTime": None,
    "keys": {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    },
}


class PushKeys(Struct, frozen=True, forbid_unknown_fields=True):
    """A browser's public key and secret, in base64url."""

    p256dh: str
    auth: str


class PushRegistration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A browser's `PushSubscription` as JSON, or an app's `kind` and device `token`."""

    endpoint: str | None = None
    keys: PushKeys | None = None
    expirationTime: float | None = None  # noqa: N815  the name in PushSubscription.toJSON()
    kind: PushKind = "web"
    token: str | None = None

    SCHEMA: ClassVar[Schema] = {
        "if": {"properties": {"kind": {"enum": ["apns", "fcm"]}}, "required": ["kind"]},
        "then": {"properties": {"token": TEXT, "endpoint": NULL, "keys": NULL}, "required": ["token"]},
        "else": {
            "properties": {"token": NULL, "endpoint": TEXT, "keys": {"type": "object"}},
            "required": ["endpoint", "keys"],
        },
    }


def _registration_errors(body: PushRegistration, ctx: ApiContext) -> validation.FieldErrors:
    if body.kind != "web":
        if body.endpoint is not None or body.keys is not None:
            yield FieldError("endpoint", f"must not be given with the kind {body.kind}")
        token = body.token or ""
        if body.kind == "apns" and APNS_TOKEN.fullmatch(token) is None:
            yield FieldError("token", "must be the device token in hexadecimal")
        if body.kind == "fcm" and (len(token) > MAX_ADDRESS or FCM_TOKEN.fullmatch(token) is None):
            yield FieldError("token", "must be a registration token")
        return
    if body.token is not None:
        yield FieldError("kind", "must be fcm or apns if there is a token")
        return
    if body.endpoint is None:
        yield FieldError("endpoint", "must be given, or kind and token")
    elif (problem := ctx.url_problem(body.endpoint)) is not None:
        yield FieldError("endpoint", problem)
    elif not body.endpoint.isascii() or len(body.endpoint) > MAX_ADDRESS:
        yield FieldError("endpoint", f"must have at most {MAX_ADDRESS} ASCII characters")
    if body.keys is None:
        yield FieldError("keys", "must be given: the p256dh and auth of the subscription")
    elif (wrong := push.keys_problem(body.keys.p256dh, body.keys.auth)) is not None:
        yield FieldError(f"keys.{wrong[0]}", wrong[1])


REGISTRATION = request_body.Shape(PushRegistration, lambda body, ctx: validation.check(_registration_errors(body, ctx)))
UNKNOWN_ENDPOINT = "There is no push endpoint with this id."
ENDPOINTS = Resource("recipients", "/{key:str}/push-endpoints", key, tag="Messages", unknown=UNKNOWN_ENDPOINT)
OWN_ENDPOINTS = Resource(
    "push-endpoints", tag="Messages", unknown=UNKNOWN_ENDPOINT, session=inbox.recipient, refusals=()
)


class RegisteredEndpoint(Struct, frozen=True):
    """The id of a push endpoint, which deletes it."""

    id: str


class PushEndpointItem(Struct, frozen=True, kw_only=True):
    """A push endpoint of a recipient: a browser's URL or an app's token."""

    id: str
    kind: PushKind
    endpoint: str | None
    token: str | None
    created_at: datetime


class PushEndpointList(Struct, frozen=True):
    """All push endpoints of a recipient, the most recently registered first."""

    push_endpoints: list[PushEndpointItem]


class PushPublicKey(Struct, frozen=True):
    """The `applicationServerKey` of this server, in base64url."""

    public_key: str


async def register_endpoint(call: ResourceCall[PushRegistration]) -> Any:
    """Register a push endpoint.

    A known endpoint moves to this recipient; the status is then 200. Beyond 20 endpoints, the oldest is deleted. A dry
    run returns an empty id unless this recipient already has the endpoint."""
    engines, tenant, (recipient,), body = call.ctx.engines, call.tenant, call.key, call.body
    if call.is_dry_run:
        known = await PushEndpoints(engines.db).page(tenant, recipient)
        ids = [one.id for one in known if one.address == (body.endpoint or body.token)]
        return responses.json(RegisteredEndpoint(next(iter(ids), "")))
    now = engines.clock.now()
    endpoint = PushEndpoint(
        id=engines.new_id(now),
        kind=body.kind,
        address=body.endpoint or body.token or "",
        p256dh=None if body.keys is None else body.keys.p256dh,
        auth=None if body.keys is None else body.keys.auth,
        registered_at=now,
    )
    is_own = inbox.is_own(call.request)
    id, is_new = await PushEndpoints(engines.db).put(tenant, recipient, endpoint, MAX_PUSH_ENDPOINTS, is_own=is_own)
    return responses.json(RegisteredEndpoint(id), 201 if is_new else 200)


async def list_endpoints(call: ResourceCall[None]) -> PushEndpointList:
    """List the recipient's push endpoints."""
    found = await PushEndpoints(call.ctx.engines.db).page(call.tenant, *call.key)
    return PushEndpointList(
        [
            PushEndpointItem(
                id=one.id,
                kind=one.kind,
                endpoint=one.address if one.kind == "web" else None,
                token=None if one.kind == "web" else one.address,
                created_at=times.to_rfc3339(one.registered_at),
            )
            for one in found
        ]
    )


async def read_push_key(call: ResourceCall[None]) -> PushPublicKey:
    """Read the key that a browser's subscription needs."""
    return PushPublicKey(call.ctx.push_key())


async def delete_endpoint(call: ResourceCall[None]) -> bool:
    """Delete a push endpoint."""
    endpoints = PushEndpoints(call.ctx.engines.db)
    return await endpoints.delete(call.tenant, call.key[0], request_body.path(call.request, "id"))


REGISTERED = {200: RegisteredEndpoint, 201: RegisteredEndpoint}
TOKEN = {"kind": "fcm", "token": "cVx3:APA91bH"}
OPERATIONS = [
    OWN_ENDPOINTS.create(
        REGISTRATION,
        RegisteredEndpoint,
        query=DryRunFlag,
        response_types=REGISTERED,
        example=SUBSCRIPTION,
        id="push_endpoints.register",
    )(register_endpoint),
    OWN_ENDPOINTS.get(PushEndpointList, id="push_endpoints.page")(list_endpoints),
    OWN_ENDPOINTS.get(PushPublicKey, "/key", id="push_endpoints.public_key")(read_push_key),
    OWN_ENDPOINTS.delete("/{id:str}", refusals=(NotFound,), id="push_endpoints.delete")(delete_endpoint),
    ENDPOINTS.act(
        "",
        RegisteredEndpoint,
        body=REGISTRATION,
        status=201,
        refusals=(),
        example=TOKEN,
        id="push_endpoints.register_for",
    )(register_endpoint),
    ENDPOINTS.get(PushEndpointList, refusals=(), id="push_endpoints.page_of")(list_endpoints),
    ENDPOINTS.get(PushPublicKey, "/key", refusals=(), id="push_endpoints.public_key_for")(read_push_key),
    ENDPOINTS.delete("/{id:str}", id="push_endpoints.delete_of")(delete_endpoint),
]
