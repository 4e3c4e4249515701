"""REST operations of workflows, runs, schedules and sources."""
