"""Decides whether, when and through which channel a recipient gets a notification. Pure: no I/O, no clock."""

from bellcast.preferences.decision import Decision, Layers, Occasion, decide
from bellcast.preferences.effective import ChannelStatus, EffectiveType, effective

__all__ = ["ChannelStatus", "Decision", "EffectiveType", "Layers", "Occasion", "decide", "effective"]
