"""JSON Schemas of the objects that the app defines, made from the code that checks them. Editors build forms from them."""

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from bellcast.documents.types import MAX_OBJECT_KEY
from bellcast.inbox.types import NotificationType
from bellcast.kernel.errors import NotFound
from bellcast.providers.types import ProviderFields
from bellcast.rest.bundles import Push
from bellcast.rest.resource import Resource, ResourceCall
from bellcast.templates.types import Template
from bellcast.webhooks.http import WebhookRequest
from bellcast.webhooks.webhooks import TYPES
from bellcast.workflows.definitions import MAX_NOTE, MAX_STEPS
from bellcast.workflows.event_sources import EventSource
from bellcast.workflows.schedule_times import Schedule
from bellcast.workflows.step_fields import LABELS, STEP_TYPES

JsonSchema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
NOTE: JsonSchema = {"type": "string", "maxLength": MAX_NOTE, "x-widget": "note", "x-label": "Note"}
KEY_TEXT: JsonSchema = {"type": "string", "maxLength": MAX_OBJECT_KEY, "pattern": "^[A-Za-z0-9_-]+$"}
KEY: JsonSchema = {**KEY_TEXT, "x-widget": "key", "x-label": "Key"}
CONDITION: JsonSchema = {"type": "object", "x-widget": "condition", "x-label": "Only if"}
REFERENCE: JsonSchema = {
    "type": "object",
    "required": ["var"],
    "properties": {"var": {"type": "string"}},
    "additionalProperties": False,
}
# The control of a field by the type of its value; others are edited as JSON.
WIDGETS = {"string": "text", "integer": "integer", "number": "number", "boolean": "switch"}
# What is sent to a recipient, as a schedule or an event source has it.
NOTIFICATION: JsonSchema = {
    "x-widget": "fields",
    "properties": {
        "to": {"x-widget": "recipients", "x-label": "To"},
        "title": {"x-widget": "text", "x-label": "Title"},
        "body": {"x-widget": "note", "x-label": "Text"},
        "type": {"x-widget": "type-key", "x-label": "Type"},
        "template": {"x-widget": "template-key", "x-label": "Template"},
    },
}
CONTENT: dict[str, JsonSchema] = {
    "notification": NOTIFICATION,
    "workflow": {"x-widget": "workflow-key"},
    "to": {"x-widget": "recipients"},
}
# The controls of fields whose types do not determine one, by the name of the struct.
CONTROLS: dict[str, dict[str, JsonSchema]] = {
    "NotificationType": {
        "channels": {"x-widget": "channels"},
        "template": {"x-widget": "template-key"},
        "data_check": {"x-label": "Data that does not fit the schema"},
    },
    "Schedule": {
        "cron": {"x-widget": "times", "x-label": "When"},
        "timezone": {"x-widget": "timezone", "x-label": "Time zone", "examples": ["Europe/Vienna"]},
        **CONTENT,
    },
    "EventSource": {
        "topic": {"x-widget": "place", "x-label": "Published"},
        "if": {"x-widget": "condition", "x-label": "Only if"},
        **CONTENT,
    },
}
STEPS: JsonSchema = {"type": "array", "minItems": 1, "maxItems": MAX_STEPS, "items": {"$ref": "#/$defs/step"}}


def workflow() -> JsonSchema:
    """Return the schema of workflows. Each type of step is a definition with its fields."""
    return {
        "$schema": DIALECT,
        "title": "Workflow",
        "type": "object",
        "required": ["steps"],
        "additionalProperties": False,
        "properties": {
            "type": {"type": "string", "x-widget": "type-key", "x-label": "Type of its notifications"},
            "data": {"type": "object", "x-widget": "data-schema", "x-label": "Schema of the data"},
            "note": NOTE,
            "steps": STEPS,
        },
        "$defs": {
            "step": {"oneOf": [{"$ref": f"#/$defs/{type}"} for type in STEP_TYPES]},
            **{type: _step(type) for type in STEP_TYPES},
        },
    }


def _step(type: str) -> JsonSchema:
    fields = STEP_TYPES[type]
    shown: JsonSchema = {
        "key": KEY,
        "type": {"const": type},
        **{
            name: {
                "x-widget": field.widget,
                "x-label": field.label or _label(name),
                **({"anyOf": [dict(field.schema), REFERENCE]} if field.can_be_reference else field.schema),
            }
            for name, field in fields.items()
        },
        "if": CONDITION,
        "note": NOTE,
    }
    if type == "branch":
        branch = {"type": "object", "required": ["if", "steps"], "properties": {"if": CONDITION, "steps": STEPS}}
        shown["branches"] |= {"minItems": 1, "items": branch | {"additionalProperties": False}}
        shown["else"] |= STEPS
    return {
        "title": LABELS[type],
        "type": "object",
        "required": ["key", "type", *(name for name, field in fields.items() if field.is_required)],
        "additionalProperties": False,
        "properties": shown,
    }


def _label(name: str) -> str:
    return name[0].upper() + name[1:].replace("_", " ")


def _of_type(type: Any) -> JsonSchema:
    """Return the schema of a struct, with a label and a control on each field."""
    schema = msgspec.json.schema(type)
    for title, definition in schema.get("$defs", {}).items():
        for name, field in definition.get("properties", {}).items():
            field |= CONTROLS.get(title, {}).get(name, {})
            field.setdefault("x-label", _label(name))
            one = next((each for each in field.get("anyOf", [field]) if each.get("type") != "null"), field)
            field.setdefault("x-widget", "select" if "enum" in one else WIDGETS.get(one.get("type", ""), "json"))
    return {"$schema": DIALECT, **schema}


def webhook() -> JsonSchema:
    """Return the schema of webhooks. Each type of event is a constant, with what it means as its description."""
    schema = _of_type(WebhookRequest)
    types = [{"const": type, "description": text} for type, text in TYPES.items()]
    patterns = {"type": "string", "pattern": r"^([a-z]+\.)?\*$", "description": "All types, or those of a group."}
    schema["$defs"]["WebhookRequest"]["properties"]["events"]["items"] = {"oneOf": [*types, patterns]}
    return schema


SCHEMAS: dict[str, Callable[[], JsonSchema]] = {
    "workflow": workflow,
    "template": functools.partial(_of_type, Template),
    "type": functools.partial(_of_type, NotificationType),
    "schedule": functools.partial(_of_type, Schedule),
    "source": functools.partial(_of_type, EventSource),
    "provider": functools.partial(_of_type, ProviderFields),
    "webhook": webhook,
    "bundle": functools.partial(_of_type, Push),
}


@Resource("schemas", "/{name:str}", tag="Objects", query=None).get(dict[str, Any], bound_by="handler")
async def read(call: ResourceCall[None]) -> Any:
    """Read the JSON Schema of an object.

    Of a `workflow`, `template`, `type`, `schedule`, `source`, `provider` or `webhook`, or of a `bundle` of them as `POST /v1/bundle` takes it. `x-label` is the label of a field, and `x-widget` names
    the control that edits it."""
    schema = SCHEMAS.get(*call.key)
    if schema is None:
        raise NotFound(f"There is no schema with this name: expected {', '.join(SCHEMAS)}.")
    return schema()
