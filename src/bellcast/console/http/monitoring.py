"""The nodes and what they serve: live connections, the number of connections and stored rows, the nodes with their numbers over time
and their checks, and the test clock."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bellcast.console import types
from bellcast.console.stats import StatsRecorder
from bellcast.console.types import BUCKETS, FindingItem
from bellcast.documents.store import ShortCache
from bellcast.inbox.store.maintenance import LARGE_COUNT, Maintenance, RowCounts
from bellcast.kernel import times
from bellcast.kernel.db.lists import ListTotal
from bellcast.kernel.errors import Invalid
from bellcast.kernel.field_limits import ANY_TENANT, lasting
from bellcast.kernel.http import ASGIApp, list_parameters, request_body, responses
from bellcast.kernel.http.list_parameters import ShortListQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.identities import EVERY_TENANT
from bellcast.kernel.jobs.runner import TimeTravel
from bellcast.kernel.times import Moment
from bellcast.live.hub.survey import ConnectionSurvey
from bellcast.live.types import EVERY_CONNECTION, ConnectionFilter, NodeRole
from bellcast.operators.types import ONE_BY_ONE, ROLES, Role
from bellcast.recipients.http import PageQuery
from bellcast.rest import context, tenants
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.rest.tenants import TenantQuery

# Five million rows are counted in 0.2 s.
LARGE_COUNT_SECONDS = 60.0
# The rows of all tenants. Millions of them are counted once a minute for all operators.
LargeCounts = ShortCache[None, RowCounts]


class ConnectionItem(Struct, frozen=True, kw_only=True):
    """One live connection, or a recently closed one with the code and the reason of its end."""

    id: str
    recipient: str | None
    tenant: str | None
    protocol: str
    transport: str
    topics: list[str]
    address: str | None
    origin: str | None = None
    connected_at: datetime
    node: str | None = None
    closed_at: datetime | None = None
    code: int | None = None
    reason: str | None = None


class TransportCount(Struct, frozen=True):
    """Number of connections by protocol and transport."""

    protocol: str
    transport: str
    count: int


class Stats(Struct, frozen=True):
    """Live connections by protocol and transport, and rows in the store by kind. `at_least` lists the kinds whose count
    is a lower bound."""

    connections: list[TransportCount]
    store: dict[str, int]
    at_least: list[str]


class ConnectionPage(Struct, frozen=True):
    """A page of connections. Pass `next` as `after` for the following page. Only the first page has a `total`. It is
    exact if there is no other page, and for open connections without a filter."""

    connections: list[ConnectionItem]
    next: str | None
    total: ListTotal | None = None


class ConnectionsQuery(PageQuery, frozen=True, kw_only=True):
    """A page of connections, with filters that can be combined. The tenant `*` means all tenants. `from` and `to` are about
    the start of open connections, and the end of closed ones."""

    id: str | None = None
    recipient: str | None = None
    topic: str | None = None
    protocol: str | None = None
    node: str | None = None
    state: Literal["open", "closed"] = "open"
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")


CONNECTIONS = Resource(
    "connections",
    "/{id:str}",
    tag="Live",
    unknown="No open connection of this tenant has this id.",
    tenant_of=tenants.several,
)


class CloseQuery(TenantQuery, frozen=True, kw_only=True):
    """Whether the client of a closed connection may reconnect."""

    reconnect: bool = True


# The reasons are the server's own words.
@CONNECTIONS.listing(
    ConnectionPage,
    query=ConnectionsQuery,
    shown="recipient protocol transport topics origin connected_at node closed_at code reason",
)
async def page(request: ApiRequest, params: ConnectionsQuery) -> ConnectionPage:
    """List the connections of a tenant on all nodes.

    Open connections, or with `state=closed` the last 1,000 closed ones of each node, with the reason. Open connections
    are ordered by their start and closed ones by their end, newest first."""
    connections, limit = context.of(request)[ConnectionSurvey], params.limit + 1
    wanted = ConnectionFilter(
        id=params.id,
        recipient=params.recipient,
        topic=params.topic,
        protocol=params.protocol,
        node=params.node,
        is_closed=params.state == "closed",
        since=0 if params.start is None else max(0, times.milliseconds(params.start)),
        until=None if params.end is None else max(0, times.milliseconds(params.end)),
    )
    named = _tenants(request, params)
    before = list_parameters.moment(params.after) if params.after else None
    listed = [one for tenant in named for one in await connections.page(tenant, before, limit, wanted)]
    result = listed if len(named) == 1 else sorted(listed, key=lambda one: one.position, reverse=True)[:limit]
    shown = [responses.item(ConnectionItem, one, topics=list(one.topics)) for one in result[: params.limit]]
    has_next = len(result) > params.limit

    total = None if params.after else ListTotal(len(shown) + has_next, exact=not has_next)
    if total is not None and has_next and wanted == EVERY_CONNECTION:
        kinds = [kind for tenant in named for kind in await connections.counts_by_transport(tenant)]
        total = ListTotal(sum(kind.count for kind in kinds), exact=True)
    following = list_parameters.of_moment(*result[params.limit - 1].position) if has_next else None
    return ConnectionPage(shown, following, total)


@CONNECTIONS.delete(query=CloseQuery, roles=ONE_BY_ONE, bound_by="list")
async def close(call: ResourceCall[None]) -> bool:
    """Close a connection on any node.

    Its client reconnects, unless `reconnect` is false. The recipient's session stays valid."""
    query, (id,) = request_body.query(call.request, CloseQuery), call.key
    for tenant in _tenants(call.request, query):
        if await call.ctx[ConnectionSurvey].close(tenant, id, reconnect=query.reconnect):
            return True
    return False


