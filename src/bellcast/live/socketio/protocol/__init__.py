"""Decoding and encoding of Engine.IO and Socket.IO packets, without I/O."""
