"""Pusher's HTTP API: signed requests of its server SDKs, and the auth endpoints of its clients. An invalid request publishes
nothing.

Its paths, responses and errors are Pusher's own, so it is separate from the operations and the OpenAPI document of
Bellcast's own API. The REST operations of Pusher apps are in `pusher_apps.py`."""

import contextlib
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

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
    TooLarge,
    Unauthenticated,
)
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.validation_errors import sentence
from bellcast.kernel.identities import Principal, Project
from bellcast.live.hub.survey import ConnectionSurvey, TopicCount
from bellcast.live.pusher import protocol, signatures
from bellcast.live.pusher.apps import PusherApp, PusherAppDirectory
from bellcast.live.pusher.http import pusher_apps
from bellcast.live.pusher.plugin import PusherConfig, carried
from bellcast.live.pusher.protocol import MAX_DEVICE
from bellcast.live.types import PUSHER_PREFIXES
from bellcast.live.wiring import DialectApi
from bellcast.recipients.store import StoredSubscriptions
from bellcast.recipients.types import SessionsRevoked
from bellcast.rest import guards
from bellcast.rest.context import ApiContext
from bellcast.topics import publishing as events
from bellcast.topics.store import LastEvents
from bellcast.topics.types import PRESENCE, is_encrypted, is_presence

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Attributes of channels that lists and triggers return on request.
COUNTS = frozenset({"user_count", "subscription_count"})
ANOTHER_INBOX = 'The inbox of another recipient needs a subscription, or this full name in the token\'s "topics" claim.'


