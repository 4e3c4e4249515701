"""The test of a connection: of a Pusher app, saved or not, or of the mail server."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bellcast.kernel import setting_values
from bellcast.kernel.errors import Invalid, NotFound, PasswordRequired
from bellcast.kernel.http import ASGIApp, request_body, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import DEFAULT_TENANT, Project
from bellcast.kernel.outbound.connection_steps import TestReport
from bellcast.live.pusher.apps import PusherAppDirectory
from bellcast.live.pusher.connection_test import ConnectionTests
from bellcast.live.pusher.http.pusher_apps import AppIdOrKey, AppSecret
from bellcast.live.pusher.types import PusherApp
from bellcast.providers.directory import ProviderDirectory
from bellcast.rest import audit, context, guards
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation

MAX_URL = 2_000


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
        guards.count(request, "tests", guards.TESTS_PER_MINUTE)
        return responses.json(await ctx[ProviderDirectory].test_first(DEFAULT_TENANT, "email"))
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
        app = apps.all()[0] if body.app is None else apps.by_id(body.app)
    if app is None:
        raise NotFound("No Pusher app has this id.")
    guards.count(request, "tests", guards.TESTS_PER_MINUTE)
    url = None if values is None else values.url
    return responses.json(await ctx[ConnectionTests].run(app, url, is_trusted=is_trusted))


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
