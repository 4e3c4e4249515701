"""The API as one ASGI application."""

from typing import Any

from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

from bellcast.api import (
    activity,
    browser_files,
    bulk,
    connections,
    console,
    docs,
    error_responses,
    events,
    explanations,
    export,
    health,
    imports,
    inbox,
    jobs,
    keys,
    landing,
    mailbox,
    messages,
    metrics,
    notification_types,
    notifications,
    openapi,
    operators,
    options_routes,
    preferences,
    preferences_page,
    providers,
    push_endpoints,
    pusher,
    recipients,
    recipients_bulk,
    runs,
    schedules,
    sources,
    suppressions,
    templates,
    tenants,
    test_clock,
    theme,
    tokens,
    topics,
    unsubscribe,
    webhooks,
    workflows,
)
from bellcast.api.context import ApiContext
from bellcast.api.middleware import ApiMiddleware
from bellcast.api.token_paths import TokenPaths
from bellcast.model.limits import Limits

HANDLERS = [
    *(notifications.send, notifications.read, notifications.correct, notifications.recall, bulk.send, events.publish),
    *(recipients.page, recipients.read, recipients.write, recipients.change, recipients.erase, recipients.revoke),
    recipients_bulk.write,
    imports.load,
    *activity.HANDLERS,
    *(
        export.export,
        tenants.read,
        tenants.write,
        tenants.erase,
        export.export_tenant,
        tokens.make,
        keys.create,
        keys.page,
        keys.revoke,
    ),
    *(
        topics.subscribe,
        topics.unsubscribe,
        topics.page,
        topics.presence,
        topics.events,
        topics.clear,
        connections.page,
        connections.stats,
    ),
    *inbox.HANDLERS,
    *(
        *explanations.HANDLERS,
        *suppressions.HANDLERS,
        *jobs.HANDLERS,
        *test_clock.HANDLERS,
        *workflows.HANDLERS,
        *runs.HANDLERS,
        *schedules.HANDLERS,
        *sources.HANDLERS,
    ),
    *(*messages.HANDLERS, *notification_types.HANDLERS, *templates.HANDLERS, *preferences.HANDLERS),
    *(*unsubscribe.HANDLERS, *push_endpoints.HANDLERS, *providers.HANDLERS, *webhooks.HANDLERS),
    *(*preferences_page.HANDLERS, *mailbox.HANDLERS),
    *operators.HANDLERS,
    *console.HANDLERS,
    *(health.alive, health.ready, health.metrics, docs.document, docs.reference, docs.all_errors, docs.error),
    *(browser_files.entry, browser_files.module, browser_files.push_worker, landing.show, landing.send, theme.show),
]


def build(context: ApiContext) -> ApiMiddleware:
    """Build the application that serves every REST path, for `http` and `lifespan` scopes."""
    app = _router()
    requests = metrics.RequestMetrics()
    exporter = app.state.exporter = metrics.MetricsExporter(
        requests, context.connections, context.outbox, context.messages
    )
    app.state.files = browser_files.Files()
    routes = openapi.routes(app)
    app.state.document = openapi.document(routes, context.limits)
    token_paths = TokenPaths(route.path for route in routes)
    return ApiMiddleware(_dispatcher(app), context, requests, exporter.own, token_paths)


def _dispatcher(app: Litestar) -> ASGIApp:
    """Dispatch to the native API or to Pusher's HTTP API."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        is_pusher = scope.get("path", "").startswith(pusher.PREFIXES)
        await (pusher.serve if is_pusher else app)(scope, receive, send)

    return serve


def described(limits: Limits) -> dict[str, Any]:
    """Return the OpenAPI document without a server."""
    return openapi.document(openapi.routes(_router()), limits)


def _router() -> Litestar:
    handlers = [*HANDLERS, *recipients_bulk.SAME_PATH]
    return Litestar(
        route_handlers=[*options_routes.options(handlers), *handlers],
        exception_handlers=error_responses.HANDLERS,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,  # each operation reads its body within its own limit
    )
