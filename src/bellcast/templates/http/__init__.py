"""REST operations of templates."""
