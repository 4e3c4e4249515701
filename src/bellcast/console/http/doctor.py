"""The doctor over REST: findings are streamed as checks end."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import Struct

from bellcast.console.types.diagnoses import Finding, FindingState
from bellcast.kernel.http import responses
from bellcast.kernel.http.asgi import ASGIApp
from bellcast.kernel.http.request_body import ApiRequest
from bellcast.operators.types import Role
from bellcast.rest import context
from bellcast.rest.operations import operation

# Restricted scope, because findings contain paths and URLs of the server's machine.
READERS: tuple[Role, ...] = ("owner", "developer", "support")


class FindingItem(Struct, frozen=True):
    """The result of a check. `fix` is empty if the state is `ok`."""

    check: str
    state: FindingState
    what: str
    fix: str


@operation(
    "POST",
    "/v1/doctor",
    tag="Server",
    required_scope="observe",
    roles=READERS,
    is_streamed=True,
    response_types={200: list[FindingItem]},
)
async def run(request: ApiRequest) -> ASGIApp:
    """Find problems and suggest fixes.

    The checks of `bellcast doctor` on the machine and with the settings of the node that responds: data folder,
    credentials, store, broker, mail servers, clocks, outbox, disk, open files, public topics, origins, proxies and the URLs that the
    server calls; and readiness, the other nodes, the queue and `BELLCAST_PUBLIC_URL`. The findings are streamed as
    NDJSON when each check ends, or returned as one JSON array with `Accept: application/json`. A run takes at most 20
    seconds, of which at most 5 are for reading a SQLite store. Each node allows one run at a time; a second one is
    refused (429). Callers that are restricted to tenants are refused."""
    return await responses.respond_list(request, _items(context.of(request).doctor.findings()))


async def _items(findings: AsyncGenerator[Finding]) -> AsyncGenerator[FindingItem]:
    async with aclosing(findings):
        async for finding in findings:
            yield FindingItem(*finding)


HANDLERS = (run,)
