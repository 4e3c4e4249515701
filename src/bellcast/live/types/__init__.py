"""Live events and the nodes that send them to each other."""
