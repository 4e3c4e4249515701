"""HTTP side of live connections: socket takeover, ASGI transport, WebSocket endpoint."""
