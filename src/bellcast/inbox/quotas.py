"""How much a tenant may send: so many a second, so many a day, as its own settings or the server's say.

The rate is kept by all nodes together (see shared_rates.py). What was sent on a day is written to the store once a second, which
answers with the sum of all nodes; so a budget is exact but for what the last second brought on other nodes."""

import math
from collections import Counter

import structlog

from bellcast.errors import BellcastError, TooMany
from bellcast.model.events import SEPARATOR
from bellcast.model.identities import TenantRules
from bellcast.model.limits import Limits
from bellcast.ports import Clock, Rates, Store

log = structlog.get_logger(__name__)

SAVE_INTERVAL_SECONDS = 1.0
# Rules are read anew after so many writes: what a tenant is given holds everywhere within this many seconds.
RELOAD_EVERY_SAVES = 5
DAY_MS = 24 * 3600 * 1000
NO_RULES = TenantRules()


class Quotas:
    """A ports.Quotas on a store."""

    def __init__(self, store: Store, rates: Rates, limits: Limits, clock: Clock) -> None:
        self._store = store
        self._rates = rates
        self._limits = limits
        self._clock = clock
        self._rules: dict[str, TenantRules] = {}
        self._day = 0
        self._sums: dict[str, int] = {}  # of the day, as the store said
        self._unsaved: Counter[str] = Counter()

    def take(self, tenant: str, sends: int) -> None:
        """Count sends that are about to be made, or TooMany."""
        per_second, per_day = self._limits_of(tenant)
        if not per_day and not per_second:
            return
        now = self._clock.now()
        if per_day:
            self._check_day(tenant, sends, per_day, now)
        wait = self._rates.take(_bucket(tenant), per_second, now, sends)
        if wait:
            raise TooMany(f"This tenant may send {per_second} notifications a second.", retry_after=math.ceil(wait))
        if per_day:
            self._unsaved[tenant] += sends

    def give_back(self, tenant: str, sends: int) -> None:
        """They were counted and not made."""
        per_second, per_day = self._limits_of(tenant)
        if per_second:
            self._rates.give_back(_bucket(tenant), sends)
        if per_day:
            self._unsaved[tenant] -= sends

    def _limits_of(self, tenant: str) -> tuple[int, int]:
        """So many a second, so many a day; 0 is no bound."""
        rules, limits = self._rules.get(tenant, NO_RULES), self._limits
        per_second = limits.sends_per_second if rules.sends_per_second is None else rules.sends_per_second
        per_day = limits.sends_per_day if rules.sends_per_day is None else rules.sends_per_day
        return per_second, per_day

    def _check_day(self, tenant: str, sends: int, per_day: int, now: int) -> None:
        self._start_day(now // DAY_MS)
        if self._sums.get(tenant, 0) + self._unsaved[tenant] + sends > per_day:
            midnight = (self._day + 1) * DAY_MS
            raise TooMany(
                f"This tenant may send {per_day} notifications a day (UTC).", retry_after=(midnight - now) // 1000 + 1
            )

    async def load(self) -> None:
        """Read the rules, what was sent today where there are budgets, and how much tenants weigh."""
        self._rules = await self._store.recipients.tenant_rules()
        weights = {tenant: rules.weight for tenant, rules in self._rules.items() if rules.weight is not None}
        self._store.set_weights(weights)
        await self.save()
        if self._limits.sends_per_day or any(rules.sends_per_day for rules in self._rules.values()):
            day = self._clock.now() // DAY_MS
            sums = await self._store.recipients.spent(day)
            self._start_day(day)
            self._sums |= sums

    async def save(self) -> None:
        """Write what was sent here; what all nodes sent is known then."""
        if not self._unsaved:
            return
        day, sends = self._clock.now() // DAY_MS, dict(self._unsaved)
        sums = await self._store.recipients.add_usage(day, sends)
        self._unsaved.subtract(sends)  # what was given back meanwhile stays below zero
        self._unsaved = Counter({tenant: left for tenant, left in self._unsaved.items() if left})
        self._start_day(day)
        self._sums |= sums

    def _start_day(self, day: int) -> None:
        if day != self._day:
            self._day = day
            self._sums.clear()

    async def run(self) -> None:
        """Keep at it until cancelled; a store that is away is tried again."""
        writes = 0
        while True:
            await self._clock.sleep(SAVE_INTERVAL_SECONDS)
            writes += 1
            try:
                await (self.save() if writes % RELOAD_EVERY_SAVES else self.load())
            except BellcastError as failure:
                log.warning("quotas are written later", why=failure.detail)


def _bucket(tenant: str) -> str:
    return f"sends{SEPARATOR}{tenant}"
