"""Scripts of runs: new runs of triggers and fan-outs, and the steps of runs, each with all effects; reads and cancellations."""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from msgspec import UNSET

from bellcast.channels.store import fanouts, messages
from bellcast.documents import store as documents
from bellcast.inbox.store import idempotency, sent_items
from bellcast.inbox.store.sends import InsertPlan, add_claim, all_exist, read_heads
from bellcast.inbox.types.sends import SendRequest
from bellcast.kernel import ids
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, on_table, pages, read, read_in_background, write
from bellcast.kernel.db.lists import KeysetList, ListQuery
from bellcast.kernel.db.script import (
    STATEMENT_ROWS,
    ListCommand,
    LockKey,
    PageCommand,
    Params,
    RecipientKey,
    Script,
    ScriptCommand,
    Statement,
    check_tenant,
    chunks,
    fetch,
    first,
)
from bellcast.kernel.errors import PreconditionFailed
from bellcast.kernel.events import Event
from bellcast.kernel.jobs import FANOUT, NORMAL, Job, new_job_params
from bellcast.kernel.jobs.store import DeadJobEffect
from bellcast.webhooks import store as webhook_events
from bellcast.webhooks.types import EventReport, no_report
from bellcast.workflows.types import runs as run_state
from bellcast.workflows.types.runs import (
    SCHEDULES,
    CounterKey,
    CounterUpdate,
    RunCommit,
    StepFacts,
    StoredRun,
    StoredWait,
    TriggerRequest,
    WaitingRun,
)

# Create a run from a row of the statements that read runs.
stored_run = columns.reader(
    StoredRun,
    "id trigger tenant workflow owner version recipient state reason cancel_key wakes_at created_at ended_at revision woken body",
    body=str.encode,
)

# The kinds of the jobs of runs and of fan-outs; their ids and payloads are those of the run and the fan-out.
JOB_KIND, FANOUT_JOB_KIND = "run", "fanout"

# Random bits of a counter's first revision; a column has 63 bits.
REVISION_BITS = 48

# The events of a run's inbox rows; None if it was not written.
CommitResult: TypeAlias = tuple[Event, ...] | None


class StartTriggers(ListCommand[TriggerRequest, bytes]):
    """Accept triggers. Those that only add runs share statements; others run in a separate script."""

    @property
    def tenant(self) -> str:
        return self.items[0].tenant

    def lock_keys(self) -> frozenset[LockKey]:
        written = [(item.tenant, one.key) for item in self.items for one in item.schedules]
        return frozenset(lock for one in written for lock in documents.locks_of(SCHEDULES, *one))

    def rows_of(self, item: TriggerRequest) -> int:
        return max(1, len(item.runs))

    def is_separate(self, item: TriggerRequest) -> bool:
        return item.idempotency_key is not None or bool(item.claim or item.schedule or item.schedules or item.fanout)

    def script(self) -> Script[list[bytes]]:
        first = self.items[0]
        stored = yield from idempotency.response_to(first.tenant, first)
        if stored is not None:
            return [stored]
        fired = first.schedule
        if fired is not None and not (yield from documents.hold(SCHEDULES, fired.tenant, fired.key, fired.body)):
            raise run_state.ScheduleChanged
        if first.schedules:
            yield from check_tenant(first.tenant, first.created_at)
        yield from _add(self.items)
        yield from idempotency.store_response(first.tenant, first)
        return [request.response for request in self.items]


def _add(requests: Sequence[TriggerRequest]) -> Script[None]:
    """Add the runs, the fan-outs or the schedules of triggers, with their jobs."""
    for request in requests:
        if request.claim is not None:
            yield from add_claim(request.tenant, request.claim, {run.recipient for run in request.runs})
    yield from _insert([(run, run.created_at) for request in requests for run in request.runs], NORMAL)
    yield from _put_waits([wait for request in requests for wait in request.waits])
    yield from webhook_events.add([event for request in requests for event in request.events], requests[0].created_at)
    for request in requests:
        if request.fanout is not None:
            yield from fanouts.add(request.fanout, FANOUT_JOB_KIND)
        for schedule in request.schedules:
            now, name = request.created_at, {"kind": SCHEDULES, "tenant": request.tenant, "key": schedule.key}
            replaces = schedule.replaces
            if replaces is not UNSET and not (yield from documents.replace(name, replaces, schedule.body, now)):
                raise PreconditionFailed
            written = [(SCHEDULES, schedule.key, schedule.body), (run_state.PROGRESS, schedule.key, schedule.progress)]
            if schedule.cancel_name is not None:
                written.append((run_state.CANCEL_NAMES, schedule.cancel_name, schedule.key.encode()))
            for kind, key, body in written:
                yield from documents.put({"kind": kind, "tenant": request.tenant, "key": key}, body, now)
            if schedule.job is not None:
                yield Statement("job_add", many=[new_job_params(schedule.job)])