class PusherRequest(NamedTuple):
    """`parts` are the decoded path parameters, `parameters` the query parameters."""

    context: ApiContext
    app: PusherApp
    scope: Any
    parts: dict[str, str]
    parameters: dict[str, str]
    body: bytes

    def json(self, type: type[T]) -> T:
        """Decode the body. Raises BadRequest."""
        try:
            return msgspec.json.decode(self.body, type=type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
            raise BadRequest(sentence(wrong, "The body")) from None


def infos(field: str, value: str | None, allowed: frozenset[str]) -> frozenset[str]:
    """Return the attributes in a comma-separated list. Raises Invalid for any that is not `allowed`."""
    requested = frozenset(one for one in (value or "").split(",") if one)
    for unknown in sorted(requested - allowed):
        raise Invalid.of(field, f"{unknown[:50]!r} is not one of {', '.join(sorted(allowed))}")
    return requested


def check_channel(request: PusherRequest, field: str, channel: str) -> None:
    """Raise Invalid unless an event can be sent to this channel, and Forbidden if the app may not use it."""
    if request.app.only_channel not in (None, channel):
        raise Forbidden(f"This app is being tested: it may use only the channel {request.app.only_channel}.")
    recipient, limits = protocol.recipient_of(channel), request.context.limits
    validation.check(
        validation.topic(field, channel, limits) if recipient is None else validation.key(field, recipient, limits)
    )


# --- signed requests: events, channels and users


class Trigger(Struct, frozen=True):
    """An event as the SDKs send it."""

    name: str
    data: str
    channels: list[str] | None = None
    channel: str | None = None
    socket_id: str | None = None
    info: str | None = None


class Batch(Struct, frozen=True):
    """Several events, each for one channel."""

    batch: list[Trigger]


async def trigger(request: PusherRequest) -> object:
    """`POST /apps/{id}/events`."""
    requested = request.json(Trigger)
    given = (
        [requested.channel]
        if requested.channels is None and requested.channel is not None
        else requested.channels or []
    )
    limit = request.context[PusherConfig].channels_per_event
    if not given:
        raise Invalid.of("channels", "must name at least one channel")
    if limit and len(given) > limit:
        raise Invalid.of("channels", f"must name at most {limit} channels, got {len(given)}")
    channels = list(dict.fromkeys(given))
    wanted = _checked(request, "", requested, channels)
    await events.publish(request.context.engines, *_events(request.app.tenant, requested, channels))
    if not wanted:
        return {}
    found = await attributes(request, [(one, wanted) for one in channels])
    return {"channels": dict(zip(channels, found, strict=True))}


async def batch(request: PusherRequest) -> object:
    """`POST /apps/{id}/batch_events`."""
    requested = request.json(Batch).batch
    limit = request.context[PusherConfig].batch
    if limit and len(requested) > limit:
        raise Invalid.of("batch", f"must have at most {limit} events, got {len(requested)}")
    wanted: list[frozenset[str]] = []
    for number, one in enumerate(requested):
        if one.channel is None:
            raise Invalid.of(f"batch.{number}.channel", "must be given")
        wanted.append(_checked(request, f"batch.{number}.", one, [one.channel]))
    tenant = request.app.tenant
    published = (event for one in requested for event in _events(tenant, one, [one.channel or ""]))
    await events.publish(request.context.engines, *published)
    if not any(wanted):
        return {}
    pairs = [(one.channel or "", infos) for one, infos in zip(requested, wanted, strict=True)]
    return {"batch": await attributes(request, pairs)}


def _checked(request: PusherRequest, field: str, requested: Trigger, channels: list[str]) -> frozenset[str]:
    """Return the requested attributes. Raises Invalid or TooLarge for data that cannot be published."""
    limits = request.context.limits
    validation.check(validation.text(f"{field}name", requested.name, limits.event_name))
    if not requested.name or requested.name.startswith(PUSHER_PREFIXES):
        raise Invalid.of(f"{field}name", f"must not be empty nor begin with {' or '.join(PUSHER_PREFIXES)}")
    if limits.event_data and len(requested.data) * 4 > limits.event_data < len(requested.data.encode()):
        raise TooLarge(f"{field}data: must be at most {limits.event_data} bytes")
    if requested.socket_id is not None and not signatures.is_socket_id(requested.socket_id):
        raise Invalid.of(f"{field}socket_id", "must be two whole numbers with a dot between")
    for channel in channels:
        check_channel(request, f"{field}channel", channel)
    return infos(f"{field}info", requested.info, COUNTS)


def _events(tenant: str, requested: Trigger, channels: list[str]) -> list[LiveEvent]:
    """Return an event for each channel. Other dialects get the decoded value if the text is JSON that a broker can encode, as
    produced by the SDKs."""
    data: Any = requested.data
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        value = msgspec.json.decode(requested.data)
        data = data if any(validation.data("data", value, 0)) else value
    found: list[LiveEvent] = []
    for channel in channels:
        recipient = protocol.recipient_of(channel)
        topic = channel if recipient is None else None
        sender, text = requested.socket_id, requested.data
        found.append(LiveEvent(tenant, requested.name, data, topic, recipient, sender=sender, text=text))
    return found


CHANNEL_INFO = COUNTS | {"cache"}


async def channels(request: PusherRequest) -> object:
    """`GET /apps/{id}/channels`: the channels with subscribers."""
    requested = infos("info", request.parameters.get("info"), COUNTS)
    prefix = request.parameters.get("filter_by_prefix", "")
    if "user_count" in requested and not is_presence(prefix):
        raise Invalid.of("info", f"user_count needs filter_by_prefix to begin with {PRESENCE}")
    followed = await request.context[ConnectionSurvey].followed_topics(request.app.tenant)
    return {
        "channels": {
            name: _attributes(name, requested, count)
            for (_, name), count in sorted(followed.items())
            if name.startswith(prefix)
        }
    }


async def channel(request: PusherRequest) -> object:
    """`GET /apps/{id}/channels/{name}`."""
    name = request.parts["channel"]
    requested = infos("info", request.parameters.get("info"), CHANNEL_INFO)
    check_channel(request, "channel", name)
    if "user_count" in requested and not is_presence(name):
        raise Invalid.of("info", "user_count is available for presence channels only")
    count = (await request.context[ConnectionSurvey].topic_counts(request.app.tenant, [name]))[name]
    found: dict[str, Any] = {"occupied": count.connections > 0, **_attributes(name, requested, count)}
    if "cache" in requested:
        engines, ttl = request.context.engines, int(request.context[PusherConfig].cache_ttl * 1000)
        now = engines.clock.now()
        last = await LastEvents(engines.db).get(request.app.tenant, name, now - ttl)
        left = 0 if last is None else max(0, last.at + ttl - now) // 1000
        found["cache"] = None if last is None else {"data": last.data, "ttl": left}
    return found


async def users(request: PusherRequest) -> object:
    """`GET /apps/{id}/channels/{name}/users`."""
    name = request.parts["channel"]
    check_channel(request, "channel", name)
    if not is_presence(name):
        raise Invalid.of("channel", "users are available for presence channels only")
    present = await request.context[ConnectionSurvey].presence(request.app.tenant, name)
    return {"users": [{"id": member.recipient} for member in present]}


async def terminate(request: PusherRequest) -> object:
    """`POST /apps/{id}/users/{user}/terminate_connections`: close every connection signed in as that user."""
    user, engines = request.parts["user"], request.context.engines
    validation.check(validation.key("user", user, request.context.limits))
    await engines.broker.publish(SessionsRevoked(request.app.tenant, user, engines.clock.now() + 1))
    return {}


async def attributes(
    request: PusherRequest, channels: Sequence[tuple[str, frozenset[str]]]
) -> Sequence[dict[str, int]]:
    """Return the requested attributes of channels, as far as their types support them."""
    names = [channel for channel, requested in channels if requested]
    counts = await request.context[ConnectionSurvey].topic_counts(request.app.tenant, names)
    return [_attributes(channel, requested, counts[channel]) if requested else {} for channel, requested in channels]


def _attributes(channel: str, requested: frozenset[str], count: TopicCount) -> dict[str, int]:
    result: dict[str, int] = {}
    if "user_count" in requested and is_presence(channel):
        result["user_count"] = count.members
    if "subscription_count" in requested:
        result["subscription_count"] = count.connections
    return result


# --- the auth endpoints of clients


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
    owners = carried(ctx[PusherConfig].aliases, name)
    if owners != {recipient}:
        subscribed = await StoredSubscriptions(ctx.engines.db).among(principal.tenant, recipient, [name])
        public = ctx.access.public_topics
        if owners:  # inboxes are never public, and patterns of topics do not include them
            public, principal = (), replace(principal, topics=tuple({name}.intersection(principal.topics)))
        if permissions.grant_of(principal, name, subscribed=name in subscribed, public=public) is None:
            raise Forbidden(f"{name}: {ANOTHER_INBOX if owners else permissions.refusal_of(principal, name)}")
    if not is_presence(name):
        return {"auth": signatures.sign(project, signatures.channel_string(requested.socket_id, name))}
    data = protocol.text({"user_id": principal.recipient, "user_info": _info(inbox)})
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
    data = protocol.text(user_data)
    signed = signatures.user_string(requested.socket_id, data)
    return {"auth": signatures.sign(project, signed), "user_data": data}


def _form(request: PusherRequest, type: type[Any]) -> Any:
    """Parse a form, as pusher-js sends it, or JSON."""
    if request.body.lstrip().startswith(b"{"):
        return request.json(type)
    try:
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=100))
        return msgspec.convert(fields, type)
    except msgspec.ValidationError as wrong:
        raise BadRequest(sentence(wrong, "The body")) from None
    except ValueError:
        raise BadRequest("The body is neither a form nor JSON.") from None


