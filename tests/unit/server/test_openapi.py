"""The OpenAPI document follows the operations and the limits in force."""

import json
import re

import jsonschema_rs
import pytest
from msgspec import structs

from bellcast.kernel.limits import Limits
from bellcast.rest.operations import refusals
from bellcast.server import api_app as app


@pytest.fixture(scope="module")
def document():
    return app.described(Limits())


def test_document_contains_the_limits_in_force():
    schemas = app.described(Limits(title=7, to=3, tags=0))["components"]["schemas"]
    draft = schemas["Draft"]["properties"]
    assert draft["title"]["maxLength"] == 7
    assert draft["to"]["anyOf"][1]["maxItems"] == 3
    assert "maxItems" not in draft["tags"]


def test_every_condition_names_existing_fields(document):
    for name, schema in document["components"]["schemas"].items():
        conditions = {keyword: schema[keyword] for keyword in ("if", "then", "else", "not") if keyword in schema}
        assert named_fields(conditions) <= schema["properties"].keys(), name


def named_fields(part):
    """Return the fields that a condition names, at every level."""
    if not isinstance(part, dict):
        return {name for item in part for name in named_fields(item)} if isinstance(part, list) else set()
    return part.get("properties", {}).keys() | {name for item in part.values() for name in named_fields(item)}


def validator(document, schema):
    return jsonschema_rs.validator_for({**schema, "components": document["components"]})


def bodies(document):
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield f"{method} {path}", content


def test_examples_are_valid(document):
    document = json.loads(json.dumps(document))
    examples = {name: content for name, content in bodies(document) if "example" in content}
    assert len(examples) > 50
    for name, content in examples.items():
        assert validator(document, content["schema"]).is_valid(content["example"]), name


def test_change_of_preferences_may_set_one_of_the_quiet_hours(document):
    document = json.loads(json.dumps(document))
    half = {"quiet_hours": {"start": "22:00"}}
    schemas = {name: content["schema"] for name, content in bodies(document) if name.endswith("preferences")}
    accepted = {name for name, schema in schemas.items() if validator(document, schema).is_valid(half)}
    assert accepted == {name for name in schemas if name.startswith("patch ")}
    assert accepted


def test_document_describes_its_tags_and_names_its_license_and_server(document):
    used = {tag for path in document["paths"].values() for operation in path.values() for tag in operation["tags"]}
    assert {tag["name"] for tag in document["tags"] if tag["description"]} == used
    assert document["info"]["license"]["identifier"] == "Apache-2.0"
    assert document["servers"] == [{"url": "/"}]


def test_fields_have_no_default_or_constant_that_generators_would_misread(document):
    for name, schema in document["components"]["schemas"].items():
        assert not {"oneOf", "anyOf", "allOf"} & schema.keys(), name
        for field, description in schema.get("properties", {}).items():
            assert not {"default", "const"} & description.keys(), (name, field)


@pytest.mark.parametrize(
    "name", ["Notification", "SentNotification", "Recipient", "InboxListing", "Tenant", "ApiKey", "TimelineEntry"]
)
def test_every_field_of_a_response_is_required(document, name):
    schema = document["components"]["schemas"][name]
    # Few notifications have this field: those that are snoozed until the recipient is back.
    optional = {"awaits_return"} if name in ("Notification", "SentNotification") else set()
    assert set(schema["required"]) == schema["properties"].keys() - optional


@pytest.mark.parametrize("name", ["WorkflowObject", "PublishedWorkflow", "ScheduleObject"])
def test_fields_that_a_definition_may_leave_out_are_optional_in_its_response(document, name):
    schema = document["components"]["schemas"][name]
    assert {"type", "data"} & schema["properties"].keys()
    assert not {"type", "data"} & set(schema["required"])


def test_only_the_fields_without_a_default_are_required_in_a_request(document):
    schemas = document["components"]["schemas"]
    required = {name: schemas[name].get("required", []) for name in ("Draft", "EventDraft", "TokenRequest", "Actor")}
    assert required == {"Draft": ["to"], "EventDraft": ["name"], "TokenRequest": ["recipient"], "Actor": []}


