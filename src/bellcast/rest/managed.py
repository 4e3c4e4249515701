"""Objects that are managed in files: who pushed them, and whether only a push may write them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from bellcast.documents.store import Documents
from bellcast.documents.types import Document, Management, managed_place
from bellcast.kernel import errors
from bellcast.kernel.http import responses
from bellcast.rest.context import ApiContext

# Name of the field that a read adds.
FIELD = "managed"


class ManagedBy(Struct, frozen=True, kw_only=True):
    """The files that an object was pushed from: their source and commit, the object's `etag` then, and when. With `lock`,
    other writes are refused until an owner unlocks the object."""

    source: str
    commit: str | None
    etag: str
    at: datetime
    lock: bool
    unlocked_at: datetime | None


def decode(document: Document) -> Management:
    """Return the stored management of an object."""
    return msgspec.json.decode(document.body, type=Management)


def shown(one: Management | None) -> ManagedBy | None:
    """Return the management of an object as the API returns it."""
    return None if one is None else responses.item(ManagedBy, one)


async def of(ctx: ApiContext, plural: str, named: Sequence[tuple[str, str]]) -> list[ManagedBy | None]:
    """Return the management of objects by their tenants and keys."""
    places = [managed_place(plural, tenant, key) for tenant, key in named]
    found = await Documents(ctx.engines.db).several(places)
    return [shown(decode(found[place])) if place in found else None for place in places]


async def check(ctx: ApiContext, plural: str, tenant: str, key: str) -> None:
    """Raise Managed if only a push may write the object."""
    found = await Documents(ctx.engines.db).get(*managed_place(plural, tenant, key))
    if found is not None and (one := decode(found)).is_locked:
        raise errors.Managed.by(one.source, one.commit)
