"""REST operations of operators and their own accounts."""
