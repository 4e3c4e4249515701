"""Dependencies of the API: engines, limits, access rules, and a view of the live connections."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from bellcast.auth.authenticator import Authenticator
from bellcast.auth.permissions import AccessConfig
from bellcast.console.types import FindingItem
from bellcast.engines import Engines
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import NotFound
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import Project
from bellcast.kernel.limits import Limits
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.live.types import LiveNode

T = TypeVar("T")


class ApiContext(Struct, frozen=True, kw_only=True):
    """Everything a request may need, wired once by the server: fields for all rooms, and the services of single rooms by
    their type, `context.of(request)[Catalog]`."""

    engines: Engines
    token_clock: Clock  # of tokens, signatures and rates: the system time, even with a test clock
    services: Mapping[type[Any], Any]
    limits: Limits
    project: Project
    authenticator: Authenticator
    access: AccessConfig
    nodes: Callable[[], Awaitable[Sequence[LiveNode]]]  # live nodes, by id
    findings: Callable[[], AsyncGenerator[FindingItem]]  # those of the doctor
    url_problem: Callable[[str], str | None]  # reason why a URL from the API or of a recipient must not be used
    push_key: Callable[[], str]  # the public key that browsers bind their push subscriptions to
    refresh_dialects: Callable[[], Awaitable[None]]  # after a change of what they keep of the store, on all nodes
    numbers: Callable[[], Mapping[str, float]]  # of the dialects and the outbox by name, for /metrics
    process_counts: Callable[[], Mapping[str, Mapping[Any, float]]] = dict  # counts of `metrics.COUNTERS` by name
    queue_age: Callable[[], Awaitable[int]]  # how long the oldest due job has waited, in milliseconds
    calls_by_minute: TokenBuckets = msgspec.field(default_factory=TokenBuckets)  # tests and simulations of callers
    is_ready_strict: bool = False  # /readyz is a 503 without the broker
    data_folder: str | None = None  # None if it is the default
    landing: bool | str = True  # whether there is a page at /, or the URL that / redirects to
    has_trial: bool = True  # the page's form that sends a first notification; off behind a known proxy

    def __getitem__(self, service: type[T]) -> T:
        """Return the service of a type."""
        found: T = self.services[service]
        return found

    def find(self, service: type[T]) -> T | None:
        """Return the service of a type, or None if it is turned off."""
        return self.services.get(service)

    def require(self, service: type[T], problem: str) -> T:
        """Return the service of a type. Raises NotFound with the problem if it is turned off."""
        found = self.find(service)
        if found is None:
            raise NotFound(problem)
        return found


def of(request: ApiRequest) -> ApiContext:
    """Return the API context of a request."""
    result: ApiContext = request.scope["state"]["api_context"]
    return result
