"""The one place that picks adapters and wires them."""

from bellcast.server.app import App, create_app
from bellcast.server.run import serve

__all__ = ["App", "create_app", "serve"]
