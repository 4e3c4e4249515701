"""Starlight: celebrity booking for parties. Its pages use Socket.IO, as they did before the move to Bellcast."""

from .app import create_app
from .calls import HANDLER_PATH
from .tokens import JWT_CLAIMS, JWT_SECRET

__all__ = ["HANDLER_PATH", "JWT_SECRET", "KEEPS_DATA", "SERVER_SETTINGS", "create_app"]

# Settings of the server, in addition to the origin of the pages, the handler URL and the secret of the tokens.
SERVER_SETTINGS = {"jwt_claims": JWT_CLAIMS}
# The demo passes a folder for the database.
KEEPS_DATA = True