def _rows_of(sends: Sequence[SendRequest]) -> int:
    """Return the rows that a commit writes: the run, and for each send a row or a message and a decision. This makes a
    page of jobs bulk work."""
    return 1 + 2 * len(sends)


def _insert(new: Sequence[tuple[StoredRun, int | None]], priority: int) -> Script[None]:
    """Add runs, each with the time when its job is due; None: it needs none."""
    for some in chunks(new, STATEMENT_ROWS):
        yield Statement("run_insert", many=[run_params(run) for run, _ in some])
        added = [_job_params(run, due_at, priority) for run, due_at in some if due_at is not None]
        if added:
            yield Statement("job_add", many=added)


def run_params(run: StoredRun) -> Params:
    """Return the parameters of the statements that write runs."""
    return {**msgspec.structs.asdict(run), "body": run.body.decode()}


def _job_params(run: StoredRun, run_at: int, priority: int = NORMAL) -> Params:
    return new_job_params(
        Job(
            id=run.id,
            kind=JOB_KIND,
            payload=run.id.encode(),
            run_at=run_at,
            created_at=min(run.created_at, run_at),
            tenant=run.tenant,
            priority=priority,
        )
    )


def _put_waits(waits: Sequence[run_state.NewWait]) -> Script[None]:
    if waits:
        yield Statement("event_wait_put", many=[msgspec.structs.asdict(wait) for wait in waits])


# --- commits


class CommitRuns(ListCommand[RunCommit, CommitResult]):
    """Write runs of one tenant with the effects of their steps. Runs that count or trigger run in a separate script,
    because their order matters."""

    @property
    def tenant(self) -> str:
        return self.items[0].run.tenant

    def lock_keys(self) -> frozenset[LockKey]:
        return frozenset((commit.run.tenant, commit.run.recipient) for commit in self.items)

    def rows_of(self, item: RunCommit) -> int:
        return _rows_of(item.sends) + sum(len(trigger.runs) for trigger in item.triggers)

    def is_separate(self, item: RunCommit) -> bool:
        return bool(item.counters or item.triggers)

    def script(self) -> Script[list[CommitResult]]:
        commits = self.items
        is_current = yield from _are_current(commits)
        current = [commit for commit, one in zip(commits, is_current, strict=True) if one]
        if not current:
            return [None] * len(commits)
        yield Statement("run_save", many=[run_params(commit.run) for commit in current])
        for commit in current:
            for update in commit.counters:
                yield _counter_statement(update)
        events = yield from _add_effects(current)
        ended = [commit.run.id for commit in current if commit.has_waits and commit.run.ended_at is not None]
        if ended:
            yield Statement("event_waits_delete", many=[{"run": id} for id in ended])
        ended = [commit.run.id for commit in current if commit.has_counters and commit.run.ended_at is not None]
        if ended:
            yield from _leave_digests(ended)
        if triggers := [request for commit in current for request in commit.triggers]:
            yield from _add(triggers)
        results = zip(commits, is_current, strict=True)
        return [tuple(events.get(commit.run.id, ())) if one else None for commit, one in results]


def _are_current(commits: Sequence[RunCommit]) -> Script[list[bool]]:
    """Return for each commit whether its run and counters are unchanged since they were read."""
    locked = yield Statement("runs_lock", {"ids": columns.to_json([commit.run.id for commit in commits])})
    versions = {id: (revision, woken) for id, revision, woken in locked}
    found: list[bool] = []
    for commit in commits:
        run = commit.run
        revision, woken = versions.get(run.id, (None, None))
        is_current = revision == run.revision and (commit.ignores_events or woken == run.woken)
        for update in commit.counters if is_current else ():
            counter = yield from find_counter(update.key)
            is_current = is_current and (0 if counter is None else counter.revision) == update.revision
        found.append(is_current)
        if is_current:
            versions.pop(run.id)  # a second commit of this run is not current
    return found


def _counter_statement(update: CounterUpdate) -> Statement:
    key = msgspec.structs.asdict(update.key)
    if update.body is None:
        return Statement("counter_delete", key)
    # A commit that read a counter that has since been deleted must not mistake the next one for it.
    revision = update.revision + 1 if update.revision else secrets.randbits(REVISION_BITS) + 1
    values = {"run": update.run, "body": update.body.decode(), "revision": revision}
    return Statement("counter_write", {**key, **values, "expires_at": update.expires_at})


