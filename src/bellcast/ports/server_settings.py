"""Settings that operators change while the servers run."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

SettingOrigin = Literal["option", "environment", "file", "database", "default"]


class EditableSetting(Struct, frozen=True, kw_only=True):
    """A setting with its value in effect and its source. `locked_by` is the option or variable that overrides the database."""

    name: str
    variable: str
    group: str
    description: str
    expects: str
    value: str
    default: str
    source: SettingOrigin
    locked_by: str | None


class SettingChange(Struct, frozen=True):
    """A changed setting. None means absent from the database."""

    name: str
    before: str | None
    after: str | None


class SettingsRevision(Struct, frozen=True, kw_only=True):
    """A revision of the settings in the database: all their values, and the changes since the revision before."""

    revision: int
    at: int
    by: str
    values: dict[str, str]
    changes: list[SettingChange]


class ServerSettingsStore(Protocol):
    """The settings of the database. Those of options, the environment and its files take precedence."""

    @property
    def revision(self) -> int:
        """The revision that this node applies; 0 without any."""
        ...

    def all(self) -> Sequence[EditableSetting]: ...

    async def change(
        self, revision: int, set: Mapping[str, str], reset: Sequence[str], by: str, *, dry_run: bool
    ) -> SettingsRevision:
        """Set and reset settings, on top of this revision. Raises Conflict if it is not the current one, and Invalid with every
        wrong value. A dry run only validates."""
        ...

    async def history(self, before: int | None, limit: int) -> Sequence[SettingsRevision]:
        """Return revisions, newest first, before this one."""
        ...

    async def restore(self, revision: int, to: int, by: str) -> SettingsRevision:
        """Make the values of an earlier revision current, on top of `revision`. Raises Conflict or NotFound."""
        ...


class TestStep(Struct, frozen=True, kw_only=True):
    """One step of a test; `fix` is set if it failed."""

    step: str
    state: Literal["ok", "failed", "skipped"]
    ms: float
    detail: str
    fix: str | None


class TestReport(Struct, frozen=True):
    """The result of a test."""

    state: Literal["ok", "failed"]
    steps: list[TestStep]
