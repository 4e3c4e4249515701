"""Starlight: celebrity booking for parties. Its pages use Socket.IO, as they did before the move to Bellcast."""

from .app import create_app
from .calls import HANDLER_PATH
from .tokens import JWT_SECRET

__all__ = ["HANDLER_PATH", "JWT_SECRET", "create_app"]
