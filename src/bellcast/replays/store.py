"""Permanent failures, and the steps of replays that retry them."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from bellcast.channels.store import messages
from bellcast.channels.types import RETRYABLE_STATES, ExternalChannel
from bellcast.documents import store as documents
from bellcast.kernel import ids
from bellcast.kernel.db import columns
from bellcast.kernel.db.engine import StoreTable, pages, read, read_in_background, write
from bellcast.kernel.db.lists import KeysetList, ListQuery
from bellcast.kernel.db.script import Params, Row, Script, Statement
from bellcast.kernel.errors import Conflict
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.ids import NEWEST
from bellcast.kernel.jobs import END_OF_TIME, Job, kind_of, new_job_params
from bellcast.workflows import store as runs_store
from bellcast.workflows.types.runs import StoredRun

FailureKind = Literal["message", "run", "job"]
FAILURE_KINDS: tuple[FailureKind, ...] = get_args(FailureKind)


class StoredFailure(Struct, frozen=True, kw_only=True):
    """A failed or bounced message, a failed run or a dead job, without its content. `reason` is the error text of the
    provider, the step or the job. `payload` is set for jobs. Times are UTC milliseconds."""

    kind: FailureKind
    tenant: str
    id: str
    state: str
    reason: str | None
    created_at: int
    recipient: str | None = None
    channel: str | None = None
    provider: str | None = None
    workflow: str | None = None
    job: str | None = None
    payload: bytes = b""


class FailureFields(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions on failures: each field that is set must be equal. `channel` and `provider` apply to messages,
    `workflow` to runs, `job` to the kind of dead jobs."""

    kind: FailureKind | None = None
    channel: ExternalChannel | None = None
    provider: str | None = None
    workflow: str | None = None
    job: str | None = None
    webhook: str | None = None
    cause: str | None = None


class FailureFilter(FailureFields, frozen=True, kw_only=True):
    """Conditions on failures, and the range of their creation times in UTC milliseconds: `since` (inclusive) to `until`
    (exclusive)."""

    since: int = 0
    until: int | None = None

    @property
    def kinds(self) -> tuple[FailureKind, ...]:
        """The kinds that the filter can match."""
        wanted: dict[FailureKind, tuple[str | None, ...]] = {
            "message": (self.channel, self.provider),
            "run": (self.workflow,),
            "job": (self.job, self.webhook),
        }
        named = {kind for kind, fields in wanted.items() if any(field is not None for field in fields)}
        named |= {self.kind} if self.kind is not None else set()
        return tuple(kind for kind in FAILURE_KINDS if named <= {kind})

    @property
    def compares_fields(self) -> bool:
        """True if the filter has conditions other than kind and time."""
        return any(getattr(self, name) is not None for name in FailureFields.__struct_fields__ if name != "kind")


class FailureGroup(Struct, frozen=True):
    """Failures with the same tenant, reason, and provider, workflow or job. Has their number, the time of the oldest,
    and the newest one."""

    number: int
    oldest_at: int
    newest: StoredFailure


# The kind of the documents.
REPLAYS = "replays"
# Stored replays of a tenant, and how many of them may run at a time: more would retry the same failures.
KEPT_REPLAYS, MAX_RUNNING_REPLAYS = 100, 10

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


decode = msgspec.json.Decoder(Replay).decode

# Maximum rows decoded on the event loop, which takes 1 ms.
MAX_INLINE_ROWS = 200

# Each replay with its tenant and id.
LIST: KeysetList[tuple[str, str, Replay]] = KeysetList(
    "replays", ("key",), lambda row: (row[1], row[0], decode(row[2])), is_newest_first=True
)


