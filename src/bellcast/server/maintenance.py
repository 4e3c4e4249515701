"""The maintenance of the store, and the polling of what other nodes change in it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog

from bellcast.audit.store import AUDIT_MS, AuditLog
from bellcast.channels.types import ChannelConfig
from bellcast.documents.store import Documents
from bellcast.documents.types import CONFIRMATIONS, DRAFT_MS, DRAFTED, draft_kind
from bellcast.engines import Engines
from bellcast.inbox.store.idempotency import IDEMPOTENCY_MS
from bellcast.inbox.store.maintenance import Maintenance
from bellcast.kernel import times
from bellcast.kernel.clock import Clock
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.events import Event
from bellcast.operators.store import Operators
from bellcast.operators.types import FAILURES_MS, SESSION_MS
from bellcast.settings.table import StoreSettings
from bellcast.tenants.store import Tenants
from bellcast.topics.store import JoinedTopics
from bellcast.webhooks.types import ATTEMPTS, ATTEMPTS_MS
from bellcast.workflows.event_sources import USES, USES_MS

log = structlog.get_logger(__name__)

# Rows per step, which blocks other writers for about 10 ms.
MAINTENANCE_BATCH_ROWS = 250
# Maximum delay until an expiry is published. A poll takes 1 ms of CPU time, a fifth of a node's at rest if it is twice a second.
EXPIRY_POLL_SECONDS = 1.0
# Interval of sweeps. It can be long, because retention is in days.
SWEEP_SECONDS = 600
# Interval of log lines with the audit head. Entries removed from the end of the log since the last line are not
# detected.
HEAD_SECONDS = 3600

# Deletes or changes at most `limit` rows; returns their number, some with the events of their changes.
MaintenanceStep = Callable[..., Awaitable[int | tuple[int, list[Event]]]]

# Maximum delay until a node that missed the event applies a change.
POLL_SECONDS = 10.0


async def expire(engines: Engines) -> None:
    """Remove all expired rows, then wake the snoozed ones that are due."""
    now = engines.clock.now()
    due = await Maintenance(engines.db).next_expiry()
    if due is not None and due <= now:
        for step in (Maintenance(engines.db).expire, Maintenance(engines.db).wake):
            await _attempt(step.__name__, _repeat(engines, partial(step, now)))


async def sweep(engines: Engines, store: StoreSettings, run_retention: float) -> None:
    """Retire rows older than their retention, then delete old tombstones, idempotency keys and joined topics. Their
    content, and that of recalled rows, also leaves the log. An error in one of these steps does not prevent the others.
    Ended messages and runs live for `run_retention` seconds; without a retention, rows are kept."""
    now = engines.clock.now()
    # Tenants with a retention rule use it; all others use the server's retention.
    rules = await Tenants(engines.db).rules()
    own = {tenant: one.retention_days for tenant, one in rules.items() if one.retention_days is not None}
    for tenant, days in own.items():
        if days:
            await _attempt("retire_tenant", _retire_older(engines, now, days * times.DAY_MS, tenant=tenant))
    if store.retention:
        await _attempt("retire", _retire_older(engines, now, int(store.retention * 1000), but=tuple(own)))
    maintenance, documents, operators = Maintenance(engines.db), Documents(engines.db), Operators(engines.db)
    forgotten = {
        "tombstones_before": now - int(store.tombstones * 1000) if store.tombstones else 0,
        "keys_before": now - IDEMPOTENCY_MS,
    }
    steps: list[tuple[str, MaintenanceStep]] = [
        ("forget", partial(maintenance.delete_forgotten, now, **forgotten)),
        *(("drafts", partial(documents.expire, draft_kind(plural), now - DRAFT_MS)) for plural in DRAFTED),
        ("webhook_attempts", partial(documents.expire, ATTEMPTS, now - ATTEMPTS_MS)),
        ("source_uses", partial(documents.expire, USES, now - USES_MS)),
        ("confirmations", partial(documents.expire, CONFIRMATIONS, now - times.DAY_MS)),
        ("joined_topics", partial(JoinedTopics(engines.db).sweep, now)),
        ("operators", partial(operators.sweep, now - SESSION_MS, now - FAILURES_MS)),
        ("audit", partial(AuditLog(engines.db).sweep, now - AUDIT_MS)),
    ]
    if run_retention:
        steps.append(("delete_messages", partial(maintenance.delete_messages, now - int(run_retention * 1000))))
    for name, step in steps:
        await _attempt(name, _repeat(engines, step))
    maintenance.clear_log()


async def log_audit_head(engines: Engines) -> None:
    """Log the newest entry of the audit log, as a copy outside the store."""
    number, mac = await AuditLog(engines.db).newest()
    if number:
        log.info("audit_head", number=number, mac=mac.hex())


async def _retire_older(
    engines: Engines, now: int, lifetime: int, *, tenant: str | None = None, but: Sequence[str] = ()
) -> None:
    retired = Maintenance(engines.db).retire(now, now - lifetime, MAINTENANCE_BATCH_ROWS, tenant=tenant, but=but)
    async for events in retired:
        await engines.broker.publish(*events)


async def run(engines: Engines, store: StoreSettings, channels: ChannelConfig) -> None:
    """Run until cancelled, with the current retention of the settings."""
    swept = headed = 0
    while True:
        if _is_due(headed, HEAD_SECONDS, engines.clock.now()):
            headed = engines.clock.now()
            await _attempt("audit_head", log_audit_head(engines))
        if _is_due(swept, SWEEP_SECONDS, engines.clock.now()):
            swept = engines.clock.now()
            await _attempt("sweep", sweep(engines, store, channels.run_retention))
        await engines.clock.sleep(EXPIRY_POLL_SECONDS)


async def run_expiry(engines: Engines) -> None:
    """Remove and wake what is due until cancelled, also during a sweep, which takes minutes after the retention was shortened."""
    while True:
        await _attempt("expire", expire(engines))
        await engines.clock.sleep(EXPIRY_POLL_SECONDS)


async def _attempt(step: str, work: Awaitable[None]) -> None:
    """Execute a step. After an error the next steps follow; this one is repeated in its interval."""
    try:
        await work
    except BellcastError as failure:
        log.warning("maintenance_delayed", step=step, reason=failure.detail)
    except Exception:
        log.exception("maintenance_step_failed", step=step)


def _is_due(last: int, interval: int, now: int) -> bool:
    """Return whether the interval (seconds) has passed, or the clock was set back."""
    return not last <= now < last + interval * 1000


async def _repeat(engines: Engines, step: MaintenanceStep) -> None:
    """Repeat a bounded step until it finds less than a full batch."""
    done = MAINTENANCE_BATCH_ROWS
    while done >= MAINTENANCE_BATCH_ROWS:
        result = await step(limit=MAINTENANCE_BATCH_ROWS)
        done, events = (result, []) if isinstance(result, int) else result
        await engines.broker.publish(*events)


async def poll(clock: Clock, reload: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Reload all parts periodically, by their names in the log."""
    while True:
        await clock.sleep(POLL_SECONDS)
        for name, read in reload.items():
            try:
                await read()
            except BellcastError as error:
                log.warning("database_not_read", part=name, reason=error.detail)
