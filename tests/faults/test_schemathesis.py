"""What the OpenAPI document says is true: hundreds of requests made from it, good and bad ones, find nothing."""

import json
import os
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from bellcast.api import app
from bellcast.api.bulk import NDJSON
from bellcast.model.limits import Limits
from tests.servers import ServerProcess

# More of it by hand: SCHEMATHESIS_EXAMPLES=500 pytest tests/faults/test_schemathesis.py
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "15"))


# Only its credentials are asked; they are the same for every test server.
SERVER = ServerProcess(Path())
# An extra header breaks no promise: proxies add their own. Unknown query parameters have tests of their own.
CONFIG = schemathesis.Config.from_dict({"generation": {"allow-extra-parameters": False}})
# Rules no schema can state: the tenant in the query and in the body are one, a time is to come, data has its bytes
# counted, a duration has its bounds.
BEYOND = {"tenant", "to.tenant", "expires_at", "data", "settings", "ttl"}
schema = schemathesis.openapi.from_dict(app.described(Limits()), config=CONFIG)


@schemathesis.serializer(*NDJSON)
def lines(context, value):
    return json.dumps(value)


@schema.auth()
class Credentials:
    """Everybody at their own door."""

    def get(self, case, context):
        return [name for one in case.operation.definition.raw["security"] for name in one]

    def set(self, case, doors, context):
        if "server" in doors:
            case.headers.update(SERVER.as_app())
        elif "session" in doors:
            case.headers.update(SERVER.as_recipient("schemathesis"))


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_the_document_is_true(case, bellcast_server):
    answer = case.call(base_url=bellcast_server.url)
    excluded = [positive_data_acceptance] if answer.status_code == 422 and named(answer) <= BEYOND else []
    case.validate_response(answer, excluded_checks=excluded)


def named(answer):
    """The fields a refusal is about."""
    return {error["field"] for error in answer.json()["errors"]}
