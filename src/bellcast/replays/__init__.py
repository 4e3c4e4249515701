"""Failed and bounced messages, failed runs and dead jobs of tenants: their causes, and replays that retry
them by filter or by id, in batches, each in one transaction with the replay's progress."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from bellcast.documents.store import Documents
from bellcast.engines import Engines
from bellcast.kernel.clock import request_time
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import MAX_SCANNED_ROWS, ListPage, ListTotal
from bellcast.kernel.ids import NEWEST
from bellcast.kernel.jobs import FANOUT, Job
from bellcast.replays.store import (
    REPLAYS,
    FailureFilter,
    FailureGroup,
    FailureKind,
    Replay,
    Replays,
    StoredFailure,
    decode,
)
from bellcast.webhooks import webhooks
from bellcast.webhooks.types import WebhookDelivery
from bellcast.workflows.store import Runs
from bellcast.workflows.types.runs import restarted

log = structlog.get_logger(__name__)

JOB_KIND = "replay"
# Maximum ids of one replay.
MAX_REPLAY_IDS = 1_000
# Failures that one transaction retries: 24 ms on PostgreSQL and 35 ms on SQLite, on two busy cores (2026-11-21).
REPLAY_BATCH_ROWS = 200
# Concurrent steps: more would only wait for each other's commits.
REPLAY_SLOTS = 2

UNKNOWN = "unknown"
# Maximum characters of a cause. Longer reports usually contain a page of the other server.
MAX_CAUSE = 200
# Maximum characters of a reason that are searched for addresses and ids.
MAX_SEARCHED_REASON = 500
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


class ReplayEffect(Struct, frozen=True):
    """A side effect of a replay: it sends `count` messages of a channel, continues runs of a workflow or repeats jobs of a kind."""

    kind: FailureKind
    channel: str | None
    workflow: str | None
    job: str | None
    count: int


async def plan(
    engines: Engines, tenant: str, wanted: FailureFilter | None, ids: Sequence[str]
) -> tuple[Replay, list[ReplayEffect]]:
    """Return a replay by filter or by id with its effects. Writes nothing. At most MAX_SCANNED_ROWS failures are
    counted."""
    now = engines.clock.now()
    if wanted is None:
        found = await Replays(engines.db).find(tenant, ids)
        found_ids = tuple(sorted({failure.id for failure in found}, reverse=True))
        return Replay(ids=found_ids, matched=len(found), is_exact=True, created_at=now), _effects(found)
    page = await failure_page(engines.db, (tenant,), wanted, None, MAX_SCANNED_ROWS)
    is_exact = page.next is None and page.scanned_until is None
    replay = Replay(wanted=wanted, matched=len(page.items), is_exact=is_exact, created_at=now)
    return replay, _effects(page.items)


async def start(engines: Engines, tenant: str, planned: Replay) -> tuple[str, Replay]:
    """Start a planned replay, and return it with its id. It covers existing failures only. Raises Conflict while too many
    replays are running."""
    now, wanted = engines.clock.now(), planned.wanted
    if wanted is not None:
        until = now + 1 if wanted.until is None else min(wanted.until, now + 1)
        wanted = msgspec.structs.replace(wanted, until=until)
    replay = msgspec.structs.replace(planned, wanted=wanted, created_at=request_time(engines.clock))
    id = engines.new_id(now)
    job = Job(
        id=f"{JOB_KIND}:{id}",
        kind=JOB_KIND,
        payload=msgspec.json.encode((tenant, id)),
        run_at=now,
        created_at=now,
        tenant=tenant,
        priority=FANOUT,
    )
    await Replays(engines.db).add(tenant, id, replay, job)
    engines.router.wake_jobs()
    return id, replay


async def cancel(engines: Engines, tenant: str, id: str) -> bool | None:
    """Cancel a replay; its retries are not undone. Return False if it has ended, None if it does not exist."""
    while (found := await Documents(engines.db).get(REPLAYS, tenant, id)) is not None:
        replay, now = decode(found.body), engines.clock.now()
        if replay.state != "running":
            return False
        cancelled = msgspec.structs.replace(replay, state="cancelled", ended_at=now)
        body = msgspec.json.encode(cancelled)
        if await Documents(engines.db).change(REPLAYS, tenant, id, found.body, body, now):
            return True
    return None


async def run(engines: Engines, job: Job) -> int | None:
    """Retry one batch of a replay. Return when the next one is due, or None at the end."""
    tenant, id = msgspec.json.decode(job.payload, type=tuple[str, str])
    found = await Documents(engines.db).get(REPLAYS, tenant, id)
    replay = None if found is None else decode(found.body)
    if found is None or replay is None or replay.state != "running":
        return None
    if replay.wanted is None:
        waiting = [id for id in replay.ids if replay.before is None or id < replay.before]
        batch = waiting[:REPLAY_BATCH_ROWS]
        failures = await Replays(engines.db).find(tenant, batch)
        before = batch[-1] if len(waiting) > len(batch) else None
    else:
        last = replay.before or NEWEST
        page = await Replays(engines.db).failures((tenant,), replay.wanted, last, REPLAY_BATCH_ROWS)
        failures = _matching_failures(page, replay.wanted)
        before = None if len(page) < REPLAY_BATCH_ROWS else page[-1].id
    now = engines.clock.now()

    def after(retried: int) -> bytes:
        examined = replay.examined + len(failures)
        left = msgspec.structs.replace(replay, examined=examined, retried=replay.retried + retried, before=before)
        if before is None:
            left = msgspec.structs.replace(left, state="done", ended_at=now)
        return msgspec.json.encode(left)

    run_ids = [failure.id for failure in failures if failure.kind == "run"]
    runs = await Runs(engines.db).find(run_ids) if run_ids else []
    restarts = [restarted(run) for run in runs if run.state == "failed" and run.tenant == tenant]
    if await Replays(engines.db).retry(restarts, failures, tenant, id, found.body, after, now):
        engines.router.wake_jobs()
        if before is None:
            log.info("replay_finished", replay=id, tenant=tenant or None)
            return None
    return now


def _effects(failures: Sequence[StoredFailure]) -> list[ReplayEffect]:
    keys = [(failure.kind, failure.channel, failure.workflow, failure.job) for failure in failures]
    return [ReplayEffect(*key, count) for key, count in Counter(keys).most_common()]


async def failure_page(
    db: Engine, tenants: Sequence[str], wanted: FailureFilter, before: str | None, limit: int
) -> ListPage[StoredFailure]:
    """Return at most `limit` failures by descending id, plus any others with the last one's id."""
    found: list[StoredFailure] = []
    scanned, last = 0, before or NEWEST
    while True:
        page = await Replays(db).failures(tenants, wanted, last, SCAN_BATCH_ROWS)
        scanned += len(page)
        # In a thread: comparing causes of a page takes milliseconds.
        found += await asyncio.to_thread(_matching_failures, page, wanted) if wanted.compares_fields else page
        if len(found) > limit:
            ends_at = found[limit - 1].id
            return ListPage([failure for failure in found if failure.id >= ends_at], (ends_at,))
        if len(page) < SCAN_BATCH_ROWS:
            return ListPage(found)
        last = page[-1].id
        if scanned >= MAX_SCANNED_ROWS:
            return ListPage(found, scanned_until=(last,))


