"""Bellcast: one durable inbox behind every live client."""

from typing import TYPE_CHECKING, Any

from bellcast.build import __version__

if TYPE_CHECKING:
    from bellcast.calls import Callbacks, Handlers, Refused
    from bellcast.client import AsyncBellcast, Bellcast, NotificationManager
    from bellcast.workflows.flows import Workflows

__all__ = [
    "AsyncBellcast",
    "Bellcast",
    "Callbacks",
    "Handlers",
    "NotificationManager",
    "Refused",
    "Workflows",
    "__version__",
]


# Loaded lazily: an app that only sends needs no server, and a server needs no client.
_HOMES = {
    "AsyncBellcast": "client",
    "Bellcast": "client",
    "Callbacks": "calls",
    "Handlers": "calls",
    "NotificationManager": "client",
    "Refused": "calls",
    "Workflows": "workflows.flows",
    "asgi": "server",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first access."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"bellcast.{_HOMES[name]}"), name)
