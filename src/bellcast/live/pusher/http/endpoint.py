"""Pusher's HTTP API: signed requests of its server SDKs, and the auth endpoints of its clients.

Its paths, responses and errors are Pusher's own, so it is separate from the operations and the OpenAPI document of
Bellcast's own API."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec
import structlog
from msgspec import Struct

from bellcast.auth import permissions
from bellcast.inbox import inboxes
from bellcast.inbox.types.inboxes import Inbox
from bellcast.kernel import errors, validation
from bellcast.kernel.errors import (
    BadRequest,
    BellcastError,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    NotFound,
    Unauthenticated,
)
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.validation_errors import sentence
from bellcast.kernel.identities import Principal, Project
from bellcast.live.pusher import signatures
from bellcast.live.pusher.apps import PusherAppDirectory
from bellcast.live.pusher.http import channels
from bellcast.live.pusher.http.channels import PusherRequest
from bellcast.live.pusher.types import MAX_DEVICE, PusherApp, PusherConfig, aliased
from bellcast.recipients.store import StoredSubscriptions
from bellcast.rest import guards
from bellcast.rest.context import ApiContext
from bellcast.topics.types import is_encrypted, is_presence

log = structlog.get_logger(__name__)


class ChannelAuthForm(Struct, frozen=True):
    """Form that pusher-js sends before it subscribes to a channel."""

    socket_id: str
    channel_name: str


class UserAuthForm(Struct, frozen=True):
    """Form that pusher-js sends before it signs in. `device` identifies the device for clients that receive missed
    events."""

    socket_id: str
    device: str | None = None


async def authorize_channel(request: PusherRequest) -> object:
    """`POST /pusher/auth`."""
    requested = _form(request, ChannelAuthForm)
    principal, inbox, project = await _recipient(request, requested.socket_id)
    name = requested.channel_name
    validation.check(validation.topic("channel_name", name, request.context.limits))
    if is_encrypted(name):
        raise Forbidden("Encrypted channels need the app's own endpoint: only the app knows their keys.")
    ctx, recipient = request.context, principal.recipient or ""
    owners = {aliased(pattern, name) for pattern in ctx[PusherConfig].aliases} - {None}
    if recipient not in owners:
        subscribed = await StoredSubscriptions(ctx.engines.db).among(principal.tenant, recipient, [name])
        public = () if owners else ctx.access.public_topics  # an inbox is never public
        if permissions.grant_of(principal, name, subscribed=name in subscribed, public=public) is None:
            raise Forbidden(f"{name}: {permissions.refusal_of(principal, name)}")
    if not is_presence(name):
        return {"auth": signatures.sign(project, signatures.channel_string(requested.socket_id, name))}
    data = _text({"user_id": principal.recipient, "user_info": _info(inbox)})
    return {
        "auth": signatures.sign(project, signatures.channel_string(requested.socket_id, name, data)),
        "channel_data": data,
    }


async def authorize_user(request: PusherRequest) -> object:
    """`POST /pusher/user-auth`."""
    requested = _form(request, UserAuthForm)
    principal, inbox, project = await _recipient(request, requested.socket_id)
    user_data: dict[str, Any] = {"id": principal.recipient, "user_info": _info(inbox)}
    if requested.device is not None:
        validation.check(validation.text("device", requested.device, MAX_DEVICE))
        user_data["device"] = requested.device
    data = _text(user_data)
    signed = signatures.user_string(requested.socket_id, data)
    return {"auth": signatures.sign(project, signed), "user_data": data}


def _form(request: PusherRequest, type: type[Any]) -> Any:
    """Parse a form, as pusher-js sends it, or JSON."""
    try:
        if request.body.lstrip().startswith(b"{"):
            return msgspec.json.decode(request.body, type=type)
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=100))
        return msgspec.convert(fields, type)
    except msgspec.ValidationError as wrong:
        raise BadRequest(sentence(wrong, "The body")) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise BadRequest("The body is neither a form nor JSON.") from None


async def _recipient(request: PusherRequest, socket_id: str) -> tuple[Principal, Inbox, Project]:
    """Return the session's recipient with its inbox, and the credentials of the Pusher app in its tenant."""
    ctx, scope = request.context, request.scope
    principal = await ctx.authenticator.recipient(guards.auth_request(scope), "request")
    if not signatures.is_socket_id(socket_id):
        raise Invalid.of("socket_id", "must be two integers separated by a dot")
    app = ctx[PusherAppDirectory].of_tenant(principal.tenant)
    if app is None:
        raise Forbidden("This session belongs to a tenant without a Pusher app.")
    principal, opened = await inboxes.enter(ctx.engines, principal, None, ctx.authenticator.renewed)
    return principal, opened.inbox, app.credentials


def _info(inbox: Inbox) -> dict[str, str]:
    return {} if inbox.name is None else {"name": inbox.name}


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


PREFIXES = ("/apps/", "/users/", "/pusher/")
# Ten events of a batch, 10,240 bytes each, with every byte escaped.
MIN_REQUEST_BYTES = 131_072
TEXT = "text/plain; charset=utf-8"

