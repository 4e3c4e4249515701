"""The audit log over HTTP: its entries, and their verification."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from bellcast.audit.store import AuditEntry, AuditLog, FieldChange, OutcomeKind, first_broken_entry
from bellcast.kernel.db.lists import ListQuery, ListTotal, containing
from bellcast.kernel.http import list_parameters, request_body, responses
from bellcast.kernel.http.list_parameters import ListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import audit, context
from bellcast.rest.resource import Resource, ResourceCall, SearchedText

# Maximum entries that one request verifies: 5,000 take 0.1 s.
MAX_VERIFIED = 5_000


class AuditQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of the audit log, newest first; with `tenant`, only the entries about it. `actor` is the name of an operator,
    `key:<id>` or `project secret`, exactly; `text` is a part of the actor or of the request's path, in which the case of letters
    is ignored (on SQLite: of ASCII letters)."""

    limit: ListLimit = 50
    after: str | None = None
    actor: SearchedText | None = None
    outcome: OutcomeKind | None = None
    text: SearchedText | None = None


class AuditItem(Struct, frozen=True, kw_only=True):
    """One action. The actor is the name of an operator, `key:<id>` or `project secret`. `outcome` is `ok` or the code of
    the error. `mac` authenticates the entry and the one before."""

    id: str
    at: datetime
    actor: str
    action: str
    target: str
    tenant: str | None
    changes: tuple[FieldChange, ...]
    address: str | None
    request_id: str
    outcome: str
    number: int
    mac: str


class AuditPage(Struct, frozen=True):
    """A page of the audit log. Pass `next` as `after` for older entries, or `scanned_until`, if it is not null, to search
    further. Only the first page has a `total`."""

    entries: list[AuditItem]
    next: str | None
    scanned_until: str | None
    total: ListTotal | None = None


class AuditVerificationQuery(Struct, frozen=True, kw_only=True):
    """Entries to verify: at most `limit` after the number `after`."""

    after: Annotated[int, Meta(ge=0, le=audit.MAX_NUMBER)] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_VERIFIED)] = MAX_VERIFIED


class AuditVerification(Struct, frozen=True, kw_only=True):
    """Verified entries. `broken` is the first entry that was changed or does not follow its predecessor. `last` is the
    last verified entry: pass its number as `after` until `is_complete` is true."""

    checked: int
    broken: AuditItem | None
    last: AuditItem | None
    is_complete: bool


AUDIT = Resource("audit", tag="Console", required_scope="admin")


@AUDIT.listing(AuditPage, query=AuditQuery, bound_by=None)
async def audit_page(request: ApiRequest, query: AuditQuery) -> AuditPage:
    """List the entries of the audit log, newest first.

    The log contains operators' requests that change something, sign-ins, each access to content by the role support,
    changes to keys and operators made with API keys, and refused attempts."""
    before = list_parameters.item_id(query.after)
    wanted = ListQuery(
        tenants=[query.one_tenant] if query.one_tenant else None,
        after=None if before is None else (before,),
        limit=query.limit,
        created=query.created,
        filters={"actor": query.actor, "outcome": query.outcome, **containing(query.text)},
        is_counted=True,
    )
    found = await AuditLog(context.of(request).engines.db).page(wanted)
    following, scanned = (None if key is None else key[0] for key in (found.next, found.scanned_until))
    return AuditPage([_shown(one) for one in found.items], following, scanned, found.total)


@AUDIT.get(AuditVerification, "/verification", query=AuditVerificationQuery, refusals=())
async def verify_audit(call: ResourceCall[None]) -> AuditVerification:
    """Verify the audit log.

    Each entry has a MAC, made with the project secret, of itself and its predecessor. Verification begins with the
    oldest entry."""
    query, ctx = request_body.query(call.request, AuditVerificationQuery), call.ctx
    # One more on each side: the entry before, and whether entries follow.
    entries = await AuditLog(ctx.engines.db).after(max(query.after - 1, 0), query.limit + 2)
    before = entries.pop(0) if entries and entries[0].number == query.after else None
    checked = entries[: query.limit]
    broken = first_broken_entry(checked, ctx.project, before)
    return AuditVerification(
        checked=len(checked),
        broken=None if broken is None else _shown(broken),
        last=_shown(checked[-1]) if checked else None,
        is_complete=len(entries) <= query.limit,
    )


def _shown(entry: AuditEntry) -> AuditItem:
    return responses.item(AuditItem, entry, mac=entry.mac.hex())
