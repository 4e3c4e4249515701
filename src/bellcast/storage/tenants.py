"""Tenants: they come to be on first use; the app may name them."""

from typing import Any

from bellcast.model.people import Tenant
from bellcast.storage import rows
from bellcast.storage.engine import Script, Statement
from bellcast.storage.touching import touches


def get(key: str) -> Script[Tenant | None]:
    """A tenant, if there is one."""
    found = yield Statement("tenant_find", {"tenant": key})
    return rows.tenant(found[0]) if found else None


@touches(lambda *_: [])
def put(key: str, name: str | None, settings: dict[str, Any], now: int) -> Script[tuple[Tenant, bool]]:
    """Write a tenant; whether it is new."""
    known = yield Statement("tenant_find", {"tenant": key})
    yield from arrive(key, now)
    written = yield Statement("tenant_write", {"tenant": key, "name": name, "settings": rows.text(settings)})
    return rows.tenant(written[0]), not known


def arrive(key: str, now: int) -> Script[None]:
    """Make the tenant if it is new."""
    yield Statement("tenant_first_seen", {"tenant": key, "now": now})
