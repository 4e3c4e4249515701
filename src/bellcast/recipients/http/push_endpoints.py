"""Push endpoints: browsers and apps that receive push messages, registered by the recipient or by the app's server."""

import re
from datetime import datetime
from typing import Any, ClassVar

from msgspec import Struct

from bellcast.channels import push
from bellcast.channels.addresses import MAX_ADDRESS
from bellcast.inbox.http import inbox
from bellcast.kernel import times, validation
from bellcast.kernel.errors import FieldError, NotFound
from bellcast.kernel.field_limits import NULL, TEXT, Schema
from bellcast.kernel.http import request_body, responses
from bellcast.kernel.http.request_body import DryRunFlag
from bellcast.recipients.http import recipients
from bellcast.recipients.store import PushEndpoints
from bellcast.recipients.types import MAX_PUSH_ENDPOINTS, PushEndpoint, PushKind
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import Resource, ResourceCall

APNS_TOKEN = re.compile(r"[0-9A-Fa-f]{8,200}")
# Tokens are sent in headers and paths of requests to the vendor.
FCM_TOKEN = re.compile(r"[0-9A-Za-z_:.-]+")
EXAMPLE = {
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


def _errors(body: PushRegistration, ctx: ApiContext) -> validation.FieldErrors:
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


REGISTRATION = request_body.Shape(PushRegistration, lambda body, ctx: validation.check(_errors(body, ctx)))
UNKNOWN = "There is no push endpoint with this id."
OF_RECIPIENT = Resource(
    "recipients",
    "/{key:str}/push-endpoints",
    lambda request: (recipients.key(request),),
    tag="Messages",
    unknown=UNKNOWN,
)
OWN = Resource("push-endpoints", tag="Messages", unknown=UNKNOWN, session=inbox.recipient, refusals=())


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


async def register(call: ResourceCall[PushRegistration]) -> Any:
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
    id, is_new = await PushEndpoints(engines.db).put(tenant, recipient, endpoint, MAX_PUSH_ENDPOINTS)
    return responses.json(RegisteredEndpoint(id), 201 if is_new else 200)


async def page(call: ResourceCall[None]) -> PushEndpointList:
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


async def public_key(call: ResourceCall[None]) -> PushPublicKey:
    """Read the key that a browser's subscription needs."""
    return PushPublicKey(call.ctx.push_key())


async def delete(call: ResourceCall[None]) -> bool:
    """Delete a push endpoint."""
    endpoints = PushEndpoints(call.ctx.engines.db)
    return await endpoints.delete(call.tenant, call.key[0], request_body.path(call.request, "id"))


REGISTERED = {200: RegisteredEndpoint, 201: RegisteredEndpoint}
TOKEN = {"kind": "fcm", "token": "cVx3:APA91bH"}
OPERATIONS = [
    OWN.create(REGISTRATION, RegisteredEndpoint, query=DryRunFlag, response_types=REGISTERED, example=EXAMPLE)(
        register
    ),
    OWN.get(PushEndpointList)(page),
    OWN.get(PushPublicKey, "/key")(public_key),
    OWN.delete("/{id:str}", refusals=(NotFound,))(delete),
    OF_RECIPIENT.act(
        "",
        RegisteredEndpoint,
        body=REGISTRATION,
        status=201,
        refusals=(),
        example=TOKEN,
        id="push_endpoints.register_for",
    )(register),
    OF_RECIPIENT.get(PushEndpointList, refusals=(), id="push_endpoints.page_of")(page),
    OF_RECIPIENT.get(PushPublicKey, "/key", refusals=(), id="push_endpoints.public_key_for")(public_key),
    OF_RECIPIENT.delete("/{id:str}", id="push_endpoints.delete_of")(delete),
]
