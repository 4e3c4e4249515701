"""The store: all its ports on one engine."""

from collections.abc import Callable, Mapping

from bellcast import ports
from bellcast.ports import operators, replays, stats, webhooks
from bellcast.storage.devices import Devices
from bellcast.storage.documents import Documents
from bellcast.storage.engine import Engine
from bellcast.storage.inboxes import Inboxes
from bellcast.storage.jobs import Jobs
from bellcast.storage.joined_topics import JoinedTopics
from bellcast.storage.keys import Keys
from bellcast.storage.last_events import LastEvents
from bellcast.storage.maintenance import Maintenance
from bellcast.storage.messages import Messages
from bellcast.storage.operators import Operators
from bellcast.storage.push_endpoints import PushEndpoints
from bellcast.storage.recipients import Recipients
from bellcast.storage.replays import Replays
from bellcast.storage.runs import Runs
from bellcast.storage.sends import Sends
from bellcast.storage.stats import StatsPoints
from bellcast.storage.suppressions import Suppressions
from bellcast.storage.webhook_events import WebhookEvents


class SQLStore:
    """ports.Store on any engine."""

    def __init__(self, engine: Engine, newcomers_ms: Callable[[], int] = lambda: 0) -> None:
        """`newcomers_ms` returns the age of the oldest announcement that a new recipient receives."""
        self._engine = engine
        self.schema = engine.schema
        self.inboxes: ports.Inboxes = Inboxes(engine, newcomers_ms)
        self.sends: ports.Sends = Sends(engine)
        self.recipients: ports.Recipients = Recipients(engine)
        self.keys: ports.Keys = Keys(engine)
        self.topics: ports.LastEvents = LastEvents(engine)
        self.devices: ports.Devices = Devices(engine)
        self.joined_topics: ports.JoinedTopics = JoinedTopics(engine)
        self.jobs: ports.Jobs = Jobs(engine)
        self.messages: ports.Messages = Messages(engine)
        self.suppressions: ports.Suppressions = Suppressions(engine)
        self.documents: ports.Documents = Documents(engine)
        self.push_endpoints: ports.PushEndpoints = PushEndpoints(engine)
        self.runs: ports.Runs = Runs(engine)
        self.replays: replays.Replays = Replays(engine)
        self.webhook_events: webhooks.WebhookEvents = WebhookEvents(engine)
        self.operators: operators.Operators = Operators(engine)
        self.stats: stats.StatsPoints = StatsPoints(engine)
        self.maintenance: ports.Maintenance = Maintenance(engine)

    def set_weights(self, weights: Mapping[str, float]) -> None:
        self._engine.set_weights(weights)

    async def open(self) -> None:
        await self._engine.open()

    async def ping(self) -> None:
        await self._engine.ping()

    async def close(self) -> None:
        await self._engine.close()
