"""The audit log. It records operators' requests that change or export something, each access to content by the role
support, changes to operators and keys made with API keys, and refused attempts."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from bellcast.audit import store
from bellcast.audit.store import AuditEntry, AuditLog, FieldChange
from bellcast.auth import origins
from bellcast.documents.store import WriteScript
from bellcast.kernel.errors import BellcastError, Forbidden
from bellcast.kernel.events import SEPARATOR
from bellcast.kernel.http import ASGIApp, request_body
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import Caller
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
# Key in a request's state: True if nothing is to be appended after a success, because the entry is committed together
# with the change, or nothing is changed.
IS_DONE = "audit_is_done"
# Key in a request's state of a request that only checks, or that a page sends by itself.
IS_CHECK = "audit_is_check"
# Above the number of any entry, and within the integer range of both stores.
MAX_NUMBER = 2**53


async def recorded(
    request: ApiRequest,
    handler: Callable[..., Awaitable[ASGIApp]],
    *,
    is_audited: bool = False,
    is_recorded: bool = True,
    is_export: bool = False,
) -> ASGIApp:
    """Call the handler, and record the outcome if the request needs an entry. Audited operations and exports of lists
    are also recorded for API keys and the project secret. Operations that are not recorded are those that a page sends by
    itself; their refusals are."""
    scope: Any = request.scope
    caller: Caller | None = scope["state"].get("caller")
    if caller is None:
        return await handler(request)
    if not is_recorded:
        scope["state"][IS_CHECK] = True
        return await handler(request)
    by, by_operator = actor(request), caller.operator is not None
    is_change = (is_audited or by_operator) and scope["method"] not in origins.SAFE_METHODS
    with contextlib.suppress(BellcastError):  # the handler refuses a wrong value, which is recorded
        if is_change and request_body.is_dry_run(request):  # editors check what is typed with dry runs, twice a second
            scope["state"][IS_CHECK], is_change = True, False
    is_read = by_operator and (caller.role == "support" or scope["path_template"].endswith("/export"))
    if not (is_export or is_change or is_read):
        return await handler(request)
    outcome = "internal"
    try:
        response = await handler(request)
        outcome = OK
    except BellcastError as failure:
        outcome = failure.code
        raise
    finally:
        await record(request, by, outcome)
    return response


async def record_refusal(request: ApiRequest, refusal: Forbidden) -> None:
    """Record a request that was refused for lack of permission."""
    if request.scope["state"].get("caller") is None:
        return
    ctx, by = context.of(request), actor(request)
    if not ctx.engines.rates.take(f"{REFUSALS}{by}", REFUSALS_PER_SECOND, ctx.token_clock.now()):
        await record(request, by, refusal.code)


def is_by_operator(request: ApiRequest) -> bool:
    """Return whether an operator sent the request. For most objects, only changes by operators are recorded."""
    caller: Caller = request.scope["state"]["caller"]
    return caller.operator is not None


def actor(request: ApiRequest) -> str:
    """Return who sends a request: the name of an operator, `key:<id>` or `project secret`."""
    caller: Caller = request.scope["state"]["caller"]
    return caller.operator or (SECRET_ACTOR if caller.key is None else f"key:{caller.key}")


def note_change(request: ApiRequest, field: str, before: Any, after: Any) -> None:
    """Add a changed field to the request's entry. Values must contain no secret."""
    if before != after:
        change = FieldChange(field, bounded(before), bounded(after))
        request.scope["state"].setdefault(CHANGES, []).append(change)


def note_changes(request: ApiRequest, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Add the fields that differ."""
    for field in sorted(before.keys() | after.keys()):
        note_change(request, field, before.get(field), after.get(field))


def note_check(request: ApiRequest) -> None:
    """Record a request only if it is refused: it is a dry run."""
    request.scope["state"].update({IS_DONE: True, IS_CHECK: True})


async def record(request: ApiRequest, actor: str, outcome: str, *, action: str = "", target: str = "") -> None:
    """Append an entry about a request, unless the entry was already committed with the change, or it was a dry run. Without
    an `action`, it has those of the request."""
    if outcome == OK and request.scope["state"].get(IS_DONE):
        return
    ctx = context.of(request)
    await AuditLog(ctx.engines.db).record(
        _entry(request, actor, outcome, action, target), store.entry_signer(ctx.project)
    )


def committed(request: ApiRequest) -> Callable[[], WriteScript]:
    """Return the script that appends the entry of a successful request, to be committed with its change."""
    request.scope["state"][IS_DONE] = True
    entry = _entry(request, actor(request), OK)
    return partial(store.append, entry, store.entry_signer(context.of(request).project))


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


def bounded(value: Any, limit: int = MAX_VALUE) -> Any:
    """Return a value, or only a sign that it is longer than `limit` bytes as JSON."""
    return value if len(msgspec.json.encode(value)) <= limit else TOO_LONG
