"""The OpenAPI document matches the server: hundreds of generated valid and invalid requests find no difference."""

import json
import os
import re
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from bellcast.api import app
from bellcast.api.bulk import NDJSON
from bellcast.model.limits import Limits
from tests.servers import ServerProcess

# A longer run: SCHEMATHESIS_EXAMPLES=500 pytest tests/faults/test_schemathesis.py
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "15"))


# Only its credentials are used; they are the same for every test server.
SERVER = ServerProcess(Path())
# Extra headers are allowed, since proxies add them. Unknown query parameters have their own tests.
CONFIG = schemathesis.Config.from_dict({"generation": {"allow-extra-parameters": False}})
# The server has rules that the schemas do not express (either of two fields is required, a time is in the future), and accepts
# some values that they exclude (an empty filter, a body that is left out). Statuses, headers and bodies of responses are checked.
EXCLUDED = [positive_data_acceptance, negative_data_rejection]
schema = schemathesis.openapi.from_dict(app.described(Limits()), config=CONFIG)


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


def check_of(operation):
    """Return the test of one operation. Each has a function of its own: the ids of the library's tests of one function are equal
    in pytest 9, and xdist would run only one of them."""

    @schema.include(method=operation.method.upper(), path=operation.path).parametrize()
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def check(case, bellcast_server):
        response = case.call(base_url=bellcast_server.url)
        case.validate_response(response, excluded_checks=EXCLUDED)

    return check


# Their responses do not end.
STREAMS = ("/v1/feed",)

for found in schema.get_all_operations():
    operation = found.ok()
    if operation.path in STREAMS:
        continue
    name = re.sub(r"\W+", "_", f"{operation.method}{operation.path}").strip("_")
    globals()[f"test_{name}_matches_the_openapi_document"] = check_of(operation)
