"""Lists of objects with their drafts."""

from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import Struct

from bellcast.documents.store import LIST, Documents
from bellcast.documents.types import Document, StoredDraft, draft_kind
from bellcast.kernel import times
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context, resource
from bellcast.rest.context import ApiContext
from bellcast.rest.resource import ObjectsQuery

T = TypeVar("T")


class DraftsQuery(ObjectsQuery, frozen=True, kw_only=True):
    """A page of a list, in the order of its keys. With `drafts`, it includes objects that are drafts only."""

    drafts: bool = False


class DraftInfo(Struct, frozen=True, kw_only=True):
    """Who saved a draft last, and when."""

    by: str
    updated_at: datetime


def decode(document: Document) -> StoredDraft:
    """Return a stored draft."""
    return msgspec.json.decode(document.body, type=StoredDraft)


async def merge(
    request: ApiRequest, plural: str, query: DraftsQuery, published: dict[tuple[str, str], T], *, is_last: bool
) -> tuple[list[tuple[str, str, T | None, DraftInfo | None]], str | None]:
    """Return a page of published objects by tenant and key, each with its draft, and the position of the next page. With
    `drafts`, it includes drafts of objects that were never published. `is_last` states that there is no further published object."""
    documents, page = Documents(context.of(request).engines.db), resource.wanted(request, LIST, query, is_counted=False)
    until = max(published, default=("", ""))
    drafted: dict[tuple[str, str], DraftInfo] = {}
    following, more = page.after, True
    while more and (query.drafts or following is None or following < until):
        of_drafts = msgspec.structs.replace(page, after=following, filters={"kind": draft_kind(plural)})
        part = await documents.owned(of_drafts)
        drafted |= {(owner, one.key): _info(one) for owner, one in part.items}
        following, more = part.next, part.next is not None
        if query.drafts:
            break
    every = sorted(published.keys() | drafted.keys() if query.drafts else published)
    names = every[: page.limit]
    has_ended = len(names) == len(every) and is_last and not (query.drafts and more)
    position = None if has_ended else resource.cursor(LIST, names[-1], query.tenant)
    return [(*name, published.get(name), drafted.get(name)) for name in names], position


async def draft_of(ctx: ApiContext, plural: str, tenant: str, key: str) -> DraftInfo | None:
    """Return who saved the draft of a tenant's object, or None without a draft."""
    document = await Documents(ctx.engines.db).get(draft_kind(plural), tenant, key)
    return None if document is None else _info(document)


def _info(document: Document) -> DraftInfo:
    return DraftInfo(by=decode(document).by, updated_at=times.to_rfc3339(document.updated_at))
