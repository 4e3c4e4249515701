"""The Socket.IO dialect (protocol 5 over Engine.IO 4)."""

from bellcast.live.wiring import DialectPlugin

SOCKETIO = DialectPlugin(name="socketio", wiring="bellcast.live.socketio.wiring")
