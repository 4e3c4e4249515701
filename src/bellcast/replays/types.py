"""Permanent failures, and replays that retry them."""

from typing import Literal, get_args

from msgspec import Struct

from bellcast.channels.types import ExternalChannel

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
