"""REST over HTTP: every path of the outside surface except the live ones. Reads, checks who asks, calls a room, answers."""
