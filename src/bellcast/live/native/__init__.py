"""The native dialect over SSE and WebSocket."""
