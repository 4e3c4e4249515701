"""Tenants, and the API keys of the project."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class Tenant(Struct, frozen=True, kw_only=True):
    """A customer organisation; `key` is null for the default one. `erasing_since` is the time at which its erasure began."""

    key: str | None
    name: str | None = None
    settings: dict[str, Any] = {}
    created_at: datetime
    erasing_since: datetime | None = None


class TenantRules(Struct, frozen=True, kw_only=True):
    """Tenant settings that Bellcast evaluates. The app may use other names freely. None: the server's setting
    applies."""

    weight: float | None = None  # its share of contended writes, 1 by default
    sends_per_second: int | None = None  # 0: no bound
    sends_per_day: int | None = None  # UTC days
    retention_days: int | None = None  # 0: forever
    is_being_erased: bool = False  # set by the store
