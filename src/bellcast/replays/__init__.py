"""Failed messages, failed runs and dead jobs: their causes, and replays that retry them by filter."""
