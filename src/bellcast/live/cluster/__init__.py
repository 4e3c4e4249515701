"""What the other nodes have: connection counts, presence, and which of them are alive."""
