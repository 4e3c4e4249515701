"""Publishing in Pusher's HTTP API: one event to many channels, or a batch. An invalid request publishes nothing."""

import contextlib
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.kernel import validation
from bellcast.kernel.errors import Invalid, TooLarge
from bellcast.kernel.events import LiveEvent
from bellcast.live.pusher import signatures
from bellcast.live.pusher.http import channels as pusher_channels
from bellcast.live.pusher.http.request import COUNTS, PusherRequest, check_channel, infos
from bellcast.live.pusher.types import PusherConfig
from bellcast.topics import publishing as events
from bellcast.topics import types as topics
from bellcast.topics.types import PUSHER_PREFIXES


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
    attributes = _checked(request, "", requested, channels)
    await events.publish(request.context.engines, *_events(request.app.tenant, requested, channels))
    if not attributes:
        return {}
    return {
        "channels": dict(
            zip(
                channels,
                await pusher_channels.attributes(request, [(one, attributes) for one in channels]),
                strict=True,
            )
        )
    }


async def batch(request: PusherRequest) -> object:
    """`POST /apps/{id}/batch_events`."""
    requested = request.json(Batch).batch
    limit = request.context[PusherConfig].batch
    if limit and len(requested) > limit:
        raise Invalid.of("batch", f"must have at most {limit} events, got {len(requested)}")
    attributes = []
    for number, one in enumerate(requested):
        if one.channel is None:
            raise Invalid.of(f"batch.{number}.channel", "must be given")
        attributes.append(_checked(request, f"batch.{number}.", one, [one.channel]))
    tenant = request.app.tenant
    published = (event for one in requested for event in _events(tenant, one, [one.channel or ""]))
    await events.publish(request.context.engines, *published)
    if not any(attributes):
        return {}
    pairs = [(one.channel or "", wanted) for one, wanted in zip(requested, attributes, strict=True)]
    return {"batch": await pusher_channels.attributes(request, pairs)}


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
