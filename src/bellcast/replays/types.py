"""Permanent failures, and replays that retry them."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from msgspec import Struct

from bellcast.kernel.ids import NEWEST
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


class FailureQuery(Struct, frozen=True, kw_only=True):
    """A page of the failures of some tenants by descending id; `*` is every tenant."""

    tenants: Sequence[str]
    kinds: Sequence[FailureKind] = FAILURE_KINDS
    before: str = NEWEST
    created_since: int = 0
    created_before: int | None = None
    limit: int = 100


class FailureGroup(Struct, frozen=True):
    """Failures with the same tenant, reason, and provider, workflow or job. Has their number, the time of the oldest,
    and the newest one."""

    number: int
    oldest_at: int
    newest: StoredFailure


class ReplayStep(Struct, frozen=True, kw_only=True):
    """Failures that one transaction retries: messages and dead jobs by id, and runs as read, each with the body of the
    retried run. `before` is the replay as read; `after` returns its new body for the number of retried failures."""

    tenant: str
    key: str
    before: bytes
    after: Callable[[int], bytes]
    messages: Sequence[str] = ()
    runs: Sequence[StoredRun] = ()
    jobs: Sequence[str] = ()


# The kind of the documents.
REPLAYS = "replays"
