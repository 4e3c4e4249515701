"""What the native dialect brings to the server."""

from bellcast.live.wiring import DialectPlugin

NATIVE = DialectPlugin(name="native", wiring="bellcast.live.native.wiring")
