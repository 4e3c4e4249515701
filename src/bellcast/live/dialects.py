"""The dialects of the server. A new dialect is a folder, and one line here."""

from bellcast.live.native.plugin import NATIVE
from bellcast.live.pusher.plugin import PUSHER
from bellcast.live.socketio.plugin import SOCKETIO
from bellcast.live.wiring import DialectPlugin

DIALECTS: tuple[DialectPlugin, ...] = (
    NATIVE,
    PUSHER,
    SOCKETIO,
)
