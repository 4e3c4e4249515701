"""Reminders of appointments. Bellcast sends them at their time; the app only keeps its schedules up to date."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from bellcast.client import Bellcast, InvalidArgument, RequestRefused
from bellcast.contrib import dbapi
from bellcast.contrib.relay import PERMANENT

from .database import Database

log = logging.getLogger(__name__)
SCHEMA = """
CREATE TABLE IF NOT EXISTS reminders (key TEXT PRIMARY KEY, digest TEXT NOT NULL);
"""
# Bellcast schedules at most 366 days ahead; a later reminder is scheduled by a later round.
MOST_AHEAD = timedelta(days=360)


class Reminder(NamedTuple):
    """A notification for the time `at`, which has a time zone. If that has passed, it is a row of the outbox."""

    key: str
    at: datetime
    notification: dict[str, Any]


class Reminders:
    """Makes the schedules in Bellcast equal to the reminders of the app's upcoming appointments. `upcoming` returns them all;
    one that it no longer returns is removed, and one that has changed is replaced."""

    def __init__(
        self,
        database: Database,
        tenant: str,
        upcoming: Callable[[datetime], Iterable[Reminder]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._tenant = tenant
        self._upcoming = upcoming
        self._clock = clock

    def reconcile(self, bell: Bellcast) -> None:
        now = self._clock()
        wanted = {one.key: one for one in self._upcoming(now) if one.at < now + MOST_AHEAD}
        written = {row["key"]: row["digest"] for row in self._database.rows("SELECT * FROM reminders")}
        for key, reminder in wanted.items():
            digest = _digest(reminder)
            # One that has been sent is not repeated when its text changes.
            if key not in written or (written[key] != digest and reminder.at > now):
                self._attempt(key, partial(self._write, bell, reminder, f"{self._tenant}-{key}-{digest}", now))
                self._store("INSERT OR REPLACE INTO reminders VALUES (?, ?)", key, digest)
        for key in written.keys() - wanted.keys():
            self._attempt(key, partial(bell.schedules.delete, key, tenant=self._tenant))
            self._store("DELETE FROM reminders WHERE key = ?", key)

    def _write(self, bell: Bellcast, reminder: Reminder, once: str, now: datetime) -> None:
        if reminder.at > now:
            schedule = {"at": reminder.at.astimezone(UTC).isoformat(), "notification": reminder.notification}
            bell.schedules.put(reminder.key, schedule, tenant=self._tenant)
            return
        # Through the outbox, behind the rows about its appointment: those may still wait there.
        with self._database.transaction() as connection:
            dbapi.notify(connection, **reminder.notification, tenant=self._tenant, idempotency_key=once)

    def _attempt(self, key: str, request: Callable[[], object]) -> None:
        """A request that Bellcast refuses must not hold up the other reminders, nor be repeated for ever."""
        try:
            request()
        except (RequestRefused, InvalidArgument) as refusal:
            if isinstance(refusal, RequestRefused) and refusal.status not in PERMANENT | {404}:
                raise
            log.warning("reminder_refused key=%s reason=%s", key, refusal)

    def _store(self, sql: str, *params: str) -> None:
        with self._database.transaction() as connection:
            connection.execute(sql, params)


def _digest(reminder: Reminder) -> str:
    text = json.dumps([reminder.at.isoformat(), reminder.notification], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
