"""Runs of workflows: each commit writes a run together with the effects of its steps."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from bellcast.model.events import Event
from bellcast.ports import SendRequest
from bellcast.ports.jobs import FANOUT, NORMAL, Job
from bellcast.ports.runs import (
    BegunRun,
    CounterKey,
    CounterUpdate,
    ItemTimes,
    NewFanout,
    NewSchedule,
    NewWait,
    RunCommit,
    RunQuery,
    ScheduleChanged,
    StoredCounter,
    StoredRun,
    StoredWait,
    TriggerRequest,
    WaitingRun,
    WorkflowVersion,
    as_change,
)
from bellcast.ports.webhooks import EventReport, WebhookEvent, no_report
from bellcast.storage import claims, documents, fanouts, insert, jobs, messages, rows, sends, waking, webhook_events
from bellcast.storage.commit.batch import chunks
from bellcast.storage.commit.batch_sizes import STATEMENT_ROWS
from bellcast.storage.commit.command import Command, ListCommand, LockKey, ScriptCommand
from bellcast.storage.engine import Engine
from bellcast.storage.script import Params, Row, Script, Statement, WriteConflict, fetch

# The kinds of the jobs of runs and of fan-outs; their ids and payloads are those of the run and the fan-out.
JOB_KIND, FANOUT_JOB_KIND = "run", "fanout"
# The kinds of the documents of schedules. A cancel name has the key of its schedule as its body.
SCHEDULES, PROGRESS, CANCEL_NAMES = "schedules", "schedule-progress", "schedule-cancel"
# Runs that one transaction cancels: about 10 ms.
CANCEL_BATCH_ROWS = 250


# The events of a run's inbox rows; None if it was not written.
CommitResult: TypeAlias = tuple[Event, ...] | None


class Runs:
    """ports.Runs on any engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def start(self, request: TriggerRequest) -> bytes:
        (answer,) = await self._engine.write(StartTriggers([request]))
        return answer

    async def unclaimed(self, tenant: str, claim: str, recipients: Sequence[str]) -> list[str]:
        return await self._engine.read(claims.unclaimed, tenant, claim, recipients)

    async def get(self, id: str) -> StoredRun | None:
        found = await self._engine.read(fetch, Statement("run_find", {"id": id}))
        return _run(found[0]) if found else None

    async def page(self, query: RunQuery) -> list[StoredRun]:
        return await self._engine.read(_page, query)

    async def find(self, ids: Sequence[str]) -> list[StoredRun]:
        found = await self._engine.read(fetch, Statement("runs_find", {"ids": rows.to_json(ids)}))
        return list(map(_run, found))

    async def commit(self, commits: Sequence[RunCommit]) -> list[CommitResult | Exception]:
        written = self._engine.write_items(CommitRuns(commits))
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
        if recipients is None:
            await self._engine.write(ScriptCommand(lambda: _end_fanouts(params), []))
        return await self._cancel_all(Statement("runs_of_cancel_key", params), now, report, recipients)

    async def count_by_key(self, tenant: str, workflow: str, cancel_key: str, recipients: Sequence[str] | None) -> int:
        chosen = None if recipients is None else rows.to_json(recipients)
        params = {"tenant": tenant, "workflow": workflow, "cancel_key": cancel_key, "recipients": chosen}
        ((count,),) = await self._engine.read_in_background(fetch, Statement("runs_of_cancel_key_count", params))
        return int(count)

    async def _cancel_all(
        self, statement: Statement, now: int, report: EventReport, recipients: Sequence[str] | None = None
    ) -> int:
        """Cancel the open runs that a statement selects, page by page."""
        cancelled = 0
        known: frozenset[str] = frozenset()
        while True:
            limit = CANCEL_BATCH_ROWS + len(known)
            params = {**statement.params, "limit": limit}
            found = await self._engine.read(fetch, Statement(statement.name, params))
            runs = [
                run
                for id, _, recipient in found
                if id not in known
                and (recipients is None or recipient in recipients)
                and (run := await self.get(id)) is not None
            ]
            cancelled += await self._cancel(runs, now, report)
            known |= {id for id, _, _ in found}
            if len(found) < limit:
                return cancelled

    async def _cancel(self, runs: Sequence[StoredRun], now: int, report: EventReport) -> int:
        keys = {(run.tenant, run.recipient) for run in runs}
        return await self._engine.write(ScriptCommand(lambda: _cancel(runs, now, report), keys)) if runs else 0

    async def retry(self, run: StoredRun, now: int) -> bool:
        return await self._engine.write(ScriptCommand(lambda: _retry(run, now), [(run.tenant, run.recipient)]))

    async def resume(self, workflow: str, owner: str, now: int, limit: int) -> int:
        return await self._engine.write(ScriptCommand(lambda: _resume(workflow, owner, now, limit), []))

    async def counter(self, key: CounterKey) -> StoredCounter | None:
        return await self._engine.read(_counter, key)

    async def items(self, tenant: str, recipient: str, ids: Sequence[str]) -> dict[str, ItemTimes]:
        params = {"tenant": tenant, "recipient": recipient, "ids": rows.to_json(ids)}
        found = await self._engine.read(fetch, Statement("items_find", params))
        return {id: ItemTimes(*item) for id, *item in found}

    async def fanout(self, id: str) -> NewFanout | None:
        found = await self._engine.read(fetch, Statement("fanout_find", {"id": id}))
        return _fanout(found[0]) if found else None

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

    async def add_page(
        self, fanout: NewFanout, runs: Sequence[BegunRun], waits: Sequence[NewWait], events: Sequence[WebhookEvent]
    ) -> CommitResult:
        return await self._engine.write(AddPage(fanout, runs, waits, events))

    async def counts(self, tenant: str, trigger: str) -> dict[str, int]:
        statement = Statement("runs_count", {"tenant": tenant, "trigger": trigger})
        found = await self._engine.read_in_background(fetch, statement)
        return dict(found)

    async def put_version(self, owner: str, workflow: str, body: bytes, now: int) -> WorkflowVersion:
        return await self._engine.write(ScriptCommand(lambda: _put_version(owner, workflow, body, now), []))

    async def version(self, owner: str, workflow: str, version: int) -> WorkflowVersion | None:
        params = {"owner": owner, "workflow": workflow, "version": version}
        found = await self._engine.read(fetch, Statement("workflow_version_find", params))
        return _version(found[0]) if found else None

    async def versions(self, owner: str, workflow: str, limit: int) -> list[WorkflowVersion]:
        params = {"owner": owner, "workflow": workflow, "limit": limit}
        return [_version(row) for row in await self._engine.read(fetch, Statement("workflow_version_last", params))]


