"""Pusher apps in the store: they are created, changed, rotated and deleted while the server runs.
The test of a connection: of an app, saved or not, or of the mail server."""

import secrets
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from bellcast.auth import origins
from bellcast.kernel import setting_values
from bellcast.kernel.errors import Conflict, FieldError, Invalid, NotFound, PasswordRequired
from bellcast.kernel.field_limits import TENANT
from bellcast.kernel.http import ASGIApp, list_parameters, request_body, responses
from bellcast.kernel.http.list_parameters import AfterMoment, ListLimit, TimeRangeQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import Project
from bellcast.kernel.outbound.connection_steps import TestReport
from bellcast.live.pusher.apps import SECRET_BYTES, PusherApp, PusherAppDirectory
from bellcast.live.pusher.connection_test import ConnectionTests
from bellcast.live.pusher.plugin import PusherConfig
from bellcast.providers import http as providers
from bellcast.rest import audit, context, guards
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource, ResourceCall

KEY_BYTES = 10
FIRST_ID, IDS = 1_000_000, 9_000_000
MAX_ORIGINS = 100
AppIdOrKey = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
AppSecret = Annotated[str, Meta(pattern=r"^[!-~]{16,200}\Z")]
AppName = Annotated[str, Meta(min_length=1, max_length=100)]
Origins = Annotated[list[Annotated[str, Meta(max_length=300)]], Meta(max_length=MAX_ORIGINS)]

MAX_URL = 2_000


class PusherAppRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new app. You can reuse the credentials of an app at Pusher; absent ones are generated. The app's connections
    and events belong to `tenant`. Only pages of `origins` may connect, by default those of `BELLCAST_ORIGINS`."""

    name: AppName = ""
    id: AppIdOrKey | None = None
    key: AppIdOrKey | None = None
    secret: AppSecret | None = None
    tenant: Annotated[str | None, TENANT] = None
    enabled: bool = True
    origins: Origins = []


class PusherAppPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields to change."""

    name: AppName | None = None
    enabled: bool | None = None
    origins: Origins | None = None


class PusherAppItem(Struct, frozen=True, kw_only=True):
    """An app. `source` is `project` for the app of the server's configuration, which cannot be changed here.
    `overridden` is true if the project's app or an older app has the same id or key. `previous_until` is the time until
    which the secret before the last rotation is valid."""

    id: str
    key: str
    name: str
    tenant: str | None
    enabled: bool
    origins: list[str]
    source: Literal["project", "database"]
    state: Literal["active", "disabled", "overridden", "unreadable"]
    previous_until: datetime | None
    created_at: datetime | None


class NewPusherApp(PusherAppItem, frozen=True, kw_only=True):
    """An app with its secret, which is not shown again."""

    secret: str


class PusherAppsQuery(TimeRangeQuery, frozen=True, kw_only=True):
    """A page of apps, of all tenants or of one. `from` and `to` filter by creation time, which the project's app does
    not have."""

    limit: ListLimit = 200
    after: AfterMoment | None = None


class PusherAppList(Struct, frozen=True):
    """A page of apps: the project's app, then the others, oldest first. Pass `next` as `after` for newer ones."""

    apps: list[PusherAppItem]
    next: str | None = None


APPS = Resource("pusher-apps", "/{id:str}", tag="Console", required_scope="configure", query=None)


@APPS.listing(PusherAppList, query=PusherAppsQuery, bound_by="refused")
async def page(request: ApiRequest, query: PusherAppsQuery) -> PusherAppList:
    """List the Pusher apps."""
    ctx = context.of(request)
    found = [
        app
        for app in ctx[PusherAppDirectory].all
        if query.one_tenant in (None, app.tenant) and query.includes(app.created_at)
    ]
    if query.after:
        after = list_parameters.moment(query.after)
        found = [app for app in found if _position(app) > after]
    shown, following = list_parameters.split(found, query.limit, lambda app: list_parameters.of_moment(*_position(app)))
    return PusherAppList([_shown(app, ctx) for app in shown], following)


