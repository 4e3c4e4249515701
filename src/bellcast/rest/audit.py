"""The audit log. It records operators' requests that change or export something, each access to content by the role
support, changes to operators and keys made with API keys, and refused attempts."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from bellcast.audit import types
from bellcast.audit.types import AuditEntry, FieldChange
from bellcast.auth import origins
from bellcast.documents.types import AuditRecord
from bellcast.kernel.db.list_scan import ListTotal
from bellcast.kernel.db.lists import ListQuery
from bellcast.kernel.errors import BellcastError, Forbidden
from bellcast.kernel.events import SEPARATOR
from bellcast.kernel.http import list_parameters, list_positions, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_parameters import ListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT, Caller, Project
from bellcast.operators.store import Operators
from bellcast.rest import context

OK = "ok"
# The actor of requests with the project secret. It has a space: operators have other names, and keys are `key:<id>`.
SECRET_ACTOR = "project secret"  # noqa: S105  the name of an actor, no secret
# Maximum characters of a path in an entry; keys are shorter.
MAX_TARGET = 500
# Maximum bytes of a changed value as JSON.
MAX_VALUE = 1_000
TOO_LONG = "…"
# Limits how fast a key with repeated refused requests can fill the store.
REFUSALS_PER_SECOND = 1
REFUSALS = "audit refusals" + SEPARATOR
CHANGES = "audit_changes"
# Key in a request's state: True if the entry is committed together with the change.
IS_COMMITTED = "audit_is_committed"
# Maximum entries that one request verifies: 5,000 take 0.1 s.
MAX_VERIFIED = 5_000


class AuditQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of the audit log, newest first; with `tenant`, only the entries about it."""

    limit: ListLimit = 50
    after: str | None = None


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
    """A page of the audit log. Pass `next` as `after` for older entries. Only the first page has a `total`."""

    entries: list[AuditItem]
    next: str | None
    total: ListTotal | None = None


# Above the number of any entry, and within the integer range of both stores.
MAX_NUMBER = 2**53


class AuditVerificationQuery(Struct, frozen=True, kw_only=True):
    """Entries to verify: at most `limit` after the number `after`."""

    after: Annotated[int, Meta(ge=0, le=MAX_NUMBER)] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_VERIFIED)] = MAX_VERIFIED


class AuditVerification(Struct, frozen=True, kw_only=True):
    """Verified entries. `broken` is the first entry that was changed or does not follow its predecessor. `last` is the
    last verified entry: pass its number as `after` until `is_complete` is true."""

    checked: int
    broken: AuditItem | None
    last: AuditItem | None
    is_complete: bool


async def recorded(
    request: ApiRequest,
    handler: Callable[..., Awaitable[ASGIApp]],
    *,
    is_audited: bool = False,
    is_recorded: bool = True,
    is_export: bool = False,
) -> ASGIApp:
    """Call the handler, and record the outcome if the request needs an entry. Audited operations and exports of lists
    are also recorded for API keys and the project secret. Operations that are not recorded are those that a page sends while
    its user types; their refusals are."""
    caller: Caller | None = request.scope["state"].get("caller")
    if (
        caller is None
        or not is_recorded
        or not (is_export or _is_recorded(caller, request.scope, is_audited=is_audited))
    ):
        return await handler(request)
    outcome = "internal"
    try:
        response = await handler(request)
        outcome = OK
    except BellcastError as failure:
        outcome = failure.code
        raise
    finally:
        await record(request, _actor(caller), outcome)
    return response


async def record_refusal(request: ApiRequest, refusal: Forbidden) -> None:
    """Record a request that was refused for lack of permission."""
    caller: Caller | None = request.scope["state"].get("caller")
    if caller is None:
        return
    engines, actor = context.of(request).engines, _actor(caller)
    if not engines.rates.take(f"{REFUSALS}{actor}", REFUSALS_PER_SECOND, engines.clock.now()):
        await record(request, actor, refusal.code)


def is_by_operator(request: ApiRequest) -> bool:
    """Return whether an operator sent the request. For most objects, only changes by operators are recorded."""
    caller: Caller = request.scope["state"]["caller"]
    return caller.operator is not None


def actor(request: ApiRequest) -> str:
    """Return who sends a request: the name of an operator, `key:<id>` or `project secret`."""
    return _actor(request.scope["state"]["caller"])


