"""What time does to the inboxes: what is due expires, what is old is retired, what was deleted is forgotten."""

from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from msgspec import Struct

from bellcast.errors import BellcastError
from bellcast.model.events import Event
from bellcast.ports import Engines

log = structlog.get_logger(__name__)

# Rows a step: others wait no longer than one such commit, about 10 ms.
STEP = 250
# Between two looks at the clock. An expiry is heard of within this time.
LOOK_SECONDS = 0.5
# Old rows are swept this often: retention is counted in days.
SWEEP_SECONDS = 600
DAY_MS = 24 * 3600 * 1000
IDEMPOTENCY_MS = 24 * 3600 * 1000

Step = Callable[[], Awaitable[tuple[int, list[Event]]]]


class Retention(Struct, frozen=True):
    """How long things are kept, in milliseconds; 0 is for ever."""

    notifications: int
    tombstones: int


async def expire(engines: Engines) -> None:
    """Take out everything that is due."""
    now = engines.clock.now()
    due = await engines.store.upkeep.next_expiry()
    if due is not None and due <= now:
        await _repeat(engines, lambda: engines.store.upkeep.expire(now, STEP))


async def sweep(engines: Engines, retention: Retention) -> None:
    """Retire what is older than its retention, then forget old tombstones, idempotency keys and joined topics."""
    now = engines.clock.now()
    await _retire(engines, retention, now)
    forget = partial(
        engines.store.upkeep.forget,
        now,
        tombstones_before=now - retention.tombstones if retention.tombstones else 0,
        keys_before=now - IDEMPOTENCY_MS,
        limit=STEP,
    )
    await _repeat(engines, forget)
    swept = STEP
    while swept >= STEP:
        swept = await engines.store.joined_topics.sweep(now, STEP)


async def _retire(engines: Engines, retention: Retention, now: int) -> None:
    """By their own retention those tenants that have one, by the server's all others."""
    retire = engines.store.upkeep.retire
    rules = await engines.store.recipients.tenant_rules()
    own = {tenant: one.retention_days for tenant, one in rules.items() if one.retention_days is not None}
    for tenant, days in own.items():
        if days:
            await _repeat(engines, partial(retire, now, now - days * DAY_MS, STEP, tenant=tenant))
    if retention.notifications:
        await _repeat(engines, partial(retire, now, now - retention.notifications, STEP, but=tuple(own)))


async def run(engines: Engines, retention: Retention) -> None:
    """Keep at it until cancelled; a store that is away is tried again."""
    swept = 0
    while True:
        try:
            await expire(engines)
            if engines.clock.now() - swept >= SWEEP_SECONDS * 1000:
                swept = engines.clock.now()
                await sweep(engines, retention)
        except BellcastError as failure:
            log.warning("upkeep waits", why=failure.detail)
        await engines.clock.sleep(LOOK_SECONDS)


async def _repeat(engines: Engines, step: Step) -> None:
    """Step by step until there is nothing left, so that nobody waits behind a long one."""
    done = STEP
    while done >= STEP:
        done, events = await step()
        await engines.broker.publish(*events)
