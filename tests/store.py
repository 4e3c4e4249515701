"""All stores on one engine, as most tests of stores use several."""

import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from bellcast.audit.store import AuditLog
from bellcast.auth.store import Keys
from bellcast.channels.store.fanouts import Fanouts
from bellcast.channels.store.messages import Messages
from bellcast.channels.store.suppressions import Suppressions
from bellcast.console.store import StatsPoints
from bellcast.documents.store import Documents
from bellcast.exports.store import Exports
from bellcast.inbox.store.inboxes import Inboxes
from bellcast.inbox.store.maintenance import Maintenance
from bellcast.inbox.store.sends import Sends
from bellcast.inbox.store.sent_items import SentItems
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine, StoreTable
from bellcast.kernel.db.migrations import sqlite as migrations
from bellcast.kernel.db.sqlite import SqliteEngine
from bellcast.kernel.db.sqlite_connection import make_private
from bellcast.kernel.jobs.store import Jobs
from bellcast.operators.store import Operators
from bellcast.preferences.store import OwnPreferencesTable
from bellcast.recipients.store import Devices, PushEndpoints, Recipients, StoredSubscriptions
from bellcast.replays.store import Replays
from bellcast.tenants.store import Tenants
from bellcast.topics.store import JoinedTopics, LastEvents
from bellcast.webhooks.store import WebhookEvents
from bellcast.workflows import schedules
from bellcast.workflows.store import JOB_KIND, WHEN_DEAD, Runs
from tests import fake_stores as fake_stores


class Store:
    """All stores on one engine. It stands for the engine too: rules construct the stores that they need from it."""

    def __init__(self, engine: Engine, newcomers_ms: Callable[[], int] = lambda: 0) -> None:
        """`newcomers_ms` returns the age of the oldest announcement that a new recipient receives."""
        self.engine = self._engine = engine
        # Fakes that rules construct instead of these stores.
        self.replaced: dict[type[StoreTable], Any] = {}
        self.fanouts = Fanouts(engine)
        self.inboxes = InboxesOfNewcomers(engine, newcomers_ms)
        self.sends = Sends(engine)
        self.sent = SentItems(engine)
        self.recipients = Recipients(engine)
        self.preferences = OwnPreferencesTable(engine)
        self.subscriptions = StoredSubscriptions(engine)
        self.tenants = Tenants(engine)
        self.keys = Keys(engine)
        self.topics = LastEvents(engine)
        self.devices = Devices(engine)
        self.joined_topics = JoinedTopics(engine)
        self.jobs = JobsOfRuns(engine)
        self.messages = Messages(engine)
        self.suppressions = Suppressions(engine)
        self.documents = Documents(engine)
        self.push_endpoints = PushEndpoints(engine)
        self.runs = Runs(engine)
        self.replays = Replays(engine)
        self.webhook_events = WebhookEvents(engine)
        self.operators = Operators(engine)
        self.audit = AuditLog(engine)
        self.stats = StatsPoints(engine)
        self.exports = Exports(engine)
        self.maintenance = Maintenance(engine)

    async def ping(self) -> None:
        await self.engine.ping()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


class InboxesOfNewcomers(Inboxes):
    """Inboxes that are opened with the announcements that newcomers receive."""

    def __init__(self, engine: Engine, newcomers_ms: Callable[[], int]) -> None:
        super().__init__(engine)
        self._newcomers_ms = newcomers_ms

    async def open(self, *args: Any, **options: Any) -> Any:
        return await super().open(*args, **{"newcomers_ms": self._newcomers_ms(), **options})


# The kinds whose jobs know until when they wait, without those of tasks.
TIMED = (JOB_KIND, schedules.JOB_KIND)


class JobsOfRuns(Jobs):
    """Jobs of a server that runs workflows, whichever of its runners sets them dead."""

    async def set_dead(self, jobs: Any, effects: Any = None) -> None:
        await super().set_dead(jobs, {JOB_KIND: WHEN_DEAD})

    def replan(self, ids: Any, now: int, lease: int, due: Any = ()) -> Any:
        return super().replan(ids, now, lease, due or TIMED)


class FreshSqliteEngine(SqliteEngine):
    """An engine on a file that gets its tables as a copy: the migrations of an empty file take 0.03 s."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, clock)
        self.path = path

    async def open(self) -> None:
        if not self.path.exists():
            make_private(self.path)
            shutil.copyfile(_file_with_tables(), self.path)
        await super().open()


@cache
def _file_with_tables() -> Path:
    path = Path(tempfile.mkdtemp(prefix="bellcast-tables-")) / "tables.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.migrate(connection)
    atexit.register(shutil.rmtree, path.parent)
    return path
