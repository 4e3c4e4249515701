"""Queries of channels and users in Pusher's HTTP API."""

from typing import Any

from bellcast.kernel import validation
from bellcast.kernel.errors import Invalid
from bellcast.live.hub.survey import ConnectionSurvey
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
    followed = request.context[ConnectionSurvey].followed_topics(request.app.tenant)
    return {
        "channels": {name: attributes(request, name, requested) for name in sorted(followed) if name.startswith(prefix)}
    }


async def channel(request: PusherRequest) -> object:
    """`GET /apps/{id}/channels/{name}`."""
    name, requested = request.parts["channel"], request.infos(CHANNEL_INFO)
    check_channel(request, "channel", name)
    if "user_count" in requested and not is_presence(name):
        raise Invalid.of("info", "user_count is available for presence channels only")
    result = {"occupied": request.context[ConnectionSurvey].followers(request.app.tenant, name) > 0}
    return {
        **result,
        **attributes(request, name, requested),
        **(await _cache(request, name) if "cache" in requested else {}),
    }


async def users(request: PusherRequest) -> object:
    """`GET /apps/{id}/channels/{name}/users`."""
    name = request.parts["channel"]
    check_channel(request, "channel", name)
    if not is_presence(name):
        raise Invalid.of("channel", "users are available for presence channels only")
    present = request.context[ConnectionSurvey].presence(request.app.tenant, name)
    return {"users": [{"id": member.recipient} for member in present]}


async def terminate(request: PusherRequest) -> object:
    """`POST /apps/{id}/users/{user}/terminate_connections`: close every connection signed in as that user."""
    user, engines = request.parts["user"], request.context.engines
    validation.check(validation.key("user", user, request.context.limits))
    await engines.broker.publish(SessionsRevoked(request.app.tenant, user, engines.clock.now() + 1))
    return {}


def attributes(request: PusherRequest, channel: str, requested: frozenset[str]) -> dict[str, int]:
    """Return the requested attributes of a channel, as far as its type supports them."""
    connections, result = request.context[ConnectionSurvey], {}
    if "user_count" in requested and is_presence(channel):
        result["user_count"] = len(connections.presence(request.app.tenant, channel))
    if "subscription_count" in requested:
        result["subscription_count"] = connections.followers(request.app.tenant, channel)
    return result


async def _cache(request: PusherRequest, channel: str) -> dict[str, Any]:
    engines, ttl = request.context.engines, int(request.context[PusherConfig].cache_ttl * 1000)
    now = engines.clock.now()
    last = await LastEvents(engines.db).get(request.app.tenant, channel, now - ttl)
    return {"cache": None if last is None else {"data": last.data, "ttl": max(0, last.at + ttl - now) // 1000}}
