"""REST operations that serve the console."""
