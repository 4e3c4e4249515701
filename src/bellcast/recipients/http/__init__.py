"""REST operations of recipients."""