def _tenants(request: ApiRequest, query: TenantQuery) -> Sequence[str | None]:
    """Return the tenants of a request; None means all."""
    return [None if one == EVERY_TENANT else one for one in tenants.tenants_of(request, query.tenant)]


STATS = Resource("stats", tag="Server", roles=ROLES, tenant_of=tenants.several)


@STATS.get(Stats, bound_by="list", refusals=())
async def stats(call: ResourceCall[None]) -> Stats:
    """Count connections and stored rows.

    Connections by protocol and transport on all nodes, and rows in the store by kind. With `tenant`, the numbers are
    those of one tenant (empty: the default tenant), else of all. For one tenant, at most 100,000 rows of each kind are
    counted: `at_least` lists the kinds that may have more. Counts of millions of rows of all tenants may be a minute old;
    on PostgreSQL they are the planner's estimates."""
    ctx, query = call.ctx, request_body.query(call.request, TenantQuery)
    connections: Counter[tuple[str, str]] = Counter()
    stored: Counter[str] = Counter()
    at_least: set[str] = set()
    for tenant in [None] if query.tenant is None else _tenants(call.request, query):
        for one in await ctx[ConnectionSurvey].counts_by_transport(tenant):
            connections[one.protocol, one.transport] += one.count
        maintenance = Maintenance(ctx.engines.db)
        counted = await (
            count_all(ctx[LargeCounts], maintenance.stats) if tenant is None else maintenance.stats(tenant)
        )
        stored.update(counted.by_kind)
        at_least |= counted.at_least
    transports = [TransportCount(*kind, count) for kind, count in connections.items()]
    return Stats(transports, stored, sorted(at_least))


async def count_all(counts: LargeCounts, read: Callable[[], Awaitable[RowCounts]]) -> RowCounts:
    """Count the rows of all tenants, unless there were millions a moment ago."""
    counted = await counts.get(None, read)
    if sum(counted.by_kind.values()) < LARGE_COUNT:
        counts.forget()
    return counted


# --- nodes


class NodeItem(Struct, frozen=True, kw_only=True):
    """One process. `commit` is the commit that its package was built from (null if it is not known, as in a checkout), `cpu` is the share of one core in the last seconds, `memory` the resident bytes (null where the
    system does not report them), `queue_age` the milliseconds for which the oldest due job had waited at the last
    sample (null with `BELLCAST_STATS=off`), `settings_revision` the revision of `GET /v1/settings` that the node applies,
    and `schema_version` that of the store that it knows. A node of a version that reports nothing has the version
    `unknown`."""

    id: str
    version: str
    commit: str | None
    role: NodeRole
    host: str
    pid: int
    runs_jobs: bool
    started_at: datetime
    reported_at: datetime
    connections: int
    cpu: float
    memory: int | None
    queue_age: int | None
    settings_revision: int
    schema_version: int | None
    is_self: bool


class NodeList(Struct, frozen=True):
    """A page of the live nodes, by id. Pass `next` as `after` for the following page."""

    nodes: list[NodeItem]
    next: str | None = None


