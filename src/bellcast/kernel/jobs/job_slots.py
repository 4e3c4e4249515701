"""Divides free slots among tenants with due jobs.

Each leased job advances its tenant's virtual time by 1 / weight, and the tenant with the earliest time is next (start-time
fair queueing). A tenant that had no jobs starts at the current virtual time, so that it neither waits nor catches up."""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from bellcast.kernel.jobs.types import Job, JobGroup

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
