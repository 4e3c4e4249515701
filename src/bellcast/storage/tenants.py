"""Tenants: created on first use, optionally with a name and settings."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from bellcast.errors import tenant_is_erased
from bellcast.model.identities import Tenant, TenantRules
from bellcast.ports.jobs import Job
from bellcast.ports.list_scan import ANY_TIME, CreatedRange, ListScan
from bellcast.ports.recipients import TenantSummary
from bellcast.storage import rows, scans
from bellcast.storage.script import AFTER_ALL_KEYS, Row, Script, Statement


def get(key: str) -> Script[Tenant | None]:
    found = yield Statement("tenant_find", {"tenant": key})
    return rows.tenant(found[0]) if found else None


def page(prefix: str, after: str, limit: int) -> Script[list[TenantSummary]]:
    params = {"after": after, "first": prefix, "last": prefix + AFTER_ALL_KEYS, "limit": limit}
    return _summaries((yield Statement("tenants_page", params | ANY_TIME._asdict())))


def created_page(prefix: str, after: str, limit: int, created: CreatedRange) -> Script[ListScan[TenantSummary]]:
    params = {"after": after, "first": prefix, "last": prefix + AFTER_ALL_KEYS, "limit": limit}
    found, until = yield from scans.by_key("tenants_scan_end", "tenants_page", params, created)
    return ListScan(_summaries(found), until)


def _summaries(stored: Sequence[Row]) -> list[TenantSummary]:
    return [TenantSummary(tenant=rows.tenant(tuple(row)), recipients=recipients) for *row, recipients in stored]


def count(prefix: str, limit: int) -> Script[int]:
    params = {"first": prefix, "last": prefix + AFTER_ALL_KEYS, "limit": limit}
    ((number,),) = yield Statement("tenant_count", params)
    return int(number)


def put(
    key: str, name: str | None, settings: dict[str, Any], now: int, check: Callable[[dict[str, Any]], None] | None
) -> Script[tuple[Tenant, bool]]:
    known = yield Statement("tenant_find", {"tenant": key})
    yield from ensure_tenant(key, now)
    if check is not None:
        (held,) = yield Statement("tenant_hold", {"tenant": key})
        check(rows.tenant(held).settings)
    text = rows.to_json(settings)
    params = {"tenant": key, "name": name, "settings": text, "ruled": int(rows.tenant_rules(text) != TenantRules())}
    written = yield Statement("tenant_write", params)
    return rows.tenant(written[0]), not known


def ensure_tenant(key: str, now: int) -> Script[None]:
    """Create the tenant if it is missing. Raises Conflict if it is being erased: an erasure would not end while recipients are
    added."""
    yield Statement("tenant_first_seen", {"tenant": key, "now": now})
    if (yield Statement("tenant_erasing", {"tenant": key})):
        raise tenant_is_erased()


def rules() -> Script[dict[str, TenantRules]]:
    found = yield Statement("tenant_settings")
    return {
        key: replace(rows.tenant_rules(settings), is_being_erased=erasing_since is not None)
        for key, settings, erasing_since in found
    }


def add_usage(day: int, sends: Mapping[str, int]) -> Script[dict[str, int]]:
    sums = {}
    for tenant in sorted(sends):  # nodes that write the same rows in one order cannot deadlock
        ((sums[tenant],),) = yield Statement("budget_spend", {"tenant": tenant, "day": day, "sends": sends[tenant]})
    yield Statement("budget_forget", {"day": day})
    return sums


def spent(day: int) -> Script[dict[str, int]]:
    return dict((yield Statement("budgets_of_day", {"day": day})))


ERASED = (
    "erase_budgets",
    "erase_announcements",
    "erase_idempotency",
    "erase_last_events",
    "erase_suppressions",
    "erase_documents",
    "erase_webhook_events_of_tenant",
    "erase_messages_of_tenant",
    "erase_decisions_of_tenant",
    "erase_dead_jobs",
    "erase_runs_of_tenant",
    "erase_step_counters_of_tenant",
    "erase_event_waits_of_tenant",
    "erase_fanouts",
    "erase_workflow_versions",
    "erase_tenant",
)


def begin_erasure(key: str, now: int, job: Job) -> Script[Tenant | None]:
    """Mark a tenant as being erased, and add the job that completes the erasure."""
    found = yield Statement("tenant_erase_begin", {"tenant": key, "now": now})
    if not found:
        return None
    yield Statement("job_add", many=[rows.new_job_params(job)])
    return rows.tenant(found[0])


def erase(key: str, digest: str, now: int) -> Script[None]:
    """Erase a tenant without recipients. Its digest remains, so that sessions issued before now are refused, even for
    recipients that never existed."""
    for name in ERASED:
        yield Statement(name, {"tenant": key}, heavy=True)
    yield Statement("erased_keep", {"digest": digest, "before": now})