@Resource("nodes", tag="Server", required_scope="observe", roles=ROLES).listing(
    NodeList, query=ShortListQuery, bound_by="refused", id="nodes.nodes"
)
async def nodes(request: ApiRequest, query: ShortListQuery) -> NodeList:
    """List the live nodes.

    A node is one process: a server, each of its `--workers`, or a `bellcast worker`. `is_self` marks the one that
    responds. A node reports itself every 2 seconds through the broker, so the numbers of the others are at most that
    old. A node that stops leaves the list immediately. A node that crashes leaves it at most 10 seconds after its last
    report. Without a shared broker, a process lists only itself. Callers that are restricted to tenants are refused."""
    listed = await context.of(request).nodes()
    found = [one for one in listed if one.id > query.after and query.includes(one.report.started_at)]
    shown, following = list_parameters.split(found, query.limit, lambda node: node.id)
    items = [
        responses.item(NodeItem, one.report, id=one.id, reported_at=one.reported_at, is_self=one.is_self)
        for one in shown
    ]
    return NodeList(items, following)


# --- numbers over time

StepName = Literal["10s", "1m", "15m", "1h", "1d"]
STEPS: dict[StepName, int] = dict(zip(("10s", "1m", "15m", "1d"), types.KEPT_MS, strict=True))
TENANT_STEP: StepName = "1h"
# A chart has fewer pixels than this. 48 hours have 2,880 minutes.
MAX_POINTS = 3_000
# Each node has a row per interval. Reading this many takes 0.2 s of a thread.
MAX_SERIES_ROWS = 20_000


class SeriesQuery(Struct, frozen=True, kw_only=True):
    """Metrics, repeated or separated by commas (default: all), the length of the intervals (default: 1m, for a tenant
    1h), and a time range: by default the last 24 hours, or with steps of 10 s the last hour. The tenant `*` means the
    total of all tenants."""

    tenant: Annotated[str | None, ANY_TENANT] = None
    metrics: list[str] = []
    step: StepName | None = None
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")
    node: Annotated[str, Meta(max_length=100)] | None = None


class Series(Struct, frozen=True):
    """Points by time: the beginning of an interval (UTC milliseconds), then one value per metric."""

    step: StepName
    metrics: list[str]
    points: list[list[int | float | None]]


@STATS.get(Series, "/series", tag="Console", required_scope="observe", query=SeriesQuery, id="stats.series")
async def series(call: ResourceCall[None]) -> Series:
    """Read numbers over time.

    Totals of all nodes, or of one `node`:

    - `connections`: open ones, on average.
    - `requests`, `refusals` (status 4xx), `failures` (status 5xx, messages that failed or bounced, and runs that failed).
    - `sends`: notifications and announcements, each with all of its recipients, also those of runs; `runs`: runs of workflows that started; `publishes`: live events.
    - `deliveries`: messages that a provider accepted; simulated ones are none.
    - `latency_p50`, `latency_p95`: milliseconds from a request to the start of its response, as the upper bound of a
      bucket of `bellcast_request_seconds`; null without requests.
    - `queue_age`: the longest time in milliseconds for which a due job had waited at a sample.

    Steps of 10 s are kept for an hour in memory, so you only get those of the process that responds. Steps of 1 m are
    kept for 48 hours, 15 m for 30 days, 1 d (UTC) for 400 days. The last interval may be incomplete. An interval
    without a point has no row. A node is one process: the `node` of `GET /v1/connections`.

    With `tenant`, you get the numbers of one tenant, without latencies and queue age, in steps of 1 h for 30 days. Each
    node stores the 100 busiest tenants of each hour; other tenants have no row. `requests` and `refusals` exclude
    requests that read the console's lists. Callers that are restricted to tenants read the numbers of one of theirs."""
    query, ctx = request_body.query(call.request, SeriesQuery), call.ctx
    recorder = ctx.require(StatsRecorder, "Statistics are turned off: BELLCAST_STATS=off.")
    tenant = None if query.tenant in (None, EVERY_TENANT) else tenants.single_tenant(call.request)
    now = ctx.token_clock.now()
    known = types.METRICS if tenant is None else types.TENANT_METRICS
    names = [name for given in query.metrics for name in given.split(",") if name] or list(known)
    if not set(names) <= set(known) or len(names) > len(known):
        raise Invalid.of("metrics", f"must be some of: {', '.join(known)}")
    step = query.step or ("1m" if tenant is None else TENANT_STEP)
    if (step == TENANT_STEP) != (tenant is not None):
        raise Invalid.of("step", f"must be {TENANT_STEP} for a tenant, and {', '.join(STEPS)} for all tenants")
    until = now if query.end is None else times.milliseconds(query.end)
    kept = times.DAY_MS if tenant is not None else min(times.DAY_MS, types.KEPT_MS[STEPS[step]])
    since = until - kept if query.start is None else times.milliseconds(query.start)
    step_ms = times.HOUR_MS if tenant is not None else STEPS[step]
    if (until - since) // step_ms > MAX_POINTS:
        raise Invalid.of("from", f"must be at most {MAX_POINTS} steps before to")
    if tenant is None:
        points = await recorder.series(step_ms, since, until, query.node, MAX_SERIES_ROWS + 1)
        if len(points) > MAX_SERIES_ROWS:
            many = f"the range has more than {MAX_SERIES_ROWS} points of nodes"
            raise Invalid.of("from", f"must be closer to `to`, or `step` larger: {many}")
    else:
        found = await recorder.points.tenant_page(tenant, since, until, query.node, types.MAX_DAY_ROWS)
        if found is None:
            raise Invalid.of("node", f"must be one node: all have more than {types.MAX_DAY_ROWS} rows in a day")
        points = found

    def rows() -> list[list[int | float | None]]:
        """Combine the points of all nodes in each interval."""
        result: list[list[int | float | None]] = []
        for at, of_nodes in groupby(points, key=lambda one: one[0]):
            combined, samples = types.total(point for _, point in of_nodes), types.samples(step_ms, at, now)
            result.append([at, *(types.value(combined, metric, BUCKETS, samples) for metric in names)])
        return result

    return Series(step, names, await asyncio.to_thread(rows))


