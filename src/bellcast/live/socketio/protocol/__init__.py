"""Engine.IO and Socket.IO packets: bytes to packets, events to bytes; no I/O."""
