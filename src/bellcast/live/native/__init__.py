"""The native dialect over SSE and WebSocket."""

from bellcast.live.wiring import DialectPlugin

NATIVE = DialectPlugin(name="native", wiring="bellcast.live.native.endpoints")
