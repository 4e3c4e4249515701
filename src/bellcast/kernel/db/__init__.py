"""The store: two engines that run the same scripts, the commit queue, migrations and backups."""
