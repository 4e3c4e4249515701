"""The Socket.IO dialect (protocol 5 over Engine.IO 4)."""