def _add_effects(commits: Sequence[RunCommit]) -> Script[dict[str, list[Event]]]:
    """Add the inbox rows, messages, waits and webhook events of runs; return the events of the rows by run."""
    events = defaultdict[str, list[Event]](list)
    sends = [(commit.run.id, request) for commit in commits for request in commit.sends]
    requests = [request for _, request in sends]
    with_rows = [(run, request) for run, request in sends if request.recipients]
    if with_rows:
        plan = InsertPlan((yield from read_heads([request for _, request in with_rows])))
        for run, request in with_rows:
            events[run] += plan.add(request).events
        yield from plan.write()
    yield from sent_items.add_outside(requests)
    yield from messages.add(
        [message for request in requests for message in request.messages],
        [decision for request in requests for decision in request.decisions],
    )
    watched = [(commit.run, id) for commit in commits for id in commit.watched]
    if watched:
        params = [{"run": run.id, "tenant": run.tenant, "recipient": run.recipient, "id": id} for run, id in watched]
        yield Statement("notification_watch", many=params)
    yield from _put_waits([wait for commit in commits for wait in commit.waits])
    reported = [event for request in requests for event in request.events]
    reported += [event for commit in commits for event in commit.events]
    yield from webhook_events.add(reported, commits[0].now if commits else 0)
    return events


def find_counter(key: CounterKey) -> Script[run_state.StoredCounter | None]:
    found = yield Statement("counter_find", msgspec.structs.asdict(key))
    return run_state.StoredCounter(found[0][0].encode(), found[0][1], bool(found[0][2])) if found else None


def _recipients_of(ids: Sequence[str]) -> Script[frozenset[RecipientKey]]:
    found = yield Statement("runs_find", {"ids": columns.to_json(ids)})
    return frozenset((run.tenant, run.recipient) for run in map(stored_run, found))


def _leave_when_dead(id: str) -> Script[None]:
    """Let another run close what a run whose job is dead has collected."""
    try:
        yield from _leave_digests([id], is_dead=True)
    except msgspec.DecodeError:  # a state that this build cannot read: the next run opens a digest
        yield Statement("run_counters_delete", {"run": id})


WHEN_DEAD = DeadJobEffect(_recipients_of, _leave_when_dead)


def _leave_digests(ids: Sequence[str], cancel_key: str | None = None, *, is_dead: bool = False) -> Script[None]:
    """Take runs that have ended, or whose jobs are dead, out of the digests in which they collect, and with them the merged
    runs that have this cancel key. The first of the other runs continues each digest; one without others is deleted."""
    for row in (yield Statement("counters_of_runs", {"ids": columns.to_json(ids)})):
        id, *names, body, revision, expires_at = row
        key, counter = CounterKey(*names), run_state.decode_counter(body)
        found = yield Statement("runs_find", {"ids": columns.to_json(counter.runs)})
        stored = {run.id: run for run in map(stored_run, found)}
        states = {run.id: run_state.decode(run.body) for run in stored.values()}
        keyed = {run.id for run in stored.values() if cancel_key is not None and run.cancel_key == cancel_key}
        changed = run_state.without_runs(counter, {id, *keyed}, states, is_dead=is_dead)
        if changed is None or changed.run is None:
            yield Statement("counter_delete", msgspec.structs.asdict(key))
            continue
        # The merged run waits again, as the one that collects.
        closes = {"state": "waiting", "reason": None, "by": key.by, "due_at": changed.closes_at, "ended_at": None}
        reopened = states[changed.run].with_step(key.step, **closes)
        state = msgspec.structs.replace(reopened, status="waiting", reason=None)
        waiting = msgspec.structs.replace(
            stored[changed.run],
            state=state.status,
            reason=None,
            wakes_at=changed.closes_at,
            ended_at=None,
            body=run_state.encode(state),
        )
        yield Statement("run_save", many=[run_params(waiting)])
        yield Statement("job_add", many=[_job_params(waiting, changed.closes_at)])
        update = CounterUpdate(
            key=key, revision=revision, body=msgspec.json.encode(changed), run=changed.run, expires_at=expires_at
        )
        yield _counter_statement(update)


# --- the table

# Maximum runs that one transaction cancels: about 10 ms.
CANCEL_BATCH_ROWS = 250

LIST = KeysetList(
    "runs",
    ("id",),
    stored_run,
    is_newest_first=True,
    leads=("trigger", "recipient", "workflow", "state"),
    filters=("channel", "provider", "step", "ended"),
)
OUTLINES = KeysetList("run_outlines", ("id",), run_state.OutlinedRun._make, is_newest_first=True, leads=("workflow",))


def restart(run: StoredRun, now: int) -> Script[bool]:
    """Reopen a failed run with this body, and make it due. Return False if it has changed."""
    if not (yield Statement("run_write", run_params(run))):
        return False
    yield Statement("job_add", many=[_job_params(run, now)])
    return True


