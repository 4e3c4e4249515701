"""The slots of jobs: how they are divided among tenants, and the destinations of calls, which have slots of their own.

A destination is a provider, a webhook, a server of a tenant's `http` steps, a function of the app. A call occupies a slot of its
destination, and none of the slots that other jobs need. Calls to a server that did not respond to several calls in a row fail at
once, until a probe succeeds: a server that hangs is treated like one that is down."""

import asyncio
import heapq
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager

import structlog
from msgspec import Struct, field

from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import Unavailable
from bellcast.kernel.jobs import Job, JobGroup
from bellcast.kernel.outbound import DeliveryError

log = structlog.get_logger(__name__)

# Calls of a process, divided by the number of its busy destinations. Each occupies a file descriptor.
CALLS = 192
# Slots of a destination, however many others are busy.
MIN_SLOTS = 4
# Jobs in memory for each slot, one of which calls: the next one is ready when a call ends. All others wait in the store.
JOBS_PER_SLOT = 6
# Consecutive calls without a response after which a server is skipped: one or two may be lost packets.
MAX_TIMEOUTS = 3
# Calls with an alternative wait no longer while no other begins. Less than the timeout of a connection: none begins when that ends.
STUCK_SECONDS = 8.0
# How long a server is skipped before one call probes it.
SKIPPED_MS = 30_000
# Destinations, and breakers of one, in memory. Beyond, those without jobs and timeouts are dropped.
MAX_DESTINATIONS = 10_000
MAX_BREAKERS = 100
# Servers with slots of their own, of a destination to which addresses of recipients lead: there are four large push services.
# The others share slots, because a recipient can register any server.
MAX_SERVERS = 16
# A host name has at most 253 characters.
SERVER = re.compile(r"(https?://)(?:[^/?#]*@)?([!-~]{1,300}?)(?=[/?#]|$)", re.IGNORECASE)


class Breaker(Struct, eq=False):
    """Skips a server while it does not respond."""

    names: dict[str, str]
    clock: Clock
    timeouts: int = 0  # in a row
    since: int | None = None  # skipped since
    _tried_at: int = 0
    _calls: int = 0  # in progress

    @property
    def is_skipped(self) -> bool:
        """True unless the next call may begin. Of a skipped server, one call at a time probes it."""
        # The lower bound: the clock may have been set back.
        return self.since is not None and (self._calls > 0 or 0 <= self.clock.now() - self._tried_at < SKIPPED_MS)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Observe a call; one that is cancelled decides nothing. Raises Unavailable if the server is skipped."""
        if self.is_skipped:
            where = self.names["server"] or self.names["destination"]
            raise Unavailable(f"{where} did not respond to the last calls, and is skipped for now.")
        self._calls += 1
        try:
            yield
            self._end(has_responded=True)
        except Exception as error:
            self._end(has_responded=not (isinstance(error, Unavailable | DeliveryError) and error.is_timeout))
            raise
        finally:
            self._calls -= 1

    def _end(self, *, has_responded: bool) -> None:
        if has_responded:
            if self.since is not None:
                log.warning("breaker_closed", **self.names, open_ms=self.clock.now() - self.since)
            self.timeouts, self.since = 0, None
        else:
            self.timeouts += 1
            self._tried_at = self.clock.now()
            if self.timeouts >= MAX_TIMEOUTS and self.since is None:
                self.since = self._tried_at
                log.warning("breaker_opened", **self.names, timeouts=self.timeouts, probed_after_ms=SKIPPED_MS)


class Destination(Struct, eq=False):
    """The slots of a destination, or of one `server` of it, and the breakers of its servers."""

    name: str
    most: int
    all_destinations: "Destinations"
    tenant: str = ""
    server: str = ""
    jobs: int = 0
    calls: int = 0
    _began_at: float = 0.0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque[asyncio.Future[None]])
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    _servers: dict[str, "Destination"] = field(default_factory=dict)

    @property
    def slots(self) -> int:
        """How many calls it may have at a time."""
        return min(self.most, max(MIN_SLOTS, CALLS // max(self.all_destinations.busy, 1)))

    @property
    def room(self) -> int:
        """How many more jobs may call it, or wait for a slot in memory."""
        return self.slots * JOBS_PER_SLOT - self.jobs

    @property
    def is_idle(self) -> bool:
        """True if it can be forgotten."""
        is_used = self.jobs or self.calls or any(one.timeouts for one in self._breakers.values())
        return not is_used and all(one.is_idle for one in self._servers.values())

    def of_server(self, server: str) -> "Destination":
        """Return the destination of a server, with slots of its own; this one if all places are taken."""
        if server not in self._servers:
            if len(self._servers) >= MAX_SERVERS:
                self._servers = {known: one for known, one in self._servers.items() if not one.is_idle}
            if not server or len(self._servers) >= MAX_SERVERS:
                return self
            self._servers[server] = Destination(self.name, self.most, self.all_destinations, self.tenant, server)
        return self._servers[server]

    def is_skipped(self, server: str = "") -> bool:
        """True while calls to a server would fail at once."""
        return server in self._breakers and self._breakers[server].is_skipped

    def seconds_until_stuck(self) -> float:
        """Return how long calls with an alternative wait for a slot, because a server may take long to respond."""
        waited = 0.0 if self.calls < self.slots else asyncio.get_running_loop().time() - self._began_at
        return STUCK_SECONDS - waited

    def count(self, jobs: int) -> None:
        """Count jobs that begin, or end (negative), to use the destination."""
        was_busy, self.jobs = self.jobs > 0, self.jobs + jobs
        self.all_destinations.busy += (self.jobs > 0) - was_busy

    @asynccontextmanager
    async def call(self, server: str = "", *, has_alternative: bool = False) -> AsyncIterator[None]:
        """Call the destination, or one of its servers, in a slot. Raises Unavailable at once while the server is skipped, and with
        an alternative when all slots are stuck."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._start_waiting()
        while not turn.done():
            left = self.seconds_until_stuck() if has_alternative else STUCK_SECONDS
            if left <= 0:
                turn.cancel()
                raise Unavailable("The server has not responded to the calls in progress for some time.")
            try:
                await asyncio.wait((turn,), timeout=left)
            except asyncio.CancelledError:
                if not turn.cancel():
                    self._start_waiting(ended=1)
                raise
        try:
            breaker = self._breakers.get(server)
            if breaker is None:
                if len(self._breakers) >= MAX_BREAKERS:
                    self._breakers = {known: one for known, one in self._breakers.items() if one.timeouts}
                names = {"destination": self.name, "tenant": self.tenant, "server": server}
                breaker = self._breakers[server] = Breaker(names, self.all_destinations.clock)
            with breaker.call():
                yield
        finally:
            self._start_waiting(ended=1)

    def _start_waiting(self, ended: int = 0) -> None:
        self.calls -= ended
        while self._waiting and self.calls < self.slots:
            turn = self._waiting.popleft()
            if not turn.done():
                self.calls += 1
                self._began_at = asyncio.get_running_loop().time()
                turn.set_result(None)


