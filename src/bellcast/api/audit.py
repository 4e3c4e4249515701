"""The audit: each request of an operator that changes or exports something, and each look of support at content."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

from litestar.types import ASGIApp
from msgspec import Meta, Struct
from msgspec.structs import asdict

from bellcast.api import context
from bellcast.api.request_body import ApiRequest
from bellcast.auth import origins
from bellcast.errors import BellcastError
from bellcast.model import times
from bellcast.model.identities import Caller
from bellcast.model.operators import AuditEntry, Role

OK = "ok"
# Characters of a path in an entry; keys are shorter.
MAX_TARGET = 500


class AuditQuery(Struct, frozen=True, kw_only=True):
    """A page of the audit, newest first."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    after: str | None = None


class AuditItem(Struct, frozen=True, kw_only=True):
    """One action of an operator. `outcome` is `ok` or the code of the error."""

    id: str
    at: datetime
    operator: str
    role: Role | None
    action: str
    target: str
    outcome: str
    address: str | None
    request_id: str


class AuditPage(Struct, frozen=True):
    """A page of the audit. Pass `next` as `after` for older entries."""

    entries: list[AuditItem]
    next: str | None


async def recorded(request: ApiRequest, handler: Callable[..., Awaitable[ASGIApp]]) -> ASGIApp:
    """Call the handler, and record the outcome if an operator sent the request and it needs an entry."""
    caller: Caller | None = request.scope["state"].get("caller")
    if caller is None or caller.operator is None or not _is_recorded(caller, request.scope):
        return await handler(request)
    outcome = "internal"
    try:
        answer = await handler(request)
        outcome = OK
    except BellcastError as failure:
        outcome = failure.code
        raise
    finally:
        await record(request, caller.operator, caller.role, outcome)
    return answer


def _is_recorded(caller: Caller, scope: Any) -> bool:
    is_export = scope["path"].endswith("/export")
    return scope["method"] not in origins.SAFE_METHODS or caller.role == "support" or is_export


async def record(request: ApiRequest, operator: str, role: str | None, outcome: str) -> None:
    """Append an entry about a request."""
    scope: Any = request.scope
    engines, client = context.of(request).engines, scope.get("client")
    now = engines.clock.now()
    entry = AuditEntry(
        id=engines.new_id(now),
        at=now,
        operator=operator,
        role=role,  # type: ignore[arg-type]  # from the store
        action=f"{scope['method']} {scope.get('path_template', '')}",
        target=_target(scope),
        outcome=outcome,
        address=None if client is None else client[0],
        request_id=scope["state"]["request_id"],
    )
    await engines.store.operators.record(entry)


def _target(scope: Any) -> str:
    query = scope["query_string"].decode("latin-1")
    target: str = scope["path"] + (f"?{query}" if query else "")
    return target.replace("\x00", "")[:MAX_TARGET]


def shown(entry: AuditEntry) -> AuditItem:
    """Return an entry as in responses."""
    return AuditItem(**asdict(entry) | {"at": times.to_rfc3339(entry.at)})