@APPS.create(
    PusherAppRequest,
    NewPusherApp,
    roles=("owner",),
    example={"name": "Lead market"},
    is_sensitive=True,
    refusals=(Conflict,),
)
async def create(call: ResourceCall[PusherAppRequest]) -> NewPusherApp:
    """Create a Pusher app.

    Only this response contains the secret, which is stored encrypted. All nodes accept the app within seconds. API keys
    also need the scope `manage`, and operators the role owner, because the secret can sign in any user of the app's
    tenant."""
    guards.require_manager(call.request)
    ctx, wanted = call.ctx, call.body
    credentials = Project(
        wanted.id or str(FIRST_ID + secrets.randbelow(IDS)),
        wanted.key or secrets.token_hex(KEY_BYTES),
        wanted.secret or secrets.token_urlsafe(SECRET_BYTES),
    )
    app = PusherApp(
        credentials=credentials,
        name=wanted.name,
        tenant=wanted.tenant or "",
        enabled=wanted.enabled,
        origins=_canonical(wanted.origins),
        state="active" if wanted.enabled else "disabled",
    )
    created = await ctx[PusherAppDirectory].create(app)
    fields = {"id": credentials.id, "key": credentials.key, "name": wanted.name, "enabled": wanted.enabled}
    audit.note_changes(call.request, {}, fields | {"tenant": app.tenant or None})
    return _with_secret(created, ctx)


@APPS.get(PusherAppItem)
async def read(call: ResourceCall[None]) -> PusherAppItem:
    """Read a Pusher app."""
    return _shown(_find(call), call.ctx)


@APPS.patch(PusherAppPatch, PusherAppItem, example={"enabled": False}, is_sensitive=True, refusals=(NotFound, Conflict))
async def change(call: ResourceCall[PusherAppPatch]) -> PusherAppItem:
    """Change a Pusher app.

    Disabling it closes its connections. The project's app is part of the server's configuration. To change `origins`
    or to enable the app, API keys also need the scope `manage`, and operators the role owner."""
    ctx, patch = call.ctx, call.body
    if patch.origins is not None or patch.enabled:  # it may have been disabled because its secret is known
        guards.require_manager(call.request)
    before = _shown(_find(call), ctx)
    canonical = None if patch.origins is None else _canonical(patch.origins)
    fields = {"name": patch.name, "enabled": patch.enabled, "origins": canonical}
    given = {name: value for name, value in fields.items() if value is not None}
    await ctx[PusherAppDirectory].change(before.id, **given)
    after = _shown(_find(call), ctx)
    audit.note_changes(call.request, _audited(before), _audited(after))
    return after


@APPS.act("/rotate", NewPusherApp, roles=("owner",), is_sensitive=True, refusals=(NotFound, Conflict))
async def rotate(call: ResourceCall[None]) -> NewPusherApp:
    """Replace the secret of a Pusher app.

    Only this response contains the new one. The previous secret stays valid for a day. API keys also need the scope
    `manage`, and operators the role owner."""
    guards.require_manager(call.request)
    rotated = await call.ctx[PusherAppDirectory].rotate(*call.key)
    audit.note_change(call.request, "secret", None, "rotated")
    return _with_secret(rotated, call.ctx)


@APPS.delete(is_sensitive=True, refusals=(NotFound, Conflict))
async def delete(call: ResourceCall[None]) -> bool:
    """Delete a Pusher app.

    Its connections are closed."""
    await call.ctx[PusherAppDirectory].delete(*call.key)
    audit.note_change(call.request, "id", call.key[0], None)
    return True


def _position(app: PusherApp) -> tuple[int, str]:
    """The app's position in the list. The project's app has no time."""
    return app.created_at, app.credentials.id


