"""Runs of workflows."""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from bellcast.model.events import Event
from bellcast.ports.jobs import Job
from bellcast.ports.list_scan import ListScan
from bellcast.ports.messages import NEWEST
from bellcast.ports.sends import Claim, SendRequest
from bellcast.ports.webhooks import EventReport, WebhookEvent, no_report


class StoredRun(Struct, frozen=True, kw_only=True):
    """A run. `body` is its state as JSON. `owner` is the tenant that defines its workflow (the project or the run's
    tenant). `revision` grows with each commit, `woken` with each event that the run may wait for. Times are UTC
    milliseconds."""

    id: str
    trigger: str
    tenant: str
    workflow: str
    owner: str
    version: int
    recipient: str
    state: str = "running"
    reason: str | None = None
    cancel_key: str | None = None
    wakes_at: int | None = None
    created_at: int
    ended_at: int | None = None
    revision: int = 0
    woken: int = 0
    body: bytes


def as_change(run: StoredRun) -> dict[str, Any]:
    """Return a run as events report it."""
    return {
        "id": run.id,
        "trigger": run.trigger,
        "recipient": run.recipient,
        "workflow": run.workflow,
        "version": run.version,
        "state": run.state,
        "reason": run.reason,
    }


class NewFanout(Struct, frozen=True, kw_only=True):
    """A trigger for an audience. Its runs are added in pages, after the key `position`, except for `excluded`
    recipients. `seq` is its number in the order of announcements, which also decides who had subscribed before."""

    id: str
    tenant: str
    workflow: str
    owner: str
    version: int
    audience: bytes
    body: bytes
    cancel_key: str | None = None
    created_at: int
    position: str = ""
    state: str = "running"
    excluded: frozenset[str] = frozenset()
    seq: int | None = None


class NewWait(Struct, frozen=True):
    """A live event that a step of a run waits for; `target` is the stream of its topic or recipient."""

    run: str
    step: str
    tenant: str
    recipient: str
    name: str
    target: str


class StoredWait(Struct, frozen=True):
    """A wait of a run, with the event that ended it as JSON."""

    target: str
    event: bytes | None


class WaitingRun(Struct, frozen=True):
    """A run that waits for an event, with the data that decides whether the event matches."""

    run: str
    step: str
    owner: str
    workflow: str
    version: int
    recipient: str
    body: bytes


class NewSchedule(Struct, frozen=True):
    """A schedule with its progress, as documents, and its job (None if nothing is due).
    `cancel_name` is the key of the document that maps a cancel key to it."""

    key: str
    body: bytes
    progress: bytes
    job: Job | None
    cancel_name: str | None = None


class FiredSchedule(Struct, frozen=True):
    """The schedule that caused a request, as it was read."""

    tenant: str
    key: str
    body: bytes


class ScheduleChanged(Exception):
    """The schedule of a request was changed or cancelled: nothing was written."""


class TriggerRequest(Struct, frozen=True, kw_only=True):
    """An accepted trigger: runs for named recipients, a fan-out, or a schedule that triggers or sends later. `response` and the
    `fingerprint` of the body are stored under `idempotency_key`."""

    tenant: str
    created_at: int
    runs: tuple[StoredRun, ...] = ()
    fanout: NewFanout | None = None
    schedules: tuple["NewSchedule", ...] = ()
    waits: tuple["NewWait", ...] = ()
    events: tuple[WebhookEvent, ...] = ()
    claim: Claim | None = None
    schedule: FiredSchedule | None = None
    idempotency_key: str | None = None
    fingerprint: bytes = b""
    response: bytes = b""


class CounterKey(Struct, frozen=True):
    """The name of a counter of a throttle or a digest."""

    tenant: str
    workflow: str
    step: str
    recipient: str
    by: str


class StoredCounter(Struct, frozen=True):
    """A counter as JSON. `revision` starts at a random number and grows with each change, so a counter that was deleted
    and created again has a different one. `is_abandoned`: the run that collects in it has ended."""

    body: bytes
    revision: int
    is_abandoned: bool = False


class CounterUpdate(Struct, frozen=True, kw_only=True):
    """A change to a counter at `revision` (0: it does not exist yet). Without a `body`, the counter is deleted. `run`
    is the run that collects in it. It can be deleted at `expires_at`."""

    key: CounterKey
    revision: int
    body: bytes | None
    run: str | None = None
    expires_at: int


class RunCommit(Struct, frozen=True, kw_only=True):
    """The new state of a run with all effects of the steps that led to it. `run.revision` and `run.woken` are the
    values that were read; `run.woken` is None if later events do not matter. `watched` are the inbox items whose
    changes wake the run. `waits` are new waits for live events. `has_waits`: when the run ends, its waits are deleted.
    `has_counters`: when the run ends, another run takes over the digests that it collects."""

    run: StoredRun
    now: int
    ignores_events: bool = False
    sends: tuple[SendRequest, ...] = ()
    counters: tuple[CounterUpdate, ...] = ()
    triggers: tuple[TriggerRequest, ...] = ()
    watched: tuple[str, ...] = ()
    waits: tuple[NewWait, ...] = ()
    has_waits: bool = False
    has_counters: bool = False
    events: tuple[WebhookEvent, ...] = ()


class BegunRun(Struct, frozen=True, kw_only=True):
    """A new run with the effects of its first steps, if it has executed some. `due_at` is when its job is due, None if it
    needs none; `watched` are the inbox items whose changes wake it."""

    run: StoredRun
    due_at: int | None
    sends: tuple[SendRequest, ...] = ()
    watched: tuple[str, ...] = ()