def test_every_schema_is_referenced(document):
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text


def test_conditions_match_the_servers_validation(document):
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
        assert [value for value in good if not validator.is_valid(value)] == []
        assert [value for value in bad if validator.is_valid(value)] == []


def test_every_operation_has_a_unique_name_and_a_summary(document):
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert document["paths"]["/v1/settings/test"]["post"]["operationId"] == "settings.test"
    for operation in operations:
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}
        assert not operation["summary"].endswith(".")


# Reading operations for authors only: masked data is data of sends nevertheless.
AUTHORS = ("/v1/keys", "/v1/templates/{key}/samples", "/v1/templates/{key}/variables")


# A simulation sends and stores nothing.
READING_POSTS = ("/v1/doctor", "/v1/workflows/{key}/simulate")


def test_scope_read_opens_reading_operations_only(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path.startswith("/v1/") and "x-scope" in operation:
                is_reading = (method == "get" and path not in AUTHORS) or path in READING_POSTS
                assert operation["x-scope"] in (
                    ("read", "observe", "configure", "admin")
                    if is_reading
                    else ("send", "manage", "configure", "admin")
                ), path


def test_examples_match_their_schema(document):
    import jsonschema_rs

    components = document["components"]
    for item in document["paths"].values():
        for operation in item.values():
            for body in operation.get("requestBody", {}).get("content", {}).values():
                if "example" in body:
                    jsonschema_rs.validate({**body["schema"], "components": components}, body["example"])


@pytest.mark.parametrize(
    ("path", "accepts_every"),
    [
        ("/v1/failures", True),
        ("/v1/failures/causes", True),
        ("/v1/messages", True),
        ("/v1/stats", True),
        ("/v1/webhooks", True),
        ("/v1/webhooks/{id}", True),
        ("/v1/replays", True),
        ("/v1/replays/{id}", False),
        ("/v1/schedules", True),
        ("/v1/keys", True),
    ],
)
def test_tenant_of_lists_may_be_every(document, path, accepts_every):
    parameters = document["paths"][path]["get"]["parameters"]
    (pattern,) = [one["schema"]["pattern"] for one in parameters if one["name"] == "tenant"]
    assert bool(re.search(pattern, "*")) is accepts_every


def test_times_have_a_format_and_query_parameters_are_not_nullable(document):
    schemas = document["components"]["schemas"]
    assert schemas["Notification"]["properties"]["created_at"]["format"] == "date-time"
    assert schemas["Notification"]["properties"]["read_at"]["anyOf"][0]["format"] == "date-time"
    for parameter in document["paths"]["/v1/inbox"]["get"]["parameters"]:
        assert "anyOf" not in parameter["schema"]


def test_write_on_a_condition_returns_the_next_one(document):
    writes = [
        operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in ("put", "patch") and "If-Match" in [one["name"] for one in operation.get("parameters", ())]
    ]
    assert len(writes) > 10
    for operation in writes:
        answers = [answer for status, answer in operation["responses"].items() if status in ("200", "201")]
        assert all("ETag" in answer.get("headers", ()) for answer in answers), operation["operationId"]


def test_publish_requires_the_etag_of_the_reviewed_draft(document):
    def is_required(method, path):
        parameters = document["paths"][path][method]["parameters"]
        return [one.get("required", False) for one in parameters if one["name"] == "If-Match"]

    assert (
        is_required("post", "/v1/workflows/{key}/publish")
        == is_required("post", "/v1/templates/{key}/publish")
        == [True]
    )
    assert is_required("put", "/v1/templates/{key}") == [False]


def test_operations_declare_only_the_refusals_that_nothing_implies():
    for endpoint in app.HANDLERS:
        bare = structs.replace(endpoint, operation=structs.replace(endpoint.operation, refusals=()))
        assert not {*endpoint.operation.refusals}.intersection(refusals(bare)), endpoint.path
