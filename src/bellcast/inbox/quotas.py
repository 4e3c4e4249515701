"""Send quotas of tenants, per second and per day, from the tenant's settings or the server's.

All nodes share the rate (`live.cluster.members`). Sends per day are written to the store once a second, which returns the sum of
all nodes, so a daily budget is exact except for the last seconds of other nodes."""

import math
from collections import Counter

import structlog
from msgspec import Struct, field

from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import BellcastError, TenantErased, TooMany
from bellcast.kernel.events import SEPARATOR
from bellcast.kernel.limits import Limits
from bellcast.kernel.token_bucket import TokenBuckets
from bellcast.tenants.store import Tenants
from bellcast.tenants.types import TenantRules

log = structlog.get_logger(__name__)

SAVE_INTERVAL_SECONDS = 1.0
# Rules are reloaded after this many saves: a changed rule applies on all nodes within that many seconds.
RELOAD_EVERY_SAVES = 5
NO_RULES = TenantRules()


class Quotas(Struct, eq=False):
    """The quotas of this node. Rules and the sends of other nodes are as of the last `load` and `save`."""

    db: Engine
    rates: TokenBuckets
    limits: Limits
    clock: Clock
    _rules: dict[str, TenantRules] = field(default_factory=dict)
    _day: int = 0
    _sums: dict[str, int] = field(default_factory=dict)  # sends of the day, from the store
    _unsaved: Counter[str] = field(default_factory=Counter)

    def take(self, tenant: str, sends: int) -> None:
        if self._rules.get(tenant, NO_RULES).is_being_erased:
            raise TenantErased
        per_second, per_day = self._limits_of(tenant)
        if not per_day and not per_second:
            return
        now = self.clock.now()
        if per_day:
            self._start_day(now // times.DAY_MS)
            if self._sums.get(tenant, 0) + self._unsaved[tenant] + sends > per_day:
                midnight = (self._day + 1) * times.DAY_MS
                raise TooMany(
                    f"Notifications of this tenant are limited to {per_day} per day (UTC).",
                    retry_after=(midnight - now) // 1000 + 1,
                )
        wait = self.rates.take(_bucket(tenant), per_second, now, sends)
        if wait:
            raise TooMany(
                f"Notifications of this tenant are limited to {per_second} per second.", retry_after=math.ceil(wait)
            )
        if per_day:
            self._unsaved[tenant] += sends

    def give_back(self, tenant: str, sends: int) -> None:
        per_second, per_day = self._limits_of(tenant)
        if per_second:
            self.rates.deduct(_bucket(tenant), -sends)
        if per_day:
            self._unsaved[tenant] -= sends

    def weight_of(self, tenant: str) -> float:
        """Return the share of a tenant when tenants compete, 1 by default."""
        return self._rules.get(tenant, NO_RULES).weight or 1.0

    def _limits_of(self, tenant: str) -> tuple[int, int]:
        """Return the limits per second and per day; 0 means no limit."""
        rules, limits = self._rules.get(tenant, NO_RULES), self.limits
        per_second = limits.sends_per_second if rules.sends_per_second is None else rules.sends_per_second
        per_day = limits.sends_per_day if rules.sends_per_day is None else rules.sends_per_day
        return per_second, per_day

    async def load(self) -> None:
        """Load rules and weights of tenants, and today's sends if there are budgets."""
        self._rules = await Tenants(self.db).rules()
        weights = {tenant: rules.weight for tenant, rules in self._rules.items() if rules.weight is not None}
        self.db.set_weights(weights)
        await self.save()
        if self.limits.sends_per_day or any(rules.sends_per_day for rules in self._rules.values()):
            day = self.clock.now() // times.DAY_MS
            sums = await Tenants(self.db).usage(day)
            self._start_day(day)
            self._sums |= sums

    async def save(self) -> None:
        """Save the sends of this node, and read the sums of all nodes."""
        if not self._unsaved:
            return
        day, sends = self.clock.now() // times.DAY_MS, dict(self._unsaved)
        sums = await Tenants(self.db).add_usage(day, sends)
        self._unsaved.subtract(sends)  # refunds during the save leave a negative count
        self._unsaved = Counter({tenant: left for tenant, left in self._unsaved.items() if left})
        self._start_day(day)
        self._sums |= sums

    def _start_day(self, day: int) -> None:
        if day != self._day:
            self._day = day
            self._sums.clear()

    async def run(self) -> None:
        """Save and load until cancelled; retry while the store is unavailable."""
        writes = 0
        while True:
            await self.clock.sleep(SAVE_INTERVAL_SECONDS)
            writes += 1
            try:
                await (self.save() if writes % RELOAD_EVERY_SAVES else self.load())
            except BellcastError as failure:
                log.warning("quota_save_delayed", reason=failure.detail)


def _bucket(tenant: str) -> str:
    return f"sends{SEPARATOR}{tenant}"
