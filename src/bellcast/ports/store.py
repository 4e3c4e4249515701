"""The store: all its ports."""

from collections.abc import Mapping
from typing import Protocol

from bellcast.ports.devices import Devices
from bellcast.ports.documents import Documents
from bellcast.ports.inboxes import Inboxes
from bellcast.ports.jobs import Jobs
from bellcast.ports.joined_topics import JoinedTopics
from bellcast.ports.keys import Keys
from bellcast.ports.last_events import LastEvents
from bellcast.ports.maintenance import Maintenance
from bellcast.ports.messages import Messages
from bellcast.ports.migration import StoreSchema
from bellcast.ports.operators import Operators
from bellcast.ports.push_endpoints import PushEndpoints
from bellcast.ports.recipients import Recipients
from bellcast.ports.replays import Replays
from bellcast.ports.runs import Runs
from bellcast.ports.sends import Sends
from bellcast.ports.stats import StatsPoints
from bellcast.ports.suppressions import Suppressions
from bellcast.ports.webhooks import WebhookEvents


class Store(Protocol):
    """The durable data. Raises Unavailable when it cannot be reached and DiskFull when it is full; then nothing changed."""

    @property
    def inboxes(self) -> Inboxes: ...
    @property
    def sends(self) -> Sends: ...
    @property
    def recipients(self) -> Recipients: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def topics(self) -> LastEvents: ...
    @property
    def devices(self) -> Devices: ...
    @property
    def joined_topics(self) -> JoinedTopics: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def suppressions(self) -> Suppressions: ...
    @property
    def documents(self) -> Documents: ...
    @property
    def push_endpoints(self) -> PushEndpoints: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def replays(self) -> Replays: ...
    @property
    def webhook_events(self) -> WebhookEvents: ...
    @property
    def operators(self) -> Operators: ...
    @property
    def stats(self) -> StatsPoints: ...
    @property
    def maintenance(self) -> Maintenance: ...

    @property
    def schema(self) -> StoreSchema: ...

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Set the shares of tenants that compete; the default is 1."""
        ...

    async def open(self) -> None:
        """Connect and migrate under a lock."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless the store can be read and written."""
        ...

    async def close(self) -> None:
        """Finish running writes, then disconnect."""
        ...