def _find(call: ResourceCall[Any]) -> PusherApp:
    (id,) = call.key
    found = next((app for app in call.ctx[PusherAppDirectory].all if app.credentials.id == id), None)
    if found is None:
        raise NotFound("No Pusher app has this id.")
    return found


def _shown(app: PusherApp, ctx: ApiContext) -> PusherAppItem:
    is_rotating = app.previous_until > ctx.engines.clock.now()
    is_enabled = ctx[PusherConfig].enabled if app.is_project else app.enabled
    return responses.item(
        PusherAppItem,
        app,
        id=app.credentials.id,
        key=app.credentials.key,
        enabled=is_enabled,
        origins=list(app.origins),
        source="project" if app.is_project else "database",
        state="disabled" if app.is_project and not is_enabled else app.state,
        previous_until=app.previous_until if is_rotating else None,
        created_at=app.created_at or None,
    )


def _with_secret(app: PusherApp, ctx: ApiContext) -> NewPusherApp:
    return NewPusherApp(**msgspec.structs.asdict(_shown(app, ctx)), secret=app.credentials.secret)


def _audited(item: PusherAppItem) -> dict[str, Any]:
    return {"name": item.name, "enabled": item.enabled, "origins": item.origins}


def _canonical(texts: list[str]) -> tuple[str, ...]:
    """Raises Invalid."""
    found = [origins.canonical(text) for text in texts]
    expected = "must be an origin such as https://app.example.com"
    if errors := [FieldError(f"origins.{number}", expected) for number, text in enumerate(found) if text is None]:
        raise Invalid.fields(errors)
    return tuple(dict.fromkeys(filter(None, found)))


HANDLERS = (page, create, read, change, rotate, delete)


class PusherTestValues(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Values of a Pusher app that need not be stored. `url` is the server's public URL by default."""

    id: AppIdOrKey
    key: AppIdOrKey
    secret: AppSecret
    url: Annotated[str, Meta(max_length=MAX_URL, pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?\Z")] | None = None


class SettingsTest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The connection to test: of the project's Pusher app, of another one by its id, or with values that are not saved; or, as
    `smtp`, of the e-mail provider that is tried first."""

    target: Literal["pusher", "smtp"] = "pusher"
    app: AppIdOrKey | None = None
    values: PusherTestValues | None = None


def _check_test(body: SettingsTest, ctx: ApiContext) -> None:
    for name in ("app", "values"):
        if body.target == "smtp" and getattr(body, name) is not None:
            raise Invalid.of(
                name, "is for Pusher only: test other values of an e-mail provider with POST /v1/providers/{key}/test"
            )
    if body.values is not None and body.values.url is not None:
        try:
            setting_values.url(body.values.url)
        except ValueError:
            raise Invalid.of("values.url", "must be an HTTP URL with a valid host and port") from None


TEST = request_body.Shape(SettingsTest, _check_test)


@operation(
    "POST",
    "/v1/settings/test",
    id="settings.test",
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
        return responses.json(await providers.test_mail_server(request))
    values, apps, is_trusted = body.values, ctx[PusherAppDirectory], False
    if values is not None:
        guards.require_manager(request, is_sensitive=True)
        audit.note_changes(request, {}, {"values.id": values.id, "values.key": values.key})
        # Only owners and the project secret may test a private address.
        is_trusted = guards.is_owner(request)
        problem = None if values.url is None or is_trusted else ctx.url_problem(values.url)
        if problem is not None:
            raise Invalid.of("values.url", problem)
        app: PusherApp | None = PusherApp(credentials=Project(values.id, values.key, values.secret))
    else:
        app = apps.all[0] if body.app is None else apps.by_id.get(body.app)
    if app is None:
        raise NotFound("No Pusher app has this id.")
    guards.count(request, "tests", guards.TESTS_PER_MINUTE)
    url = None if values is None else values.url
    return responses.json(await ctx[ConnectionTests].run(app, url, is_trusted=is_trusted))
