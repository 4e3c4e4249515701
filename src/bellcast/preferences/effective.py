"""The effective preferences shown to a recipient: each type and channel with its current state."""

from collections.abc import Collection, Mapping

import msgspec
from msgspec import UNSET, Struct, UnsetType

from bellcast.kernel import local_times
from bellcast.preferences.decision import SWITCHES, Layers, Occasion, Source, switch
from bellcast.preferences.types import CHANNELS, Channel, TypeRules


class ChannelStatus(Struct, frozen=True):
    """Whether a channel is on for a type, whether it can be switched, and which document decided. `available: false` marks
    a channel without a provider or address: pages do not offer it."""

    on: bool
    required: bool = False
    by: Source | None = None
    available: bool | UnsetType = UNSET


class EffectiveType(Struct, frozen=True):
    """One type, its display name, and the state of each of its channels."""

    type: str
    name: str
    channels: dict[Channel, ChannelStatus]


def effective(
    layers: Layers, types: Mapping[str, TypeRules], available: Collection[Channel] = CHANNELS
) -> list[EffectiveType]:
    """Return the state of each channel for each type, without mutes and times."""
    found = []
    for type, rules in types.items():
        own = msgspec.structs.replace(layers, rules=rules)
        channels = {channel: _status(own, type, channel) for channel in CHANNELS}
        for channel in channels.keys() - set(available):
            channels[channel] = msgspec.structs.replace(channels[channel], available=False)
        found.append(EffectiveType(type, rules.name_of(type), channels))
    return found


def _status(layers: Layers, type: str, channel: Channel) -> ChannelStatus:
    if layers.rules.requires(channel):
        return ChannelStatus(on=True, required=True, by="type")
    # Switches depend on neither the time nor the priority.
    occasion = Occasion(channel=channel, type=type, priority="normal", now=0, zone=local_times.UTC_ZONE)
    by: Source | None = None
    for rule in SWITCHES:
        is_on, source = switch(rule, occasion, layers)
        if not is_on:
            return ChannelStatus(on=False, by=source)
        by = by or source
    return ChannelStatus(on=True, by=by)
