"""Live connections, their transports and wire protocols."""
