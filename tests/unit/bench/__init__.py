"""Tests of the load generator: exact counts, and honest reports of missing figures."""
