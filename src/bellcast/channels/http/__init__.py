"""REST operations and pages of messages outside the inbox."""
