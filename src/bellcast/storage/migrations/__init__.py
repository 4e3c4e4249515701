"""Schema migrations: numbered SQL files, each run once, by one process at a time."""

import structlog

from bellcast.ports.migration import StoreMigration, StoreSchema

log = structlog.get_logger(__name__)


def begin_step(schema: StoreSchema, before: int, step: int) -> None:
    """Log a step of this process, and store it as the progress of the schema."""
    log.info("migrating", **{"from": before}, to=schema.version, step=step)
    schema.migration = StoreMigration(before, schema.version, step)
