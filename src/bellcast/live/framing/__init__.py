"""Server-side framing of HTTP heads, event streams and WebSockets, without I/O or a clock."""
