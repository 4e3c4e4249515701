"""Failures of tenants: failed and bounced messages, failed runs and dead jobs, by filter and by cause."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import MAX_SCANNED_ROWS, ListTotal
from bellcast.kernel.ids import NEWEST
from bellcast.replays.store import Replays
from bellcast.replays.types import (
    FAILURE_KINDS,
    FailureGroup,
    FailureKind,
    FailureQuery,
    StoredFailure,
)
from bellcast.webhooks import webhooks
from bellcast.webhooks.types import WebhookDelivery

UNKNOWN = "unknown"
# Maximum characters of a cause. Longer reports usually contain a page of the other server.
MAX_CAUSE = 200
# Maximum characters of a reason that are searched for addresses and ids.
MAX_REASON = 500
# Number of cached reasons: reasons of one cause are often equal.
CACHED_CAUSES = 1_000
# Applied in this order, because an address can be part of a URL. A status such as 550 or 5.1.1 is kept.
VARIABLE_PARTS = (
    (re.compile(r"https?://[^\s\"'<>]+"), "URL"),
    (re.compile(r"<?[^\s<>\"'@:,;]+@[^\s<>\"'@:,;]+>?"), "ADDRESS"),
    (re.compile(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b"), "ID"),
    (re.compile(r"\+?\b\d{5,}\b"), "NUMBER"),
    (re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{10,}\b"), "ID"),
)

SCAN_BATCH_ROWS = 1_000
# Maximum failures per tenant that are grouped by cause if the caller has many tenants.
MIN_GROUPED_ROWS = 1_000
# Maximum groups in a list of causes; the least frequent ones are omitted.
MAX_CAUSES = 200


class FailureFilter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions on failures: each field that is set must be equal. `channel` and `provider` apply to messages,
    `workflow` to runs, `job` to the kind of dead jobs. `since` (inclusive) and `until` (exclusive) filter by creation
    time, in UTC milliseconds."""

    kind: FailureKind | None = None
    channel: str | None = None
    provider: str | None = None
    workflow: str | None = None
    job: str | None = None
    webhook: str | None = None
    cause: str | None = None
    since: int = 0
    until: int | None = None

    @property
    def kinds(self) -> tuple[FailureKind, ...]:
        """The kinds that the filter can match."""
        wanted: dict[FailureKind, tuple[str | None, ...]] = {
            "message": (self.channel, self.provider),
            "run": (self.workflow,),
            "job": (self.job, self.webhook),
        }
        named = {kind for kind, fields in wanted.items() if any(field is not None for field in fields)}
        named |= {self.kind} if self.kind is not None else set()
        return tuple(kind for kind in FAILURE_KINDS if named <= {kind})

    @property
    def compares_fields(self) -> bool:
        """True if the filter has conditions other than kind and time."""
        fields = (self.channel, self.provider, self.workflow, self.job, self.webhook, self.cause)
        return any(field is not None for field in fields)

    def matches(self, failure: StoredFailure) -> bool:
        """True if the fields of a failure match. The query has already selected by kind and time."""
        return (
            self.channel in (None, failure.channel)
            and self.provider in (None, failure.provider)
            and self.workflow in (None, failure.workflow)
            and self.job in (None, failure.job)
            and (self.webhook is None or self.webhook == webhook_of(failure))
            and (self.cause is None or self.cause == cause_of(failure.reason))
        )


class MatchedFailures(Struct, frozen=True):
    """Matching failures by descending id. `before` continues the list; None at its end. `is_cut`: MAX_SCANNED_ROWS rows
    were examined before the page was full."""

    failures: list[StoredFailure]
    before: str | None
    is_cut: bool = False


class CauseKey(Struct, frozen=True):
    """The fields that are equal in a group of failures. Except for the tenant, they are the fields of the filter."""

    tenant: str | None
    kind: FailureKind
    channel: str | None
    provider: str | None
    workflow: str | None
    job: str | None
    webhook: str | None
    cause: str


