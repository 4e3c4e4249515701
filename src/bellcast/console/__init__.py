"""The console: its pages, the live feed, statistics, and what they show of the servers."""
