"""Schema migrations: SQL files with the number of the version to which they lead, each run once, by one process at a time.

The first file creates all tables of the oldest version that can be upgraded. Versions continue those of the development
versions before it.
"""

import re
from pathlib import Path

import structlog

from bellcast.kernel.db.engine import StoreMigration, StoreSchema
from bellcast.kernel.errors import Conflict

log = structlog.get_logger(__name__)


def load(folder: Path) -> dict[int, str]:
    """Return the scripts of a folder by the version to which they lead, oldest first."""
    files = {file.name: file for file in folder.iterdir()}
    numbers = {name: int(name[:4]) for name in sorted(files) if re.fullmatch(r"\d{4}_\w+\.sql", name)}
    return {number: files[name].read_text(encoding="utf-8") for name, number in numbers.items()}


def check_version(version: int, steps: dict[int, str]) -> None:
    """Raise Conflict if the version of a store is newer than the last step, or too old for an upgrade. 0 is an
    empty store."""
    if version > max(steps):
        raise Conflict(
            f"This store was written by a newer Bellcast (schema version {version}; this one supports {max(steps)}):"
            " run that version, or restore a backup made by this one."
        )
    if 0 < version < min(steps):
        raise Conflict(
            f"This store was written by a development version of Bellcast (schema version {version}; this one upgrades from"
            f" {min(steps)}): start commit 7ee7e954 with it first, then this one."
        )


def begin_step(schema: StoreSchema, before: int, step: int) -> None:
    """Log a step of this process, and store it as the progress of the schema."""
    log.info("migrating", **{"from": before}, to=schema.version, step=step)
    schema.migration = StoreMigration(before, schema.version, step)
