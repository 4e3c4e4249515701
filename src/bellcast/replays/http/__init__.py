"""REST operations of failures, replays and dead jobs."""
