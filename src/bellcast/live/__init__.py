"""The live edge: connections, their transports and the dialects spoken on them."""