class Replays(StoreTable):
    """Failures, and the progress of replays as documents of the kind REPLAYS."""

    page = pages(LIST)

    async def failures(
        self, tenants: Sequence[str], wanted: FailureFilter, before: str, limit: int
    ) -> list[StoredFailure]:
        """Return the failures of a filter's kinds and times by descending id: at most `limit` before an id, plus any others with the
        last one's id. The tenant `*` is every tenant."""
        is_long = len(tenants) > 1 or limit > MAX_INLINE_ROWS
        read = self._engine.read_in_background if is_long else self._engine.read
        return await read(_failures, tenants, wanted, before, limit)

    @read_in_background
    def group_failures(
        self, tenants: Sequence[str], wanted: FailureFilter, limit: int
    ) -> Script[tuple[list[FailureGroup], bool]]:
        """Group the newest failures of a filter's kinds and times, in any order: at most `limit` of each tenant, kind and state. Return whether they are
        all."""
        groups: list[FailureGroup] = []
        is_exact = True
        for kind, scope, params in _statements(tenants, wanted, NEWEST, limit):
            found = yield Statement(f"{kind}_causes{scope}", params, heavy=True)
            groups += (FailureGroup(number, oldest_at, _failure(kind, tuple(row))) for *row, number, oldest_at in found)
            is_exact &= sum(row[-2] for row in found) < limit
        return groups, is_exact

    @read_in_background
    def count_failures(self, tenants: Sequence[str], wanted: FailureFilter, limit: int) -> Script[int]:
        """Count the failures of a filter's kinds and times, up to the limit."""
        number = 0
        for kind, scope, params in _statements(tenants, wanted, NEWEST, limit):
            ((counted,),) = yield Statement(f"{LISTS[kind]}{scope}_total", params, heavy=True)
            number = min(number + counted, limit)
        return number

    @read
    def find(self, tenant: str, ids: Sequence[str]) -> Script[list[StoredFailure]]:
        """Return the failures with these ids, the newest first. The id of a digest's message finds the digest."""
        params = {"tenant": tenant, "ids": columns.to_json(ids)}
        found: list[StoredFailure] = []
        for kind, name in LISTS.items():
            found += [_failure(kind, row) for row in (yield Statement(f"{name}_find", params))]
        return sorted(found, key=lambda failure: failure.id, reverse=True)

    @write(locks=lambda tenant, *_: documents.locks_of(REPLAYS, tenant, ""))
    def add(self, tenant: str, id: str, replay: Replay, job: Job) -> Script[None]:
        """Add a replay with its job, and remove the oldest ended ones beyond KEPT_REPLAYS. Raises Conflict while
        MAX_RUNNING_REPLAYS are running, or if there is one with this id."""
        known = (yield from LIST.page(ListQuery(tenants=[tenant], limit=2 * KEPT_REPLAYS))).items
        ended = [old for _, old, one in known if one.state != "running"]
        if (running := len(known) - len(ended)) >= MAX_RUNNING_REPLAYS:
            raise Conflict(f"{running} replays are already running: wait for one of them, or cancel it.")
        name = {"kind": REPLAYS, "tenant": tenant}
        if not (
            yield from documents.replace({**name, "key": id}, None, msgspec.json.encode(replay), replay.created_at)
        ):
            raise Conflict("There is already a replay with this id: send the request again.")
        yield Statement("job_add", many=[new_job_params(job)])
        for old in ended[KEPT_REPLAYS - 1 - running :]:
            yield from documents.delete({**name, "key": old})

    @write(locks=lambda runs, *_: [(run.tenant, run.recipient) for run in runs])
    def retry(
        self,
        runs: Sequence[StoredRun],
        failures: Sequence[StoredFailure],
        tenant: str,
        id: str,
        before: bytes,
        after: Callable[[int], bytes],
        now: int,
    ) -> Script[bool]:
        """Continue runs, each with the body of the retried run, and retry messages and dead jobs. Write the progress of their replay,
        which `after` returns for the number of retries, in the same transaction. Failures that were resolved or already
        retried do not change. Return False, and write nothing, if the replay is no longer `before`."""
        if not (yield from documents.hold(REPLAYS, tenant, id, before)):
            return False
        failed = [one.id for one in failures if one.kind == "message"]
        retried = len((yield from messages.requeue(tenant, failed, now)))
        for run in runs:
            retried += yield from runs_store.restart(run, now)
        for one in failures:
            if one.kind == "job":
                retried += len((yield Statement("job_revive", {"tenant": tenant, "id": one.id, "now": now})))
        yield from documents.put({"kind": REPLAYS, "tenant": tenant, "key": id}, after(retried), now)
        return True


def _failures(tenants: Sequence[str], wanted: FailureFilter, before: str, limit: int) -> Script[list[StoredFailure]]:
    found: list[StoredFailure] = []
    for kind, scope, params in _statements(tenants, wanted, before, limit):
        found += [_failure(kind, row) for row in (yield Statement(f"{LISTS[kind]}{scope}", params))]
    found.sort(key=lambda failure: failure.id, reverse=True)
    # A dead job may have the id of its run: a page that ended between the two would omit one.
    ends_at = found[limit - 1].id if len(found) > limit else ""
    return [failure for failure in found if failure.id >= ends_at]


def _statements(
    tenants: Sequence[str], wanted: FailureFilter, before: str, limit: int
) -> Iterator[tuple[FailureKind, str, Params]]:
    """Return the kinds, ends of names and parameters of the statements that find the failures, each up to the limit."""
    until = END_OF_TIME if wanted.until is None else wanted.until
    times = {"since_ms": wanted.since, "before_ms": until, "after_id": before, "until_id": ""}
    of_ids = ids.id_range(before, wanted.since, until)
    of_times = {"after_id": of_ids["before"], "until_id": of_ids["since"]}
    for kind, tenant in itertools.product(wanted.kinds, tenants):
        scope = "" if tenant == EVERY_TENANT else "_of_tenant"
        params: Params = {"tenant": tenant, "limit": limit, **(times if kind == "job" else of_times)}
        for state in RETRYABLE_STATES if kind == "message" else ("",):
            yield kind, scope, {**params, "state": state}


# The columns of the rows of each kind.
COMMON = ("id", "tenant", "state", "reason", "created_at")
COLUMNS: dict[FailureKind, tuple[str, ...]] = {
    "message": (*COMMON, "recipient", "channel", "provider"),
    "run": (*COMMON, "recipient", "workflow"),
    "job": (*COMMON, "job", "payload"),
}
LISTS: dict[FailureKind, str] = {"message": "failed_messages", "run": "failed_runs", "job": "dead_jobs"}


def _failure(kind: FailureKind, row: Row) -> StoredFailure:
    fields = dict(zip(COLUMNS[kind], row, strict=True))
    return StoredFailure(kind=kind, **(fields | {"job": kind_of(fields["job"])} if kind == "job" else fields))
