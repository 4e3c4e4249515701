"""Settings in the database: read, change and roll back."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from bellcast.documents.store import WriteScript
from bellcast.kernel.errors import BadRequest, Conflict, Invalid, NotFound
from bellcast.kernel.http import list_parameters, responses
from bellcast.kernel.http.list_parameters import ListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import audit, context, guards
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.settings.database import DatabaseSettings, SettingItem, SettingsChangeItem

Text = Annotated[str, Meta(max_length=10_000)]
Revision = Annotated[int, Meta(ge=0, le=audit.MAX_NUMBER)]
REVISION = re.compile(r"[0-9]{1,9}")  # in a cursor


class SettingsDocument(Struct, frozen=True):
    """The settings in effect on this node, and the revision that it applies."""

    revision: int
    settings: list[SettingItem]


class SettingsPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Changes on top of a revision. Values are texts, as in the environment, or numbers, booleans and lists of texts.
    `dry_run` only validates."""

    revision: Revision
    set: dict[str, Text | int | float | bool | list[Text]] = {}
    reset: list[Text] = []
    dry_run: bool = False


class RevisionItem(Struct, frozen=True, kw_only=True):
    """A revision of the settings."""

    revision: int
    at: datetime
    by: str
    changes: list[SettingsChangeItem]


class RevisionPage(Struct, frozen=True):
    """Revisions, newest first. Pass `next` as `after` for older ones."""

    revisions: list[RevisionItem]
    next: str | None


class HistoryQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of revisions. `from` and `to` filter by their time. Settings apply to every tenant, so `tenant` has no
    effect."""

    limit: ListLimit = 20
    after: str | None = None


class Rollback(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The revision whose values become current again, on top of `revision`. 0 has no values."""

    revision: Revision
    to: Revision


SETTINGS = Resource("settings", tag="Console", required_scope="configure", query=None)


@SETTINGS.get(SettingsDocument, refusals=())
async def read(call: ResourceCall[None]) -> SettingsDocument:
    """Read the settings that can be changed while the servers run."""
    store = call.ctx[DatabaseSettings]
    return SettingsDocument(store.revision, store.all())


@SETTINGS.patch(
    SettingsPatch,
    RevisionItem,
    example={"revision": 0, "set": {"origins": "https://app.example.com"}},
    is_sensitive=True,
    refusals=(Conflict,),
)
async def change(call: ResourceCall[SettingsPatch]) -> RevisionItem:
    """Change settings.

    All nodes apply them within seconds. 409 if another revision is current. Command-line options, the environment and
    its files take precedence: a setting that they set is locked. Settings that are `is_owner_only` (what clients may
    do, where data is sent, when it is deleted) can be changed only by owners and with the project secret."""
    patch, request = call.body, call.request
    if patch.dry_run:
        audit.note_check(request)
    values: dict[str, str] = {}  # as in the environment
    for name, value in patch.set.items():
        if isinstance(value, list):
            if any("," in part for part in value):
                raise Invalid.of(f"set.{name}", "must have no comma in an item of the list")
            values[name] = ",".join(value)
        elif isinstance(value, bool):
            values[name] = "on" if value else "off"
        else:
            values[name] = str(value)
    changed = await call.ctx[DatabaseSettings].change(
        patch.revision,
        values,
        patch.reset,
        _author(request),
        dry_run=patch.dry_run,
        is_owner=guards.is_owner(request),
        record=partial(_record, request),
    )
    return responses.item(RevisionItem, changed)


@SETTINGS.listing(RevisionPage, "/history", query=HistoryQuery, bound_by="refused")
async def history(request: ApiRequest, query: HistoryQuery) -> RevisionPage:
    """List revisions of the settings, newest first."""
    if query.after and not REVISION.fullmatch(query.after):
        raise BadRequest(list_parameters.WRONG)
    before = int(query.after) if query.after else None
    found = await context.of(request)[DatabaseSettings].history(before, query.limit + 1, query.created)
    shown, following = list_parameters.split(found, query.limit, lambda one: str(one.revision))
    return RevisionPage([responses.item(RevisionItem, one) for one in shown], following)


@SETTINGS.act(
    "/rollback",
    RevisionItem,
    body=Rollback,
    example={"revision": 2, "to": 1},
    is_sensitive=True,
    refusals=(Conflict, NotFound),
)
async def roll_back(call: ResourceCall[Rollback]) -> RevisionItem:
    """Make the values of an earlier revision current again.

    As a new revision."""
    wanted, request = call.body, call.request
    record = partial(_record, request)
    restored = await call.ctx[DatabaseSettings].restore(
        wanted.revision, wanted.to, _author(request), is_owner=guards.is_owner(request), record=record
    )
    return responses.item(RevisionItem, restored)


def _record(request: ApiRequest, changes: Sequence[SettingsChangeItem]) -> Callable[[], WriteScript]:
    for one in changes:
        audit.note_change(request, one.name, one.before, one.after)
    return audit.committed(request)


def _author(request: ApiRequest) -> str:
    caller = guards.caller(request)
    return caller.operator or caller.key or "project secret"
