"""What carries events from the process that caused them to every process that has listeners."""