# --- triggers


class StartTriggers(ListCommand[TriggerRequest, bytes]):
    """Accept triggers. Those that only add runs share statements; the others have a script to themselves."""

    @property
    def tenant(self) -> str:
        return self.items[0].tenant

    def lock_keys(self) -> frozenset[LockKey]:
        return frozenset()

    def rows_of(self, item: TriggerRequest) -> int:
        return max(1, len(item.runs))

    def is_separate(self, item: TriggerRequest) -> bool:
        return item.idempotency_key is not None or bool(item.claim or item.schedule or item.schedules or item.fanout)

    def script(self) -> Script[list[bytes]]:
        if self.is_separate(self.items[0]):
            return [(yield from _start(self.items[0]))]
        yield from _insert([_begun(run) for request in self.items for run in request.runs], NORMAL)
        yield from _put_waits([wait for request in self.items for wait in request.waits])
        yield from webhook_events.add(
            [event for request in self.items for event in request.events], self.items[0].created_at
        )
        return [request.answer for request in self.items]


def _start(request: TriggerRequest) -> Script[bytes]:
    stored = yield from sends.find_answer(request.tenant, request)
    if stored is not None:
        return stored
    fired = request.schedule
    if fired is not None and not (yield from documents.hold(SCHEDULES, fired.tenant, fired.key, fired.body)):
        raise ScheduleChanged
    yield from _add(request)
    yield from sends.keep_answer(request.tenant, request)
    return request.answer


