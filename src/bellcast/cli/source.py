"""`bellcast source`: lists, shows, writes and deletes event sources."""

from bellcast.cli import objects, options

source, app = options.group("source", "List, show, write and delete event sources.")
objects.add_commands(source, "sources", "event source")
