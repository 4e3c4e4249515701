"""The live nodes of the cluster."""

from datetime import datetime
from typing import Annotated

from msgspec import Struct

from bellcast.console.types.diagnoses import FindingItem
from bellcast.kernel import times
from bellcast.kernel.field_limits import lasting
from bellcast.kernel.http import ASGIApp, list_parameters, request_body, responses
from bellcast.kernel.http.list_parameters import ShortListQuery
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.kernel.jobs.runner import TimeTravel
from bellcast.live.types import NodeRole
from bellcast.operators.types import ROLES, Role
from bellcast.rest import context
from bellcast.rest.context import ApiContext
from bellcast.rest.operations import operation
from bellcast.rest.resource import Resource, ResourceCall


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


@operation(
    "GET",
    "/v1/nodes",
    tag="Server",
    required_scope="observe",
    roles=ROLES,
    bound_by="refused",
    query=ShortListQuery,
    is_exported=True,
    response_types={200: NodeList},
)
async def nodes(request: ApiRequest) -> ASGIApp:
    """List the live nodes.

    A node is one process: a server, each of its `--workers`, or a `bellcast worker`. `is_self` marks the one that
    responds. A node reports itself every 2 seconds through the broker, so the numbers of the others are at most that
    old. A node that stops leaves the list immediately. A node that crashes leaves it at most 10 seconds after its last
    report. Without a shared broker, a process lists only itself. Callers that are restricted to tenants are refused."""
    query, listed = request_body.query(request, ShortListQuery), await context.of(request).nodes()
    found = [one for one in listed if one.id > query.after and query.includes(one.report.started_at)]
    shown, following = list_parameters.split(found, query.limit, lambda node: node.id)
    items = [
        responses.item(NodeItem, one.report, id=one.id, reported_at=one.reported_at, is_self=one.is_self)
        for one in shown
    ]
    return responses.json(NodeList(items, following))


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
    return ClockTime(times.to_rfc3339(_clock(call.ctx).now()))


@CLOCK.act(
    "",
    ClockTime,
    body=request_body.Shape(ClockAdvance, None, {"advance": "1s"}),
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
