"""Pusher Channels, protocol 7, without I/O: decoding of commands, encoding of events."""
