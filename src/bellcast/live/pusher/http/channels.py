"""Queries of channels and users in Pusher's HTTP API."""

from collections.abc import Sequence
from typing import Any

from bellcast.kernel import validation
from bellcast.kernel.errors import Invalid
from bellcast.live.hub.survey import ConnectionSurvey, TopicCount
from bellcast.live.pusher.http.request import COUNTS, PusherRequest, check_channel
from bellcast.live.pusher.types import PusherConfig
from bellcast.live.types.events import SessionsRevoked
from bellcast.topics.store.last_events import LastEvents
from bellcast.topics.types import PRESENCE, is_presence

CHANNEL_INFO = COUNTS | {"cache"}


async def channels(request: PusherRequest) -> object:
    """`GET /apps/{id}/channels`: the channels with subscribers."""
    requested = request.infos(COUNTS)
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
    name, requested = request.parts["channel"], request.infos(CHANNEL_INFO)
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
