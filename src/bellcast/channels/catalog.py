"""The objects that sends refer to: types, templates and preference defaults, of the project and of a tenant.

Sends are frequent and objects change rarely, so they are read from the store again only after CACHE_SECONDS: a change
takes effect on every node within that time.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from bellcast.channels.types import ChannelConfig, EmailContent
from bellcast.documents.store import Documents, ShortCache
from bellcast.documents.types import PROJECT, TEMPLATES, TYPES, draft_kind
from bellcast.inbox.types import GENERAL, NO_TYPE, NotificationType
from bellcast.kernel import data_schemas
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import Invalid
from bellcast.kernel.http import CURRENT_ID
from bellcast.kernel.times import find_zone
from bellcast.live_feed import Feed, FeedEvent
from bellcast.preferences import types as preferences
from bellcast.preferences.types import DEFAULTS_KEY, DEFAULTS_KIND, NO_PREFERENCES, Preferences
from bellcast.templates.budget import budget_of
from bellcast.templates.rendering import BackgroundCompiler
from bellcast.templates.types import BASE_LAYOUT, Brand, Template
from bellcast.tenants.store import Tenants

# Maximum types of the project, and of a tenant, in the effective preferences.
MAX_TYPES = 500
# The name of sends without a type, unless the type `general` has its own.
OTHERS = "Other notifications"

T = TypeVar("T")


async def no_template(db: Engine, tenant: str, key: str) -> str:
    """Return the message for an unknown template: that it is only a draft, or the nearest key that applies to the tenant."""
    documents, drafts = Documents(db), [(draft_kind(TEMPLATES), owner, key) for owner in (tenant, PROJECT)]
    has_draft = await documents.several(drafts)
    end = ", only a draft: publish it" if has_draft else await documents.suggestion(TEMPLATES, tenant, key)
    return f"there is no template {key[:100]!r}{end}"


_decode_type = msgspec.json.Decoder(NotificationType).decode
_decode_template = msgspec.json.Decoder(Template).decode


class TenantSettings(Struct, frozen=True, kw_only=True):
    """A tenant's values, else the server's. `values` is the variable `tenant` of templates."""

    app_url: str | None
    locale: str
    timezone: str
    brand: Brand
    values: dict[str, Any]


class Catalog:
    """Reads objects through a short cache."""

    def __init__(self, db: Engine, clock: Clock, config: ChannelConfig, feed: Feed) -> None:
        self._db = db
        self._feed = feed
        self._clock = clock
        self._config = config
        self._objects = ShortCache[tuple[str, str, str], Any](clock)  # by kind, tenant and key
        self._tenants = ShortCache[str, TenantSettings](clock)
        self._compiler = BackgroundCompiler()

    def forget(self) -> None:
        """Drop the cache after this process changed an object."""
        self._objects.forget()
        self._tenants.forget()

    async def type(self, tenant: str, key: str) -> NotificationType:
        """Return the type that applies to a tenant; an unknown one has no rules."""
        own = None if tenant == PROJECT else await self._one(TYPES, tenant, key, _decode_type)
        return own or await self._one(TYPES, PROJECT, key, _decode_type) or NO_TYPE

    async def types(self, tenant: str) -> Mapping[str, NotificationType]:
        """Return all types that apply to a tenant, as they are stored, and `general`, the type of sends without one."""
        types = {GENERAL: NotificationType(name=OTHERS)}
        for owner in dict.fromkeys((PROJECT, tenant)):
            for found in await Documents(self._db).page(TYPES, owner, "", MAX_TYPES):
                types[found.key] = _decode_type(found.body)
        return types

    async def check_data(self, tenant: str, key: str, data: Mapping[str, Any]) -> None:
        """Compare the data of a send or a trigger with the schema of its type. Raises Invalid, unless the type only warns."""
        type = await self.type(tenant, key)
        if type.data is None:
            return
        async with budget_of(tenant).charging():
            errors = list(data_schemas.errors_of("data", data, type.data))
        if not errors:
            return
        if type.data_check == "refuse":
            raise Invalid.fields(errors)
        text = f"data of type {key}: {errors[0].field} {errors[0].message}"
        fields = {"type": key, "errors": len(errors)}
        now = self._clock.now()
        self._feed.emit(
            FeedEvent(kind="warning", at=now, text=text, tenant=tenant, trace=CURRENT_ID.get(), fields=fields)
        )

    async def template(self, tenant: str, key: str) -> Template | None:
        """Return the project's template with the parts that the tenant overrides."""
        found = [await self._one(TEMPLATES, one, key, _decode_template) for one in dict.fromkeys((PROJECT, tenant))]
        parts = [one for one in found if one is not None]
        return functools.reduce(Template.overridden_by, parts) if parts else None

    async def compile(self, body: bytes) -> None:
        """Compile the large texts of a stored template, so that rendering it does not block the event loop."""
        await self._compiler.compile(body)

    async def layouts(
        self, tenant: str, template: Template | None, content: EmailContent | None
    ) -> dict[str, Template]:
        """Return the layout templates named in a template and in the content of a send."""
        names = set() if template is None else template.layouts()
        if content is not None and isinstance(content.layout, str):
            names |= {content.layout} - {BASE_LAYOUT}
        found = {name: await self.template(tenant, name) for name in names}
        return {name: layout for name, layout in found.items() if layout is not None}

    async def preferences(self, tenant: str) -> tuple[Preferences, Preferences]:
        """Return the tenant's and the project's preference defaults."""
        project = await self._one(DEFAULTS_KIND, PROJECT, DEFAULTS_KEY, preferences.decode)
        own = None if tenant == PROJECT else await self._one(DEFAULTS_KIND, tenant, DEFAULTS_KEY, preferences.decode)
        return own or NO_PREFERENCES, project or NO_PREFERENCES

    async def tenant(self, key: str) -> TenantSettings:
        """Return the tenant's settings. Unusable values are ignored, because the app may store any settings."""

        async def read() -> TenantSettings:
            tenant, config = await Tenants(self._db).get(key), self._config
            settings, name = ({}, None) if tenant is None else (tenant.settings, tenant.name)
            texts = {field: value for field, value in settings.items() if isinstance(value, str)}
            timezone, app_url = texts.get("timezone", ""), texts.get("app_url", "")
            try:
                brand = msgspec.convert(
                    settings.get("brand") or ({} if key else msgspec.json.decode(config.brand) or {}), Brand
                )
            except msgspec.ValidationError:
                brand = Brand()
            return TenantSettings(
                app_url=app_url if app_url.startswith(("https://", "http://")) else config.app_url,
                locale=texts.get("locale") or config.locale,
                timezone=timezone if timezone and find_zone(timezone) is not None else config.timezone,
                brand=brand if brand.name is not None else msgspec.structs.replace(brand, name=name),
                # The key is that of the run or send: workflows of the project and the app trust it. Earlier versions stored
                # settings with these names, which must not replace it.
                values={**settings, "key": key or None, "name": name},
            )

        return await self._tenants.get(key, read)

    async def _one(self, kind: str, tenant: str, key: str, decode: Callable[[bytes], T]) -> T | None:
        async def read() -> T | None:
            document = await Documents(self._db).get(kind, tenant, key)
            if document is not None and kind == TEMPLATES:
                await self.compile(document.body)
            return None if document is None else decode(document.body)

        found: T | None = await self._objects.get((kind, tenant, key), read)
        return found
