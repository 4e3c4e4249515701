"""The OpenAPI document follows the operations and the limits in force."""

import pytest

from bellcast.api import app, bounds
from bellcast.model.limits import Limits


@pytest.fixture(scope="module")
def document():
    return app.described(Limits())


def test_limits_in_force_are_in_it():
    schemas = app.described(Limits(title=7, to=3, tags=0))["components"]["schemas"]
    draft = schemas["Draft"]["properties"]
    assert draft["title"]["maxLength"] == 7
    assert draft["to"]["anyOf"][1]["maxItems"] == 3
    assert "maxItems" not in draft["tags"]


def test_every_bound_is_of_a_field_there_is(document):
    schemas = document["components"]["schemas"]
    for name, fields in bounds.fields(Limits()).items():
        assert fields.keys() <= schemas[name]["properties"].keys(), name
    for name, together in bounds.alternatives().items():
        for alternative in together.get("oneOf", together.get("anyOf", ())):
            assert alternative["properties"].keys() <= schemas[name]["properties"].keys(), name


def test_every_operation_has_a_name_of_its_own_and_says_what_it_is(document):
    operations = [said for item in document["paths"].values() for said in item.values()]
    names = [said["operationId"] for said in operations]
    assert len(set(names)) == len(names)
    for said in operations:
        assert said["tags"][0] in {tag["name"] for tag in document["tags"]}
        assert not said["summary"].endswith(".")


def test_every_changing_operation_is_closed_to_those_who_only_read(document):
    for path, item in document["paths"].items():
        for method, said in item.items():
            if path.startswith("/v1/") and "x-scope" in said:
                assert (said["x-scope"] == "read") is (method == "get" and path != "/v1/keys"), (method, path)


def test_examples_keep_to_their_schema(document):
    import jsonschema_rs

    components = document["components"]
    for item in document["paths"].values():
        for said in item.values():
            for body in said.get("requestBody", {}).get("content", {}).values():
                if "example" in body:
                    jsonschema_rs.validate({**body["schema"], "components": components}, body["example"])


def test_times_are_times_and_null_is_only_where_it_can_be(document):
    schemas = document["components"]["schemas"]
    assert schemas["Notification"]["properties"]["created_at"]["format"] == "date-time"
    assert schemas["Notification"]["properties"]["read_at"]["anyOf"][0]["format"] == "date-time"
    for parameter in document["paths"]["/v1/inbox"]["get"]["parameters"]:
        assert "anyOf" not in parameter["schema"]
