"""Refusals of the command line name the file that they are about."""

import pytest
import typer

from bellcast.cli import objects, restore
from bellcast.cli.console import CommandError


def test_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(typer.BadParameter, match=r"none\.yaml cannot be read: No such file"):
        objects.read_object(tmp_path / "none.yaml")


def test_damaged_backup_is_named(tmp_path):
    broken = tmp_path / "broken.db"
    broken.write_text("no database")
    with pytest.raises(CommandError, match=r"broken\.db: The database file is not a database"):
        restore.checked_version(broken)
