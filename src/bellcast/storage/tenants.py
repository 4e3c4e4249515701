"""Tenants: they come to be on first use; the app may name them."""

from collections.abc import Mapping
from typing import Any

from bellcast.model.identities import Tenant, TenantRules
from bellcast.storage import rows
from bellcast.storage.engine import Script, Statement
from bellcast.storage.locks import locks


def get(key: str) -> Script[Tenant | None]:
    """A tenant, if there is one."""
    found = yield Statement("tenant_find", {"tenant": key})
    return rows.tenant(found[0]) if found else None


@locks(lambda *_: [])
def put(key: str, name: str | None, settings: dict[str, Any], now: int) -> Script[tuple[Tenant, bool]]:
    """Write a tenant; whether it is new."""
    known = yield Statement("tenant_find", {"tenant": key})
    yield from ensure_tenant(key, now)
    text = rows.to_json(settings)
    params = {"tenant": key, "name": name, "settings": text, "ruled": int(rows.tenant_rules(text) != TenantRules())}
    written = yield Statement("tenant_write", params)
    return rows.tenant(written[0]), not known


def ensure_tenant(key: str, now: int) -> Script[None]:
    """Make the tenant if it is new."""
    yield Statement("tenant_first_seen", {"tenant": key, "now": now})


def rules() -> Script[dict[str, TenantRules]]:
    """What Bellcast understands of the tenants' settings."""
    return {key: rows.tenant_rules(settings) for key, settings in (yield Statement("tenant_settings"))}


@locks(lambda *_: [])
def add_usage(day: int, sends: Mapping[str, int]) -> Script[dict[str, int]]:
    """Add to what tenants sent on a day; the sums."""
    sums = {}
    for tenant in sorted(sends):  # in one order: nodes that write the same rows wait for each other
        ((sums[tenant],),) = yield Statement("budget_spend", {"tenant": tenant, "day": day, "sends": sends[tenant]})
    yield Statement("budget_forget", {"day": day})
    return sums


def spent(day: int) -> Script[dict[str, int]]:
    """What tenants sent on a day."""
    return dict((yield Statement("budgets_of_day", {"day": day})))


ERASED = ("erase_budgets", "erase_announcements", "erase_idempotency", "erase_last_events", "erase_tenant")


@locks(lambda *_: [])
def erase(key: str, digest: str, now: int) -> Script[None]:
    """What is left of a tenant without recipients. Its digest is kept: sessions that began before now stay refused, those
    of recipients it never heard of too."""
    for name in ERASED:
        yield Statement(name, {"tenant": key}, heavy=True)
    yield Statement("erased_keep", {"digest": digest, "now": now})