async def failure_causes(
    db: Engine, tenants: Sequence[str], wanted: FailureFilter
) -> tuple[list[FailureGroup], ListTotal]:
    """Group the failures by tenant and cause, the most frequent first. The total is not exact if older failures were not
    examined."""
    limit = max(MIN_GROUPED_ROWS, MAX_SCANNED_ROWS // max(1, len(tenants)))
    groups, is_exact = await Replays(db).group_failures(tenants, wanted, limit)
    # Computing the causes of 20,000 different reasons takes time, so other requests run in between.
    return await asyncio.to_thread(_by_cause, groups, wanted, is_exact=is_exact)


def _matching_failures(failures: Sequence[StoredFailure], wanted: FailureFilter) -> list[StoredFailure]:
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
) -> tuple[list[FailureGroup], ListTotal]:
    """Combine the matching groups with the same cause."""
    groups: dict[Any, FailureGroup] = {}
    for group in same_reasons:
        one = group.newest
        if not _matches(one, wanted):
            continue
        place = (one.tenant, one.kind, one.channel, one.provider, one.workflow, one.job)
        key = (*place, webhook_of(one), cause_of(one.reason))
        known = groups.get(key, FailureGroup(0, group.oldest_at, one))
        newest = max(known.newest, one, key=lambda failure: failure.created_at)
        groups[key] = FailureGroup(known.number + group.number, min(known.oldest_at, group.oldest_at), newest)
    by_count = sorted(groups.values(), key=lambda group: group.number, reverse=True)
    total = sum(group.number for group in by_count)
    return by_count[:MAX_CAUSES], ListTotal(total, exact=is_exact)


def webhook_of(failure: StoredFailure) -> str | None:
    """Return the webhook of a dead delivery job."""
    if failure.job != webhooks.DELIVERY_JOB_KIND:
        return None
    return msgspec.json.decode(failure.payload, type=WebhookDelivery).webhook


@lru_cache(CACHED_CAUSES)
def cause_of(reason: str | None) -> str:
    """Return the common cause of similar reasons: addresses, ids and long numbers are replaced by their kind, so that
    the cause names no recipient."""
    text = " ".join((reason or "")[:MAX_SEARCHED_REASON].split())
    for pattern, name in VARIABLE_PARTS:
        text = pattern.sub(name, text)
    return text[:MAX_CAUSE].strip() or UNKNOWN
