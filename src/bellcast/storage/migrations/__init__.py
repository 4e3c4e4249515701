"""Schema migrations: numbered SQL files, each run once, all under one lock."""