def _add(request: TriggerRequest) -> Script[None]:
    """Add the runs, the fan-out or the schedules of a trigger, with their jobs."""
    yield from claims.add(request.tenant, request.claim, [run.recipient for run in request.runs])
    yield from _insert([_begun(run) for run in request.runs], NORMAL)
    yield from _put_waits(request.waits)
    yield from webhook_events.add(request.events, request.created_at)
    if request.fanout is not None:
        yield from fanouts.add(request.fanout, FANOUT_JOB_KIND)
    for schedule in request.schedules:
        yield from _put_schedule(request.tenant, schedule, request.created_at)


def _begun(run: StoredRun) -> BegunRun:
    """A new run whose job is due."""
    return BegunRun(run=run, due_at=run.created_at)


def _put_schedule(tenant: str, schedule: NewSchedule, now: int) -> Script[None]:
    for kind, body in ((SCHEDULES, schedule.body), (PROGRESS, schedule.progress)):
        name = {"kind": kind, "tenant": tenant, "key": schedule.key}
        yield Statement("document_write", {**name, "body": body.decode(), "now": now})
    if schedule.cancel_name is not None:
        name = {"kind": CANCEL_NAMES, "tenant": tenant, "key": schedule.cancel_name}
        yield Statement("document_write", {**name, "body": schedule.key, "now": now})
    if schedule.job is not None:
        yield Statement("job_add", many=[jobs.new_params(schedule.job)])


def _insert(runs: Sequence[BegunRun], priority: int) -> Script[None]:
    for some in chunks(runs, STATEMENT_ROWS):
        yield Statement("run_insert", many=[_new_params(one.run) for one in some])
        added = [_job_params(one.run, one.due_at, priority) for one in some if one.due_at is not None]
        if added:
            yield Statement("job_add", many=added)


def _new_params(run: StoredRun) -> Params:
    return {**msgspec.structs.asdict(run), "body": run.body.decode()}


def _job_params(run: StoredRun, run_at: int, priority: int = NORMAL) -> Params:
    return jobs.new_params(
        Job(
            id=run.id,
            kind=JOB_KIND,
            payload=run.id.encode(),
            run_at=run_at,
            created_at=run_at,
            tenant=run.tenant,
            priority=priority,
        )
    )


def _put_waits(waits: Sequence[NewWait]) -> Script[None]:
    if waits:
        yield Statement("event_wait_put", many=[msgspec.structs.asdict(wait) for wait in waits])


def _end_waits(waits: Sequence[WaitingRun], event: str) -> Script[None]:
    for wait in waits:
        if not (yield Statement("event_wait_end", {"run": wait.run, "step": wait.step, "event": event})):
            continue
        yield from waking.wake([wait.run])


class AddPage(Command[CommitResult]):
    """Add a page of a fan-out's runs with the effects of their first steps, and move the fan-out."""

    def __init__(
        self, fanout: NewFanout, runs: Sequence[BegunRun], waits: Sequence[NewWait], events: Sequence[WebhookEvent]
    ) -> None:
        self._fanout = fanout
        self._runs = runs
        self._waits = waits
        self._events = events

    def lock_keys(self) -> frozenset[LockKey]:
        return frozenset((one.run.tenant, one.run.recipient) for one in self._runs if one.sends)

    @property
    def tenant(self) -> str:
        return self._fanout.tenant

    @property
    def rows(self) -> int:
        return max(1, len(self._runs))

    def script(self) -> Script[CommitResult]:
        fanout = self._fanout
        position = fanout.position if self._runs else None
        if not (yield from fanouts.move(fanout.id, fanout.tenant, position, fanout.state)):
            return None
        yield from _insert(self._runs, FANOUT)
        events = yield from _send([(one.run.id, request) for one in self._runs for request in one.sends])
        yield from _watch([(one.run, id) for one in self._runs for id in one.watched])
        yield from _put_waits(self._waits)
        yield from webhook_events.add(self._events, fanout.created_at)
        return tuple(event for some in events.values() for event in some)


