"""Polls the database for changes whose event was lost."""

from collections.abc import Awaitable, Callable, Mapping

import structlog

from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError

log = structlog.get_logger(__name__)

# Maximum delay until a node that missed the event applies a change.
POLL_SECONDS = 10.0


async def poll(clock: Clock, reload: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Reload all parts periodically. `parts` are named as in the log."""
    while True:
        await clock.sleep(POLL_SECONDS)
        for name, read in reload.items():
            try:
                await read()
            except BellcastError as error:
                log.warning("database_not_read", part=name, reason=error.detail)
