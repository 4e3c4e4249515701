"""The dialects of the server. A new dialect is a folder with a `wire` function, and one line here."""

from bellcast.live.native.wiring import wire as native
from bellcast.live.pusher.wiring import wire as pusher
from bellcast.live.socketio.wiring import wire as socketio
from bellcast.live.wiring import Wire

DIALECTS: tuple[Wire, ...] = (
    native,
    pusher,
    socketio,
)
