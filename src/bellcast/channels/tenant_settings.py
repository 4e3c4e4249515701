"""Tenant settings that affect messages."""

from typing import Any

import msgspec
from msgspec import Struct

from bellcast.kernel.outbound import RETRIES
from bellcast.kernel.times import find_zone
from bellcast.templates.types import Brand
from bellcast.tenants.types import Tenant


class ChannelConfig(Struct, kw_only=True):
    """Durations are seconds. Operators can change some of them while the server runs. `default` are the channels of a
    send that names none. A channel delivers if a provider's URL is set. Without one, or if it is in `simulate`, it only
    stores messages."""

    default: tuple[str, ...] = ("inbox",)
    email: tuple[str, ...] = ()
    sms: tuple[str, ...] = ()
    push: tuple[str, ...] = ()
    chat: tuple[str, ...] = ()
    http_allow: tuple[str, ...] = ()
    encryption_key: str | None = None
    simulate: tuple[str, ...] = ()
    retries: tuple[float, ...] = RETRIES
    app_url: str | None = None
    public_url: str | None = None
    locale: str = "en"
    locales: tuple[str, ...] = ()
    brand: str = "{}"
    timezone: str = "UTC"
    run_retention: float = 30 * 86_400.0


class TenantSettings(Struct, frozen=True, kw_only=True):
    """A tenant's values, else the server's. `values` is the variable `tenant` of templates."""

    app_url: str | None
    locale: str
    timezone: str
    brand: Brand
    values: dict[str, Any]


def of(key: str, tenant: Tenant | None, config: ChannelConfig) -> TenantSettings:
    """Read the settings of the tenant with this key. Unusable values are ignored, because the app may store any
    settings."""
    settings, name = ({}, None) if tenant is None else (tenant.settings, tenant.name)
    timezone, app_url = _text(settings.get("timezone")), _text(settings.get("app_url"))
    try:
        brand = msgspec.convert(
            settings.get("brand") or ({} if key else msgspec.json.decode(config.brand) or {}), Brand
        )
    except msgspec.ValidationError:
        brand = Brand()
    return TenantSettings(
        app_url=app_url if app_url and app_url.startswith(("https://", "http://")) else config.app_url,
        locale=_text(settings.get("locale")) or config.locale,
        timezone=timezone if timezone and find_zone(timezone) is not None else config.timezone,
        brand=brand if brand.name is not None else msgspec.structs.replace(brand, name=name),
        # The key is that of the run or send: workflows of the project and the app trust it. Earlier versions stored
        # settings with these names, which must not replace it.
        values={**settings, "key": key or None, "name": name},
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
