"""Channels, users and events in Pusher's HTTP API. An invalid request publishes nothing."""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from bellcast.kernel import validation
from bellcast.kernel.errors import BadRequest, Forbidden, Invalid, TooLarge
from bellcast.kernel.events import LiveEvent
from bellcast.kernel.http.validation_errors import sentence
from bellcast.live.hub.survey import ConnectionSurvey, TopicCount
from bellcast.live.pusher import signatures
from bellcast.live.pusher.types import PusherApp, PusherConfig
from bellcast.recipients.types import SessionsRevoked
from bellcast.rest.context import ApiContext
from bellcast.topics import publishing as events
from bellcast.topics import types as topics
from bellcast.topics.store import LastEvents
from bellcast.topics.types import PRESENCE, PUSHER_PREFIXES, is_presence

T = TypeVar("T")

# Attributes of channels that lists and triggers return on request.
COUNTS = frozenset({"user_count", "subscription_count"})


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
    recipient, limits = topics.recipient(channel), request.context.limits
    validation.check(
        validation.topic(field, channel, limits) if recipient is None else validation.key(field, recipient, limits)
    )


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
        recipient = topics.recipient(channel)
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