_waiting_run = columns.reader(WaitingRun, body=str.encode)


class Runs(StoreTable):
    """Runs and their counters. Each run that has not ended has a job with its id."""

    async def start(self, request: run_state.TriggerRequest) -> bytes:
        """Commit a trigger, and return its response, or the stored one for a repeated key. Raises IdempotencyMismatch,
        ClaimTaken and ScheduleChanged."""
        (response,) = await self._engine.write(StartTriggers([request]))
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
        return first(Statement("run_find", {"id": id}), stored_run)

    page = pages(LIST)
    outlines = pages(OUTLINES)

    @read_in_background
    def count_since(self, since: int, limit: int) -> Script[dict[tuple[str, str], int]]:
        """Count the runs since a time (UTC milliseconds) by the owner and the key of their workflow, the newest `limit`."""
        params = {"since": ids.uuid7_floor(since), "limit": limit}
        found = yield Statement("runs_since", params, heavy=True)
        return {(owner, workflow): number for owner, workflow, number in found}

    @read_in_background
    def count_of_workflows(
        self, tenant: str, workflows: Sequence[str], since: int, limit: int
    ) -> Script[dict[str, int]]:
        """Count a tenant's runs since a time (UTC milliseconds) by workflow, of each at most `limit`."""
        params = {"tenant": tenant, "workflows": columns.to_json(list(workflows)), "since": ids.uuid7_floor(since)}
        return dict((yield Statement("runs_of_workflows_since", {**params, "limit": limit}, heavy=True)))

    @read
    def find(self, ids: Sequence[str]) -> Script[list[StoredRun]]:
        """Return runs by id, in any order; those that do not exist are absent."""
        found = yield Statement("runs_find", {"ids": columns.to_json(ids)})
        return list(map(stored_run, found))

    async def commit(self, commits: Sequence[run_state.RunCommit]) -> list[CommitResult | Exception]:
        """Write runs, each with its effects in one transaction; runs share transactions. Return for each run the events
        of its inbox rows, the error if it failed, or None if nothing was written because the run or a counter changed
        since it was read."""
        written = self._engine.write_items(CommitRuns(commits))
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
            runs = [stored_run(row) for row in found]
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
            yield from _leave_digests([run.id], cancel_key)
            yield Statement("run_job_delete", {"run": run.id})
            yield Statement("event_waits_delete", {"run": run.id})
        return cancelled

    @write()
    def resume(self, workflow: str, owner: str, now: int, limit: int) -> Script[int]:
        """Make paused runs of a workflow due, at most `limit`; return how many."""
        paused = yield Statement("runs_paused", {"workflow": workflow, "owner": owner, "limit": limit})
        if paused:
            jobs = [
                Job(id=id, kind=JOB_KIND, payload=id.encode(), run_at=now, created_at=now, tenant=tenant)
                for id, tenant in paused
            ]
            yield Statement("run_resume", many=[{"id": job.id} for job in jobs])
            yield Statement("job_add", many=[*map(new_job_params, jobs)])
        return len(paused)

    counter = read(on_table(find_counter))
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

    async def add_page(self, page: run_state.BegunPage) -> CommitResult:
        """Add a page of a fan-out's runs with the effects of their first steps, and move the fan-out. Return the events of their
        inbox rows. Return None, and write nothing, if the fan-out is no longer running, is not at the position of the page's
        `fanout`, or has since excluded a recipient of the page."""
        fanout, runs = page.fanout, page.runs
        keys = [one.run.recipient for one in runs]

        def script() -> Script[CommitResult]:
            excluded = yield from fanouts.excluded_from(fanout.id)
            if not excluded.isdisjoint(keys) or not (yield from all_exist(fanout.tenant, keys)):
                return None
            if page.position is None:
                is_current = yield from fanouts.end(fanout.id, fanout.tenant)
            else:
                is_current = yield from fanouts.move(fanout.id, fanout.position, page.position)
            if not is_current:
                return None
            yield from _insert([(one.run, one.due_at) for one in runs], FANOUT)
            yield from _put_waits(page.waits)
            yield from webhook_events.add(page.events, fanout.created_at)
            events = yield from _add_effects(runs)
            return tuple(event for some in events.values() for event in some)

        inboxes = [(fanout.tenant, key) for key in keys]
        rows = sum(_rows_of(one.sends) for one in runs)
        return await self._engine.write(PageCommand(script, inboxes, fanout.tenant, rows))

    @read_in_background
    def counts(self, tenant: str, trigger: str) -> Script[dict[str, int]]:
        """Count the runs of a trigger by state."""
        return dict((yield Statement("runs_count", {"tenant": tenant, "trigger": trigger})))
