"""Values of the live feed, statistics, findings and settings."""
