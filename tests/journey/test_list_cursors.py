"""The parameter `after` of lists: a text that is not a cursor of the list is refused."""

import re

import pytest

from bellcast.server.api_app import HANDLERS
from tests.contract.app import App
from tests.contract.replays.test_store_replays import id_of, set_dead
from tests.journey.rest import Rest, fields, refused

# Any text can be a key.
BY_KEY = {
    "/v1/jobs",
    "/v1/layouts",
    "/v1/nodes",
    "/v1/operators",
    "/v1/providers",
    "/v1/recipients",
    "/v1/recipients/{key:str}/subscriptions",
    "/v1/schedules",
    "/v1/sources",
    "/v1/suppressions",
    "/v1/templates",
    "/v1/tenants",
    "/v1/topics",
    "/v1/topics/{topic:str}/subscriptions",
    "/v1/types",
    "/v1/webhooks",
    "/v1/workflows",
}
# The mailbox is a page for people; the verification counts entries.
OTHERS = {"/mailbox/{token:str}", "/v1/audit/verification"}
LISTS = [
    endpoint.path
    for endpoint in HANDLERS
    if endpoint.method == "GET" and "after" in (endpoint.operation.query_names or ()) and endpoint.path not in OTHERS
]


@pytest.mark.parametrize("path", ["/v1/recipients", "/v1/connections", "/v1/topics/t/subscriptions"])
async def test_both_names_of_a_cursor_are_refused(rest: Rest, path: str) -> None:
    assert set(fields(await rest.app.get(path, params={"after": "", "before": ""}))) == {"before"}


@pytest.mark.parametrize("path", LISTS)
async def test_text_that_is_not_a_cursor_is_refused(rest: Rest, path: str) -> None:
    response = await rest.app.get(re.sub(r"\{.*?\}", "x", path), params={"after": "junk"})
    if path in BY_KEY:
        assert response.status_code in (200, 404), response.text
    else:
        assert refused(response, 400, "bad_request")
        assert "`after`" in response.json()["detail"]


async def test_dead_jobs_of_any_id_have_pages(rest: Rest) -> None:
    event = id_of(1)
    jobs = [event, f"{event}:{id_of(2)}", "digest:acme:ann lee:0", "schedule acme daily"]
    for id in jobs:
        await set_dead(App(rest.store, rest.clock), id)
    for path, rows in (("/v1/failures", "failures"), ("/v1/jobs", "jobs")):
        page = (await rest.app.get(path, params={"limit": 1})).json()
        found = page[rows]
        while page["next"] is not None:
            page = (await rest.app.get(path, params={"limit": 1, "after": page["next"]})).json()
            found += page[rows]
        assert sorted(one["id"] for one in found) == jobs
