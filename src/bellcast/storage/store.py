"""The store: every port of it on one engine."""

from collections.abc import Mapping

from bellcast import ports
from bellcast.storage.devices import Devices
from bellcast.storage.engine import Engine
from bellcast.storage.inboxes import Inboxes
from bellcast.storage.jobs import Jobs
from bellcast.storage.joined_topics import JoinedTopics
from bellcast.storage.keys import Keys
from bellcast.storage.last_events import Topics
from bellcast.storage.maintenance import Maintenance
from bellcast.storage.recipients import Recipients
from bellcast.storage.sends import Sends


class SQLStore:
    """ports.Store on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._inboxes = Inboxes(engine)
        self._sends = Sends(engine)
        self._recipients = Recipients(engine)
        self._keys = Keys(engine)
        self._topics = Topics(engine)
        self._devices = Devices(engine)
        self._joined_topics = JoinedTopics(engine)
        self._jobs = Jobs(engine)
        self._upkeep = Maintenance(engine)

    @property
    def inboxes(self) -> ports.Inboxes:
        """The durable inboxes."""
        return self._inboxes

    @property
    def sends(self) -> ports.Sends:
        """Sending, correcting and taking back."""
        return self._sends

    @property
    def recipients(self) -> ports.Recipients:
        """The people, their tenants and topics."""
        return self._recipients

    @property
    def keys(self) -> ports.Keys:
        """API keys."""
        return self._keys

    @property
    def topics(self) -> ports.LastEvents:
        """The last events of topics."""
        return self._topics

    @property
    def devices(self) -> ports.Devices:
        """How far each device was told."""
        return self._devices

    @property
    def joined_topics(self) -> ports.JoinedTopics:
        """The topics that live connections joined."""
        return self._joined_topics

    @property
    def jobs(self) -> ports.Jobs:
        """Durable later work."""
        return self._jobs

    @property
    def upkeep(self) -> ports.Maintenance:
        """What time does to the store."""
        return self._upkeep

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Shares of tenants that wait for each other."""
        self._engine.set_weights(weights)

    async def open(self) -> None:
        """Connect and migrate under a lock."""
        await self._engine.open()

    async def ping(self) -> None:
        """Raise Unavailable unless it can be read and written."""
        await self._engine.ping()

    async def close(self) -> None:
        """Finish what is under way, then let go."""
        await self._engine.close()
