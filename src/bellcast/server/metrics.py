"""Metrics for Prometheus.

If several workers share a port, the scraped worker reports the metrics of all, labelled by worker. A sum would decrease
when a worker is replaced, which Prometheus would interpret as a counter reset."""

import asyncio
import contextlib
import importlib
import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from msgspec import Struct, field

from bellcast.console.types import BUCKETS
from bellcast.kernel.errors import BellcastError
from bellcast.kernel.http import ASGIApp, responses
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.jobs.store import Jobs
from bellcast.live.hub.dispatch import Histogram
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.rest import context
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.server.health import probe

PROMETHEUS_TEXT = "text/plain; version=0.0.4; charset=utf-8"

log = structlog.get_logger(__name__)

COUNTS_PREFIX = "counts."
# Seconds. A worker responds within a millisecond; Prometheus's scrape timeout is ten seconds.
READ_TIMEOUT = 2.0


@operation("GET", "/metrics", tag="Server", required_scope=None, response_types={200: PROMETHEUS_TEXT})
async def metrics(request: ApiRequest) -> ASGIApp:
    """Metrics for Prometheus.

    Their names begin with `bellcast_`. With several workers, each reports the metrics of all workers on this machine,
    labelled with the process id as `worker`."""
    ctx = context.of(request)
    workers = ctx.find(WorkerMetrics)
    own = exporter(ctx, request.scope["state"]["requests"])
    reports = None if workers is None else {workers.name: own.report(), **await workers.others()}
    db, broker, jobs, queue_age, logs = await asyncio.gather(
        probe(ctx.engines.db.ping()),
        probe(ctx.engines.broker.ping(writes=True)),
        probe(Jobs(ctx.engines.db).counts()),
        probe(ctx.queue_age()),
        probe(ctx.engines.history.count_logs()),
    )
    is_up = {"store_up": not isinstance(db, BellcastError), "broker_up": not isinstance(broker, BellcastError)}
    found = {} if isinstance(queue_age, BellcastError) else {"queue_age_seconds": queue_age / 1000}
    found |= {"history_streams": logs} if isinstance(logs, int) else {}
    numbers = {**is_up, **found, **ctx.numbers()}
    text = own.text(reports, {} if isinstance(jobs, BellcastError) else jobs, numbers)
    return responses.complete(200, text, PROMETHEUS_TEXT)


class WorkerMetrics:
    """Serves this process's metrics on a Unix socket in the workers' private folder, and reads the others'."""

    def __init__(self, folder: Path) -> None:
        self.name = str(os.getpid())
        self._socket_path = folder / f"{COUNTS_PREFIX}{self.name}"
        self._server: asyncio.Server | None = None

    async def open(self, export: Callable[[], bytes]) -> None:
        """Start serving the result of `export`."""

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(export())
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()

        self._server = await asyncio.start_unix_server(serve, self._socket_path)

    def close(self) -> None:
        """Stop serving and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._socket_path.unlink(missing_ok=True)

    async def others(self) -> Mapping[str, bytes]:
        """Return the metrics of the other workers by name, without those that have exited or do not respond."""
        found: dict[str, bytes] = {}

        async def read(path: Path) -> None:
            try:
                async with asyncio.timeout(READ_TIMEOUT):
                    reader, writer = await asyncio.open_unix_connection(path)
                    try:
                        found[path.name.removeprefix(COUNTS_PREFIX)] = await reader.read()
                    finally:
                        writer.close()
            except ConnectionRefusedError:
                pass  # the worker was killed; its socket is removed with the folder
            except (OSError, TimeoutError):
                log.warning("worker_metrics_unavailable", worker=path.name)

        sockets = self._socket_path.parent.glob(f"{COUNTS_PREFIX}*")
        await asyncio.gather(*(read(path) for path in sockets if path != self._socket_path))
        return {worker: report for worker, report in found.items() if report}


REQUEST_LABELS = ("method", "route", "status")

# Known methods (RFC 9110, 9.1; RFC 5789). Others share one label, because clients choose them.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

# Counters of a process: name, description and labels. Their values come from `ConnectionSurvey.stats` and
# `ApiContext.process_counts`.
COUNTERS = (
    ("encoded", "Encoded events: once per dialect, not per connection.", ("protocol", "transport")),
    ("written", "Events that were written to live connections, once per connection.", ("kind",)),
    ("reconciled", "What live connections had missed, as a comparison with the store found, by kind.", ("kind",)),
    (
        "reconciler_checks",
        "Comparisons of a batch of inboxes or subscriptions with the store, and of the inboxes that Pusher channels follow.",
        ("outcome",),
    ),
    ("closed_connections", "Ended live connections.", ("reason",)),
    ("accepted", "Accepted notifications (one per recipient), announcements and live events.", ("kind",)),
    ("messages", "Messages outside the inbox that reached a final state.", ("channel", "state")),
    ("attempts", "Attempts to pass a message to a provider.", ("channel", "provider", "outcome")),
    ("broker_messages", "Messages to and from other processes, once per process.", ("direction", "kind")),
    ("broker_reconnects", "Connections to the broker after the first one.", ()),
    ("webhook_attempts", "Attempts to deliver an event to a webhook.", ("outcome",)),
)


class RequestMetrics(Struct, eq=False):
    """Request counts and durations, in plain dicts, because a labelled counter costs ten times as much."""

    counts: defaultdict[tuple[str, str, int], int] = field(default_factory=lambda: defaultdict(int))
    durations: defaultdict[tuple[str, str], Histogram] = field(
        default_factory=lambda: defaultdict(partial(Histogram, BUCKETS))
    )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one started response. `route` is the path template. Unknown paths share one entry."""
        method = method if method in METHODS else "other"
        self.counts[method, route, status] += 1
        self.durations[method, route].observe(seconds)

    def totals(self) -> tuple[int, int, int, tuple[int, ...]]:
        """Return the number of requests, of responses with status 4xx and 5xx, and of requests by duration bucket."""
        refusals = failures = 0
        for (_, _, status), count in self.counts.items():
            refusals += count if 400 <= status < 500 else 0
            failures += count if status >= 500 else 0
        durations = tuple(map(sum, zip(*(one.buckets for one in self.durations.values()), strict=True)))
        return sum(durations), refusals, failures, durations


def exporter(ctx: ApiContext, requests: RequestMetrics) -> Any:
    """Return the MetricsExporter of an app. The first scrape imports prometheus_client with it: it takes 2 MB."""
    families: Any = importlib.import_module("bellcast.server.metric_families")
    return families.MetricsExporter(requests, ctx[ConnectionSurvey], ctx.process_counts)
