"""The OpenAPI document matches the server: hundreds of generated valid and invalid requests find no difference."""

import os
import sys

import pytest
import requests
from hypothesis import HealthCheck, settings

from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import MAX_INTEGER, MIN_INTEGER
from bellcast.server import api_app as app
from tests import thoroughness
from tests.servers import ServerProcess

# Random requests per operation, besides those at the bounds of each field. A longer run:
# SCHEMATHESIS_EXAMPLES=500 pytest --thorough tests/faults/test_schemathesis.py
EXAMPLES = 3
EVERY = 6  # of the operations, the others in thorough runs
THOROUGH_EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "15"))
# Requests at the bounds of each field; of more than these, each nth is sent. A template has 6,000 for the blocks of its e-mail,
# two thirds of the operations have fewer than 100. A thorough run sends all, and for all operations instead of each fourth:
# generating them takes longer than sending them.
AT_BOUNDS = 100
OPERATIONS_PER_BOUNDS = 4
# Operations that take a whole template, as `PUT /v1/templates/{key}` does, which runs in every run.
WITH_A_TEMPLATE = {f"POST /v1/templates/{{key}}/{action}" for action in ("check", "html", "preview", "test")}

# A new operator's password is hashed in 0.1 s: only invalid ones are sent.
ONLY_INVALID = {"POST /v1/operators"}
# Valid according to the document, but refused by a rule that JSON Schema cannot express.
UNEXPRESSED = {
    "POST /v1/notifications": "its template exists, channels are different, `unless` needs the inbox",
    "PATCH /v1/notifications/{id}": "the keys of actions are different",
    "GET /v1/announcements": "`state` is for a recipient",
    "GET /v1/explain": "one of several parameters",
    "GET /v1/recipients": "`keys` excludes other filters, and names tenants if all are listed",
    "GET /v1/stats/series": "steps of a tenant differ, a range has at most 2,000 steps",
    "GET /v1/templates/{key}/html": "JSON in a parameter",
    "POST /v1/push-endpoints": "a URL outside of private networks, a key on its curve",
    "POST /v1/recipients/{key}/push-endpoints": "the same",
    "POST /v1/webhooks": "a URL outside of private networks",
    "PATCH /v1/webhooks/{id}": "the same",
    "POST /v1/pusher-apps": "origins are URLs without a path",
    "PATCH /v1/pusher-apps/{id}": "the same",
    "PUT /v1/suppressions/{channel}/{address}": "the address is of the channel",
    "DELETE /v1/suppressions/{channel}/{address}": "the same",
    **dict.fromkeys(("PUT /v1/preferences", "PATCH /v1/preferences"), "workflows that exist"),
    "PUT /v1/recipients/{key}/preferences": "the same",
    "PATCH /v1/recipients/{key}/preferences": "the same",
    "PUT /v1/preference-defaults": "`muted` is for recipients only, workflows that exist",
    "PATCH /v1/preference-defaults": "the same",
    "DELETE /v1/preference-defaults": "the ETag of the object",
    "PATCH /v1/settings": "each setting has its own syntax",
    "POST /v1/settings/test": "`app` and `values` are of Pusher",
    "PUT /v1/providers/{key}": "each provider has its own URL",
    "POST /v1/providers/{key}/test": "the same",
    "PUT /v1/schedules/{key}": "cron, time zones, a workflow that exists",
    "PUT /v1/sources/{key}": "templates, conditions, a workflow that exists",
    "PUT /v1/templates/{key}": "the syntax of templates, a layout that exists",
    "POST /v1/templates/{key}/preview": "the variables of the template",
    "POST /v1/templates/{key}/check": "the same",
    "POST /v1/templates/import": "the syntax of MJML",
    "POST /v1/editor-tokens": "a tenant, an origin, an e-mail",
    "DELETE /v1/editor-tokens": "a tenant",
    "POST /v1/templates/{key}/html": "the variables of the template",
    "POST /v1/templates/{key}/test": "a recipient with an address",
    "POST /v1/workflows/{key}/trigger": "the schema of the workflow, time zones",
    "POST /v1/workflows/{key}/simulate": "the steps of the workflow, different recipients",
    "POST /v1/providers/{key}/receipts": "each provider has its own receipts",
    "PUT /v1/types/{key}": "a template that exists, different channels",
    "PUT /v1/workflows/{key}": "the fields of each type of step",
    "POST /v1/keys": "`ttl` is from a second to 366 days",
    "GET /v1/bundle": "kinds are separated by commas",
    "POST /v1/bundle": "each kind has its own values",
    **dict.fromkeys(
        (
            f"{method} /v1/{plural}/{{key}}/{action}"
            for method, action in (("PUT", "draft"), ("POST", "publish"))
            for plural in ("templates", "workflows")
        ),
        "the ETag of the draft",
    ),
    "PUT /v1/tenants/{key}": "the ETag of the object",
    "PUT /v1/tenants/{key}/brand": "the same",
    **dict.fromkeys(
        (
            f"DELETE /v1/{plural}/{{key}}"
            for plural in ("providers", "schedules", "sources", "templates", "types", "workflows")
        ),
        "the ETag of the object",
    ),
}
# Invalid according to the document, but accepted. Items of a list are refused one by one, in a 200.
ACCEPTED = {"POST /v1/import", "POST /v1/notifications/bulk", "POST /v1/recipients/bulk"}


