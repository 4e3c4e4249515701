"""Failures of tenants: failed and bounced messages, failed runs and dead jobs, by filter and by cause."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct

from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import MAX_SCANNED_ROWS, ListPage, ListTotal
from bellcast.kernel.ids import NEWEST
from bellcast.replays.store import Replays
from bellcast.replays.types import FailureFilter, FailureGroup, FailureKind, StoredFailure
from bellcast.webhooks import webhooks
from bellcast.webhooks.types import WebhookDelivery

UNKNOWN = "unknown"
# Maximum characters of a cause. Longer reports usually contain a page of the other server.
MAX_CAUSE = 200
# Maximum characters of a reason that are searched for addresses and ids.
MAX_REASON = 500
# Number of cached reasons: reasons of one cause are often equal.
CACHED_CAUSES = 1_000
# Applied in this order, because an address can be part of a URL. A status such as 550 or 5.1.1 is kept, but a reply
# code before an enhanced status is left out: a bounce report has only the second of them.
VARIABLE_PARTS = (
    (re.compile(r"^[45]\d\d[ -](?=[45]\.\d{1,3}\.\d{1,3}\b)"), ""),
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
) -> ListPage[StoredFailure]:
    """Return at most `limit` failures by descending id, plus any others with the last one's id."""
    found: list[StoredFailure] = []
    scanned = 0
    async for page in scan(db, tenants, wanted, before):
        scanned += len(page)
        # In a thread: comparing causes of a page takes milliseconds.
        found += await asyncio.to_thread(matching, page, wanted) if wanted.compares_fields else page
        if len(found) > limit:
            ends_at = found[limit - 1].id
            return ListPage([failure for failure in found if failure.id >= ends_at], (ends_at,))
        if scanned >= MAX_SCANNED_ROWS:
            return ListPage(found, scanned_until=(page[-1].id,))
    return ListPage(found)


async def causes(
    db: Engine, tenants: Sequence[str], wanted: FailureFilter
) -> tuple[list[tuple[CauseKey, FailureGroup]], ListTotal]:
    """Group the failures by tenant and cause, the most frequent first. The total is not exact if older failures were not
    examined."""
    limit = max(MIN_GROUPED_ROWS, MAX_SCANNED_ROWS // max(1, len(tenants)))
    groups, is_exact = await Replays(db).group_failures(tenants, wanted, limit)
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
    last = before or NEWEST
    while page := await Replays(db).failures(tenants, wanted, last, batch):
        yield page
        if len(page) < batch:
            break
        last = page[-1].id


def matching(failures: Sequence[StoredFailure], wanted: FailureFilter) -> list[StoredFailure]:
    """Return the failures that match a filter, of those that a query has selected by kind and time."""
    return [one for one in failures if _matches(one, wanted)]


def _matches(failure: StoredFailure, wanted: FailureFilter) -> bool:
    return (
        wanted.channel in (None, failure.channel)
        and wanted.provider in (None, failure.provider)
        and wanted.workflow in (None, failure.workflow)
        and wanted.job in (None, failure.job)
        and (wanted.webhook is None or wanted.webhook == webhook_of(failure))
        and (wanted.cause is None or wanted.cause == cause_of(failure.reason))
    )


def _by_cause(
    same_reasons: Sequence[FailureGroup], wanted: FailureFilter, *, is_exact: bool
) -> tuple[list[tuple[CauseKey, FailureGroup]], ListTotal]:
    """Combine the matching groups with the same cause."""
    groups: dict[CauseKey, FailureGroup] = {}
    for group in same_reasons:
        one = group.newest
        if not _matches(one, wanted):
            continue
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
