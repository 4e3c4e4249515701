"""Liveness, readiness and metrics."""

import asyncio
from collections.abc import Awaitable
from typing import Literal, TypeVar

from msgspec import UNSET, Struct, UnsetType
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bellcast import build
from bellcast.kernel.db.engine import StoreMigration
from bellcast.kernel.errors import BellcastError, Unavailable
from bellcast.kernel.http import ASGIApp, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.jobs.store import Jobs
from bellcast.rest import context
from bellcast.rest.operations import operation
from bellcast.server.metrics import MetricsExporter, WorkerMetrics

# Prometheus waits 10 s for a scrape, load balancers often 5 s for a check. The store and the broker respond within
# milliseconds, unless they are down.
PROBE_SECONDS = 4.0
T = TypeVar("T")


class Health(Struct, frozen=True):
    """The server's state. `commit` is the commit that the package was built from, null in a checkout. `project` is the project's public key, by which clients identify the server, and
    `migration` the progress of a migration, before the server has started."""

    status: str
    version: str
    commit: str | None
    project: str
    migration: StoreMigration | UnsetType = UNSET


def during_migration(path: str, migration: StoreMigration, project_key: str) -> ASGIApp:
    """Answer a request before the server has started: it is alive, and not ready."""
    if path == "/healthz":
        return responses.json(Health("migrating", build.version(), build.commit(), project_key, migration))
    return responses.problem(
        Unavailable(
            f"The store is being migrated from version {migration.before} to {migration.to}, now to {migration.step}."
        )
    )


class Readiness(Health, frozen=True, kw_only=True):
    """The server's state with its broker. `reason` is why the broker is degraded: events reach clients of this node
    only, or late, and may not be stored."""

    broker: Literal["ok", "degraded"]
    reason: str | UnsetType = UNSET


@operation("GET", "/healthz", tag="Server", required_scope=None, response_types={200: Health})
async def alive(request: ApiRequest) -> ASGIApp:
    """Check liveness.

    Restart the process if this does not respond."""
    return responses.json(Health("ok", build.version(), build.commit(), context.of(request).project.key))


@operation(
    "GET", "/readyz", tag="Server", required_scope=None, response_types={200: Readiness}, refusals=(Unavailable,)
)
async def ready(request: ApiRequest) -> ASGIApp:
    """Check readiness.

    The server is ready if the store is readable and writable. Do not route traffic to it while the response is a 503.
    `broker` is `degraded` if the broker is not connected or refuses writes: notifications are accepted, and other
    nodes deliver them up to 30 s later. With `BELLCAST_READY_STRICT`, the response is then a 503."""
    ctx = context.of(request)
    db, broker = await asyncio.gather(_probe(ctx.engines.db.ping()), _probe(ctx.engines.broker.ping(writes=True)))
    if isinstance(db, BellcastError):
        raise Unavailable(db.detail)  # also on a full disk
    own = (build.version(), build.commit(), ctx.project.key)
    if not isinstance(broker, BellcastError):
        return responses.json(Readiness("ready", *own, broker="ok"))
    if ctx.is_ready_strict:
        raise broker
    return responses.json(Readiness("ready", *own, broker="degraded", reason=broker.detail))


async def _probe(work: Awaitable[T]) -> T | BellcastError:
    """Return the result, or why there is none within PROBE_SECONDS."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await work
    except TimeoutError:
        return Unavailable(f"no response within {PROBE_SECONDS:.0f} s")
    except BellcastError as error:
        return error


@operation("GET", "/metrics", tag="Server", required_scope=None, response_types={200: CONTENT_TYPE_PLAIN_0_0_4})
async def metrics(request: ApiRequest) -> ASGIApp:
    """Metrics for Prometheus.

    Their names begin with `bellcast_`. With several workers, each reports the metrics of all workers on this machine,
    labelled with the process id as `worker`."""
    exporter: MetricsExporter = request.scope["state"]["exporter"]
    ctx = context.of(request)
    workers = ctx.find(WorkerMetrics)
    reports = None if workers is None else {workers.name: exporter.own(), **await workers.others()}
    db, broker, jobs, queue_age, logs = await asyncio.gather(
        _probe(ctx.engines.db.ping()),
        _probe(ctx.engines.broker.ping(writes=True)),
        _probe(Jobs(ctx.engines.db).counts()),
        _probe(ctx.queue_age()),
        _probe(ctx.engines.history.count_logs()),
    )
    is_up = {"store_up": not isinstance(db, BellcastError), "broker_up": not isinstance(broker, BellcastError)}
    found = {} if isinstance(queue_age, BellcastError) else {"queue_age_seconds": queue_age / 1000}
    found |= {"history_streams": logs} if isinstance(logs, int) else {}
    numbers = {**is_up, **found, **ctx.dialect_numbers()}
    text = exporter.text(reports, {} if isinstance(jobs, BellcastError) else jobs, numbers)
    return responses.complete(200, text, CONTENT_TYPE_PLAIN_0_0_4)
