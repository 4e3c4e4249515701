"""Scripts and SQL of runs."""
