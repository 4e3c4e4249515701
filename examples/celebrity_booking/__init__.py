"""Starlight: celebrities booked for parties. Its pages speak Socket.IO, as they did before there was Bellcast."""

from .app import create_app
from .calls import HANDLER_PATH
from .tokens import JWT_SECRET

__all__ = ["HANDLER_PATH", "JWT_SECRET", "create_app"]
