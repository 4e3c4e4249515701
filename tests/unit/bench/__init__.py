"""The load generator must count exactly and tell the truth about what it could not measure."""
