"""REST operations of sends and of the inbox."""
