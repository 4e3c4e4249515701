"""Durable jobs: slots, leases, retries, and fair shares of tenants."""

from msgspec import Struct

NEW_JOB_COLUMNS = ("id", "kind", "payload", "run_at", "created_at", "tenant", "priority")

URGENT, NORMAL, FANOUT = 0, 1, 2
# Later than any due time.
END_OF_TIME = 2**52
# Separates a job's kind from the line in which it waits.
_LINE = "\x1f"


class Job(Struct, frozen=True):
    """A durable job. `attempts` counts its leases, `crashes` the most recent consecutive ones that ended in an
    unexpected error or without an outcome. `lease` identifies the current lease; `error` is the last unexpected
    error. The kind can have a line (`in_line`), in which jobs wait for one destination. Its fields are the columns of a
    row, in their order."""

    id: str
    kind: str
    payload: bytes
    run_at: int
    created_at: int
    attempts: int = 0
    tenant: str = ""
    priority: int = NORMAL
    lease: str | None = None
    crashes: int = 0
    error: str | None = None


def in_line(kind: str, line: str) -> str:
    """Return the kind of a job that waits in a line."""
    return f"{kind}{_LINE}{line}"


def kind_of(kind: str) -> str:
    """Return a kind without its line."""
    return kind.partition(_LINE)[0]


def line_of(kind: str) -> str:
    """Return the line of a kind; empty without one."""
    return kind.partition(_LINE)[2]


class JobGroup(Struct, frozen=True):
    """The due jobs of one priority, tenant and kind. The oldest has been due since `run_at`; 0 if an event has woken one,
    at a time that is not stored."""

    priority: int
    tenant: str
    kind: str
    run_at: int


def new_job_params(job: Job) -> dict[str, object]:
    """Return the parameters of `job_add`."""
    return {name: getattr(job, name) for name in NEW_JOB_COLUMNS}
