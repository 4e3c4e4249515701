"""The doctor over REST: findings as they are made."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
from litestar.types import ASGIApp
from msgspec import Struct

from bellcast.api import context, request_body, responses
from bellcast.api.operations import operation
from bellcast.api.request_body import ApiRequest
from bellcast.model.findings import Finding, FindingState
from bellcast.model.operators import Role

NDJSON_TYPE = request_body.NDJSON_TYPES[0]
# Findings name paths and URLs of the server's machine.
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

    The checks of `bellcast doctor` on the machine and with the settings of the node that responds: data folder, credentials, store,
    broker, clocks, outbox, disk, open files, public topics, origins, proxies and the URLs that the server calls; and readiness, the other
    nodes, the queue and `BELLCAST_PUBLIC_URL`. The findings arrive as NDJSON, one when each check ends, or as one JSON array with
    `Accept: application/json`. A run takes at most 20 seconds; of a SQLite store, it reads as much as it can in 5. One run at a time on
    each node: a second one is refused (429). Callers that are bound to tenants are refused."""
    findings = context.of(request).doctor.findings()
    accepted = request_body.header(request, b"accept") or ""
    if responses.JSON in accepted and NDJSON_TYPE not in accepted:
        async with aclosing(findings):
            return responses.json([_item(one) async for one in findings])
    first = await anext(findings)  # refusals have their status
    return responses.stream([(b"content-type", NDJSON_TYPE.encode()), responses.NO_STORE], _lines(first, findings))


async def _lines(first: Finding, findings: AsyncIterator[Finding]) -> AsyncIterator[bytes]:
    yield _line(first)
    async for finding in findings:
        yield _line(finding)


def _line(finding: Finding) -> bytes:
    return msgspec.json.encode(_item(finding)) + b"\n"


def _item(finding: Finding) -> FindingItem:
    return FindingItem(*finding)


HANDLERS = (run,)
