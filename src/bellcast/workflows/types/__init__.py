"""Values of runs."""
