"""Runs of workflows and the versions of their definitions."""

from collections.abc import Sequence

import msgspec

from bellcast.model.identities import EVERY_TENANT
from bellcast.ports.jobs import Job
from bellcast.ports.list_scan import ListScan
from bellcast.ports.runs import (
    BegunPage,
    CounterKey,
    ItemTimes,
    NewFanout,
    RunCommit,
    RunQuery,
    StoredCounter,
    StoredRun,
    StoredWait,
    TriggerRequest,
    WaitingRun,
    WorkflowVersion,
    as_change,
)
from bellcast.ports.webhooks import EventReport, no_report
from bellcast.storage import claims, event_waits, fanouts, messages, rows, run_commits, scans, webhook_events
from bellcast.storage.commit.command import ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Params, Row, Script, Statement, WriteConflict, fetch

# Maximum runs that one transaction cancels: about 10 ms.
CANCEL_BATCH_ROWS = 250


class Runs:
    """ports.Runs on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def start(self, request: TriggerRequest) -> bytes:
        (response,) = await self._engine.write(run_commits.StartTriggers([request]))
        return response

    async def unclaimed(self, tenant: str, claim: str, recipients: Sequence[str]) -> list[str]:
        return await self._engine.read(claims.unclaimed, tenant, claim, recipients)

    async def get(self, id: str) -> StoredRun | None:
        found = await self._engine.read(fetch, Statement("run_find", {"id": id}))
        return rows.run(found[0]) if found else None

    async def page(self, query: RunQuery) -> list[StoredRun]:
        return await self._engine.read(_page, query)

    async def scan(self, query: RunQuery) -> ListScan[StoredRun]:
        return await self._engine.read_in_background(_scan, query)

    async def count(self, query: RunQuery) -> int:
        return await self._engine.read_in_background(scans.count, "runs", query)

    async def find(self, ids: Sequence[str]) -> list[StoredRun]:
        found = await self._engine.read(fetch, Statement("runs_find", {"ids": rows.to_json(ids)}))
        return list(map(rows.run, found))

    async def commit(self, commits: Sequence[RunCommit]) -> list[run_commits.CommitResult | Exception]:
        written = self._engine.write_items(run_commits.CommitRuns(commits))
        return [result async for results in written for result in results]

    async def cancel(self, tenant: str, id: str, now: int, report: EventReport = no_report) -> int | None:
        fanout = await self.fanout(id)
        run = await self.get(id)
        owners = [one.tenant for one in (fanout, run) if one is not None]
        if not owners and not await self.page(RunQuery(tenant=tenant, trigger=id, limit=1)):
            return None
        if any(owner != tenant for owner in owners):
            return None
        end = Statement("fanout_end", {"id": id, "tenant": tenant, "state": "cancelled"})
        ended = len(await self._engine.write(ScriptCommand(lambda: fetch(end), [])))
        if run is not None and run.trigger != id:
            return await self._cancel([run], now, report)
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
        params = {"tenant": tenant, "workflow": workflow, "cancel_key": cancel_key}
        await self._engine.write(ScriptCommand(lambda: _cancel_fanouts(params, recipients), []))
        chosen = None if recipients is None else rows.to_json(recipients)
        return await self._cancel_all(Statement("runs_of_cancel_key", params | {"recipients": chosen}), now, report)

    async def count_by_key(self, tenant: str, workflow: str, cancel_key: str, recipients: Sequence[str] | None) -> int:
        chosen = None if recipients is None else rows.to_json(recipients)
        params = {"tenant": tenant, "workflow": workflow, "cancel_key": cancel_key, "recipients": chosen}
        ((count,),) = await self._engine.read_in_background(fetch, Statement("runs_of_cancel_key_count", params))
        return int(count)

    async def _cancel_all(self, statement: Statement, now: int, report: EventReport) -> int:
        """Cancel the open runs that a statement selects, page by page."""
        cancelled, after = 0, ""
        while True:
            params = {**statement.params, "after": after, "limit": CANCEL_BATCH_ROWS}
            found = await self._engine.read(fetch, Statement(statement.name, params))
            runs = [rows.run(row) for row in found]
            cancelled += await self._cancel(runs, now, report, statement.params.get("cancel_key"))
            if len(runs) < CANCEL_BATCH_ROWS:
                return cancelled
            after = runs[-1].id

    async def _cancel(
        self, runs: Sequence[StoredRun], now: int, report: EventReport, cancel_key: str | None = None
    ) -> int:
        keys = {(run.tenant, run.recipient) for run in runs}
        script = ScriptCommand(lambda: _cancel(runs, now, report, cancel_key), keys)
        return await self._engine.write(script) if runs else 0

    async def retry(self, run: StoredRun, now: int) -> bool:
        return await self._engine.write(ScriptCommand(lambda: restart(run, now), [(run.tenant, run.recipient)]))

    async def resume(self, workflow: str, owner: str, now: int, limit: int) -> int:
        return await self._engine.write(ScriptCommand(lambda: _resume(workflow, owner, now, limit), []))

    async def counter(self, key: CounterKey) -> StoredCounter | None:
        return await self._engine.read(run_commits.find_counter, key)

    async def items(self, tenant: str, recipient: str, ids: Sequence[str]) -> dict[str, ItemTimes]:
        params = {"tenant": tenant, "recipient": recipient, "ids": rows.to_json(ids)}
        found = await self._engine.read(fetch, Statement("items_find", params))
        return {id: ItemTimes(*item) for id, *item in found}

    async def fanout(self, id: str) -> NewFanout | None:
        found = await self._engine.read(fetch, Statement("fanout_find", {"id": id}))
        return _fanout(found[0]) if found else None

    async def fanout_states(self, ids: Sequence[str]) -> dict[str, str]:
        return dict(await self._engine.read(fetch, Statement("fanout_states", {"ids": rows.to_json(ids)})))

    async def waits(self, run: str) -> dict[str, StoredWait]:
        found = await self._engine.read(fetch, Statement("event_waits_of_run", {"run": run}))
        return {step: StoredWait(target, None if event is None else event.encode()) for step, target, event in found}

    async def waiting(
        self, tenant: str, name: str, target: str, after: tuple[str, str], limit: int
    ) -> list[WaitingRun]:
        params = {"tenant": tenant, "name": name, "target": target, "run": after[0], "step": after[1], "limit": limit}
        found = await self._engine.read(fetch, Statement("event_waits_open", params))
        return [
            WaitingRun(run, step, owner, workflow, version, recipient, body.encode())
            for run, step, owner, workflow, version, recipient, body in found
        ]

    async def end_waits(self, waits: Sequence[WaitingRun], event: bytes) -> None:
        await self._engine.write(ScriptCommand(lambda: _end_waits(waits, event.decode()), []))

    async def add_page(self, page: BegunPage) -> run_commits.CommitResult:
        return await self._engine.write(run_commits.AddPage(page))

    async def counts(self, tenant: str, trigger: str) -> dict[str, int]:
        statement = Statement("runs_count", {"tenant": tenant, "trigger": trigger})
        found = await self._engine.read_in_background(fetch, statement)
        return dict(found)

    async def put_version(self, owner: str, workflow: str, body: bytes, now: int) -> WorkflowVersion:
        return await self._engine.write(ScriptCommand(lambda: put_version(owner, workflow, body, now), []))

    async def version(self, owner: str, workflow: str, version: int) -> WorkflowVersion | None:
        params = {"owner": owner, "workflow": workflow, "version": version}
        found = await self._engine.read(fetch, Statement("workflow_version_find", params))
        return _version(found[0]) if found else None

    async def versions(self, owner: str, workflow: str, limit: int) -> list[WorkflowVersion]:
        params = {"owner": owner, "workflow": workflow, "limit": limit}
        return [_version(row) for row in await self._engine.read(fetch, Statement("workflow_version_last", params))]


# --- cancel, retry, resume


def _cancel(runs: Sequence[StoredRun], now: int, report: EventReport, cancel_key: str | None) -> Script[int]:
    cancelled = 0
    for run in runs:
        if not (yield Statement("run_cancel", {"id": run.id, "now": now})):
            continue
        cancelled += 1
        unsent = yield Statement("run_messages_cancel", {"tenant": run.tenant, "run": run.id})
        events = report("run.cancelled", as_change(msgspec.structs.replace(run, state="cancelled")))
        yield from webhook_events.add(events, now)
        yield from messages.withdraw(unsent, report, now)
        yield from run_commits.leave_digests([run.id], cancel_key)
        yield Statement("run_job_delete", {"run": run.id})
        yield Statement("event_waits_delete", {"run": run.id})
    return cancelled


def restart(run: StoredRun, now: int) -> Script[bool]:
    """Reopen a failed run with this body, and make it due. Return False if it has changed."""
    if not (yield Statement("run_write", {**run_commits.state_params(run), "revision": run.revision})):
        return False
    yield Statement("job_add", many=[run_commits.job_params(run, now)])
    return True


def _resume(workflow: str, owner: str, now: int, limit: int) -> Script[int]:
    paused = yield Statement("runs_paused", {"workflow": workflow, "owner": owner, "limit": limit})
    for id, tenant in paused:
        yield Statement("run_resume", {"id": id})
        job = Job(id=id, kind=run_commits.JOB_KIND, payload=id.encode(), run_at=now, created_at=now, tenant=tenant)
        yield Statement("job_add", many=[rows.new_job_params(job)])
    return len(paused)


# --- ends of fan-outs and waits


def _cancel_fanouts(params: Params, recipients: Sequence[str] | None) -> Script[None]:
    """End the fan-outs of a cancel key, or exclude the recipients from their remaining pages."""
    for id, position, excluded in (yield Statement("fanouts_of_cancel_key", params)):
        if recipients is None:
            yield Statement("fanout_end", {"id": id, "tenant": params["tenant"], "state": "cancelled"})
        else:
            keys = fanouts.decode_keys(excluded).union(recipients)
            yield from fanouts.exclude(id, {key for key in keys if key > position})


def _end_waits(waits: Sequence[WaitingRun], event: str) -> Script[None]:
    # Locked first, as in a cancellation and in the commit of a run: in another order they could deadlock.
    yield Statement("runs_lock", {"ids": rows.to_json(sorted({wait.run for wait in waits}))})
    for wait in waits:
        if not (yield Statement("event_wait_end", {"run": wait.run, "step": wait.step, "event": event})):
            continue
        yield from event_waits.wake([wait.run])


# --- reads

PAGES = {
    "trigger": "runs_of_trigger",
    "recipient": "runs_of_recipient",
    "workflow": "runs_of_workflow",
    "state": "runs_in_state",
}
# The statements that find the last row of a page that compares a bounded number of runs.
LAST_COMPARED = {
    "runs_of_all": "runs_of_all_last",
    "runs_of_trigger": "runs_of_trigger_last",
    "runs_of_recipient": "runs_of_recipient_last",
    "runs_of_workflow": "runs_of_workflow_last",
    "runs_in_state": "runs_in_state_last",
    "runs_page": "runs_page_last",
}


def _scan(query: RunQuery) -> Script[ListScan[StoredRun]]:
    if query.tenant != EVERY_TENANT and query.channel is None and query.provider is None:
        return ListScan((yield from _page(query)), None)
    name = _list_of(query)
    found, until = yield from scans.by_id(LAST_COMPARED[name], name, _params(query))
    return ListScan([rows.run(row) for row in found], until)


def _page(query: RunQuery) -> Script[list[StoredRun]]:
    return [rows.run(row) for row in (yield Statement(_list_of(query), _params(query)))]


def _list_of(query: RunQuery) -> str:
    """Return the statement that reads the fewest runs for a query."""
    if query.tenant == EVERY_TENANT:
        return "runs_of_all"
    return next((page for field, page in PAGES.items() if getattr(query, field) is not None), "runs_page")


def _params(query: RunQuery) -> Params:
    return msgspec.structs.asdict(query) | rows.id_range(query.before, query.created_since, query.created_before)


def put_version(owner: str, workflow: str, body: bytes, now: int) -> Script[WorkflowVersion]:
    """Add a version, unless it equals the last one."""
    name = {"owner": owner, "workflow": workflow}
    last = [_version(row) for row in (yield Statement("workflow_version_last", {**name, "limit": 1}))]
    if last and last[0].body == body:
        return last[0]
    version = last[0].version + 1 if last else 1
    if not (yield Statement("workflow_version_add", {**name, "version": version, "body": body.decode(), "now": now})):
        raise WriteConflict
    return WorkflowVersion(version, body, now)


def _version(row: Row) -> WorkflowVersion:
    version, body, created_at = row
    return WorkflowVersion(version, body.encode(), created_at)


def _fanout(row: Row) -> NewFanout:
    id, tenant, workflow, owner, version, audience, body, cancel_key, created_at, position, state, excluded, seq = row
    return NewFanout(
        id=id,
        tenant=tenant,
        workflow=workflow,
        owner=owner,
        version=version,
        audience=audience.encode(),
        body=body.encode(),
        cancel_key=cancel_key,
        created_at=created_at,
        position=position,
        state=state,
        excluded=fanouts.decode_keys(excluded),
        seq=seq,
    )