@pytest.fixture(scope="module")
def bellcast_server(tmp_path_factory):
    """A separate server: valid requests change defaults and settings on which tests of the shared server rely."""
    with ServerProcess(tmp_path_factory.mktemp("schemathesis") / "data") as server:
        yield server


def _as_clients_send(case):
    """Write numbers as clients do, send only cursors from pages, and name a tenant or a key in one place only:
    contradictory ones are refused."""
    case.body = _as_json_of_clients(case.body)
    if not case.meta.generation.mode.is_positive:
        return case
    for cursor in ("after", "before"):
        (case.query or {}).pop(cursor, None)
    if isinstance(case.body, dict):
        if case.body.get("tenant") is not None:
            case.query.pop("tenant", None)
        if case.body.get("idempotency_key") is not None:
            case.headers.pop("Idempotency-Key", None)
    return case


def _as_json_of_clients(value):
    if isinstance(value, dict):
        return {name: _as_json_of_clients(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_json_of_clients(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    # Larger integers are refused wherever any JSON is allowed, which no schema can express.
    is_too_large = isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER
    return float(value) if is_too_large and abs(value) < sys.float_info.max else value


# The response does not end: only the start of an accepted one is read.
STREAMS = {"GET /v1/feed"}
LABELS = [f"{method.upper()} {path}" for path, item in app.described(Limits())["paths"].items() for method in item]


@pytest.mark.parametrize(
    "label",
    [
        pytest.param(label, marks=[pytest.mark.thorough] if label in WITH_A_TEMPLATE or number % EVERY else [])
        for number, label in enumerate(LABELS)
    ],
)
def test_operation_matches_the_openapi_document(label, bellcast_server):
    from schemathesis.core import NotSet
    from schemathesis.generation.feedback import FeedbackSources
    from schemathesis.pytest._test_builder import build_operation_test
    from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

    from tests.faults.openapi_requests import CONFIG, OPERATIONS, WITHOUT_BOUNDS

    operation = OPERATIONS[label]
    has_optional_body = not operation.definition.raw.get("requestBody", {}).get("required", True)
    excluded = [positive_data_acceptance] if label in UNEXPRESSED else []
    excluded += [negative_data_rejection] if label in ACCEPTED else []

    # It repeats each request twice without valid credentials. TestEveryPath sends one of each operation.
    excluded += [] if thoroughness.is_thorough else [ignored_auth]
    examples = THOROUGH_EXAMPLES if thoroughness.is_thorough else EXAMPLES

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def check(case):
        if label in ONLY_INVALID and case.meta.generation.mode.is_positive:
            return
        response = _send(_as_clients_send(case), bellcast_server, is_endless=label in STREAMS)
        # The library considers a missing body invalid, even where it is optional.
        is_without_body = has_optional_body and isinstance(case.body, NotSet)
        unchecked = [*excluded, negative_data_rejection] if is_without_body else excluded
        case.validate_response(response, excluded_checks=unchecked)

    is_at_bounds = thoroughness.is_thorough or LABELS.index(label) % OPERATIONS_PER_BOUNDS == 0
    # The library's own pytest items are built while pytest collects, in each worker: 50 s and 3 GB in all.
    test = build_operation_test(
        config=(CONFIG if is_at_bounds else WITHOUT_BOUNDS).projects.default,
        operation=operation,
        test_func=check,
        given_kwargs={},
        feedback=FeedbackSources(),
    )
    if is_at_bounds and not thoroughness.is_thorough:
        at_bounds = test.hypothesis_explicit_examples
        test.hypothesis_explicit_examples = at_bounds[:: len(at_bounds) // AT_BOUNDS + 1]
    test()


def _send(case, server, *, is_endless):
    if not is_endless:
        return case.call(base_url=server.url)
    with requests.request(**case.as_transport_kwargs(base_url=server.url), stream=True) as response:
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            response._content = b""  # what `content` returns, instead of waiting for the end
        assert response.content is not None  # read before the connection is closed
        return response
