"""The past of `bellcast demo`: a server with a clock that starts 30 days ago writes what `story` contains, by its own rules,
before the demo's server opens the database."""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import structlog

from bellcast.live_feed import ServedRequest
from bellcast.settings import Settings, load

from . import history, story
from .past_server import PastServer
from .servers import ServerUrls

# Notifications without --busy, and their recipients.
ROWS, RECIPIENTS = 500, 50
# The past server counts nothing, and does not write to the terminal.
FLAGS = {"stats": "off", "access_log": "off"}


def write(values: Mapping[str, Any], servers: ServerUrls, *, is_busy: bool) -> Sequence[ServedRequest]:
    """Write the past to the database of these settings. Unless it is busy, there is no history yet: write a short one, and
    leave out the last day. Return the requests that made the past, with their times."""
    settings = load({**values, **FLAGS}, {})
    configured, quiet = structlog.get_config(), structlog.make_filtering_bound_logger(logging.ERROR)
    # Loggers are not kept, because the demo's server logs more.
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=False)
    try:
        if not is_busy:
            history.write(settings.store.path, ROWS, lambda done, total: None, RECIPIENTS)
        return asyncio.run(_write(settings, servers, is_busy=is_busy))
    finally:
        structlog.configure(**configured)


async def _write(settings: Settings, servers: ServerUrls, *, is_busy: bool) -> Sequence[ServedRequest]:
    past = PastServer(settings)
    await past.app.start(is_mounted=False)
    try:
        for name, (role, tenants, _) in story.OPERATORS.items():
            await past.add_operator(name, role, tenants)
        await past.set_up_second_factor(story.CAREFUL)
        used = await asyncio.to_thread(story.replay, past, servers, is_busy=is_busy)
        for name, (*_, hours) in story.OPERATORS.items():
            await past.leave(name, hours)
        _set_uses(settings, {id: past.at(hours) for id, hours in used.items()})
        return past.requests()
    finally:
        await past.app.stop()


def _set_uses(settings: Settings, used: Mapping[str, int]) -> None:
    """Set when keys were used: the server recorded their requests with the time that it is, and `Keys.record_use` never goes
    back."""
    with closing(sqlite3.connect(settings.store.path)) as database, database:
        changes = [(at, id) for id, at in used.items()]
        database.executemany("UPDATE api_keys SET used_at = ? WHERE id = ?", changes)
