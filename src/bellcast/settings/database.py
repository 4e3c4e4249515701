"""Settings in the database, stored with their history and applied while the server runs."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
import structlog
from msgspec import Struct

from bellcast.documents.store import AS_JSON, Documents, WriteScript, push
from bellcast.documents.types import PROJECT
from bellcast.kernel import setting_values
from bellcast.kernel.clock import Clock
from bellcast.kernel.db.lists import ANY_TIME, CreatedRange
from bellcast.kernel.errors import Conflict, FieldError, Forbidden, Invalid, NotFound, PreconditionFailed
from bellcast.live.dialects import DIALECTS
from bellcast.live_feed import Feed, FeedEvent
from bellcast.settings import Settings, as_text, table
from bellcast.settings.table import Setting

log = structlog.get_logger(__name__)

# One object for each revision, of which the last one is in effect. Digits of a revision in its key, so that keys sort like numbers.
KIND = "settings-history"
# Nodes of builds before 1 December 2026 read the values in effect here, during a rolling upgrade and after its roll-back.
EARLIER_PLACE = ("settings", PROJECT, "current")
REVISION_DIGITS = 10
MAX_REVISION = 10**REVISION_DIGITS - 1
MAX_VALUE = 10_000
# Owner-only settings have effects that the scope `configure` does not include (docs/design/auth.md).
OWNER_ONLY = (
    # which sessions and pages are accepted, and what clients may follow, see and publish
    "JWKS_URL",
    "JWKS_ISSUER",
    "JWKS_AUDIENCE",
    "JWT_CLAIMS",
    "SESSION_URL",
    "ORIGINS",
    "ANONYMOUS",
    "PUBLIC_TOPICS",
    "PRESENCE_TOPICS",
    # where data and recipients of all tenants are sent
    "HANDLER_URL",
    "APP_URL",
    # what recipients receive: a simulated message is not sent later, nor is one without retries; an announcement in an inbox stays
    # there; the brand is in each e-mail
    "NEWCOMERS",
    "SIMULATE",
    "RETRIES",
    "BRAND",
    # when data of all tenants is deleted
    "RETENTION",
    "RUN_RETENTION",
    "TOMBSTONES",
    "TOPIC_HISTORY",
    "LIMIT_HISTORY",
    *(name for one in DIALECTS for name in one.owner_only),
)
# Settings that are read for each request, connection, message or frame, so that a change takes effect immediately.
EDITABLE = (
    *OWNER_ONLY,
    "ACCESS_LOG",
    "LOG_REQUESTS",
    "LOCALE",
    "LOCALES",
    "TIMEZONE",
    *(name for one in DIALECTS if one.is_editable for name in one.settings),
    *(one.name for one in table.GROUPS["limits"] if one.name not in OWNER_ONLY),
)
# The groups of these settings.
GROUPS = ("server", "store", "access", "limits", "channels", *(one.name for one in DIALECTS if one.is_editable))
SETTINGS: dict[str, Setting] = {one.key: one for one in table.TABLE if one.name in EDITABLE}
# Minimum values. With smaller limits, the request that reverts them could be refused. With shorter times, a typing error
# deletes the data of all tenants within minutes; the sweeps run every 10 minutes.
MINIMUMS = {
    "limit_request": "65536",
    "limit_requests_per_second": "5",
    "retention": "1d",
    "run_retention": "1d",
    "tombstones": "1d",
}

SettingOrigin = Literal["option", "environment", "file", "database", "default"]


class SettingItem(Struct, frozen=True, kw_only=True):
    """A setting that can be changed while the servers run. `locked_by` names the option or variable that overrides the
    database. `is_owner_only` settings are changed by owners and with the project secret."""

    name: str
    variable: str
    group: str
    description: str
    expects: str
    value: str
    default: str
    source: SettingOrigin
    locked: bool
    locked_by: str | None
    is_owner_only: bool


class SettingsChangeItem(Struct, frozen=True):
    """A changed setting; null means that the database has no value."""

    name: str
    before: str | None
    after: str | None


class SettingsRevision(Struct, frozen=True, kw_only=True):
    """A revision of the settings in the database: all values, and the changes since the previous revision."""

    revision: int
    at: int
    by: str
    values: dict[str, str]
    changes: list[SettingsChangeItem]


RecordChanges: TypeAlias = Callable[[Sequence[SettingsChangeItem]], Callable[[], WriteScript]]


NOTHING = SettingsRevision(revision=0, at=0, by="", values={}, changes=[])


class DatabaseSettings(Struct, eq=False):
    """The settings in the database. Options, the environment and its files take precedence. `targets` are the objects by group from which the server reads its settings, and which
    a change updates."""

    documents: Documents
    clock: Clock
    feed: Feed
    settings: Settings
    targets: Mapping[str, Sequence[Any]]
    announce: Callable[[int], Any]
    _applied: SettingsRevision = NOTHING

    @property
    def revision(self) -> int:
        """The revision that this node applies; 0 without any."""
        return self._applied.revision

    def all(self) -> list[SettingItem]:
        found: list[SettingItem] = []
        for setting in SETTINGS.values():
            given = self.settings.sources.get(setting.variable)
            source: SettingOrigin
            if given is None:
                source = "database" if setting.key in self._applied.values else "default"
            elif given.startswith("--"):
                source = "option"
            else:
                source = "file" if given.endswith("_FILE") else "environment"
            group, *fields = setting.place.split(".")
            item = SettingItem(
                name=setting.key,
                variable=setting.variable,
                group=group,
                description=setting.description,
                expects=setting.expects,
                value=as_text(setting, reduce(getattr, fields, self.targets[group][0])),
                default=as_text(setting, table.DEFAULTS.value_at(setting.place)),
                source=source,
                locked=given is not None,
                locked_by=given,
                is_owner_only=setting.name in OWNER_ONLY,
            )
            found.append(item)
        return found

    # --- changes

    async def change(
        self,
        revision: int,
        set: Mapping[str, str],
        reset: Sequence[str],
        by: str,
        *,
        dry_run: bool,
        is_owner: bool,
        record: RecordChanges,
    ) -> SettingsRevision:
        """Set and reset settings on top of this revision, and commit the audit entry `record` with them. Raises
        Conflict if the revision is not current, Invalid with every wrong value, and Forbidden for owner-only
        settings unless `is_owner`. A dry run only validates."""
        errors: list[FieldError] = []
        for field, name in [*(("set", name) for name in set), *(("reset", name) for name in reset)]:
            if name not in SETTINGS:
                errors.append(FieldError(f"{field}.{name}", "is not a setting that can be changed here"))
            elif (locked := self.settings.sources.get(SETTINGS[name].variable)) is not None:
                errors.append(FieldError(f"{field}.{name}", f"is set by {locked}, which takes precedence"))
        errors += [FieldError(f"set.{name}", problem) for name, problem in _value_problems(set).items()]
        errors += [FieldError(f"reset.{name}", "is also in set: name it once") for name in set if name in reset]
        if errors:
            raise Invalid.fields(errors)
        current = await self._current(revision)
        values = {name: text for name, text in (current.values | dict(set)).items() if name not in reset}
        return await self._write(current, values, by, record, is_owner=is_owner, dry_run=dry_run)

    async def restore(
        self, revision: int, to: int, by: str, *, is_owner: bool, record: RecordChanges
    ) -> SettingsRevision:
        """Make the values of an earlier revision current, on top of `revision`. Raises Conflict, NotFound and
        Forbidden."""
        earlier = [NOTHING] if to == 0 else await self.history(to + 1, 1)
        wanted = next(iter(earlier), None)
        if wanted is None or wanted.revision != to:
            raise NotFound("There is no revision with this number.")
        values = wanted.values
        current = await self._current(revision)
        # Earlier versions had other minimums.
        restored = {name: text for name, text in values.items() if text != current.values.get(name)}
        if problems := _value_problems(restored):
            raise Invalid.fields([FieldError("to", f"has a {name} that {text}") for name, text in problems.items()])
        return await self._write(current, values, by, record, is_owner=is_owner, dry_run=False)

    async def _write(
        self,
        before: SettingsRevision,
        values: dict[str, str],
        by: str,
        record: RecordChanges,
        *,
        is_owner: bool,
        dry_run: bool,
    ) -> SettingsRevision:
        names = sorted(before.values.keys() | values.keys())
        changes = [
            SettingsChangeItem(name, before.values.get(name), values.get(name))
            for name in names
            if before.values.get(name) != values.get(name)
        ]
        reserved = [one.name for one in changes if one.name in SETTINGS and SETTINGS[one.name].name in OWNER_ONLY]
        if reserved and not is_owner:
            raise Forbidden(f"Only owners and the project secret may change {', '.join(reserved)}.")
        number, now = before.revision + 1, self.clock.now()
        after = SettingsRevision(revision=number, at=now, by=by, values=values, changes=changes)
        if dry_run:
            return after
        earlier = await self.documents.get(*EARLIER_PLACE)
        bodies = {
            (KIND, PROJECT, _key(number)): (None, after),
            EARLIER_PLACE: (None if earlier is None else earlier.body, {"revision": number, "values": values}),
        }
        writes = {
            place: partial(push, AS_JSON, place, old, msgspec.json.encode(new), now, "", by)
            for place, (old, new) in bodies.items()
        }
        try:
            await self.documents.apply(writes, record(changes))
        except PreconditionFailed:  # another node stored a revision with this number
            raise Conflict("The settings have changed in the meantime: read them again.") from None
        self._apply(after)
        await self.announce(number)
        self._emit("settings", f"{by} changed {', '.join(one.name for one in changes) or 'nothing'}", number)
        return after

    async def history(
        self, before: int | None, limit: int, created: CreatedRange = ANY_TIME
    ) -> Sequence[SettingsRevision]:
        """Return revisions before this one, newest first, created in a time range."""
        beyond = _key(MAX_REVISION if before is None else min(before, MAX_REVISION))
        found = await self.documents.newest(KIND, PROJECT, beyond, created, limit)
        return [msgspec.json.decode(one.body, type=SettingsRevision) for one in found]

    async def _current(self, revision: int | None = None) -> SettingsRevision:
        """Return the last revision. Raises Conflict if it is not `revision`."""
        found = next(iter(await self.history(None, 1)), NOTHING)
        if revision not in (None, found.revision):
            raise Conflict(f"The settings are at revision {found.revision}: read them again.")
        return found

    # --- application

    async def reload(self) -> None:
        """Apply the current revision."""
        self._apply(await self._current())

    def _apply(self, stored: SettingsRevision) -> None:
        """Apply a revision, unless a newer one was applied since it was read. Revisions only grow; a rollback creates a
        new one."""
        if stored.revision <= self._applied.revision:
            return
        for setting in SETTINGS.values():
            group, _, field = setting.place.partition(".")
            text = stored.values.get(setting.key)
            value = self.settings.value_at(setting.place)
            if text is not None and setting.variable not in self.settings.sources:
                if not _is_valid(setting, text):  # written by a newer version
                    log.warning("setting_not_applied", setting=setting.variable, expects=setting.expects)
                    self._emit("warning", f"{setting.variable} has a value that this node cannot use", stored.revision)
                    continue
                value = setting.parse(text)
            for target in self.targets[group]:
                setattr(target, field, value)
        self._applied = stored

    def _emit(self, kind: Any, text: str, revision: int) -> None:
        self.feed.emit(FeedEvent(kind=kind, at=self.clock.now(), text=text, fields={"revision": revision}))


def _value_problems(values: Mapping[str, str]) -> dict[str, str]:
    """Return the problems of wrong values by name, except those of settings that this version does not have."""
    problems: dict[str, str] = {}
    for name, text in values.items():
        if (setting := SETTINGS.get(name)) is None:
            continue
        minimum = MINIMUMS.get(name)
        if not _is_valid(setting, text):
            problems[name] = f"must be {setting.expects}"
        elif setting.parse is setting_values.url and "@" in urlsplit(text).netloc:
            instead = f"Set {setting.variable} in the environment instead"
            problems[name] = f"must have no password: the history would show it. {instead}"
        elif minimum is not None and 0 < setting.parse(text) < setting.parse(minimum):  # 0 means unlimited
            problems[name] = f"must be {'0 or ' if _is_valid(setting, '0') else ''}at least {minimum} here"
    return problems


def _is_valid(setting: Setting, text: str) -> bool:
    if len(text) > MAX_VALUE or (not text and not setting.is_list):
        return False
    try:
        setting.parse(text)
    except (ValueError, KeyError):
        return False
    return True


def _key(revision: int) -> str:
    return f"{revision:0{REVISION_DIGITS}}"
