"""JSON Schemas of objects, from which editors build forms."""

import pytest
from typer.testing import CliRunner

from bellcast.cli import data_types
from bellcast.webhooks import webhooks
from bellcast.workflows.definitions import STEP_TYPES
from tests.journey.rest import refused


async def test_schema_of_workflows_has_every_field_with_label_and_control(rest):
    schema = (await rest.app.get("/v1/schemas/workflow")).json()
    assert schema["$defs"].keys() - {"step"} == STEP_TYPES.keys()
    for type, fields in STEP_TYPES.items():
        step = schema["$defs"][type]
        assert step["properties"].keys() == {"key", "type", "if", "note", *fields}
        assert step["required"] == ["key", "type", *(name for name, field in fields.items() if field.is_required)]
        shown = [one for name, one in step["properties"].items() if name != "type"]
        assert all(one["x-label"] and one["x-widget"] for one in shown)


@pytest.mark.parametrize("name", ["template", "type", "schedule", "source", "provider", "webhook", "bundle"])
async def test_other_schemas_have_labels_and_controls(rest, name):
    schema = (await rest.app.get(f"/v1/schemas/{name}")).json()
    fields = [one for part in schema["$defs"].values() for one in part.get("properties", {}).values()]
    assert fields
    assert all(one["x-label"] and one["x-widget"] for one in fields)


async def test_schema_of_webhooks_explains_each_type_of_event(rest):
    schema = (await rest.app.get("/v1/schemas/webhook")).json()
    *types, _patterns = schema["$defs"]["WebhookRequest"]["properties"]["events"]["items"]["oneOf"]
    assert [one["const"] for one in types] == list(webhooks.TYPES)
    assert all(one["description"].endswith(".") for one in types)


async def test_unknown_schema_is_not_found(rest):
    assert refused(await rest.app.get("/v1/schemas/none"), 404, "not_found")


async def test_command_prints_the_same_schema(rest):
    result = CliRunner().invoke(data_types.app, ["schema", "workflow"])
    assert result.exit_code == 0, result.output
    assert '"x-widget": "duration"' in result.stdout
