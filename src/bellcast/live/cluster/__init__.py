"""State of the other nodes: connection counts, presence and liveness."""