# --- checks and the clock

# Restricted scope, because findings contain paths and URLs of the server's machine.
READERS: tuple[Role, ...] = ("owner", "developer", "support")


@operation(
    "POST",
    "/v1/doctor",
    tag="Server",
    required_scope="observe",
    roles=READERS,
    is_streamed=True,
    response_types={200: list[FindingItem]},
    id="doctor.run",
    is_recorded=False,
)
async def run_doctor(request: ApiRequest) -> ASGIApp:
    """Find problems and suggest fixes.

    The checks of `bellcast doctor` on the machine and with the settings of the node that responds: data folder,
    credentials, store, broker, mail servers, clocks, outbox, disk, open files, public topics, origins, proxies and the URLs that the
    server calls; and readiness, the other nodes, the queue and `BELLCAST_PUBLIC_URL`. The findings are streamed as
    NDJSON when each check ends, or returned as one JSON array with `Accept: application/json`. A run takes at most 20
    seconds, of which at most 5 are for reading a SQLite store. Each node allows one run at a time; a second one is
    refused (429). Callers that are restricted to tenants are refused."""
    return await responses.respond_list(request, context.of(request).findings())


class ClockTime(Struct, frozen=True):
    """The time of the test clock."""

    now: datetime


class ClockAdvance(Struct, frozen=True, forbid_unknown_fields=True):
    """A duration by which to move the clock: seconds, or a text such as "15m" or "3d"."""

    advance: Annotated[str | float, lasting(0, times.MAX_AHEAD_SECONDS, "must be between 0 and 366d")]


CLOCK = Resource("test-clock", tag="Server", query=None)


@CLOCK.get(ClockTime, id="test_clock.read")
async def read_clock(call: ResourceCall[None]) -> ClockTime:
    """Read the test clock.

    404 on a server that runs with the system time."""
    return ClockTime(times.to_rfc3339(_clock(call.ctx).clock.now()))


@CLOCK.act(
    "",
    ClockTime,
    body=ClockAdvance,
    example={"advance": "3d"},
    id="test_clock.advance",
)
async def advance_clock(call: ResourceCall[ClockAdvance]) -> ClockTime:
    """Advance the test clock.

    Runs all work that becomes due (delays, digests, retries, schedules, expiry) before the response is
    sent. What is removed by age, such as old drafts, follows within seconds."""
    now = await _clock(call.ctx).advance(round(times.seconds(call.body.advance) * 1000))
    return ClockTime(times.to_rfc3339(now))


def _clock(ctx: ApiContext) -> TimeTravel:
    return ctx.require(TimeTravel, "This server runs with the system time: start it with --test-clock.")