def note_change(request: ApiRequest, field: str, before: Any, after: Any) -> None:
    """Add a changed field to the request's entry. Values must contain no secret."""
    if before != after:
        change = FieldChange(field, bounded(before), bounded(after))
        request.scope["state"].setdefault(CHANGES, []).append(change)


def note_changes(request: ApiRequest, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Add the fields that differ."""
    for field in sorted(before.keys() | after.keys()):
        note_change(request, field, before.get(field), after.get(field))


async def record(request: ApiRequest, actor: str, outcome: str, *, action: str = "", target: str = "") -> None:
    """Append an entry about a request, unless the entry was already committed with the change. Without an `action`, it has
    those of the request."""
    if outcome == OK and request.scope["state"].get(IS_COMMITTED):
        return
    ctx = context.of(request)
    await Operators(ctx.engines.db).record(
        _entry(request, actor, outcome, action, target), types.entry_signer(ctx.project)
    )


def committed(request: ApiRequest) -> AuditRecord:
    """Return the entry of a successful request, to be committed with its change."""
    request.scope["state"][IS_COMMITTED] = True
    entry = _entry(request, actor(request), OK)
    return AuditRecord(entry, types.entry_signer(context.of(request).project))


def _entry(request: ApiRequest, actor: str, outcome: str, action: str = "", target: str = "") -> AuditEntry:
    scope: Any = request.scope
    ctx, client, state = context.of(request), scope.get("client"), scope["state"]
    now = ctx.engines.clock.now()
    if not action:
        query = scope["query_string"].decode("latin-1")
        target = scope["path"] + (f"?{query}" if query else "")
    return AuditEntry(
        id=ctx.engines.new_id(now),
        at=now,
        actor=actor,
        action=action or f"{scope['method']} {scope.get('path_template', '')}",
        target=target.replace("\x00", "")[:MAX_TARGET],
        tenant=state.get("tenant") or None,
        changes=tuple(state.get(CHANGES, ())) if outcome == OK else (),
        outcome=outcome,
        address=None if client is None else client[0],
        request_id=state["request_id"],
    )


async def page(request: ApiRequest, query: AuditQuery) -> AuditPage:
    """Return a page of the audit log."""
    before = list_positions.item_id(query.after)
    wanted = ListQuery(
        tenants=None if query.tenant in (None, "", EVERY_TENANT) else [query.tenant],
        after=None if before is None else (before,),
        limit=query.limit,
        created=list_parameters.created(query.start, query.end),
        is_counted=True,
    )
    found = await Operators(context.of(request).engines.db).audit(wanted)
    following = None if found.next is None else found.next[0]
    return AuditPage([_shown(one) for one in found.items], following, found.total)


async def verification(request: ApiRequest, query: AuditVerificationQuery) -> AuditVerification:
    """Verify a part of the chain, with its link to the entry before."""
    ctx = context.of(request)
    # One more on each side: the entry before, and whether entries follow.
    entries = await Operators(ctx.engines.db).audit_chain(max(query.after - 1, 0), query.limit + 2)
    before = entries.pop(0) if entries and entries[0].number == query.after else None
    return verified(entries, query.limit, ctx.project, before)


def verified(
    entries: list[AuditEntry], limit: int, project: Project, before: AuditEntry | None = None
) -> AuditVerification:
    """Verify at most `limit` of the entries."""
    checked = entries[:limit]
    broken = types.first_broken_entry(checked, project, before)
    return AuditVerification(
        checked=len(checked),
        broken=None if broken is None else _shown(broken),
        last=_shown(checked[-1]) if checked else None,
        is_complete=len(entries) <= limit,
    )


def _actor(caller: Caller) -> str:
    if caller.operator is not None:
        return caller.operator
    return SECRET_ACTOR if caller.key is None else f"key:{caller.key}"


def _is_recorded(caller: Caller, scope: Any, *, is_audited: bool) -> bool:
    # Editors check what is typed with dry runs, twice a second.
    is_change = scope["method"] not in origins.SAFE_METHODS and b"dry_run=true" not in scope["query_string"]
    if caller.operator is None:
        return is_audited and is_change
    return is_change or caller.role == "support" or scope["path"].endswith("/export")


def bounded(value: Any, limit: int = MAX_VALUE) -> Any:
    """Return a value, or only a sign that it is longer than `limit` bytes as JSON."""
    return value if len(msgspec.json.encode(value)) <= limit else TOO_LONG


def _shown(entry: AuditEntry) -> AuditItem:
    return responses.item(AuditItem, entry, mac=entry.mac.hex())
