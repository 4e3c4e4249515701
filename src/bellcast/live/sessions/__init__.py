"""From an accepted socket to a live connection: how each dialect greets."""
