"""A live client connection: phase, transport, limits and close reasons."""
