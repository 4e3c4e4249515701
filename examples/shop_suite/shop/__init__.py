"""The Django app of the shops."""
