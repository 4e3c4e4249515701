"""Replays: retry failures by filter or by id, in batches, each in one transaction with the replay's progress."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import structlog
from msgspec import Struct

from bellcast.documents.store import Documents
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import MAX_SCANNED_ROWS
from bellcast.kernel.errors import Conflict
from bellcast.kernel.jobs.runner import JobRunner
from bellcast.kernel.jobs.types import FANOUT, Job
from bellcast.replays import failures as failure_lists
from bellcast.replays.store import Replays
from bellcast.replays.types import REPLAYS, FailureFilter, FailureKind, StoredFailure
from bellcast.workflows.store.runs import Runs
from bellcast.workflows.types.runs import restarted

log = structlog.get_logger(__name__)

JOB_KIND = "replay"
# Maximum ids of one replay.
MAX_REPLAY_IDS = 1_000
# Failures that one transaction retries: 24 ms on PostgreSQL and 35 ms on SQLite, on two busy cores (2026-11-21).
REPLAY_BATCH_ROWS = 200
# Stored replays of a tenant, and how many of them may run at a time: more would retry the same failures.
KEPT_REPLAYS, MAX_RUNNING_REPLAYS = 100, 10
# Concurrent steps: more would only wait for each other's commits.
REPLAY_SLOTS = 2

ReplayState = Literal["running", "done", "cancelled"]


class Replay(Struct, frozen=True, kw_only=True):
    """A replay as it is stored. `matched` is a lower bound unless `is_exact`. `examined` counts the matches so far, and
    `retried` the retries; failures that changed since the search are skipped. Failures down to the id `before` were
    examined."""

    wanted: FailureFilter | None = None
    ids: tuple[str, ...] = ()
    state: ReplayState = "running"
    matched: int
    is_exact: bool
    examined: int = 0
    retried: int = 0
    before: str | None = None
    created_at: int
    ended_at: int | None = None


class ReplayEffect(Struct, frozen=True):
    """A side effect of a replay: it sends `count` messages of a channel, continues runs of a workflow or repeats jobs of a kind."""

    kind: FailureKind
    channel: str | None
    workflow: str | None
    job: str | None
    count: int


class ReplayRunner:
    """Plans, starts and runs replays."""

    def __init__(self, db: Engine, clock: Clock, new_id: Callable[[int], str], jobs: JobRunner) -> None:
        self._db = db
        self._clock = clock
        self._new_id = new_id
        self._jobs = jobs
        # Held between the count of running replays and the write of the new one.
        self._starting = asyncio.Lock()
        jobs.register(JOB_KIND, self.run, concurrency=REPLAY_SLOTS)

    async def plan(
        self, tenant: str, wanted: FailureFilter | None, ids: Sequence[str]
    ) -> tuple[Replay, list[ReplayEffect]]:
        """Return a replay by filter or by id with its effects. Writes nothing. At most MAX_SCANNED_ROWS failures are
        counted."""
        now = self._clock.now()
        if wanted is None:
            found = await Replays(self._db).find(tenant, ids)
            found_ids = tuple(sorted({failure.id for failure in found}, reverse=True))
            return Replay(ids=found_ids, matched=len(found), is_exact=True, created_at=now), _effects(found)
        page = await failure_lists.page(self._db, (tenant,), wanted, None, MAX_SCANNED_ROWS)
        is_exact = page.next is None and page.scanned_until is None
        replay = Replay(wanted=wanted, matched=len(page.items), is_exact=is_exact, created_at=now)
        return replay, _effects(page.items)

    async def start(self, tenant: str, planned: Replay) -> tuple[str, Replay]:
        """Start a planned replay, and return it with its id. It covers existing failures only. Raises Conflict while too many
        replays are running."""
        async with self._starting:
            now = self._clock.now()
            known = await self.page(tenant)
            running = [id for id, replay in known if replay.state == "running"]
            if len(running) >= MAX_RUNNING_REPLAYS:
                raise Conflict(f"{len(running)} replays are already running: wait for one of them, or cancel it.")
            wanted = planned.wanted
            if wanted is not None:
                until = now + 1 if wanted.until is None else min(wanted.until, now + 1)
                wanted = msgspec.structs.replace(wanted, until=until)
            replay = msgspec.structs.replace(planned, wanted=wanted, created_at=now)
            id = self._new_id(now)
            job = Job(
                id=f"{JOB_KIND}:{id}",
                kind=JOB_KIND,
                payload=msgspec.json.encode((tenant, id)),
                run_at=now,
                created_at=now,
                tenant=tenant,
                priority=FANOUT,
            )
            ended = [old for old, replay in known if replay.state != "running"]
            surplus = len(known) + 1 - KEPT_REPLAYS
            removed = ended[-surplus:] if surplus > 0 else []
            await Replays(self._db).add(tenant, id, msgspec.json.encode(replay), job, removed, now)
            self._jobs.wake()
            return id, replay

    async def page(self, tenant: str) -> list[tuple[str, Replay]]:
        """Return the replays of a tenant, the newest first."""
        found = await Documents(self._db).page(REPLAYS, tenant, "", 2 * KEPT_REPLAYS)
        return [(one.key, decode(one.body)) for one in reversed(found)]

    async def get(self, tenant: str, id: str) -> Replay | None:
        """Return a replay."""
        found = await Documents(self._db).get(REPLAYS, tenant, id)
        return None if found is None else decode(found.body)

    async def cancel(self, tenant: str, id: str) -> bool | None:
        """Cancel a replay; its retries are not undone. Return False if it has ended, None if it does not exist."""
        while (found := await Documents(self._db).get(REPLAYS, tenant, id)) is not None:
            replay, now = decode(found.body), self._clock.now()
            if replay.state != "running":
                return False
            cancelled = msgspec.structs.replace(replay, state="cancelled", ended_at=now)
            body = msgspec.json.encode(cancelled)
            if await Documents(self._db).change(REPLAYS, tenant, id, found.body, body, now):
                return True
        return None

    async def run(self, job: Job) -> int | None:
        """Retry one batch of a replay. Return when the next one is due, or None at the end."""
        tenant, id = msgspec.json.decode(job.payload, type=tuple[str, str])
        found = await Documents(self._db).get(REPLAYS, tenant, id)
        replay = None if found is None else decode(found.body)
        if found is None or replay is None or replay.state != "running":
            return None
        failures, before = await self._next_batch(tenant, replay)
        now = self._clock.now()

        def after(retried: int) -> bytes:
            examined = replay.examined + len(failures)
            left = msgspec.structs.replace(replay, examined=examined, retried=replay.retried + retried, before=before)
            if before is None:
                left = msgspec.structs.replace(left, state="done", ended_at=now)
            return msgspec.json.encode(left)

        run_ids = [failure.id for failure in failures if failure.kind == "run"]
        runs = await Runs(self._db).find(run_ids) if run_ids else []
        restarts = [restarted(run) for run in runs if run.state == "failed" and run.tenant == tenant]
        if await Replays(self._db).retry(restarts, failures, tenant, id, found.body, after, now):
            self._jobs.wake()
            if before is None:
                log.info("replay_finished", replay=id, tenant=tenant or None)
                return None
        return now

    async def _next_batch(self, tenant: str, replay: Replay) -> tuple[list[StoredFailure], str | None]:
        """Return the next matching failures, and the id down to which they were examined; None at the end."""
        if replay.wanted is None:
            waiting = [id for id in replay.ids if replay.before is None or id < replay.before]
            batch = waiting[:REPLAY_BATCH_ROWS]
            return await Replays(self._db).find(tenant, batch), batch[-1] if len(waiting) > len(batch) else None
        async for page in failure_lists.scan(self._db, (tenant,), replay.wanted, replay.before, REPLAY_BATCH_ROWS):
            is_last = len(page) < REPLAY_BATCH_ROWS
            return failure_lists.matching(page, replay.wanted), None if is_last else page[-1].id
        return [], None


decode = msgspec.json.Decoder(Replay).decode


def _effects(failures: Sequence[StoredFailure]) -> list[ReplayEffect]:
    keys = [(failure.kind, failure.channel, failure.workflow, failure.job) for failure in failures]
    return [ReplayEffect(*key, count) for key, count in Counter(keys).most_common()]