def _end_fanouts(params: Params) -> Script[None]:
    for (id,) in (yield Statement("fanouts_of_cancel_key", params)):
        yield Statement("fanout_end", {"id": id, "tenant": params["tenant"], "state": "cancelled"})


# --- commits


class CommitRuns(ListCommand[RunCommit, CommitResult]):
    """Write runs of one tenant with the effects of their steps. Runs that count or trigger have a script to themselves:
    their order matters."""

    @property
    def tenant(self) -> str:
        return self.items[0].run.tenant

    def lock_keys(self) -> frozenset[LockKey]:
        return frozenset((commit.run.tenant, commit.run.recipient) for commit in self.items)

    def rows_of(self, item: RunCommit) -> int:
        # One with about five more, in 0.1 ms.
        return 1 + sum(len(trigger.runs) for trigger in item.triggers)

    def is_separate(self, item: RunCommit) -> bool:
        return bool(item.counters or item.triggers)

    def script(self) -> Script[list[CommitResult]]:
        return _commit(self.items)


def _commit(commits: Sequence[RunCommit]) -> Script[list[CommitResult]]:
    is_current = yield from _are_current(commits)
    current = [commit for commit, one in zip(commits, is_current, strict=True) if one]
    if not current:
        return [None] * len(commits)
    yield Statement("run_save", many=[_state_params(commit.run) for commit in current])
    for commit in current:
        for update in commit.counters:
            yield _counter_statement(update)
    events = yield from _send([(commit.run.id, request) for commit in current for request in commit.sends])
    yield from _watch([(commit.run, id) for commit in current for id in commit.watched])
    yield from _put_waits([wait for commit in current for wait in commit.waits])
    ended = [commit.run.id for commit in current if commit.has_waits and commit.run.ended_at is not None]
    if ended:
        yield Statement("event_waits_delete", many=[{"run": id} for id in ended])
    ended = [commit.run.id for commit in current if commit.has_counters and commit.run.ended_at is not None]
    if ended:
        yield Statement("run_counters_delete", many=[{"run": id} for id in ended])
    for commit in current:
        for request in commit.triggers:
            yield from _add(request)
    yield from webhook_events.add([event for commit in current for event in commit.events], commits[0].now)
    results = zip(commits, is_current, strict=True)
    return [tuple(events.get(commit.run.id, ())) if one else None for commit, one in results]


def _are_current(commits: Sequence[RunCommit]) -> Script[list[bool]]:
    """For each commit, whether its run and counters did not change since they were read."""
    locked = yield Statement("runs_lock", {"ids": rows.to_json([commit.run.id for commit in commits])})
    versions = {id: (revision, woken) for id, revision, woken in locked}
    found: list[bool] = []
    for commit in commits:
        run = commit.run
        revision, woken = versions.get(run.id, (None, None))
        is_current = revision == run.revision and (commit.ignores_events or woken == run.woken)
        found.append(is_current and (yield from _has_counters(commit.counters)))
        if found[-1]:
            versions.pop(run.id)  # a second commit of this run is not current
    return found


def _has_counters(updates: Sequence[CounterUpdate]) -> Script[bool]:
    """True if the counters did not change since they were read."""
    for update in updates:
        found = yield from _counter(update.key)
        if (0 if found is None else found.revision) != update.revision:
            return False
    return True


def _state_params(run: StoredRun) -> dict[str, object]:
    return {
        "id": run.id,
        "state": run.state,
        "reason": run.reason,
        "wakes_at": run.wakes_at,
        "ended_at": run.ended_at,
        "body": run.body.decode(),
    }


def _counter_statement(update: CounterUpdate) -> Statement:
    key = msgspec.structs.asdict(update.key)
    if update.body is None:
        return Statement("counter_delete", key)
    values = {"run": update.run, "body": update.body.decode(), "revision": update.revision + 1}
    return Statement("counter_write", {**key, **values, "expires_at": update.expires_at})


