"""Scripts and SQL of messages outside the inbox."""
