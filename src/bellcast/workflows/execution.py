"""Executes runs: reads the input of a step, performs it, and commits the new state of the run with all effects.

The runs of a page share their reads and one commit for all steps without calls to other servers. A call to another
server begins after everything before it is committed, and ends with a separate commit. If the process dies in between,
only the call is repeated.

A page of a fan-out is one commit of its runs with the effects of their first steps and the new position of the fan-out, so no
run needs a job until its first call or wait."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import partial

import msgspec
import structlog
from msgspec import Struct

from bellcast.channels import audiences, decision_inputs
from bellcast.channels.store.messages import Messages
from bellcast.channels.types import Fanout
from bellcast.inbox.types import Audience
from bellcast.inbox.types.sends import SendRequest
from bellcast.kernel.brokers import Broker
from bellcast.kernel.concurrency import Pauses, Scheduler
from bellcast.kernel.db.engine import Engine
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.jobs import FANOUT, Job
from bellcast.kernel.jobs.runner import Again, DestinationCall, PageOutcome
from bellcast.kernel.jobs.store import Jobs
from bellcast.live_feed import Feed, FeedEvent
from bellcast.preferences.types import Channel
from bellcast.templates.rendering import SharedResults
from bellcast.webhooks.types import WebhookEvent
from bellcast.workflows import engine, run_steps
from bellcast.workflows.definitions import Definition, Step
from bellcast.workflows.run_steps import Execution, ExecutionPage, RunSteps
from bellcast.workflows.step_calls import StepCalls
from bellcast.workflows.store import Runs
from bellcast.workflows.triggers import Triggers
from bellcast.workflows.types import runs
from bellcast.workflows.types.runs import BegunPage, RunCommit, StepFacts, StoredRun

log = structlog.get_logger(__name__)

# Attempts to commit a page. A run that conflicts with another commit each time is due again immediately.
MAX_COMMITS = 50
# While the oldest due run of a fan-out is older than this, other processes have enough work: they look for jobs every half
# second.
BACKLOG_MS = 1_000
# Template variables that are the same for all new runs of a trigger.
SHARED_ROOTS = frozenset({"data", "actor", "tenant", "brand"})


class RunExecutor(Struct, eq=False):
    """Executes the jobs of runs, and of triggers for audiences. With `shares_runs`, other processes on the same store can
    execute some of the runs of an audience."""

    db: Engine
    broker: Broker
    triggers: Triggers
    steps: RunSteps
    calls: StepCalls
    pace: Scheduler
    feed: Feed
    shares_runs: bool

    async def run_page(self, jobs: Sequence[Job]) -> list[PageOutcome]:
        """Execute the due steps of a tenant's runs, up to their next calls. Safe to repeat."""
        jobs_by_run = {job.payload.decode(): job for job in jobs}
        outcomes: dict[str, PageOutcome] = {}
        remaining = list(jobs_by_run)
        for _ in range(MAX_COMMITS):
            executions, remaining = await self._open(remaining)
            pauses = Pauses()
            for execution in executions:
                while await self.steps.perform_next(execution):
                    await pauses.pause_if_due()
            unwritten = await self._commit(executions)
            for execution in executions:
                id = execution.stored.id
                if id not in unwritten:
                    outcomes[id] = self._next(execution, jobs_by_run[id])
                elif (error := unwritten[id]) is not None:
                    outcomes[id] = error
                else:
                    remaining.append(id)
            if not remaining:
                break
        outcomes |= dict.fromkeys(remaining, self.triggers.clock.now())
        return [outcomes.get(id) for id in jobs_by_run]

    def _next(self, execution: Execution, job: Job) -> PageOutcome:
        """Return when a run is due again, or its call."""
        if execution.call is None:
            return execution.state.wakes_at
        line = self.calls.line(execution.call, execution.stored.owner)
        if not self.calls.serves(line):
            return Again(self.triggers.clock.now(), line=line)
        tenant = execution.stored.tenant
        destination = self.calls.destination(execution.call, execution.state, execution.context, tenant)
        line = f"{line} {destination.server}".strip()
        return DestinationCall(destination, line, partial(self._call, job, execution, execution.call))

    async def _resume_activated(self, committed: Iterable[StoredRun]) -> None:
        """Make runs due that were paused because of an outdated state of their workflows. Activating a workflow only
        resumes runs that are already paused."""
        for owner, workflow in {(run.owner, run.workflow) for run in committed if run.state == "paused"}:
            await self.triggers.workflow_catalog.resume_if_active(owner, workflow)

    # --- fan-outs

    async def run_fanout(self, job: Job) -> int | None:
        """Add the runs of an audience's next recipients, page by page. Return when the rest is due, or None."""
        return await audiences.run(self.db, self.triggers.clock, job, self._pages)

    async def _pages(self, fanout: Fanout) -> AsyncGenerator[audiences.PageCommit]:
        """Prepare pages for the next recipients; the last one of a fan-out only ends it."""
        audience = msgspec.json.decode(fanout.audience, type=Audience)
        definition = await self.triggers.workflow_catalog.definition(fanout.owner, fanout.workflow, fanout.version)
        for _ in range(audiences.READS_PER_LEASE):
            keys = await audiences.page(
                self.db, fanout.tenant, audience, fanout.position, fanout.created_at, fanout.seq
            )
            if not keys:
                end = BegunPage(fanout=fanout, position=None, runs=(), waits=(), events=())
                yield partial(self._add_or_plain, end, end)
                return
            is_for_others = not definition.is_independent
            if not is_for_others and self.shares_runs:
                now = self.triggers.clock.now()
                groups = await Jobs(self.db).due(now)
                is_for_others = not any(one.priority == FANOUT and 0 < one.run_at < now - BACKLOG_MS for one in groups)
            for some in audiences.cut(keys, self.pace.contention):
                included = [key for key in some if key not in fanout.excluded]
                page = await self.triggers.of_page(fanout, some[-1], included)
                begun = page if is_for_others or not page.runs else await self._begin(page)
                yield partial(self._add_or_plain, begun, page)
                fanout = msgspec.structs.replace(fanout, position=some[-1])

    async def _add_or_plain(self, page: BegunPage, plain: BegunPage) -> bool:
        """Commit a page with the effects of its first steps or, if they cannot be written, without. Return False if the fan-out
        has ended or moved, or one of the recipients was excluded or erased."""
        try:
            is_added = await self._add(page)
        except BellcastError:
            raise
        except Exception:
            log.exception("fanout_page_failed", fanout=page.fanout.id)
            is_added = await self._add(plain)
        return is_added and page.position is not None

    async def _begin(self, page: BegunPage) -> BegunPage:
        """Execute the steps of new runs of a fan-out up to their first calls and waits. The steps must not count or
        trigger. After an error, return the page as it is: the runs' jobs then find the run that failed."""
        fanout, pauses, begun = page.fanout, Pauses(self.pace), list[RunCommit]()
        try:
            definition = await self.triggers.workflow_catalog.definition(fanout.owner, fanout.workflow, fanout.version)
            opened = [(one.run, definition) for one in page.runs]
            for execution in await self._opened_all(fanout.tenant, opened, SharedResults(SHARED_ROOTS)):
                while await self.steps.perform_next(execution):
                    await pauses.pause_if_due()
                begun.append(await self._commit_of(execution))
        except BellcastError:
            raise
        except Exception:
            log.exception("fanout_page_failed", fanout=fanout.id)
            return page
        return msgspec.structs.replace(page, runs=begun)

    async def _add(self, page: BegunPage) -> bool:
        """Commit a page of a fan-out, and move the fan-out. Return False, and write nothing, if it no longer runs, has
        moved, or now excludes one of the recipients."""
        added = await Runs(self.db).add_page(page)
        if added is None:
            return False
        await self.broker.publish(*added)
        self.triggers.router.wake_jobs()
        if page.runs:
            self.feed.count("start", page.fanout.tenant, len(page.runs))
        for one in page.runs:
            self._committed(one.run, one.sends)
            if one.run.state != "running":
                self.feed.emit(_feed_event(one.run, one.now))
        await self._resume_activated(one.run for one in page.runs)
        return True

    # --- the context of a run

    async def _open(self, ids: Sequence[str]) -> tuple[list[Execution], list[str]]:
        """Read a tenant's runs that have not ended, with the input of their steps. Return them, and the ids of runs that
        must wait for the commit of another one, because both may change the same counters."""
        found = {stored.id: stored for stored in await Runs(self.db).find(ids) if stored.ended_at is None}
        opened: list[tuple[StoredRun, Definition]] = []
        waiting: list[str] = []
        counting: set[str] = set()
        for stored in [found[id] for id in ids if id in found]:
            definition = await self.triggers.workflow_catalog.definition(stored.owner, stored.workflow, stored.version)
            if definition.has_counters and stored.recipient in counting:
                waiting.append(stored.id)
                continue
            if definition.has_counters:
                counting.add(stored.recipient)
            opened.append((stored, definition))
        if not opened:
            return [], waiting
        return await self._opened_all(opened[0][0].tenant, opened), waiting

    async def _opened_all(
        self, tenant: str, opened: Sequence[tuple[StoredRun, Definition]], shared: SharedResults | None = None
    ) -> list[Execution]:
        keys = list(dict.fromkeys(stored.recipient for stored, _ in opened))
        channels = frozenset[Channel]().union(*(definition.channels for _, definition in opened))
        recipients = await decision_inputs.read_recipients(self.db, tenant, keys, channels)
        page = ExecutionPage(recipients, await self.triggers.router.catalog.tenant(tenant), shared)
        # All runs of a fan-out begin with the same state.
        first = None if shared is None else runs.decode(opened[0][0].body)
        executions = []
        for stored, definition in opened:
            state = first or runs.decode(stored.body)
            waits = await Runs(self.db).waits(stored.id) if definition.live_waits else {}
            facts: dict[str, StepFacts] = {}
            if definition.refers_to_events:
                items = {step.notification: key for key, step in state.steps.items() if step.notification is not None}
                found = await Runs(self.db).items(tenant, stored.recipient, list(items)) if items else {}
                facts = {items[id]: of_item for id, of_item in found.items()}
                messages = {id: key for key, step in state.steps.items() for id in step.messages}
                for message in await Messages(self.db).find(list(messages)) if messages else ():
                    key = messages[message.id]
                    before = facts.get(key, engine.NO_FACTS)
                    facts[key] = msgspec.structs.replace(before, messages=(*before.messages, message.state))
            executions.append(
                run_steps.execution_of(stored, definition, state, page, self.triggers.clock.now(), facts, waits)
            )
        return executions

    # --- commits

    async def _commit(
        self, executions: Sequence[Execution], *, ignores_events: bool = False
    ) -> dict[str, Exception | None]:
        """Write runs with their effects, publish their inbox rows, and begin to deliver their messages. Return those that were not
        written with their errors; None: the run or a counter changed since it was read, and must be read again."""
        changed = [execution for execution in executions if not execution.is_unchanged]
        commits = [await self._commit_of(execution, ignores_events=ignores_events) for execution in changed]
        results = await Runs(self.db).commit(commits)
        await self.broker.publish(*(event for result in results if isinstance(result, tuple) for event in result))
        if any(commit.triggers for commit in commits):
            self.triggers.router.wake_jobs()
        unwritten: dict[str, Exception | None] = {}
        for execution, commit, result in zip(changed, commits, results, strict=True):
            if not isinstance(result, tuple):
                unwritten[commit.run.id] = result
                continue
            self._committed(commit.run, commit.sends)
            if commit.run.revision == 0:
                self.feed.count("start", commit.run.tenant, 1)
            if commit.run.state != execution.stored.state:
                self.feed.emit(_feed_event(commit.run, commit.now))
            execution.stored = msgspec.structs.replace(commit.run, revision=commit.run.revision + 1)
            execution.clear()
        await self._resume_activated(one.stored for one in changed if one.stored.id not in unwritten)
        return unwritten

    async def _commit_of(self, execution: Execution, *, ignores_events: bool = False) -> RunCommit:
        """Return the new state of a run with the effects of its steps. A run that became too large fails."""
        waits, now = run_steps.new_waits(execution), self.triggers.clock.now()
        state = execution.state = execution.state.timed(now)
        body = runs.encode(state)
        if len(body) > runs.MAX_RUN:
            state = execution.state = runs.decode(execution.stored.body).ended("failed", "too_large")
            execution.clear()
            execution.call = None
            body = runs.encode(state)
        run = msgspec.structs.replace(
            execution.stored,
            state=state.status,
            reason=state.reason,
            wakes_at=state.wakes_at,
            ended_at=now if state.status in runs.ENDED else None,
            body=body,
        )
        events: tuple[WebhookEvent, ...] = ()
        if run.state != execution.stored.state:
            events = await self.triggers.router.webhooks.events(run.tenant, f"run.{run.state}", [runs.as_change(run)])
        return RunCommit(
            run=run,
            now=now,
            due_at=state.wakes_at if execution.call is None else now,
            ignores_events=ignores_events or execution.state.status != "waiting",
            sends=tuple(execution.sends),
            counters=tuple(execution.counters),
            triggers=tuple(execution.triggers),
            watched=tuple(execution.watched),
            waits=waits,
            has_waits=bool(execution.definition.live_waits),
            has_counters=execution.definition.has_counters,
            events=events,
        )

    def _committed(self, run: StoredRun, sends: Sequence[SendRequest]) -> None:
        """Begin to deliver messages, and count the inbox items: the feed has an event of the run, but none of its sends."""
        self.triggers.router.committed(sends)
        if number := sum(len(one.ids) for one in sends):
            self.feed.count("send", run.tenant, number)

    # --- calls

    async def _call(self, job: Job, execution: Execution, step: Step) -> PageOutcome:
        """Perform a step that calls the app, commit its result, and execute the next steps."""
        # A second event may have woken the run before the commit: then the next lease makes the call.
        if not await Jobs(self.db).is_leased(job):
            return None
        try:
            outcome = await self.calls.call(step, execution.state, execution.context, execution.stored)
        except Exception as failure:  # noqa: BLE001  the run fails instead of its job
            outcome = run_steps.failed(execution, step, failure)
        execution.state = engine.record(execution.state, step, outcome)
        unwritten = await self._commit([execution], ignores_events=True)
        if (error := unwritten.get(execution.stored.id)) is not None:
            return error
        (following,) = await self.run_page([job])
        return following


def _feed_event(run: StoredRun, now: int) -> FeedEvent:
    return FeedEvent(
        kind="run",
        at=now,
        text=f"{run.workflow} for {run.recipient}: {run.state}",
        tenant=run.tenant,
        recipient=run.recipient,
        fields={"id": run.id, "workflow": run.workflow, "state": run.state, "reason": run.reason},
    )
