"""What time does to the inboxes: what is due expires, what is old is retired, what was deleted is forgotten."""

from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from msgspec import Struct

from bellcast.errors import BellcastError
from bellcast.model.events import Event
from bellcast.ports import Context

log = structlog.get_logger(__name__)

# Rows a step: others wait no longer than one such commit, about 10 ms.
MAINTENANCE_BATCH_ROWS = 250
# Between two looks at the clock. An expiry is heard of within this time.
EXPIRY_POLL_SECONDS = 0.5
# Old rows are swept this often: retention is counted in days.
SWEEP_SECONDS = 600
DAY_MS = 24 * 3600 * 1000
IDEMPOTENCY_MS = 24 * 3600 * 1000

MaintenanceStep = Callable[[], Awaitable[tuple[int, list[Event]]]]


class Retention(Struct, frozen=True):
    """How long things are kept, in milliseconds; 0 is for ever."""

    notifications: int
    tombstones: int


async def expire(engines: Context) -> None:
    """Take out everything that is due."""
    now = engines.clock.now()
    due = await engines.store.upkeep.next_expiry()
    if due is not None and due <= now:
        await _repeat(engines, lambda: engines.store.upkeep.expire(now, MAINTENANCE_BATCH_ROWS))


async def sweep(engines: Context, retention: Retention) -> None:
    """Retire what is older than its retention, then forget old tombstones, idempotency keys and joined topics."""
    now = engines.clock.now()
    await _retire(engines, retention, now)
    forget = partial(
        engines.store.upkeep.delete_forgotten,
        now,
        tombstones_before=now - retention.tombstones if retention.tombstones else 0,
        keys_before=now - IDEMPOTENCY_MS,
        limit=MAINTENANCE_BATCH_ROWS,
    )
    await _repeat(engines, forget)
    swept = MAINTENANCE_BATCH_ROWS
    while swept >= MAINTENANCE_BATCH_ROWS:
        swept = await engines.store.joined_topics.sweep(now, MAINTENANCE_BATCH_ROWS)


async def _retire(engines: Context, retention: Retention, now: int) -> None:
    """By their own retention those tenants that have one, by the server's all others."""
    retire = engines.store.upkeep.retire
    rules = await engines.store.recipients.tenant_rules()
    own = {tenant: one.retention_days for tenant, one in rules.items() if one.retention_days is not None}
    for tenant, days in own.items():
        if days:
            await _repeat(engines, partial(retire, now, now - days * DAY_MS, MAINTENANCE_BATCH_ROWS, tenant=tenant))
    if retention.notifications:
        await _repeat(
            engines, partial(retire, now, now - retention.notifications, MAINTENANCE_BATCH_ROWS, but=tuple(own))
        )


async def run(engines: Context, retention: Retention) -> None:
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
        await engines.clock.sleep(EXPIRY_POLL_SECONDS)


async def _repeat(engines: Context, step: MaintenanceStep) -> None:
    """Step by step until there is nothing left, so that nobody waits behind a long one."""
    done = MAINTENANCE_BATCH_ROWS
    while done >= MAINTENANCE_BATCH_ROWS:
        done, events = await step()
        await engines.broker.publish(*events)
