"""Settings in the database: read, change, roll back and test them."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from bellcast.console.types.server_settings import (
    EditableSetting,
    PusherTestRequest,
    SettingChange,
    SettingOrigin,
    SettingsRevision,
)
from bellcast.documents.types import AuditRecord
from bellcast.kernel import times
from bellcast.kernel.errors import BadRequest, Conflict, Forbidden, Invalid, NotFound, PasswordRequired
from bellcast.kernel.http import list_positions, request_body, responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.list_limit import ListLimit
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.http.time_range import TimeRangeQuery
from bellcast.kernel.identities import DEFAULT_TENANT, Project
from bellcast.kernel.outbound.connection_tests import TestReport
from bellcast.live.pusher.http.apps import AppId, AppKey, AppSecret
from bellcast.live.pusher.types import PusherApp
from bellcast.rest import audit, connection_tests, context, guards
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation

MAX_URL = 2_000
Text = Annotated[str, Meta(max_length=10_000)]
Revision = Annotated[int, Meta(ge=0, le=audit.MAX_NUMBER)]


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


class SettingsChangeItem(Struct, frozen=True):
    """A changed setting; null means that the database has no value."""

    name: str
    before: str | None
    after: str | None


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


class PusherTestValues(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values of a Pusher app that need not be stored. `url` is the server's public URL by default."""

    id: AppId
    key: AppKey
    secret: AppSecret
    url: Annotated[str, Meta(max_length=MAX_URL, pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?\Z")] | None = None


class SettingsTest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The connection to test: of the project's Pusher app, of another one by its id, or with values that are not saved; or, as
    `smtp`, of the e-mail provider that is tried first."""

    target: Literal["pusher", "smtp"] = "pusher"
    app: AppId | None = None
    values: PusherTestValues | None = None


@operation("GET", "/v1/settings", tag="Console", required_scope="configure", response_types={200: SettingsDocument})
async def read(request: ApiRequest) -> ASGIApp:
    """Read the settings that can be changed while the servers run."""
    store = context.of(request).settings
    return responses.json(SettingsDocument(store.revision, [_item(one) for one in store.all()]))


@operation(
    "PATCH",
    "/v1/settings",
    tag="Console",
    required_scope="configure",
    body=SettingsPatch,
    example={"revision": 0, "set": {"origins": "https://app.example.com"}},
    response_types={200: RevisionItem},
    is_sensitive=True,
    refusals=(Conflict,),
)
async def change(request: ApiRequest) -> ASGIApp:
    """Change settings.

    All nodes apply them within seconds. 409 if another revision is current. Command-line options, the environment and
    its files take precedence: a setting that they set is locked. Settings that are `is_owner_only` (what clients may
    do, where data is sent, when it is deleted) can be changed only by owners and with the project secret."""
    patch = await request_body.body(request, PATCH)
    store = context.of(request).settings
    changed = await store.change(
        patch.revision,
        {name: _text_of(name, value) for name, value in patch.set.items()},
        patch.reset,
        _author(request),
        dry_run=patch.dry_run,
        check_owner=partial(_check_owner, request),
        record=partial(_record, request),
    )
    return responses.json(_revision(changed))


@operation(
    "GET",
    "/v1/settings/history",
    tag="Console",
    required_scope="configure",
    bound_by="refused",
    query=HistoryQuery,
    is_exported=True,
    response_types={200: RevisionPage},
    refusals=(BadRequest,),
)
async def history(request: ApiRequest) -> ASGIApp:
    """List revisions of the settings, newest first."""
    query = request_body.query(request, HistoryQuery)
    before = list_positions.revision(query.after)
    found = await context.of(request).settings.history(
        before, query.limit + 1, since=query.created_since, until=query.created_before
    )
    shown, following = list_positions.split(found, query.limit, lambda one: str(one.revision))
    return responses.json(RevisionPage([_revision(one) for one in shown], following))


@operation(
    "POST",
    "/v1/settings/rollback",
    tag="Console",
    required_scope="configure",
    body=Rollback,
    example={"revision": 2, "to": 1},
    response_types={200: RevisionItem},
    is_sensitive=True,
    refusals=(Conflict, NotFound),
)
async def roll_back(request: ApiRequest) -> ASGIApp:
    """Make the values of an earlier revision current again.

    As a new revision."""
    wanted = await request_body.body(request, ROLLBACK)
    record = partial(_record, request)
    restored = await context.of(request).settings.restore(
        wanted.revision, wanted.to, _author(request), check_owner=partial(_check_owner, request), record=record
    )
    return responses.json(_revision(restored))


@operation(
    "POST",
    "/v1/settings/test",
    tag="Console",
    required_scope="configure",
    body=SettingsTest,
    example={"target": "pusher"},
    response_types={200: TestReport},
    refusals=(NotFound, PasswordRequired),
)
async def test(request: ApiRequest) -> ASGIApp:
    """Test a Pusher app or the mail server.

    A Pusher app with saved or unsaved values, on the server's public URL: a signed call, a WebSocket, a private
    subscription, and an event back to it. The mail server as `POST /v1/providers/{key}/test` does, which tests other
    providers and unsaved values. Each step has a state, a duration, and a suggested fix if it failed. Takes at most 15
    seconds; at most 10 tests a minute for each caller. With `values`, API keys also need the scope `manage`, and
    operators the role owner: if the test uses the server's own URL, the node accepts the values during the test, for
    the test's channel only."""
    body, ctx = await request_body.body(request, TEST), context.of(request)
    if body.target == "smtp":
        connection_tests.count(request)
        return responses.json(await ctx.providers.test_first(DEFAULT_TENANT, "email"))
    wanted = _wanted_test(request, body)
    connection_tests.count(request)
    return responses.json(await ctx.test_pusher(wanted))


def _check_test(body: SettingsTest, ctx: ApiContext) -> None:
    for name in ("app", "values"):
        if body.target == "smtp" and getattr(body, name) is not None:
            raise Invalid.of(
                name, "is for Pusher only: test other values of an e-mail provider with POST /v1/providers/{key}/test"
            )
    if body.values is not None and body.values.url is not None and not _is_url(body.values.url):
        raise Invalid.of("values.url", "must be an HTTP URL with a valid host and port")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0  # `port` raises ValueError too
    except ValueError:
        return False


def _wanted_test(request: ApiRequest, body: SettingsTest) -> PusherTestRequest:
    ctx, values = context.of(request), body.values
    if values is not None:
        guards.require_manager(request, is_sensitive=True)
        audit.note_changes(request, {}, {"values.id": values.id, "values.key": values.key})
        # Only owners and the project secret may test a private address.
        is_trusted = _is_owner(request)
        problem = None if values.url is None or is_trusted else ctx.url_problem(values.url)
        if problem is not None:
            raise Invalid.of("values.url", problem)
        app = PusherApp(credentials=Project(values.id, values.key, values.secret))
        return PusherTestRequest(app=app, url=values.url, is_trusted=is_trusted)
    stored = ctx.pusher_apps.all()[0].app if body.app is None else ctx.pusher_apps.by_id(body.app)
    if stored is None:
        raise NotFound("No Pusher app has this id.")
    return PusherTestRequest(app=stored)


def _text_of(name: str, value: str | float | list[str]) -> str:
    """Return a value in the form used in the environment."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if not isinstance(value, list):
        return str(value)
    if any("," in part for part in value):
        raise Invalid.of(f"set.{name}", "must have no comma in an item of the list")
    return ",".join(value)


def _item(one: EditableSetting) -> SettingItem:
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    return SettingItem(**fields, locked=one.locked_by is not None)


def _revision(one: SettingsRevision) -> RevisionItem:
    changes = [SettingsChangeItem(change.name, change.before, change.after) for change in one.changes]
    return RevisionItem(revision=one.revision, at=times.to_rfc3339(one.at), by=one.by, changes=changes)


def _record(request: ApiRequest, changes: Sequence[SettingChange]) -> AuditRecord:
    for one in changes:
        audit.note_change(request, one.name, one.before, one.after)
    return audit.committed(request)


def _check_owner(request: ApiRequest, names: Sequence[str]) -> None:
    """Raise Forbidden unless the caller may change owner-only settings."""
    if not _is_owner(request):
        raise Forbidden(f"Only owners and the project secret may change {', '.join(names)}.")


def _is_owner(request: ApiRequest) -> bool:
    """Return whether the caller is an owner, or has the project secret."""
    caller = guards.caller(request)
    return caller.role == "owner" or (caller.role is None and caller.key is None)


def _author(request: ApiRequest) -> str:
    caller = guards.caller(request)
    return caller.operator or caller.key or "project secret"


PATCH = request_body.Shape(SettingsPatch)
ROLLBACK = request_body.Shape(Rollback)
TEST = request_body.Shape(SettingsTest, _check_test)
HANDLERS = (read, change, history, roll_back, test)
