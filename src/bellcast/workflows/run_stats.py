"""What the steps of runs did: counts of a workflow, and runs by the state of a step. Both see a step as a read of its run
shows it."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.documents.store import ShortCache
from bellcast.documents.types import PROJECT
from bellcast.kernel.clock import Clock
from bellcast.kernel.concurrency import Pauses
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.db.lists import MAX_SCANNED_ROWS, ListPage, ListQuery, ListTotal
from bellcast.kernel.errors import NotFound
from bellcast.workflows.store import Runs
from bellcast.workflows.types import StepStatus, runs
from bellcast.workflows.types.runs import StoredRun
from bellcast.workflows.workflow_catalog import WorkflowCatalog

# Runs that are counted, the newest: about 0.1 s of CPU time.
MAX_COUNTED = MAX_SCANNED_ROWS
# Runs of the last 24 hours that a list counts of each workflow of a tenant: entries of an index, of 100 workflows in 10 ms.
RECENT_MS, MAX_RECENT = 86_400_000, 1_000
# Runs per read: 4 MiB, because `run_outlines` shortens those of more than 4 KiB.
RUNS_PER_READ = 1_000
# Counts are repeated after this time: the canvases of many operators read the store once.
CACHE_SECONDS = 10.0
MAX_CACHED = 100
# Reasons of a step that are counted one by one; some are texts of other servers.
MAX_REASONS = 20
OTHER_REASONS = "other"
# Reads of a page whose filter drops runs that the store has found.
MAX_READS = 20


class StepCounts(Struct):
    """In how many runs a step is done, waits, was skipped, by reason, or failed."""

    done: int
    waiting: int
    skipped: dict[str, int]
    failed: int


class RunCounts(Struct, frozen=True):
    """The number of runs by state, and what their steps did, by key. Without `exact`, there are older runs, which are not
    counted."""

    runs: dict[str, int]
    steps: dict[str, StepCounts]
    exact: bool


class RunStats:
    """Counts the runs of workflows, and finds runs by what a step did."""

    def __init__(self, db: Engine, clock: Clock, catalog: WorkflowCatalog) -> None:
        self._store = Runs(db)
        self._catalog = catalog
        self._clock = clock
        self._counted = ShortCache[Any, RunCounts](clock, MAX_CACHED, CACHE_SECONDS)
        self._recent = ShortCache[None, dict[tuple[str, str], int]](clock, MAX_CACHED, CACHE_SECONDS)

    async def counts(self, query: ListQuery, workflow: str, version: int | None, shown: Sequence[str]) -> RunCounts:
        """Count the newest runs of a workflow, of all versions or one, at most MAX_COUNTED; other fields of the query select
        them. Steps with the keys `shown` are in the result if no run has them too. Counts are cached for CACHE_SECONDS."""
        tenants = None if query.tenants is None else tuple(query.tenants)
        name = (tenants, query.created, workflow, version, tuple(shown))
        return await self._counted.get(name, lambda: self._count(query, workflow, version, shown))

    async def recent(self, tenant: str | None, workflows: Sequence[str]) -> dict[str, ListTotal]:
        """Count the runs of the last 24 hours by workflow: those of a tenant, of each at most MAX_RECENT, or those of the project's
        workflows in all tenants among the newest MAX_COUNTED runs. No index has the runs of all by workflow, so this is cached for
        CACHE_SECONDS."""
        since = self._clock.now() - RECENT_MS
        if tenant is not None:
            counts = await self._store.count_of_workflows(tenant, workflows, since, MAX_RECENT + 1)
            return {key: ListTotal(min(n, MAX_RECENT), exact=n <= MAX_RECENT) for key, n in counts.items()}
        of_all = await self._recent.get(None, lambda: self._store.count_since(since, MAX_COUNTED))
        is_exact = sum(of_all.values()) < MAX_COUNTED
        return {key: ListTotal(of_all.get((PROJECT, key), 0), exact=is_exact) for key in workflows}

    async def _count(self, query: ListQuery, workflow: str, version: int | None, shown: Sequence[str]) -> RunCounts:
        of_runs, of_steps = Counter[str](), Counter[tuple[str, StepStatus, str | None]]()
        keys_of = dict[tuple[str, int], Sequence[str]]()
        # Rows of all tenants have no index by workflow: a filter would examine more of them than are counted.
        filters = {} if query.tenants is None else {"workflow": workflow}
        wanted = msgspec.structs.replace(query, filters=filters, limit=RUNS_PER_READ)
        pauses, seen, page = Pauses(), 0, await self._store.outlines(wanted)
        while True:
            # Most runs did the same: these are counted once for all.
            same = Counter[tuple[tuple[str, StepStatus, str | None], ...]]()
            for run in page.items:
                if run.workflow != workflow or version not in (None, run.version):
                    continue
                await pauses.pause_if_due()
                outline, of_version = runs.decode_outline(run.body), (run.owner, run.version)
                if of_version not in keys_of:
                    keys_of[of_version] = await self._keys(*of_version, workflow) or list(outline.steps)
                of_runs[run.state] += 1
                same[tuple(runs.shown_steps(run.state, outline, keys_of[of_version]))] += 1
            for shown_steps, number in same.items():
                for step in shown_steps:
                    of_steps[step] += number
            seen += len(page.items)
            if page.next is None or seen >= MAX_COUNTED:
                break
            page = await self._store.outlines(msgspec.structs.replace(wanted, after=page.next))
        steps = {key: StepCounts(0, 0, {}, 0) for key in dict.fromkeys([*shown, *(key for key, *_ in of_steps)])}
        for (key, state, reason), number in of_steps.most_common():
            counted = steps[key]
            if state == "skipped":
                name = reason or OTHER_REASONS
                if name not in counted.skipped and len(counted.skipped) >= MAX_REASONS:
                    name = OTHER_REASONS
                counted.skipped[name] = counted.skipped.get(name, 0) + number
            elif state == "done":
                counted.done += number
            elif state == "waiting":
                counted.waiting += number
            elif state == "failed":
                counted.failed += number
        return RunCounts(dict(of_runs), steps, exact=page.next is None)

    async def page(self, query: ListQuery, step: str | None, state: StepStatus | None) -> ListPage[StoredRun]:
        """Return a page of the runs in which a step, or, without its key, any step, is in a state, or, without one, is not
        pending."""
        # The store compares texts: the state is the first field of a step.
        name = "" if step is None else f'"{step}"'
        text = None if state == "pending" else f'%{name}:{{"state":"{state or ""}%'
        filters = {**query.filters, "step": text, "ended": "yes" if state in ("skipped", None) else None}
        wanted = msgspec.structs.replace(query, filters=filters)
        found, page = list[StoredRun](), ListPage[StoredRun]([], next=query.after)
        for _ in range(MAX_READS):
            page = await self._store.page(msgspec.structs.replace(wanted, after=page.next))
            for run in page.items:
                outline = runs.decode_outline(run.body)
                keys = await self._keys(run.owner, run.version, run.workflow) or list(outline.steps)
                shown = runs.shown_steps(run.state, outline, [key for key in keys if step in (None, key)])
                if any(one == state or (state is None and one != "pending") for _, one, _ in shown):
                    found.append(run)
            if page.next is None or len(found) >= query.limit:
                break
        items, is_cut = found[: query.limit], len(found) > query.limit
        following = (items[-1].id,) if is_cut else page.next if len(items) == query.limit else None
        scanned = None if following is not None else page.scanned_until or page.next
        total = None
        if query.is_counted and query.after is None:
            is_all = following is None and scanned is None
            total = ListTotal(len(items) + (following is not None), exact=is_all)
        return ListPage(items, following, scanned, total)

    async def _keys(self, owner: str, version: int, workflow: str) -> Sequence[str]:
        """Return the keys of the steps of a version; none if it is not stored any more."""
        with contextlib.suppress(NotFound):
            definition = await self._catalog.definition(owner, workflow, version)
            return [step.key for step in definition.ordered]
        return []
