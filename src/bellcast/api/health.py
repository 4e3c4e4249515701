"""Is it alive, is it ready, what does it count."""

from litestar.types import ASGIApp
from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bellcast import __version__
from bellcast.api import answers, rooms
from bellcast.api.operations import operation
from bellcast.api.reading import Asked
from bellcast.errors import Unavailable


class Health(Struct, frozen=True):
    """All is well."""

    status: str
    version: str


@operation("GET", "/healthz", tag="Server", door=None, answers={200: Health})
async def alive(request: Asked) -> ASGIApp:
    """Is the process alive.

    Restart it if this is not answered."""
    return answers.json(Health("ok", __version__))


@operation("GET", "/readyz", tag="Server", door=None, answers={200: Health}, refusals=(Unavailable,))
async def ready(request: Asked) -> ASGIApp:
    """Can requests be served.

    The store can be read and written, and events can be carried. Send no traffic while this is a 503."""
    engines = rooms.of(request).engines
    await engines.store.ping()
    await engines.broker.ping()
    return answers.json(Health("ready", __version__))


@operation("GET", "/metrics", tag="Server", door=None, answers={200: CONTENT_TYPE_PLAIN_0_0_4})
async def metrics(request: Asked) -> ASGIApp:
    """Numbers for Prometheus.

    Their names begin with `bellcast_`."""
    registry: CollectorRegistry = request.app.state.registry
    return answers.whole(200, generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)
