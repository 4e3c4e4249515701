"""Selects the adapters and wires them."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bellcast.server.app import App, asgi, create_app
    from bellcast.server.run import listen, serve

__all__ = ["App", "asgi", "create_app", "listen", "serve"]

# Loaded lazily, so that a command that only opens the store starts in half the time.
_HOMES = {"App": "app", "asgi": "app", "create_app": "app", "listen": "run", "serve": "run"}


def __getattr__(name: str) -> Any:
    """Import an exported name lazily from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
