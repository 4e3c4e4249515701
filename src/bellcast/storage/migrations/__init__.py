"""Schema migrations: numbered SQL files, each run once, by one process at a time."""

from collections.abc import Callable

import structlog

from bellcast.ports.migration import StoreMigration

ReportStep = Callable[[StoreMigration], None]

log = structlog.get_logger(__name__)


def log_step(migration: StoreMigration) -> None:
    """Log the step that begins."""
    log.info("migrating", step=migration.step, to=migration.to, **{"from": migration.before})
