"""The parameter `limit` of lists: a larger value than the maximum is refused with the field's name."""

import re
from typing import Any

import pytest

from bellcast.kernel.http import MAX_APP_PAGE_ROWS, MAX_PAGE_ROWS
from bellcast.server.api_app import HANDLERS
from tests.journey.rest import Rest, fields, refused

# The inbox belongs to one person; the events of a topic are read to catch up; the verification reads a chain.
OTHERS = {
    "/v1/inbox": 100,
    "/v1/inbox/changes": 100,
    "/v1/topics/{topic:str}/events": 1_000,
    "/v1/audit/verification": 5_000,
}
LISTS = [
    endpoint.path
    for endpoint in HANDLERS
    if endpoint.method == "GET" and "limit" in (endpoint.operation.query_names or ())
]


_paths: dict[str, Any] = {}  # of the OpenAPI document, which takes 0.3 s to build


async def maximum(rest: Rest, path: str) -> int:
    """Return the documented maximum of a list."""
    if not _paths:
        _paths.update((await rest.app.get("/openapi.json")).json()["paths"])
    operation = _paths[re.sub(r":\w+\}", "}", path)]["get"]
    (limit,) = [one["schema"]["maximum"] for one in operation["parameters"] if one["name"] == "limit"]
    return int(limit)


@pytest.mark.parametrize("path", LISTS)
async def test_limit_above_the_maximum_is_refused(rest: Rest, path: str) -> None:
    url, most = re.sub(r"\{.*?\}", "x", path), await maximum(rest, path)
    assert most in (OTHERS.get(path, MAX_PAGE_ROWS), MAX_APP_PAGE_ROWS)
    caller = rest.recipient("alice") if path.startswith("/v1/inbox") else rest.app
    accepted = await caller.get(url, params={"limit": most})
    assert accepted.status_code in (200, 404), accepted.text
    larger = await caller.get(url, params={"limit": most + 1})
    assert refused(larger, 422, "invalid")
    assert fields(larger).keys() == {"limit"}