async def _recipient(request: PusherRequest, socket_id: str) -> tuple[Principal, Inbox, Project]:
    """Return the session's recipient with its inbox, and the credentials of the Pusher app in its tenant."""
    ctx, scope = request.context, request.scope
    sent = guards.auth_request(scope)
    principal = await ctx.authenticator.recipient(sent, "request")
    if not signatures.is_socket_id(socket_id):
        raise Invalid.of("socket_id", "must be two integers separated by a dot")
    app = ctx[PusherAppDirectory].of_tenant(principal.tenant)
    if app is None:
        raise Forbidden("This session belongs to a tenant without a Pusher app.")
    principal, opened = await inboxes.enter(ctx.engines, principal, None, partial(ctx.authenticator.renewed, sent))
    return principal, opened.inbox, app.credentials


def _info(inbox: Inbox) -> dict[str, str]:
    return {} if inbox.name is None else {"name": inbox.name}


# --- routes

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
    PusherRoute("POST", "/apps/{app}/events", trigger, is_of_channels=True),
    PusherRoute("POST", "/apps/{app}/batch_events", batch),
    PusherRoute("GET", "/apps/{app}/channels", channels),
    PusherRoute("GET", "/apps/{app}/channels/{channel}", channel, is_of_channels=True),
    PusherRoute("GET", "/apps/{app}/channels/{channel}/users", users),
    PusherRoute("POST", "/apps/{app}/users/{user}/terminate_connections", terminate),
    # The Python SDK omits the app id; its key identifies the app.
    PusherRoute("POST", "/users/{user}/terminate_connections", terminate),
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
        ctx[PusherAppDirectory].by_id.get(parts["app"])
        if "app" in parts
        else ctx[PusherAppDirectory].by_key.get(parameters.get("auth_key", ""))
    )
    if app is None and "app" in parts:
        raise NotFound("No app has this id.")
    if app is None or not route.signed:  # with an unknown key, the check of the signature fails
        return ctx[PusherAppDirectory].all[0]
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


API = DialectApi(operations=(pusher_apps.test, *pusher_apps.HANDLERS), prefixes=PREFIXES, serve=serve)