class Destinations:
    """All destinations of a process."""

    def __init__(self, clock: Clock) -> None:
        self.busy = 0
        self.clock = clock
        self._known: dict[tuple[str, str], Destination] = {}

    def of(self, name: str, tenant: str, most: int) -> Destination:
        """Return a tenant's destination, which has at most this many slots."""
        found = self._known.get((name, tenant))
        if found is None:
            if len(self._known) >= MAX_DESTINATIONS:
                self._known = {known: one for known, one in self._known.items() if not one.is_idle}
            found = self._known[name, tenant] = Destination(name, most, self, tenant)
        return found


def server_of(url: str) -> str:
    """Return the scheme, host and port of a URL, which name a server; empty for other texts."""
    found = SERVER.match(url)
    return "".join(found.groups()).lower() if found else ""


# --- shares of tenants

# Maximum slots of one tenant, so that the jobs of another one start while a large send runs.
TENANT_SLOTS = 64
# Maximum stored virtual times. Those behind the current one have no effect.
MAX_TENANTS = 10_000


class Room(Struct):
    """How many more jobs of a kind, or for a destination, may run. Groups can share it."""

    free: int


class TenantShares:
    """The virtual times of the tenants of one priority."""

    def __init__(self, weight_of: Callable[[str], float]) -> None:
        self._weight_of = weight_of
        self._times: dict[str, float] = {}
        self._now = 0.0

    def allocate(
        self, groups: Sequence[JobGroup], free: int, running: Mapping[str, int], rooms: Mapping[JobGroup, Room]
    ) -> Mapping[JobGroup, int]:
        """Return how many jobs of each group to lease: at most `free` in total, within the room of each group, which it takes.
        `running` counts the slots that tenants already use."""
        of_tenant: dict[str, deque[JobGroup]] = {}
        for group in groups:
            of_tenant.setdefault(group.tenant, deque()).append(group)
        order = [(self._start_of(tenant), at, tenant) for at, tenant in enumerate(of_tenant)]
        heapq.heapify(order)
        allocated: Counter[JobGroup] = Counter()
        tenants = Counter(running)
        while order and free:
            start, at, tenant = heapq.heappop(order)
            waiting = of_tenant[tenant]
            turn = next((turn for turn, group in enumerate(waiting, 1) if rooms[group].free > 0), 0)
            if not turn or tenants[tenant] >= TENANT_SLOTS:
                continue
            waiting.rotate(-turn)  # the tenant's groups take turns
            found = waiting[-1]
            allocated[found] += 1
            tenants[tenant] += 1
            rooms[found].free -= 1
            free -= 1
            heapq.heappush(order, (start + 1 / self._weight_of(tenant), at, tenant))
        return allocated

    def charge(self, jobs: Collection[Job]) -> None:
        """Advance the virtual times of the tenants of leased jobs."""
        starts = [self._start_of(tenant) for tenant in {job.tenant for job in jobs}]
        self._now = min(starts, default=self._now)
        for job in jobs:
            self._times[job.tenant] = self._start_of(job.tenant) + 1 / self._weight_of(job.tenant)
        if len(self._times) > MAX_TENANTS:
            self._times = {tenant: time for tenant, time in self._times.items() if time > self._now}

    def refund(self, job: Job) -> None:
        """Set back the virtual time of the tenant of a leased job that waits in a line instead."""
        self._times[job.tenant] = self._start_of(job.tenant) - 1 / self._weight_of(job.tenant)

    def _start_of(self, tenant: str) -> float:
        return max(self._times.get(tenant, 0.0), self._now)
