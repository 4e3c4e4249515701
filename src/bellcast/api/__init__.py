"""The REST API: every public HTTP path except the live ones."""
