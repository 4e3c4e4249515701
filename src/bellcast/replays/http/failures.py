"""Failures by cause."""

from datetime import datetime

import msgspec
from msgspec import Struct

from bellcast.channels.types import ExternalChannel
from bellcast.kernel import times
from bellcast.kernel.db.list_scan import ListTotal
from bellcast.kernel.db.lists import MAX_COUNTED_ITEMS
from bellcast.kernel.errors import BadRequest
from bellcast.kernel.http import list_positions
from bellcast.kernel.http.list_parameters import ListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators.types import ROLES
from bellcast.replays.failures import CauseGroup, FailureFilter, Failures, cause_of, webhook_of
from bellcast.replays.types import FailureKind, StoredFailure
from bellcast.rest import context, tenants
from bellcast.rest.resource import listing

FIELDS = ("kind", "channel", "provider", "workflow", "job", "webhook", "cause")


class CausesQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """Filters for failures. The tenant `*` means all tenants."""

    kind: FailureKind | None = None
    channel: ExternalChannel | None = None
    provider: str | None = None
    workflow: str | None = None
    job: str | None = None
    webhook: str | None = None
    cause: str | None = None

    @property
    def wanted(self) -> FailureFilter:
        """The query's filter."""
        fields = {name: getattr(self, name) for name in FIELDS}
        return FailureFilter(**fields, since=self.created_since, until=self.created_before)


class FailuresQuery(CausesQuery, frozen=True, kw_only=True):
    """A page of failures, newest first, with filters."""

    limit: ListLimit = 50
    after: str | None = None


class Failure(Struct, frozen=True, kw_only=True):
    """A message that failed or bounced, a failed run, or a dead job. `cause` is its `reason` without addresses, ids and
    long numbers. A dead job that executed a run has the id of the run."""

    id: str
    tenant: str | None
    kind: FailureKind
    state: str
    recipient: str | None
    channel: str | None
    provider: str | None
    workflow: str | None
    job: str | None
    webhook: str | None
    cause: str
    reason: str | None
    created_at: datetime


class FailurePage(Struct, frozen=True, kw_only=True):
    """A page of failures. Pass `next` as `after`. If `scanned_until` is not null, the search stopped after 20,000
    failures: pass it as `after` to continue. Only the first page has a `total`; with a filter other than kind and time,
    it is a lower bound."""

    failures: list[Failure]
    next: str | None
    scanned_until: str | None = None
    total: ListTotal | None = None


class Cause(Struct, frozen=True, kw_only=True):
    """Failures of a tenant with the same cause. Use the other non-null fields as the filter of a replay."""

    tenant: str | None
    kind: FailureKind
    channel: str | None
    provider: str | None
    workflow: str | None
    job: str | None
    webhook: str | None
    cause: str
    count: int
    oldest_at: datetime
    newest: Failure


class CausePage(Struct, frozen=True, kw_only=True):
    """The 200 most frequent causes, of the newest 20,000 failed messages, bounced messages, failed runs and dead jobs each. The
    total is not exact if there are older failures."""

    causes: list[Cause]
    total: ListTotal


@listing("/v1/failures", FailurePage, query=FailuresQuery, tag="Messages", roles=ROLES, refusals=(BadRequest,))
async def failure_page(request: ApiRequest, query: FailuresQuery) -> FailurePage:
    """List failures.

    Messages that failed or bounced, failed runs and dead jobs, by descending id: the newest first. The filters can be
    combined."""
    named, failures = tenants.tenants_of(request, query.tenant), context.of(request)[Failures]
    found = await failures.page(named, query.wanted, list_positions.failure_id(query.after), query.limit)

    has_next, total = found.before is not None, None
    if not query.after:
        total = ListTotal(len(found.failures) + has_next, exact=not has_next)
        if has_next and not query.wanted.compares_fields:
            number = await failures.count(named, query.wanted, MAX_COUNTED_ITEMS + 1)
            total = ListTotal(min(number, MAX_COUNTED_ITEMS), exact=number <= MAX_COUNTED_ITEMS)
    return FailurePage(
        failures=[_failure(one) async for one in context.of(request).engines.pace.each(found.failures)],
        next=None if found.is_cut else found.before,
        scanned_until=found.before if found.is_cut else None,
        total=total,
    )


@listing("/v1/failures/causes", CausePage, query=CausesQuery, tag="Messages", roles=ROLES, is_exported=False)
async def causes(request: ApiRequest, query: CausesQuery) -> CausePage:
    """Count failures by cause.

    The most frequent cause comes first. Causes are counted per tenant. A cause is the error text of the provider, the
    step or the job, without addresses, ids and long numbers."""
    named = tenants.tenants_of(request, query.tenant)
    report = await context.of(request)[Failures].causes(named, query.wanted)
    total = ListTotal(report.total, report.is_exact)
    return CausePage(causes=[_cause(group) for group in report.groups], total=total)


def _failure(failure: StoredFailure) -> Failure:
    return Failure(
        kind=failure.kind,
        tenant=tenants.outside(failure.tenant),
        id=failure.id,
        state=failure.state,
        recipient=failure.recipient,
        channel=failure.channel,
        provider=failure.provider,
        workflow=failure.workflow,
        job=failure.job,
        webhook=webhook_of(failure),
        cause=cause_of(failure.reason),
        reason=failure.reason,
        created_at=times.to_rfc3339(failure.created_at),
    )


def _cause(group: CauseGroup) -> Cause:
    return Cause(
        **msgspec.structs.asdict(group.key) | {"tenant": tenants.outside(group.key.tenant)},
        count=group.count,
        oldest_at=times.to_rfc3339(group.oldest_at),
        newest=_failure(group.newest),
    )


HANDLERS = [failure_page, causes]
