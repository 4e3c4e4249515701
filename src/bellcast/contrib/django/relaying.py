"""The relay of this process: a thread that starts with the first commit or request, and runs a last round at exit."""

import logging
import weakref
from datetime import datetime
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, router
from django.utils import timezone

from bellcast.client import BellcastError
from bellcast.contrib.django import conf, signals
from bellcast.contrib.outbox import TABLE, OutboxRows
from bellcast.contrib.relay import AHEAD_POLL, LONGEST_BACKOFF, Relay, RelayThread, Round

log = logging.getLogger("bellcast.relay")


def outbox_of(alias: str) -> OutboxRows:
    """Return the outbox of one database, through Django's connection of this thread."""
    connection = connections[alias]
    # Without USE_TZ, the times in a database without time zones are those of the project.
    zone = connection.timezone or timezone.get_default_timezone()
    rows = OutboxRows(connection, connection.vendor, mark="%s", zone=zone)
    rows.searched_at = _searched_at.get(alias)
    return rows


def _model() -> Any:
    # By name, because the models import the modules that send.
    return apps.get_model("bellcast", "OutboxEntry")


def default_alias() -> str:
    """Return the database of the outbox: the default one, unless a router names another."""
    alias: str = router.db_for_write(_model())
    return alias


# The last search for rows that a clock ahead planned, by database.
_searched_at: dict[str, datetime | None] = {}


def send_due(alias: str = DEFAULT_DB_ALIAS) -> Round:
    """Send the due rows of one database, in this thread."""

    def notify_refused(id: int, reason: str) -> None:
        for entry in _model()._base_manager.using(alias).filter(id=id):  # none if it was discarded in the meantime
            signals.notification_refused.send_robust(sender=_model(), entry=entry)

    table = outbox_of(alias)
    done = Relay(table, conf.relay_client(), notify_refused).run()
    _searched_at[alias] = table.searched_at
    for key, ids in done.sent.items():
        if (send := _unsent.pop(key, None)) is not None:
            send.assign_ids(ids)
    return done


# Sends whose notifications are still referenced, and get their ids once they are sent.
_unsent: "weakref.WeakValueDictionary[UUID, Any]" = weakref.WeakValueDictionary()


def remember(key: UUID, send: Any) -> None:
    """Record a send, so that its notifications get their ids once this process has sent it."""
    for notification in send.notifications:
        notification._send = send
    if send.notifications:
        _unsent[key] = send


class ProcessRelay(RelayThread):
    """The relay thread of this process and the databases that it serves."""

    def __init__(self) -> None:
        super().__init__(self.run)
        self.aliases: set[str] = set()
        self.unchecked: set[str] = set()
        self.unreachable: set[str] = set()  # checked again when this process has connected to them

    def run(self) -> Round:
        """Do one round in every database. Never raises: the thread must not end."""
        result = Round()
        while self.unchecked:
            self._check(self.unchecked.pop())
        for alias in sorted(self.aliases):
            try:
                done = send_due(alias)
            except BellcastError as error:
                log.warning("relay_failed database=%s error=%s", alias, error)
                done = Round(failure=error, wait=LONGEST_BACKOFF)
            except DatabaseError as error:
                log.warning("relay_database_failed database=%s error=%s", alias, error)
                done = Round(wait=1.0)
            except Exception:
                log.exception("relay_failed database=%s", alias)
                done = Round(wait=LONGEST_BACKOFF)
            finally:
                connections[alias].close()
            result.failure = result.failure or done.failure
            waits = [wait for wait in (result.wait, done.wait) if wait is not None]
            result.wait = min(*waits, AHEAD_POLL.total_seconds()) if waits else None
        return result

    def _check(self, alias: str) -> None:
        """Serve a database if it has an outbox with rows, and accepts writes, which a read replica does not."""
        rows = _model()._base_manager.using(alias)
        try:
            connection = connections[alias]
        except ImproperlyConfigured as error:  # its driver is not installed
            log.warning("relay_database_failed database=%s error=%s", alias, error)
            return
        try:
            with connection.cursor() as cursor:
                has_table = TABLE in connection.introspection.table_names(cursor)
            if has_table and rows.filter(refused_at__isnull=True).exists():
                rows.filter(id=0).update(attempts=0)
                self.aliases.add(alias)
        except (DatabaseError, ImproperlyConfigured) as error:
            log.warning("relay_database_failed database=%s error=%s", alias, error)
            if connection.connection is None:
                self.unreachable.add(alias)
        finally:
            connection.close()


_process = ProcessRelay()


def wake(alias: str) -> None:
    """Send committed rows, unless an external relay does."""
    if conf.current().choice("RELAY") == "thread":
        _process.aliases.add(alias)
        _process.wake()


def check_again(connection: Any, **_: object) -> None:
    """Check a database that could not be reached, now that this process has connected to it."""
    if connection.alias in _process.unreachable:
        _process.unreachable.discard(connection.alias)
        _process.unchecked.add(connection.alias)
        _process.wake()


def finish() -> None:
    """Send the due rows and end the relay of this process, before its database is closed. By default this happens at
    exit."""
    _process.finish()


def wake_once(**_: object) -> None:
    """Start the relay with the first request of a process, for rows that are already waiting, also in other databases."""
    from django.core.signals import request_started

    request_started.disconnect(dispatch_uid="bellcast")
    if apps.is_installed("bellcast.contrib.django") and conf.current().backend_path.endswith(".OutboxBackend"):
        _process.unchecked |= {*connections} - {default_alias()}
        wake(default_alias())
