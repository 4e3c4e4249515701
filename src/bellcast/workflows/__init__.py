"""Workflows: definitions, conditions, schedules and the runs that execute them."""
