"""`bellcast type`: lists, shows, writes and deletes notification types."""

from bellcast.cli import objects, options

commands, app = options.group("type", "List, show, write and delete notification types.")
objects.add_commands(commands, "types", "notification type")
