"""The API as one ASGI application."""

import functools
from typing import Any

from bellcast.agents import http as agents_http
from bellcast.auth import http as tokens
from bellcast.channels.http import explanations, mailbox, messages, notification_types, stored_secrets, unsubscribe
from bellcast.channels.suppressions import http as suppressions_http
from bellcast.console.http import connections, doctor, live_feed, nodes, settings, stats, test_clock
from bellcast.console.pages import browser_files, check, console, embed, error_pages, icons, landing, reference, theme
from bellcast.exports import http as export
from bellcast.inbox.http import activity, bulk, imports, inbox, notifications
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.limits import Limits
from bellcast.live.dialects import DIALECTS
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.operators.http import account as console_session
from bellcast.operators.http import oidc, operators, own_email, passkeys
from bellcast.preferences.http import preferences, preferences_page
from bellcast.providers import http as providers
from bellcast.recipients.http import bulk as recipients_bulk
from bellcast.recipients.http import push_endpoints, recipients
from bellcast.replays.http import dead_jobs as jobs
from bellcast.replays.http import failures, replays
from bellcast.rest import bundles
from bellcast.rest.context import ApiContext
from bellcast.rest.router import ApiRouter, TokenPaths
from bellcast.server import health, metrics, openapi
from bellcast.server.middleware import ApiMiddleware
from bellcast.templates.http import editor_tokens, templates
from bellcast.tenants.http import keys, tenants
from bellcast.topics.http import events, topics
from bellcast.webhooks import http as webhooks
from bellcast.workflows.http import runs, schedules, schemas, simulations, sources, workflows

DIALECT_APIS = [one.api() for one in DIALECTS]
# The kinds of objects that files in git describe.
BUNDLES = bundles.operations(
    [
        bundles.of(notification_types.KIND),
        bundles.of(templates.KIND),
        workflows.BUNDLE,
        bundles.of(sources.KIND),
        providers.BUNDLE,
        preferences.BUNDLE,
    ]
)
HANDLERS = [
    *(notifications.send, notifications.read, notifications.correct, notifications.recall, bulk.send, events.publish),
    *(recipients.page, recipients.read, recipients.write, recipients.change, recipients.erase, recipients.revoke),
    recipients_bulk.write,
    imports.load,
    *activity.HANDLERS,
    *(
        export.export,
        tenants.page,
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
        topics.all_topics,
        topics.of_recipient,
        topics.presence,
        topics.events,
        topics.clear,
        connections.page,
        connections.close,
        connections.stats,
    ),
    *inbox.HANDLERS,
    *(
        *explanations.HANDLERS,
        *suppressions_http.HANDLERS,
        *jobs.HANDLERS,
        *test_clock.HANDLERS,
        *workflows.HANDLERS,
        *simulations.HANDLERS,
        *runs.HANDLERS,
        *failures.HANDLERS,
        *replays.HANDLERS,
        *schedules.HANDLERS,
        *sources.HANDLERS,
        *schemas.HANDLERS,
    ),
    *(
        *messages.HANDLERS,
        *notification_types.HANDLERS,
        *templates.HANDLERS,
        *editor_tokens.HANDLERS,
        *preferences.HANDLERS,
        *BUNDLES,
    ),
    *(*unsubscribe.HANDLERS, *push_endpoints.HANDLERS, *providers.HANDLERS, *webhooks.HANDLERS),
    *(*preferences_page.HANDLERS, *mailbox.HANDLERS, *icons.HANDLERS),
    *(*console_session.HANDLERS, own_email.change),
    *oidc.HANDLERS,
    *passkeys.HANDLERS,
    *operators.HANDLERS,
    *live_feed.HANDLERS,
    *stats.HANDLERS,
    *nodes.HANDLERS,
    *doctor.HANDLERS,
    *stored_secrets.HANDLERS,
    *settings.HANDLERS,
    *(handler for api in DIALECT_APIS for handler in api.operations),
    *agents_http.HANDLERS,
    *(*console.HANDLERS, *embed.HANDLERS),
    *check.HANDLERS,
    *(health.alive, health.ready, health.metrics, *reference.HANDLERS, *error_pages.HANDLERS),
    *(
        browser_files.entry,
        browser_files.module,
        browser_files.push_worker,
        browser_files.loader,
        landing.show,
        landing.send,
        theme.show,
    ),
]


def build(context: ApiContext) -> ApiMiddleware:
    """Build the application that serves every REST path."""
    requests = metrics.RequestMetrics()
    exporter = metrics.MetricsExporter(requests, context[ConnectionSurvey], context.outbox, context.process_counts)
    routes = openapi.routes(HANDLERS)
    state = {
        "api_context": context,
        "exporter": exporter,
        "files": browser_files.Files(),
        # Generated by the first request for it: this takes 0.1 s.
        "document": functools.cache(functools.partial(openapi.document, routes, context.limits)),
    }
    token_paths = TokenPaths((route.path for route in routes), [one.secret for one in context.project.accepted])
    return ApiMiddleware(_router(), context, state, requests, exporter.own, token_paths)


def _other_path(request: ApiRequest) -> ASGIApp:
    """Return the response for a path that is not the native API's: the HTTP API of a dialect, or an error."""
    path: str = request.scope["path"]
    served = next((api.serve for api in DIALECT_APIS if path.startswith(api.prefixes)), None)
    return served or error_pages.unknown_path(request)


def described(limits: Limits) -> dict[str, Any]:
    """Return the OpenAPI document without a server."""
    return openapi.document(openapi.routes(HANDLERS), limits)


@functools.cache
def _router() -> ApiRouter:
    """Return the router, which all apps of a process share: each request has the state of its app."""
    return ApiRouter(HANDLERS, _other_path)
