"""Runs of workflows."""

from collections.abc import Sequence

import msgspec

from bellcast.channels.store import fanouts, messages
from bellcast.documents import store as documents
from bellcast.kernel import ids
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, on_table, pages, read, read_in_background, write
from bellcast.kernel.db.lists import KeysetList, ListQuery
from bellcast.kernel.db.script import Params, Script, ScriptCommand, Statement, fetch, first
from bellcast.kernel.jobs import Job, new_job_params
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks.types import EventReport, no_report
from bellcast.workflows.store import run_commits
from bellcast.workflows.types import runs as run_state
from bellcast.workflows.types.runs import StepFacts, StoredRun, StoredWait, WaitingRun

# Maximum runs that one transaction cancels: about 10 ms.
CANCEL_BATCH_ROWS = 250


LIST = KeysetList(
    "runs",
    ("id",),
    run_commits.stored_run,
    is_newest_first=True,
    leads=("trigger", "recipient", "workflow", "state"),
    filters=("channel", "provider", "step", "ended"),
)
OUTLINES = KeysetList("run_outlines", ("id",), run_state.OutlinedRun._make, is_newest_first=True, leads=("workflow",))


def restart(run: StoredRun, now: int) -> Script[bool]:
    """Reopen a failed run with this body, and make it due. Return False if it has changed."""
    if not (yield Statement("run_write", run_commits.run_params(run))):
        return False
    yield Statement("job_add", many=[run_commits.job_params(run, now)])
    return True


_waiting_run = columns.reader(WaitingRun, body=str.encode)