class BegunPage(Struct, frozen=True, kw_only=True):
    """A page of a fan-out: new runs with the effects of their first steps, their waits, and the events for webhooks.
    `position` is the key of its last recipient; None ends the fan-out."""

    fanout: NewFanout
    position: str | None
    runs: Sequence[BegunRun]
    waits: Sequence[NewWait]
    events: Sequence[WebhookEvent]


class ItemTimes(Struct, frozen=True):
    """When an inbox item was seen, read, archived and acted on, in UTC milliseconds."""

    seen_at: int | None
    read_at: int | None
    archived_at: int | None
    acted_at: int | None


class RunQuery(Struct, frozen=True, kw_only=True):
    """A page of a tenant's runs, newest first. Those with a `channel` or a `provider` have a message of it, with both one of
    both."""

    tenant: str
    workflow: str | None = None
    recipient: str | None = None
    state: str | None = None
    trigger: str | None = None
    channel: str | None = None
    provider: str | None = None
    before: str = NEWEST
    created_since: int = 0
    created_before: int | None = None
    limit: int = 100


class WorkflowVersion(Struct, frozen=True):
    """A version of a workflow: its definition as JSON."""

    version: int
    body: bytes
    created_at: int


class Runs(Protocol):
    """Runs, their counters, and the versions of workflows. Each run that has not ended has a job with its id."""

    async def start(self, request: TriggerRequest) -> bytes:
        """Commit a trigger, and return its response, or the stored one for a repeated key. Raises IdempotencyMismatch,
        ClaimTaken and ScheduleChanged."""
        ...

    async def unclaimed(self, tenant: str, claim: str, recipients: Sequence[str]) -> list[str]:
        """Return the recipients that no request has claimed, in order."""
        ...

    async def get(self, id: str) -> StoredRun | None: ...

    async def page(self, query: RunQuery) -> list[StoredRun]: ...

    async def scan(self, query: RunQuery) -> ListScan[StoredRun]:
        """Return a page of a tenant, or of all tenants if it is `*`, which needs no recipient or trigger. Of all tenants, and with a
        channel or a provider, at most 20,000 runs are compared."""
        ...

    async def count(self, query: RunQuery) -> int:
        """Count the rows of a query that filters only by tenant and time, up to its limit."""
        ...

    async def find(self, ids: Sequence[str]) -> list[StoredRun]:
        """Return runs by id, in any order; those that do not exist are absent."""
        ...

    async def commit(self, commits: Sequence[RunCommit]) -> list[tuple[Event, ...] | Exception | None]:
        """Write runs, each with its effects in one transaction; runs share transactions. Return for each run the events
        of its inbox rows, the error if it failed, or None if nothing was written because the run or a counter changed
        since it was read."""
        ...

    async def cancel(self, tenant: str, id: str, now: int, report: EventReport = no_report) -> int | None:
        """Cancel a run, or all runs of a trigger, with their messages that were not attempted. Return the number of
        cancelled runs; None if no run or trigger has this id."""
        ...

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
        ...

    async def count_by_key(self, tenant: str, workflow: str, cancel_key: str, recipients: Sequence[str] | None) -> int:
        """Count the runs that `cancel_by_key` would cancel."""
        ...

    async def retry(self, run: StoredRun, now: int) -> bool:
        """Reopen a failed run with this body, and make it due. Return False if it has changed."""
        ...

    async def resume(self, workflow: str, owner: str, now: int, limit: int) -> int:
        """Make paused runs of a workflow due, at most `limit`; return how many."""
        ...

    async def counter(self, key: CounterKey) -> StoredCounter | None: ...

    async def items(self, tenant: str, recipient: str, ids: Sequence[str]) -> dict[str, ItemTimes]:
        """Return the times of inbox items; items that do not exist are absent."""
        ...

    async def fanout(self, id: str) -> NewFanout | None: ...

    async def fanout_states(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the states of fan-outs by id; those that do not exist are absent."""
        ...

    async def waits(self, run: str) -> dict[str, StoredWait]:
        """Return the waits of a run for live events, by step."""
        ...

    async def waiting(
        self, tenant: str, name: str, target: str, after: tuple[str, str], limit: int
    ) -> list[WaitingRun]:
        """Return runs that wait for an event, by id and step, after a run and step."""
        ...

    async def end_waits(self, waits: Sequence[WaitingRun], event: bytes) -> None:
        """Store the event in the waits that have none yet, and wake their runs."""
        ...

    async def add_page(self, page: BegunPage) -> tuple[Event, ...] | None:
        """Add the runs of a page with their effects, and move the fan-out. Return the events of their inbox rows.
        Return None, and write nothing, if the fan-out is no longer running, is not at the position of the page's
        `fanout`, or has since excluded a recipient of the page."""
        ...

    async def counts(self, tenant: str, trigger: str) -> dict[str, int]:
        """Count the runs of a trigger by state."""
        ...

    async def put_version(self, owner: str, workflow: str, body: bytes, now: int) -> WorkflowVersion:
        """Add a version, unless the last one has the same body; return it."""
        ...

    async def version(self, owner: str, workflow: str, version: int) -> WorkflowVersion | None: ...

    async def versions(self, owner: str, workflow: str, limit: int) -> list[WorkflowVersion]:
        """Return versions, newest first."""
        ...
