"""Liveness, readiness and metrics."""

from collections.abc import Mapping

from msgspec import UNSET, Struct, UnsetType
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bellcast import build
from bellcast.api import context, responses
from bellcast.api.context import ApiContext
from bellcast.api.metrics import MetricsExporter
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.errors import BellcastError, Unavailable
from bellcast.model.asgi import ASGIApp
from bellcast.ports.migration import StoreMigration


class Health(Struct, frozen=True):
    """The server's state. `project` is the project's public key, by which clients identify the server, and
    `migration` the progress of a migration, before the server has started."""

    status: str
    version: str
    project: str
    migration: StoreMigration | UnsetType = UNSET


def during_migration(path: str, migration: StoreMigration, project_key: str) -> ASGIApp:
    """Answer a request before the server has started: it is alive, and not ready."""
    if path == "/healthz":
        return responses.json(Health("migrating", build.version(), project_key, migration))
    return responses.problem(
        Unavailable(
            f"The store is being migrated from version {migration.before} to {migration.to}, now to {migration.step}."
        )
    )


@operation("GET", "/healthz", tag="Server", required_scope=None, response_types={200: Health})
async def alive(request: ApiRequest) -> ASGIApp:
    """Check liveness.

    Restart the process if this does not respond."""
    return responses.json(Health("ok", build.version(), context.of(request).project.key))


@operation("GET", "/readyz", tag="Server", required_scope=None, response_types={200: Health}, refusals=(Unavailable,))
async def ready(request: ApiRequest) -> ASGIApp:
    """Check readiness.

    The server is ready if the store is readable and writable and the broker is connected. Do not route traffic to it
    while the response is a 503."""
    ctx = context.of(request)
    await ctx.engines.store.ping()
    await ctx.engines.broker.ping()
    return responses.json(Health("ready", build.version(), ctx.project.key))


@operation("GET", "/metrics", tag="Server", required_scope=None, response_types={200: CONTENT_TYPE_PLAIN_0_0_4})
async def metrics(request: ApiRequest) -> ASGIApp:
    """Metrics for Prometheus.

    Their names begin with `bellcast_`. With several workers, each reports the metrics of all workers on this machine,
    labelled with the process id as `worker`."""
    exporter: MetricsExporter = request.scope["state"]["exporter"]
    ctx = context.of(request)
    workers = ctx.workers
    reports = None if workers is None else {workers.name: exporter.own(), **await workers.others()}
    return responses.complete(200, exporter.text(reports, await _job_counts(ctx)), CONTENT_TYPE_PLAIN_0_0_4)


async def _job_counts(ctx: ApiContext) -> Mapping[tuple[str, str], int]:
    """Return jobs by kind and state; none while the store is unavailable, so that the other metrics can still be
    read."""
    try:
        return await ctx.engines.store.jobs.counts()
    except BellcastError:
        return {}
