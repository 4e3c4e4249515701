"""REST operations and pages of preferences."""
