"""Scripts and SQL of topics."""