class Runs(StoreTable):
    """Runs and their counters. Each run that has not ended has a job with its id."""

    async def start(self, request: run_state.TriggerRequest) -> bytes:
        """Commit a trigger, and return its response, or the stored one for a repeated key. Raises IdempotencyMismatch,
        ClaimTaken and ScheduleChanged."""
        (response,) = await self._engine.write(run_commits.StartTriggers([request]))
        return response

    @write(locks=lambda tenant, key, *_: [documents.lock_of(run_state.SCHEDULES, tenant, key)])
    def delete_schedule(self, tenant: str, key: str, body: bytes, cancel_name: str | None) -> Script[bool]:
        """Delete a schedule with its progress and its cancel name. Return False, and write nothing, if its stored body is not
        `body`."""
        if not (yield from documents.hold(run_state.SCHEDULES, tenant, key, body)):
            return False
        deleted = [(run_state.SCHEDULES, key), (run_state.PROGRESS, key)]
        if cancel_name is not None:
            deleted.append((run_state.CANCEL_NAMES, cancel_name))
        for kind, name in deleted:
            yield from documents.delete({"kind": kind, "tenant": tenant, "key": name})
        return True

    @read
    def unclaimed(self, tenant: str, claim: str, recipients: Sequence[str]) -> Script[list[str]]:
        """Return the recipients that no request has claimed, in order."""
        params = {"tenant": tenant, "claim": claim, "recipients": columns.to_json(list(recipients))}
        claimed = {key for (key,) in (yield Statement("claims_find", params))}
        return [key for key in recipients if key not in claimed]

    @read
    def get(self, id: str) -> Script[StoredRun | None]:
        return first(Statement("run_find", {"id": id}), run_commits.stored_run)

    page = pages(LIST)
    outlines = pages(OUTLINES)

    @read_in_background
    def count_since(self, since: int, limit: int) -> Script[dict[str, int]]:
        """Count the runs since a time (UTC milliseconds) by workflow, the newest `limit`."""
        params = {"since": ids.uuid7_floor(since), "limit": limit}
        return dict((yield Statement("runs_since", params, heavy=True)))

    @read_in_background
    def count_of_workflows(
        self, tenant: str, workflows: Sequence[str], since: int, limit: int
    ) -> Script[dict[str, int]]:
        """Count a tenant's runs since a time (UTC milliseconds) by workflow, of each at most `limit`."""
        params = {"tenant": tenant, "workflows": columns.to_json(list(workflows)), "since": ids.uuid7_floor(since)}
        return dict((yield Statement("runs_of_workflows_since", {**params, "limit": limit}, heavy=True)))

    async def workflow_of(self, id: str) -> str | None:
        """Return the workflow of a run; None if there is no run of this id."""
        run = await self.get(id)
        return None if run is None else run.workflow

    @read
    def find(self, ids: Sequence[str]) -> Script[list[StoredRun]]:
        """Return runs by id, in any order; those that do not exist are absent."""
        found = yield Statement("runs_find", {"ids": columns.to_json(ids)})
        return list(map(run_commits.stored_run, found))

    async def commit(self, commits: Sequence[run_state.RunCommit]) -> list[run_commits.CommitResult | Exception]:
        """Write runs, each with its effects in one transaction; runs share transactions. Return for each run the events
        of its inbox rows, the error if it failed, or None if nothing was written because the run or a counter changed
        since it was read."""
        written = self._engine.write_items(run_commits.CommitRuns(commits))
        return [result async for results in written for result in results]

    async def cancel(self, tenant: str, id: str, now: int, report: EventReport = no_report) -> int | None:
        """Cancel a run, or all runs of a trigger, with their messages that were not attempted. Return the number of
        cancelled runs; None if no run or trigger has this id."""
        run = await self.get(id)
        if run is not None and run.trigger != id:
            return await self._cancel([run], now, report) if run.tenant == tenant else None
        begun = run or await fanouts.Fanouts(self._engine).get(id)
        if begun is not None and begun.tenant != tenant:
            return None
        if begun is None and not (await self.page(ListQuery(tenants=[tenant], filters={"trigger": id}, limit=1))).items:
            return None
        ended = await self._engine.write(ScriptCommand(lambda: fanouts.end(id, tenant), []))
        runs_of_trigger = Statement("runs_of_trigger_open", {"tenant": tenant, "trigger": id})
        return ended + await self._cancel_all(runs_of_trigger, now, report)

    async def cancel_by_key(
        self,
        tenant: str,
        workflow: str,
        cancel_key: str,
        recipients: Sequence[str] | None,
        now: int,
        report: EventReport = no_report,
    ) -> int:
        """Cancel the runs of a workflow that have this key, for all recipients or some; return how many. Running fan-outs
        with the key skip these recipients in their next pages; skipped recipients are not counted."""
        params = {"tenant": tenant, "workflow": workflow, "cancel_key": cancel_key}
        await self._cancel_fanouts(params, recipients)
        chosen = None if recipients is None else columns.to_json(recipients)
        return await self._cancel_all(Statement("runs_of_cancel_key", params | {"recipients": chosen}), now, report)

    @read_in_background
    def count_by_key(
        self, tenant: str, workflow: str, cancel_key: str, recipients: Sequence[str] | None
    ) -> Script[int]:
        """Count the runs that `cancel_by_key` would cancel."""
        chosen = None if recipients is None else columns.to_json(recipients)
        params = {"tenant": tenant, "workflow": workflow, "cancel_key": cancel_key, "recipients": chosen}
        ((count,),) = yield Statement("runs_of_cancel_key_count", params)
        return int(count)

    async def _cancel_all(self, statement: Statement, now: int, report: EventReport) -> int:
        """Cancel the open runs that a statement selects, page by page."""
        cancelled, after = 0, ""
        while True:
            params = {**statement.params, "after": after, "limit": CANCEL_BATCH_ROWS}
            found = await self._engine.read(fetch, Statement(statement.name, params))
            runs = [run_commits.stored_run(row) for row in found]
            if runs:
                cancelled += await self._cancel(runs, now, report, statement.params.get("cancel_key"))
            if len(runs) < CANCEL_BATCH_ROWS:
                return cancelled
            after = runs[-1].id

    @write()
    def _cancel_fanouts(self, params: Params, recipients: Sequence[str] | None) -> Script[None]:
        """End the fan-outs of a cancel key, or exclude the recipients from their remaining pages."""
        for id, position, excluded in (yield Statement("fanouts_of_cancel_key", params)):
            if recipients is None:
                yield from fanouts.end(id, params["tenant"])
            else:
                keys = fanouts.decode_keys(excluded).union(recipients)
                yield from fanouts.exclude(id, {key for key in keys if key > position})

    @write(locks=lambda runs, *_: {(run.tenant, run.recipient) for run in runs})
    def _cancel(
        self, runs: Sequence[StoredRun], now: int, report: EventReport, cancel_key: str | None = None
    ) -> Script[int]:
        cancelled = 0
        for run in runs:
            if not (yield Statement("run_cancel", {"id": run.id, "now": now})):
                continue
            cancelled += 1
            unsent = yield Statement("run_messages_cancel", {"tenant": run.tenant, "run": run.id})
            events = report("run.cancelled", run_state.as_change(msgspec.structs.replace(run, state="cancelled")))
            yield from webhook_events.add(events, now)
            yield from messages.withdraw(unsent, report, now)
            yield from run_commits.leave_digests([run.id], cancel_key)
            yield Statement("run_job_delete", {"run": run.id})
            yield Statement("event_waits_delete", {"run": run.id})
        return cancelled

    @write()
    def resume(self, workflow: str, owner: str, now: int, limit: int) -> Script[int]:
        """Make paused runs of a workflow due, at most `limit`; return how many."""
        paused = yield Statement("runs_paused", {"workflow": workflow, "owner": owner, "limit": limit})
        for id, tenant in paused:
            yield Statement("run_resume", {"id": id})
            job = Job(id=id, kind=run_commits.JOB_KIND, payload=id.encode(), run_at=now, created_at=now, tenant=tenant)
            yield Statement("job_add", many=[new_job_params(job)])
        return len(paused)

    counter = read(on_table(run_commits.find_counter))
    retry = write(locks=lambda run, _: [(run.tenant, run.recipient)])(on_table(restart))

    @read
    def items(self, tenant: str, recipient: str, ids: Sequence[str]) -> Script[dict[str, StepFacts]]:
        """Return the times of inbox items; items that do not exist are absent."""
        params = {"tenant": tenant, "recipient": recipient, "ids": columns.to_json(ids)}
        found = yield Statement("items_find", params)
        return {id: StepFacts(*times) for id, *times in found}

    @read
    def waits(self, run: str) -> Script[dict[str, StoredWait]]:
        """Return the waits of a run for live events, by step."""
        found = yield Statement("event_waits_of_run", {"run": run})
        return {step: StoredWait(target, None if event is None else event.encode()) for step, target, event in found}

    @read
    def waiting(
        self, tenant: str, name: str, target: str, after: tuple[str, str], limit: int
    ) -> Script[list[WaitingRun]]:
        """Return runs that wait for an event, by id and step, after a run and step."""
        params = {"tenant": tenant, "name": name, "target": target, "run": after[0], "step": after[1], "limit": limit}
        return list(map(_waiting_run, (yield Statement("event_waits_open", params))))

    @write()
    def end_waits(self, waits: Sequence[WaitingRun], event: bytes) -> Script[None]:
        """Store the event in the waits that have none yet, and wake their runs."""
        # Locked first, as in a cancellation and in the commit of a run: in another order they could deadlock.
        yield Statement("runs_lock", {"ids": columns.to_json(sorted({wait.run for wait in waits}))})
        for wait in waits:
            ended = yield Statement("event_wait_end", {"run": wait.run, "step": wait.step, "event": event.decode()})
            if ended:
                yield from messages.wake([wait.run])

    async def add_page(self, page: run_state.BegunPage) -> run_commits.CommitResult:
        """Add the runs of a page with their effects, and move the fan-out. Return the events of their inbox rows.
        Return None, and write nothing, if the fan-out is no longer running, is not at the position of the page's
        `fanout`, or has since excluded a recipient of the page."""
        return await self._engine.write(run_commits.add_page(page))

    @read_in_background
    def counts(self, tenant: str, trigger: str) -> Script[dict[str, int]]:
        """Count the runs of a trigger by state."""
        return dict((yield Statement("runs_count", {"tenant": tenant, "trigger": trigger})))