async def page(
    db: Engine, tenants: Sequence[str], wanted: FailureFilter, before: str | None, limit: int
) -> MatchedFailures:
    """Return at most `limit` failures, plus any others with the last one's id."""
    found: list[StoredFailure] = []
    scanned, last = 0, None
    async for page in scan(db, tenants, wanted, before):
        scanned, last = scanned + len(page), page[-1].id
        # In a thread: comparing causes of a page takes milliseconds.
        found += await asyncio.to_thread(list, filter(wanted.matches, page)) if wanted.compares_fields else page
        if len(found) > limit:
            ends_at = found[limit - 1].id
            return MatchedFailures([failure for failure in found if failure.id >= ends_at], ends_at)
        if scanned >= MAX_SCANNED_ROWS:
            return MatchedFailures(found, last, is_cut=True)
    return MatchedFailures(found, None)


async def count(db: Engine, tenants: Sequence[str], wanted: FailureFilter, limit: int) -> int:
    """Count the failures of the filter's kinds and times, up to the limit. Other fields are not compared."""
    return await Replays(db).count_failures(_query(tenants, wanted, NEWEST, limit))


async def causes(
    db: Engine, tenants: Sequence[str], wanted: FailureFilter
) -> tuple[list[tuple[CauseKey, FailureGroup]], ListTotal]:
    """Group the failures by tenant and cause, the most frequent first. The total is not exact if older failures were not
    examined."""
    limit = max(MIN_GROUPED_ROWS, MAX_SCANNED_ROWS // max(1, len(tenants)))
    groups, is_exact = await Replays(db).group_failures(_query(tenants, wanted, NEWEST, limit))
    # Computing the causes of 20,000 different reasons takes time, so other requests run in between.
    return await asyncio.to_thread(_by_cause, groups, wanted, is_exact=is_exact)


async def scan(
    db: Engine,
    tenants: Sequence[str],
    wanted: FailureFilter,
    before: str | None = None,
    batch: int = SCAN_BATCH_ROWS,
) -> AsyncIterator[list[StoredFailure]]:
    """Yield non-empty pages of the failures of the filter's kinds and times, by descending id. Other fields are not
    compared."""
    query = _query(tenants, wanted, before or NEWEST, batch)
    while page := await Replays(db).failures(query):
        yield page
        if len(page) < batch:
            break
        query = msgspec.structs.replace(query, before=page[-1].id)


def _query(tenants: Sequence[str], wanted: FailureFilter, before: str, limit: int) -> FailureQuery:
    return FailureQuery(
        tenants=tenants,
        kinds=wanted.kinds,
        before=before,
        created_since=wanted.since,
        created_before=wanted.until,
        limit=limit,
    )


def _by_cause(
    same_reasons: Sequence[FailureGroup], wanted: FailureFilter, *, is_exact: bool
) -> tuple[list[tuple[CauseKey, FailureGroup]], ListTotal]:
    """Combine the matching groups with the same cause."""
    groups: dict[CauseKey, FailureGroup] = {}
    for group in filter(lambda one: wanted.matches(one.newest), same_reasons):
        one = group.newest
        fields = (one.tenant, one.kind, one.channel, one.provider, one.workflow, one.job)
        key = CauseKey(*fields, webhook_of(one), cause_of(one.reason))
        known = groups.get(key, FailureGroup(0, group.oldest_at, one))
        newest = max(known.newest, one, key=lambda failure: failure.created_at)
        groups[key] = FailureGroup(known.number + group.number, min(known.oldest_at, group.oldest_at), newest)
    by_count = sorted(groups.items(), key=lambda one: one[1].number, reverse=True)
    total = sum(group.number for _, group in by_count)
    return by_count[:MAX_CAUSES], ListTotal(total, exact=is_exact)


def webhook_of(failure: StoredFailure) -> str | None:
    """Return the webhook of a dead delivery job."""
    if failure.job != webhooks.JOB_KIND:
        return None
    return msgspec.json.decode(failure.payload, type=WebhookDelivery).webhook


@lru_cache(CACHED_CAUSES)
def cause_of(reason: str | None) -> str:
    """Return the common cause of similar reasons: addresses, ids and long numbers are replaced by their kind, so that
    the cause names no recipient."""
    text = " ".join((reason or "")[:MAX_REASON].split())
    for pattern, name in VARIABLE_PARTS:
        text = pattern.sub(name, text)
    return text[:MAX_CAUSE].strip() or UNKNOWN
