"""Pusher's HTTP API: signed requests of its server SDKs, and the auth endpoints of its clients.

Its paths, responses and errors are Pusher's own, so it is separate from the operations and the OpenAPI document of
Bellcast's own API."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

import structlog

from bellcast.kernel import errors
from bellcast.kernel.errors import BellcastError, Forbidden, MethodNotAllowed, NotFound, Unauthenticated
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.live.pusher import signatures
from bellcast.live.pusher.apps import PusherAppDirectory
from bellcast.live.pusher.http import authorization as pusher_auth
from bellcast.live.pusher.http import channels
from bellcast.live.pusher.http.channels import PusherRequest
from bellcast.live.pusher.types import PusherApp, PusherConfig
from bellcast.rest.context import ApiContext

log = structlog.get_logger(__name__)

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
    PusherRoute("POST", "/pusher/auth", pusher_auth.channel, signed=False),
    PusherRoute("POST", "/pusher/user-auth", pusher_auth.user, signed=False),
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
