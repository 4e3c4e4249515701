"""Requests that schemathesis generates from the OpenAPI document. In a module of its own: reading the document takes a second,
which every process would need that only collects the tests."""

import json
from datetime import UTC, datetime
from pathlib import Path

import schemathesis
from hypothesis import strategies
from schemathesis.checks import load_all_checks

from bellcast.inbox.http.bulk import NDJSON
from bellcast.kernel.limits import Limits
from bellcast.kernel.validation import LOCALE
from bellcast.server import api_app as app
from tests.servers import ServerProcess

# Only its credentials are used; they are the same for every test server.
SERVER = ServerProcess(Path())
# Extra headers are allowed, since proxies add them. Unknown query parameters have their own tests.
# A precondition that is generated seldom holds: 412 refuses a request, and says nothing about a valid one.
REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "412", "415", "422", "428", "429", "5xx"]
VALID = ["2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"]
GENERATION = {
    "generation": {"allow-extra-parameters": False},
    "checks": {
        "negative_data_rejection": {"expected-statuses": REFUSALS},
        "positive_data_acceptance": {"expected-statuses": VALID},
    },
}
CONFIG = schemathesis.Config.from_dict(GENERATION)
WITHOUT_BOUNDS = schemathesis.Config.from_dict({**GENERATION, "phases": {"coverage": {"enabled": False}}})
load_all_checks()


def _with_short_locales(document):
    """Generate locales of few parts: one of exactly the maximum length takes 13 s."""
    if isinstance(document, dict):
        if LOCALE.pattern in str(document.get("pattern")):
            short = document["pattern"].replace(")*", "){0,2}").replace(")+", "){1,2}")
            return {name: value for name, value in document.items() if name != "maxLength"} | {"pattern": short}
        return {name: _with_short_locales(value) for name, value in document.items()}
    if isinstance(document, list):
        return [_with_short_locales(one) for one in document]
    return document


schema = schemathesis.openapi.from_dict(_with_short_locales(app.described(Limits())), config=CONFIG)


# Times that clients send are mostly in the future, and most rules need that.
YEAR_2100, YEAR_2110 = 4_102_444_800, 4_417_977_600
TIMES = strategies.integers(YEAR_2100, YEAR_2110).map(lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat())
schemathesis.openapi.format("date-time", TIMES)
schemathesis.openapi.format("seconds-or-unit", strategies.sampled_from(["25", "1500ms", "90s", "2m", "1.5h", "7d"]))
schemathesis.openapi.format("time-zone", strategies.sampled_from(["Europe/Vienna", "UTC", ""]))
schemathesis.openapi.format("time-or-back", strategies.just("back"))


@schemathesis.serializer(*NDJSON)
def lines(context, value):
    return json.dumps(value)


@schema.auth(refresh_interval=None)  # a cached response would be used for all operations
class Credentials:
    """The credentials that an operation accepts."""

    def get(self, case, context):
        return [name for one in case.operation.definition.raw["security"] for name in one]

    def set(self, case, schemes, context):
        if "server" in schemes:
            case.headers.update(SERVER.as_app())
        elif "session" in schemes:
            case.headers.update(SERVER.as_recipient("schemathesis"))


OPERATIONS = {operation.label: operation for operation in (found.ok() for found in schema.get_all_operations())}
