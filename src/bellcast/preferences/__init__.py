"""Decides whether, when and through which channel a recipient gets a notification. Pure: no I/O, no clock."""
