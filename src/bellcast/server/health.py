"""Liveness and readiness: probes of a server, its store and its broker."""

import asyncio
from collections.abc import Awaitable
from typing import Literal, TypeVar

from msgspec import UNSET, Struct, UnsetType

from bellcast import build
from bellcast.kernel.db.engine import StoreMigration
from bellcast.kernel.errors import BellcastError, Unavailable
from bellcast.kernel.http import ASGIApp, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.rest import context
from bellcast.rest.operations import operation

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
    db, broker = await asyncio.gather(probe(ctx.engines.db.ping()), probe(ctx.engines.broker.ping(writes=True)))
    if isinstance(db, BellcastError):
        raise Unavailable(db.detail)  # also on a full disk
    own = (build.version(), build.commit(), ctx.project.key)
    if not isinstance(broker, BellcastError):
        return responses.json(Readiness("ready", *own, broker="ok"))
    if ctx.is_ready_strict:
        raise broker
    return responses.json(Readiness("ready", *own, broker="degraded", reason=broker.detail))


async def probe(work: Awaitable[T]) -> T | BellcastError:
    """Return the result, or why there is none within PROBE_SECONDS."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await work
    except TimeoutError:
        return Unavailable(f"no response within {PROBE_SECONDS:.0f} s")
    except BellcastError as error:
        return error
