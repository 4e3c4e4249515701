"""Dependencies of the API: engines, limits, access rules, and a view of the live connections."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from bellcast.auth.access_config import AccessConfig
from bellcast.auth.authenticator import Authenticator
from bellcast.console.types.diagnoses import Doctor
from bellcast.console.types.live_feed import ObservedServer
from bellcast.console.types.server_settings import ServerSettingsStore
from bellcast.console.types.stats import StatsReader
from bellcast.context import Context
from bellcast.kernel.clock import Clock
from bellcast.kernel.identities import Project
from bellcast.kernel.limits import Limits
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live.types.events import (
    EVERY_CONNECTION,
    ConnectionCount,
    ConnectionFilter,
    ConnectionInfo,
    ConnectionPosition,
    Member,
    NotificationWrite,
)
from bellcast.live.types.nodes import LiveNode
from bellcast.providers.types import ProviderDirectory

T = TypeVar("T")


class Connections(Protocol):
    """State of the live connections, of all nodes together unless stated otherwise."""

    async def page(
        self,
        tenant: str | None,
        before: ConnectionPosition | None,
        limit: int,
        wanted: ConnectionFilter = EVERY_CONNECTION,
    ) -> Sequence[ConnectionInfo]:
        """Return at most `limit` connections, newest first, before the position `before`. If `tenant` is None, of all
        tenants."""
        ...

    async def close(self, tenant: str | None, id: str, *, reconnect: bool) -> bool:
        """Close a connection on any node; if `tenant` is not None, only one of this tenant. Return False if no node has
        it."""
        ...

    async def writes(self, tenant: str, notification: str, recipient: str | None) -> Sequence[NotificationWrite]:
        """Return the writes of a notification to live connections that the nodes still know, the oldest first; without a
        `recipient`, one for each node."""
        ...

    async def counts_by_transport(self, tenant: str | None) -> Sequence[ConnectionCount]:
        """Return the number of connections by dialect and transport; of all tenants if `tenant` is None."""
        ...

    def presence(self, tenant: str, topic: str) -> Sequence[Member]:
        """Return the members that are present on a topic."""
        ...

    def followed_topics(self, tenant: str) -> Mapping[str, int]:
        """Return followed topics with their numbers of connections."""
        ...

    def followed_topics_of_all(self) -> Mapping[tuple[str, str], int]:
        """Return followed topics of all tenants, by tenant and topic."""
        ...

    def followers(self, tenant: str, topic: str) -> int:
        """Return how many connections follow a topic."""
        ...

    def stats(self) -> Mapping[str, Any]:
        """Values of this process by name: numbers, the counts of `metrics.COUNTERS` and `connections` by their labels, and
        `delays`, a histogram of the seconds from acceptance to write."""
        ...


class Workers(Protocol):
    """The other processes that share this process's port."""

    name: str

    async def others(self) -> Mapping[str, bytes]:
        """Metrics of the other workers, by worker name. Workers that do not respond in time are omitted."""
        ...


class TestClockControl(Protocol):
    """The test clock."""

    def now(self) -> int:
        """Return UTC milliseconds."""
        ...

    async def advance(self, milliseconds: int) -> int:
        """Move the clock forward, running all work that becomes due; return the new time."""
        ...


class ApiContext(Struct, frozen=True, kw_only=True):
    """Everything a request may need, wired once by the server: fields for all rooms, and the services of single rooms by
    their type, `context.of(request)[Catalog]`."""

    engines: Context
    services: Mapping[type[Any], Any]
    limits: Limits
    project: Project
    authenticator: Authenticator
    access: AccessConfig
    connections: Connections
    nodes: Callable[[], Sequence[LiveNode]]  # live nodes, by id
    doctor: Doctor
    url_problem: Callable[[str], str | None]  # reason why a URL from the API or of a recipient must not be used
    providers: ProviderDirectory
    push_key: Callable[[], str]  # the public key that browsers bind their push subscriptions to
    refresh_dialects: Callable[[], Awaitable[None]]  # after a change of what they keep of the store, on all nodes
    dialect_numbers: Callable[[], Mapping[str, float]] = dict  # numbers by name, for /metrics
    outbox: Callable[[], Mapping[str, float]] = dict  # numbers by name, for /metrics
    process_counts: Callable[[], Mapping[str, Mapping[Any, float]]] = dict  # counts of `metrics.COUNTERS` by name
    queue_age: Callable[[], Awaitable[int]]  # how long the oldest due job has waited, in milliseconds
    workers: Workers | None = None
    observed: ObservedServer
    settings: ServerSettingsStore
    connection_tests: TokenBuckets = msgspec.field(default_factory=TokenBuckets)  # their authentication
    stats: StatsReader | None = None  # numbers over time; None with BELLCAST_STATS=off
    test_clock: TestClockControl | None = None
    real_clock: Clock | None = None  # the system time, with a test clock
    is_ready_strict: bool = False  # /readyz is a 503 without the broker
    has_landing: bool = True  # the page at /
    landing_url: str | None = None  # where / redirects to, instead of the page
    has_trial: bool = True  # the page's form that sends a first notification; off behind a known proxy

    def __getitem__(self, service: type[T]) -> T:
        """Return the service of a type."""
        found: T = self.services[service]
        return found

    def find(self, service: type[T]) -> T | None:
        """Return the service of a type, or None if it is turned off."""
        return self.services.get(service)

    @property
    def token_clock(self) -> Clock:
        """The clock of tokens and signatures: the system time, even with a test clock."""
        return self.real_clock or self.engines.clock


class HasScope(Protocol):
    """A request."""

    @property
    def scope(self) -> Any: ...


def of(request: HasScope) -> ApiContext:
    """Return the API context of a request."""
    result: ApiContext = request.scope["state"]["api_context"]
    return result