PusherOperation = Callable[[PusherRequest], Awaitable[object]]


class PusherRoute(NamedTuple):
    """A route of an operation. `template` is its label in the metrics."""

    method: str
    template: str
    operation: PusherOperation
    signed: bool = True
    # The operation calls `check_channel`, so an app that is restricted to one channel may use it.
    is_of_channels: bool = False


ROUTES = [
    PusherRoute("POST", "/apps/{app}/events", channels.trigger, is_of_channels=True),
    PusherRoute("POST", "/apps/{app}/batch_events", channels.batch),
    PusherRoute("GET", "/apps/{app}/channels", channels.channels),
    PusherRoute("GET", "/apps/{app}/channels/{channel}", channels.channel, is_of_channels=True),
    PusherRoute("GET", "/apps/{app}/channels/{channel}/users", channels.users),
    PusherRoute("POST", "/apps/{app}/users/{user}/terminate_connections", channels.terminate),
    # The Python SDK omits the app id; its key identifies the app.
    PusherRoute("POST", "/users/{user}/terminate_connections", channels.terminate),
    PusherRoute("POST", "/pusher/auth", authorize_channel, signed=False),
    PusherRoute("POST", "/pusher/user-auth", authorize_user, signed=False),
]
PATTERNS = [(re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.template)), route) for route in ROUTES]


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application of these paths."""
    try:
        response = responses.json(await _call(scope, receive))
    except request_body.Disconnected:
        return
    except BellcastError as refusal:
        response = _refusal(scope, refusal)
    except Exception:
        log.exception("request_failed", path=scope["path"])
        response = _refusal(scope, BellcastError())
    await response(scope, receive, send)


async def _call(scope: Any, receive: Any) -> object:
    ctx: ApiContext = scope["state"]["api_context"]
    route, parts = _route(scope["method"], scope["path"])
    scope["path_template"] = route.template
    if not ctx[PusherConfig].enabled:
        raise Forbidden("Pusher is switched off on this server: the setting pusher_enabled.")
    pairs = request_body.query_items(scope["query_string"])
    parameters = signatures.parameters(pairs)
    _app(ctx, parts, parameters, route)
    limit = ctx.limits.request
    body = await request_body.raw(request_body.ApiRequest(scope, receive), limit and max(limit, MIN_REQUEST_BYTES))
    # Again: while the body arrived, the app may have been disabled, or its secret rotated.
    app = _app(ctx, parts, parameters, route)
    if route.signed:
        now = ctx.token_clock.now()  # the app signs with the system time, even if a test clock is used
        newest, *previous = app.valid_credentials(ctx.engines.clock.now())
        for credentials in (*previous, newest):
            try:
                signatures.check_request(credentials, scope["method"], scope["path"], pairs, body, now)
                break
            except Unauthenticated:
                if credentials is newest:
                    raise
    if app.only_channel is not None and not route.is_of_channels:
        raise Forbidden(f"This app is being tested: it may use only the channel {app.only_channel}.")
    return await route.operation(PusherRequest(ctx, app, scope, parts, parameters, body))


def _app(ctx: ApiContext, parts: dict[str, str], parameters: dict[str, str], route: PusherRoute) -> PusherApp:
    """Return the app in the path, else the app of the signing key. Raises NotFound, Forbidden for a disabled app, and Unavailable
    for one whose secret cannot be decrypted."""
    app = (
        ctx[PusherAppDirectory].by_id(parts["app"])
        if "app" in parts
        else ctx[PusherAppDirectory].by_key(parameters.get("auth_key", ""))
    )
    if app is None and "app" in parts:
        raise NotFound("No app has this id.")
    if app is None or not route.signed:  # with an unknown key, the check of the signature fails
        return ctx[PusherAppDirectory].all()[0]
    if not app.is_readable:
        raise errors.Unavailable("This node lacks the BELLCAST_ENCRYPTION_KEY of the app's secret.")
    if not app.enabled:
        raise Forbidden("This app is disabled.")
    return app


def _route(method: str, path: str) -> tuple[PusherRoute, dict[str, str]]:
    known = False
    for pattern, route in PATTERNS:
        result = pattern.fullmatch(path)
        if result is not None:
            known = True
            if route.method == method:
                return route, {name: unquote(part) for name, part in result.groupdict().items()}
    raise MethodNotAllowed if known else NotFound


def _refusal(scope: Any, refused: BellcastError) -> ASGIApp:
    """Convert an error to plain text, which SDKs use as the exception message. Invalid fields are 400 in Pusher's
    API."""
    scope["state"]["reason"] = refused.code  # for the request log, because the text contains no code
    status = 400 if refused.status == 422 else refused.status
    headers = {"cache-control": "no-store"}
    if refused.retry_after is not None:
        headers["retry-after"] = str(refused.retry_after)
    return responses.complete(status, refused.detail.encode(errors="replace"), TEXT, headers)
