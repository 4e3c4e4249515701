"""The dialects of the server. A new dialect is a folder, and one line here."""

from bellcast.live.native import NATIVE
from bellcast.live.pusher.plugin import PUSHER
from bellcast.live.socketio import SOCKETIO
from bellcast.live.wiring import DialectPlugin

DIALECTS: tuple[DialectPlugin, ...] = (
    NATIVE,
    PUSHER,
    SOCKETIO,
)
