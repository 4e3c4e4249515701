"""Liveness, readiness and metrics."""

from litestar.types import ASGIApp
from msgspec import Struct
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bellcast import __version__
from bellcast.api import context, responses
from bellcast.api.metrics import MetricsExporter
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.errors import Unavailable


class Health(Struct, frozen=True):
    """The server works. `project` is the project's public key, by which a client recognises its own server."""

    status: str
    version: str
    project: str


@operation("GET", "/healthz", tag="Server", required_scope=None, response_types={200: Health})
async def alive(request: ApiRequest) -> ASGIApp:
    """Is the process alive.

    Restart it if this is not answered."""
    return responses.json(Health("ok", __version__, context.of(request).project.key))


@operation("GET", "/readyz", tag="Server", required_scope=None, response_types={200: Health}, refusals=(Unavailable,))
async def ready(request: ApiRequest) -> ASGIApp:
    """Can requests be served.

    The store can be read and written, and events can be carried. Send no traffic while this is a 503."""
    ctx = context.of(request)
    await ctx.engines.store.ping()
    await ctx.engines.broker.ping()
    return responses.json(Health("ready", __version__, ctx.project.key))


@operation("GET", "/metrics", tag="Server", required_scope=None, response_types={200: CONTENT_TYPE_PLAIN_0_0_4})
async def metrics(request: ApiRequest) -> ASGIApp:
    """Metrics for Prometheus.

    Their names begin with `bellcast_`. With several workers, any of them reports the metrics of all workers on this
    machine, each labelled with its process id as `worker`."""
    sheet: MetricsExporter = request.app.state.sheet
    workers = context.of(request).workers
    told = None if workers is None else {workers.name: sheet.own(), **await workers.others()}
    return responses.complete(200, sheet.text(told), CONTENT_TYPE_PLAIN_0_0_4)
