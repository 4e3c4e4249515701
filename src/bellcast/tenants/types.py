"""Tenants, and the rules in their settings."""

from datetime import datetime
from typing import Any

from msgspec import Struct

from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError


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


# One unit of work advances a tenant's virtual time by 1 / weight. With weights that differ by more than a factor of a
# million, adding small steps to a large time loses precision, and with it the fairness among all tenants.
MIN_WEIGHT, MAX_WEIGHT = 0.001, 1000
WHOLE = ("sends_per_second", "sends_per_day", "retention_days")
RULE_NAMES = ("weight", *WHOLE)
# Fields of the variable `tenant`, next to the settings.
RESERVED = ("key", "name")


def settings_errors(settings: dict[str, Any]) -> validation.FieldErrors:
    """Yield the errors of settings with a meaning."""
    for name in RESERVED:
        if name in settings:
            yield FieldError(f"settings.{name}", f"must be absent: templates read the tenant's own {name} by this name")
    for name in WHOLE:
        value = settings.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31):
            yield FieldError(f"settings.{name}", "must be a whole number, 0 or more")
    weight = settings.get("weight")
    if weight is not None and (
        isinstance(weight, bool) or not isinstance(weight, int | float) or not MIN_WEIGHT <= weight <= MAX_WEIGHT
    ):
        yield FieldError("settings.weight", f"must be a number from {MIN_WEIGHT} to {MAX_WEIGHT}")
    yield from validation.locale("settings.locale", settings.get("locale"))
    yield from validation.timezone("settings.timezone", settings.get("timezone"))
