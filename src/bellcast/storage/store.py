"""The store: all its parts on one engine."""

from collections.abc import Callable, Mapping

from bellcast.channels.suppressions.store import Suppressions
from bellcast.kernel.db.engine import Engine
from bellcast.storage.devices import Devices
from bellcast.storage.documents import Documents
from bellcast.storage.export import Exports
from bellcast.storage.inboxes import Inboxes
from bellcast.storage.jobs import Jobs
from bellcast.storage.joined_topics import JoinedTopics
from bellcast.storage.keys import Keys
from bellcast.storage.last_events import LastEvents
from bellcast.storage.maintenance import Maintenance
from bellcast.storage.messages import Messages
from bellcast.storage.operators import Operators
from bellcast.storage.preferences import OwnPreferencesTable
from bellcast.storage.push_endpoints import PushEndpoints
from bellcast.storage.recipients import Recipients
from bellcast.storage.replays import Replays
from bellcast.storage.runs import Runs
from bellcast.storage.sends import Sends
from bellcast.storage.sent import SentItems
from bellcast.storage.stats import StatsPoints
from bellcast.storage.subscriptions import StoredSubscriptions
from bellcast.storage.tenants import Tenants
from bellcast.storage.webhook_events import WebhookEvents


class Store:
    """The durable data. Raises Unavailable when it cannot be reached and DiskFull when it is full; then nothing changed."""

    def __init__(self, engine: Engine, newcomers_ms: Callable[[], int] = lambda: 0) -> None:
        """`newcomers_ms` returns the age of the oldest announcement that a new recipient receives."""
        self._engine = engine
        self.schema = engine.schema
        self.inboxes = Inboxes(engine, newcomers_ms)
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
        self.jobs = Jobs(engine)
        self.messages = Messages(engine)
        self.suppressions = Suppressions(engine)
        self.documents = Documents(engine)
        self.push_endpoints = PushEndpoints(engine)
        self.runs = Runs(engine)
        self.replays = Replays(engine)
        self.webhook_events = WebhookEvents(engine)
        self.operators = Operators(engine)
        self.stats = StatsPoints(engine)
        self.exports = Exports(engine)
        self.maintenance = Maintenance(engine)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Set the shares of tenants that compete; the default is 1."""
        self._engine.set_weights(weights)

    async def open(self) -> None:
        """Connect and migrate under a lock."""
        await self._engine.open()

    async def ping(self) -> None:
        """Raise Unavailable unless the store can be read and written."""
        await self._engine.ping()

    async def close(self) -> None:
        """Finish running writes, then disconnect."""
        await self._engine.close()
