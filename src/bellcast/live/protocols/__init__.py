"""The dialects, each alone and without I/O: bytes in, commands out; events in, bytes out."""
