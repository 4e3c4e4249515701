"""REST operations of topics and live events."""
