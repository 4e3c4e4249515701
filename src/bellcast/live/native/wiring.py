"""Wires the native dialect."""

from bellcast.live.http.websocket_endpoint import WebSocketEndpoint
from bellcast.live.native.app_callbacks import DisconnectCalls
from bellcast.live.native.commands import Commands
from bellcast.live.native.handshake import NativeHandshake
from bellcast.live.native.sse_endpoint import StreamEndpoint
from bellcast.live.wiring import LiveContext, WiredDialect

STREAM_PATH, WEBSOCKET_PATH = "/v1/stream", "/v1/ws"


def wire(live: LiveContext) -> WiredDialect:
    """Wire event streams and WebSockets, and the app's `disconnect` handler for all dialects."""
    handshake = NativeHandshake(live, Commands(live))
    disconnects = DisconnectCalls(live)
    return WiredDialect(
        paths={
            STREAM_PATH: StreamEndpoint(live, handshake),
            WEBSOCKET_PATH: WebSocketEndpoint(live.config, live.admission, handshake),
        },
        stream_paths=frozenset((STREAM_PATH,)),
        connected=disconnects.connected,
        disconnected=disconnects.disconnected,
        close=disconnects.close,
    )
