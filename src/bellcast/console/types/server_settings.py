"""Settings that operators change while the servers run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from bellcast.documents.types import AuditRecord

SettingOrigin = Literal["option", "environment", "file", "database", "default"]


class EditableSetting(Struct, frozen=True, kw_only=True):
    """A setting with its effective value and its source. `locked_by` is the option or variable that overrides the
    database. `is_owner_only`: only owners can change it."""

    name: str
    variable: str
    group: str
    description: str
    expects: str
    value: str
    default: str
    source: SettingOrigin
    locked_by: str | None
    is_owner_only: bool


class SettingChange(Struct, frozen=True):
    """A changed setting. None means absent from the database."""

    name: str
    before: str | None
    after: str | None


class SettingsRevision(Struct, frozen=True, kw_only=True):
    """A revision of the settings in the database: all values, and the changes since the previous revision."""

    revision: int
    at: int
    by: str
    values: dict[str, str]
    changes: list[SettingChange]


# Called with the owner-only settings in a change. Raises Forbidden.
CheckOwner: TypeAlias = Callable[[Sequence[str]], None]
RecordChanges: TypeAlias = Callable[[Sequence[SettingChange]], AuditRecord | None]


def no_record(changes: Sequence[SettingChange]) -> AuditRecord | None:
    """Write no entry in the audit log."""
    return None


class ServerSettingsStore(Protocol):
    """The settings in the database. Options, the environment and its files take precedence."""

    @property
    def revision(self) -> int:
        """The revision that this node applies; 0 without any."""
        ...

    def all(self) -> Sequence[EditableSetting]: ...

    async def change(
        self,
        revision: int,
        set: Mapping[str, str],
        reset: Sequence[str],
        by: str,
        *,
        dry_run: bool,
        check_owner: CheckOwner,
        record: RecordChanges = no_record,
    ) -> SettingsRevision:
        """Set and reset settings on top of this revision, and commit the audit entry `record` with them. Raises
        Conflict if the revision is not current, Invalid with every wrong value, and any error of `check_owner`. A dry
        run only validates."""
        ...

    async def history(
        self, before: int | None, limit: int, *, since: int = 0, until: int | None = None
    ) -> Sequence[SettingsRevision]:
        """Return revisions before this one, newest first, created from `since` to before `until` (UTC milliseconds)."""
        ...

    async def restore(
        self, revision: int, to: int, by: str, *, check_owner: CheckOwner, record: RecordChanges = no_record
    ) -> SettingsRevision:
        """Make the values of an earlier revision current, on top of `revision`. Raises Conflict, NotFound, and any
        error of `check_owner`."""
        ...
