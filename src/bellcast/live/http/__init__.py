"""How a live connection comes out of an HTTP server: socket takeover, ASGI sends, WebSocket endpoint."""
