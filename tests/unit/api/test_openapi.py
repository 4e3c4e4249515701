"""The OpenAPI document follows the operations and the limits in force."""

import json

import pytest

from bellcast.api import app, schema_limits
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
    for name, fields in schema_limits.fields(Limits()).items():
        assert fields.keys() <= schemas[name]["properties"].keys(), name
    for name, together in schema_limits.alternatives().items():
        assert named(together) <= schemas[name]["properties"].keys(), name


def named(part):
    """The fields that a condition names, on every level."""
    if not isinstance(part, dict):
        return {name for one in part for name in named(one)} if isinstance(part, list) else set()
    return part.get("properties", {}).keys() | {name for one in part.values() for name in named(one)}


def test_fields_have_no_default_and_no_constant_that_generators_take_for_always_there(document):
    for name, schema in document["components"]["schemas"].items():
        assert not {"oneOf", "anyOf", "allOf"} & schema.keys(), name
        for field, told in schema.get("properties", {}).items():
            assert not {"default", "const"} & told.keys(), (name, field)


@pytest.mark.parametrize(
    "name", ["Notification", "SentNotification", "Recipient", "InboxListing", "Tenant", "ApiKey", "TimelineEntry"]
)
def test_every_field_of_an_answer_is_required(document, name):
    schema = document["components"]["schemas"][name]
    assert set(schema["required"]) == schema["properties"].keys()


def test_only_the_fields_without_a_default_are_required_in_a_request(document):
    schemas = document["components"]["schemas"]
    required = {name: schemas[name].get("required", []) for name in ("Draft", "EventDraft", "TokenRequest", "Actor")}
    assert required == {"Draft": ["to", "title"], "EventDraft": ["name"], "TokenRequest": ["recipient"], "Actor": []}


def test_no_schema_is_there_that_nothing_refers_to(document):
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text


def test_a_condition_accepts_and_refuses_what_the_server_does(document):
    import jsonschema_rs

    components = document["components"]
    cases = {
        "Selection": (
            [{"ids": ["a"]}, {"all": True}, {"all": True, "of": {"type": "x"}}],
            [{}, {"all": False}, {"all": True, "ids": []}, {"ids": ["a"], "of": {"type": "x"}}],
        ),
        "Patch": ([{"read": False}, {"seen": True, "read": True}], [{}, {"read": None}, {"seen": False, "read": True}]),
        "EventDraft": (
            [{"name": "x", "topic": "a"}, {"name": "x", "topics": ["a"]}, {"name": "x", "recipient": "a"}],
            [
                {"name": "x"},
                {"name": "x", "topic": "a", "recipient": "b"},
                {"name": "x", "topics": ["a"], "recipient": "b"},
            ],
        ),
        "Audience": (
            [{"topic": "a"}, {"role": "a", "tenant": "b"}, {"tenant": "b"}, {"all": True, "tenant": "*"}],
            [{}, {"all": False}, {"topic": "a", "role": "b"}, {"all": True, "topic": "a"}],
        ),
    }
    for name, (good, bad) in cases.items():
        validator = jsonschema_rs.validator_for({"$ref": f"#/components/schemas/{name}", "components": components})
        assert [one for one in good if not validator.is_valid(one)] == []
        assert [one for one in bad if validator.is_valid(one)] == []


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