def _send(requests: Sequence[tuple[str, SendRequest]]) -> Script[dict[str, list[Event]]]:
    """Add the inbox rows and messages of runs; return the events of the rows by run."""
    events = defaultdict[str, list[Event]](list)
    with_rows = [(run, request) for run, request in requests if request.recipients]
    if with_rows:
        sent = yield from insert.insert([request for _, request in with_rows])
        for (run, _), one in zip(with_rows, sent, strict=True):
            events[run] += one.events
    yield from messages.add(
        [message for _, request in requests for message in request.messages],
        [decision for _, request in requests for decision in request.decisions],
    )
    reported = [event for _, request in requests for event in request.events]
    yield from webhook_events.add(reported, requests[0][1].created_at if reported else 0)
    return events


def _watch(items: Sequence[tuple[StoredRun, str]]) -> Script[None]:
    """Let changes of inbox items wake runs."""
    if items:
        params = [{"run": run.id, "tenant": run.tenant, "recipient": run.recipient, "id": id} for run, id in items]
        yield Statement("notification_watch", many=params)


# --- cancel, retry, resume


def _cancel(runs: Sequence[StoredRun], now: int, report: EventReport) -> Script[int]:
    cancelled = 0
    for run in runs:
        if not (yield Statement("run_cancel", {"id": run.id, "now": now})):
            continue
        cancelled += 1
        unsent = yield Statement("run_messages_cancel", {"tenant": run.tenant, "run": run.id})
        events = report("run.cancelled", as_change(msgspec.structs.replace(run, state="cancelled")))
        yield from webhook_events.add((*events, *messages.report_cancelled(unsent, report)), now)
        yield Statement("run_counters_delete", {"run": run.id})
        yield Statement("run_job_delete", {"run": run.id})
        yield Statement("event_waits_delete", {"run": run.id})
    return cancelled


def _retry(run: StoredRun, now: int) -> Script[bool]:
    if not (yield Statement("run_write", {**_state_params(run), "revision": run.revision})):
        return False
    yield Statement("job_add", many=[_job_params(run, now)])
    return True


def _resume(workflow: str, owner: str, now: int, limit: int) -> Script[int]:
    paused = yield Statement("runs_paused", {"workflow": workflow, "owner": owner, "limit": limit})
    for id, tenant in paused:
        yield Statement("run_resume", {"id": id})
        job = Job(id=id, kind=JOB_KIND, payload=id.encode(), run_at=now, created_at=now, tenant=tenant)
        yield Statement("job_add", many=[jobs.new_params(job)])
    return len(paused)


# --- reads

PAGES = {"trigger": "runs_of_trigger", "recipient": "runs_of_recipient", "workflow": "runs_of_workflow"}


def _page(query: RunQuery) -> Script[list[StoredRun]]:
    params = msgspec.structs.asdict(query) | rows.id_range(query.before, query.created_since, query.created_before)
    name = next((page for field, page in PAGES.items() if params[field] is not None), None)
    if name is None:
        name = "runs_page" if query.state is None else "runs_in_state"
    return [_run(row) for row in (yield Statement(name, params))]


def _counter(key: CounterKey) -> Script[StoredCounter | None]:
    found = yield Statement("counter_find", msgspec.structs.asdict(key))
    return StoredCounter(found[0][0].encode(), found[0][1]) if found else None


def _put_version(owner: str, workflow: str, body: bytes, now: int) -> Script[WorkflowVersion]:
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


def _run(row: Row) -> StoredRun:
    *columns, body = row
    return StoredRun(**dict(zip(RUN_COLUMNS, columns, strict=True)), body=body.encode())


RUN_COLUMNS = (
    *("id", "trigger", "tenant", "workflow", "owner", "version", "recipient", "state", "reason", "cancel_key"),
    *("wakes_at", "created_at", "ended_at", "revision", "woken"),
)


def _fanout(row: Row) -> NewFanout:
    id, tenant, workflow, owner, version, audience, body, cancel_key, created_at, position, state = row
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
    )
