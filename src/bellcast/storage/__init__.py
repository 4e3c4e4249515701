"""The truth on disk: scripts and SQL written once, an engine for each database."""
