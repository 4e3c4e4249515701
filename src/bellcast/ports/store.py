"""The store: every port of it."""

from collections.abc import Mapping
from typing import Protocol

from bellcast.ports.devices import Devices
from bellcast.ports.inboxes import Inboxes
from bellcast.ports.jobs import Jobs
from bellcast.ports.joined_topics import JoinedTopics
from bellcast.ports.keys import Keys
from bellcast.ports.last_events import LastEvents
from bellcast.ports.maintenance import Maintenance
from bellcast.ports.recipients import Recipients
from bellcast.ports.sends import Sends


class Store(Protocol):
    """The truth. Raises Unavailable when it is away and DiskFull when it is full; then nothing was changed."""

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
    def upkeep(self) -> Maintenance: ...

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """From now on tenants that wait for each other have these shares; whoever is not named has 1."""
        ...

    async def open(self) -> None:
        """Connect and migrate under a lock."""
        ...

    async def ping(self) -> None:
        """Raise Unavailable unless it can be read and written."""
        ...

    async def close(self) -> None:
        """Finish what is under way, then let go."""
        ...
