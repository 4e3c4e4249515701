"""The people who can be notified: what the app knows of them, what is kept of them, and the end of their sessions."""

from typing import Annotated, Any

from litestar.types import ASGIApp
from msgspec import UNSET, Meta, Struct

from bellcast.api import answers, reading, rooms, tenants
from bellcast.api.operations import operation
from bellcast.api.reading import Asked
from bellcast.api.rooms import ApiContext
from bellcast.api.tenants import TenantQuery
from bellcast.errors import FieldError, NotFound
from bellcast.inbox import people
from bellcast.model import drafts
from bellcast.model.limits import Limits
from bellcast.model.people import Recipient, RecipientFields

EXAMPLE = {"name": "Alice", "email": "alice@example.com", "locale": "en-GB", "roles": ["admin"]}
EMAIL = 320  # RFC 5321: 64 before the @, 255 behind it
PHONE = 50
LABEL = 100  # locales and time zones are far shorter
ROLES = 100


class PageQuery(TenantQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    after: str | None = None
    before: str | None = None  # the inbox's word for a cursor, taken here too

    @property
    def cursor(self) -> str | None:
        """Where the page begins: the `next` of the one before it."""
        return self.after if self.before is None else self.before


class SearchQuery(PageQuery, frozen=True, kw_only=True):
    """A page of recipients; `search` is how their keys begin."""

    search: str | None = None


class RecipientPage(Struct, frozen=True):
    """A page of recipients; `next` goes into `after`."""

    recipients: list[Recipient]
    next: str | None


def key(request: Asked, name: str = "key") -> str:
    """A recipient's key in the path."""
    found = reading.path(request, name)
    drafts.check(drafts.key(name, found, rooms.of(request).limits))
    return found


@operation("GET", "/v1/recipients", tag="Recipients", door="read", query=SearchQuery, answers={200: RecipientPage})
async def page(request: Asked) -> ASGIApp:
    """List recipients by key."""
    asked = reading.query(request, SearchQuery)
    store = rooms.of(request).engines.store
    found = await store.recipients.page(
        tenants.single_tenant(request), asked.cursor, asked.limit + 1, asked.search or None
    )
    shown = found[: asked.limit]
    return answers.json(RecipientPage(shown, shown[-1].key if len(found) > asked.limit else None))


@operation(
    "GET",
    "/v1/recipients/{key:str}",
    tag="Recipients",
    door="read",
    query=TenantQuery,
    answers={200: Recipient},
    refusals=(NotFound,),
)
async def read(request: Asked) -> ASGIApp:
    """Read a recipient.

    With the counters of its inbox."""
    here = rooms.of(request)
    return answers.json(await people.get(here.engines, tenants.single_tenant(request), key(request)))


@operation(
    "PUT",
    "/v1/recipients/{key:str}",
    tag="Recipients",
    door="manage",
    query=TenantQuery,
    body=RecipientFields,
    answers={200: Recipient, 201: Recipient},
    example=EXAMPLE,
)
async def write(request: Asked) -> ASGIApp:
    """Write a recipient.

    It replaces what was there: what is absent is cleared. 201 when the recipient is new."""
    recipient, created = await _put(request, replace=True)
    return answers.json(recipient, 201 if created else 200)


@operation(
    "PATCH",
    "/v1/recipients/{key:str}",
    tag="Recipients",
    door="manage",
    query=TenantQuery,
    body=RecipientFields,
    answers={200: Recipient},
    refusals=(NotFound,),
    example={"locale": "de"},
)
async def change(request: Asked) -> ASGIApp:
    """Change a recipient.

    What is absent stays."""
    recipient, _ = await _put(request, replace=False)
    return answers.json(recipient)


async def _put(request: Asked, *, replace: bool) -> tuple[Recipient, bool]:
    here = rooms.of(request)
    known = key(request)
    fields = await reading.body(request, FIELDS)
    tenant = tenants.single_tenant(request, None if fields.tenant is UNSET else fields.tenant)
    if not replace:
        await people.get(here.engines, tenant, known)
    return await people.put(here.engines, tenant, known, fields, replace=replace)


@operation(
    "DELETE",
    "/v1/recipients/{key:str}",
    tag="Recipients",
    door="manage",
    query=TenantQuery,
    answers={204: None},
    refusals=(NotFound,),
)
async def erase(request: Asked) -> ASGIApp:
    """Erase a recipient.

    Everything kept of it goes with it, and its live connections close. Only what was answered under idempotency keys stays for
    their 24 hours, so that a late repetition does not send again."""
    here = rooms.of(request)
    await people.delete(here.engines, tenants.single_tenant(request), key(request))
    return answers.empty()


@operation(
    "DELETE",
    "/v1/recipients/{key:str}/sessions",
    tag="Access",
    door="manage",
    query=TenantQuery,
    answers={204: None},
)
async def revoke(request: Asked) -> ASGIApp:
    """End every session of a recipient.

    Its live connections close now, and tokens issued before are refused."""
    here = rooms.of(request)
    await people.revoke(here.engines, tenants.single_tenant(request), key(request))
    return answers.empty()


def _check(fields: RecipientFields, here: ApiContext) -> None:
    limits = here.limits
    drafts.check(
        drafts.text("name", fields.name, limits.title),
        drafts.text("email", fields.email, EMAIL),
        drafts.text("phone", fields.phone, PHONE),
        drafts.text("locale", fields.locale, LABEL),
        drafts.text("timezone", fields.timezone, LABEL),
        _roles(fields.roles, limits),
        drafts.data("data", fields.data, limits.data) if fields.data is not UNSET else iter(()),
        drafts.tenant("tenant", fields.tenant, limits) if isinstance(fields.tenant, str) else iter(()),
    )


def _roles(roles: Any, limits: Limits) -> drafts.FieldErrors:
    if roles is UNSET:
        return
    if len(roles) > ROLES:
        yield FieldError("roles", f"must have at most {ROLES} roles, got {len(roles)}")
        return
    for number, role in enumerate(roles):
        yield from drafts.role(f"roles.{number}", role, limits)


FIELDS = reading.Shape(RecipientFields, _check)
