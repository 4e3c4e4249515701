"""What a connection missed: replay on resume, gaps, and the periodic comparison with the store."""
