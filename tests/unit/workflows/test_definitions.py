"""Invalid workflow definitions are refused with the path of each invalid part."""

import contextlib
import tracemalloc
from typing import Any

import pytest

from bellcast.kernel import data_schemas
from bellcast.kernel.errors import Invalid
from bellcast.workflows import definitions

BELL = {"key": "bell", "type": "inbox", "title": "Hello"}


def errors(value: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        definitions.parse(value)
    return {error.field: error.message for error in refused.value.errors}


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([], "steps"),
        ([{"key": "a", "type": "nothing"}], "steps.0.type"),
        ([{"key": "a.b", "type": "stop"}], "steps.0.key"),
        ([{"key": "a", "type": "stop"}, {"key": "a", "type": "stop"}], "steps.1.key"),
        ([{"key": "a", "type": "stop", "x": 1}], "steps.0.x"),
        ([{"key": "a", "type": "inbox"}], "steps.0"),
        ([{"key": "a", "type": "inbox", "title": "{{ x"}], "steps.0.title"),
        ([{"key": "a", "type": "inbox", "title": " "}], "steps.0.title"),
        ([{"key": "a", "type": "email", "subject": "", "text": "x"}], "steps.0.subject"),
        ([{"key": "a", "type": "email", "text": "x"}], "steps.0.subject"),
        ([{"key": "a", "type": "sms", "text": ""}], "steps.0.text"),
        ([{"key": "a", "type": "push", "title": "", "body": "x"}], "steps.0.title"),
        ([{"key": "a", "type": "push", "body": "x"}], "steps.0.title"),
        ([{"key": "a", "type": "chat", "text": " "}], "steps.0.text"),
        ([{"key": "a", "type": "inbox", "template": "none", "title": "x"}], "steps.0.title"),
        ([{"key": "a", "type": "delay"}], "steps.0.for"),
        ([{"key": "a", "type": "delay", "for": "367d"}], "steps.0.for"),
        ([{"key": "a", "type": "delay", "for": "1h", "until": "2030-01-01T00:00:00Z"}], "steps.0.until"),
        ([{"key": "a", "type": "delay", "until": {"var": "nowhere.x"}}], "steps.0.until.var"),
        ([{"key": "a", "type": "throttle"}], "steps.0.window"),
        ([{"key": "a", "type": "digest"}], "steps.0.window"),
        ([{"key": "a", "type": "digest", "cron": "* * *"}], "steps.0.cron"),
        ([{"key": "a", "type": "digest", "window": 5, "max_window": 9}], "steps.0.max_window"),
        ([{"key": "a", "type": "wait_for", "event": "seen", "step": "b"}], "steps.0.step"),
        ([{**BELL}, {"key": "a", "type": "wait_for", "event": "sent", "step": "bell"}], "steps.1.event"),
        ([{"key": "a", "type": "wait_for", "event": "x", "timeout": "91d"}], "steps.0.timeout"),
        ([{"key": "a", "type": "wait_for", "event": "a\x00b"}], "steps.0.event"),
        ([{**BELL, "body_format": "html"}], "steps.0.body_format"),
        ([{**BELL, "actions": [{"key": "a"}]}], "steps.0.actions"),
        ([{**BELL, "actions": [{"key": "a", "label": "{{", "url": "/"}]}], "steps.0.actions.0.label"),
        ([{**BELL, "actions": [{"key": "a", "label": "A"}]}], "steps.0.actions.0"),
        ([{"key": "a", "type": "http"}], "steps.0.url"),
        ([{"key": "a", "type": "http", "url": None}], "steps.0.url"),
        ([{"key": "a", "type": "http", "url": "x", "timeout": 0}], "steps.0.timeout"),
        ([{"key": "a", "type": "python", "function": "score", "timeout": "0s"}], "steps.0.timeout"),
        ([{"key": "a", "type": "http", "url": "x", "headers": {"b": None}}], "steps.0.headers.b"),
        (
            [{"key": "a", "type": "http", "url": "x", "headers": {"Content-Length": "3"}}],
            "steps.0.headers.Content-Length",
        ),
        ([{"key": "a", "type": "http", "url": "x", "headers": {"host": "b"}}], "steps.0.headers.host"),
        ([{"key": "a", "type": "http", "url": "x", "headers": {"b\r\nc": "d"}}], "steps.0.headers.b\r\nc"),
        ([{"key": "a", "type": "http", "url": "x", "body": {"b": ["{{"]}}], "steps.0.body.b.0"),
        ([{"key": "a", "type": "http", "url": "x", "body": {"b": {"var": "nowhere.x"}}}], "steps.0.body.b.var"),
        ([{"key": "a", "type": "throttle", "window": 1, "by": None}], "steps.0.by"),
        ([{"key": "a", "type": "throttle", "window": 1, "by": "{{ client }}"}], "steps.0.by"),
        ([{**BELL, "title": "{{ client }}"}], "steps.0.title"),
        ([{"key": "a", "type": "stop", "if": {"var": "steps.b.state", "op": "exists"}}], "steps.0.if.var"),
        ([{"key": "a", "type": "branch", "branches": []}], "steps.0.branches"),
        (
            [{"key": "a", "type": "branch", "branches": [{"if": {"all": []}, "steps": []}]}],
            "steps.0.branches.0.steps",
        ),
        ([{"key": f"k{n}", "type": "stop"} for n in range(51)], "steps"),
    ],
)
def test_wrong_steps_are_refused_with_their_path(steps: Any, field: str) -> None:
    assert field in errors({"steps": steps})


def test_unknown_fields_are_named_with_the_closest_one() -> None:
    found = errors({"notes": "x", "zzz": 1, "steps": [BELL]})
    assert found == {
        "notes": "is not a field here. Did you mean note? Expected: data, note, steps, type",
        "zzz": "is not a field here. Expected: data, note, steps, type",
    }


def test_email_step_needs_a_subject_only() -> None:
    for texts in ({}, {"text": ""}, {"text": "", "html": ""}):
        definitions.parse({"steps": [{"key": "mail", "type": "email", "subject": "x", **texts}]})


@pytest.mark.parametrize(
    "value", [None, [], {"steps": None}, {"steps": "x"}, {"steps": [None]}, {"steps": [{}], "x": 1}]
)
def test_other_shapes_are_refused(value: Any) -> None:
    assert errors(value)


@pytest.mark.parametrize("type", ["", "x" * 101, "a\x00b", 5, None])
def test_type_that_notifications_cannot_have_is_refused(type: Any) -> None:
    assert errors({"type": type, "steps": [BELL]}).keys() == {"type"}


def test_branches_nest_at_most_five_deep() -> None:
    steps: list[Any] = [BELL]
    for number in range(6):
        steps = [{"key": f"b{number}", "type": "branch", "branches": [{"if": {"all": []}, "steps": steps}]}]
    assert any("nested deeper" in message for message in errors({"steps": steps}).values())


def test_steps_are_ordered_with_those_of_their_branches() -> None:
    branch = {"if": {"var": "data.x", "value": 1}, "steps": [{**BELL, "key": "b"}]}
    steps = [{"key": "a", "type": "branch", "branches": [branch], "else": [{**BELL, "key": "c"}]}, {**BELL, "key": "d"}]
    definition = definitions.parse({"steps": steps})
    assert [step.key for step in definition.ordered] == ["a", "b", "c", "d"]
    assert not definition.refers_to_events


@pytest.mark.parametrize(
    ("schema", "value", "field"),
    [
        ({"type": "object", "required": ["a"]}, {}, "data.a"),
        ({"properties": {"a": {"type": "integer"}}}, {"a": True}, "data.a"),
        ({"properties": {"a": {"type": ["string", "null"]}}}, {"a": 1}, "data.a"),
        ({"additionalProperties": False}, {"a": 1}, "data.a"),
        ({"properties": {"a": {"items": {"minimum": 2}}}}, {"a": [3, 1]}, "data.a.1"),
        ({"properties": {"a": {"enum": [1, "x"]}}}, {"a": True}, "data.a"),
        ({"properties": {"a": {"minLength": 2}}}, {"a": "x"}, "data.a"),
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"a": 1, "b": 1}, "data"),
        ({"not": {"required": ["a"]}}, {"a": 1}, "data"),
    ],
)
def test_data_is_checked_against_its_schema(schema: Any, value: Any, field: str) -> None:
    assert list(data_schemas.schema_errors(schema)) == []
    assert [error.field for error in data_schemas.errors_of("data", value, schema)] == [field]


@pytest.mark.parametrize("schema", [{"pattern": "x"}, {"type": "text"}, {"items": 1}, {"minLength": -1}, {"anyOf": {}}])
def test_schemas_with_unsupported_keywords_are_refused(schema: Any) -> None:
    assert list(data_schemas.schema_errors(schema))


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ({"items": {"enum": list(range(1_001))}}, "data.items.enum"),
        ({"required": ["x"] * 1_001}, "data.required"),
        ({"properties": {f"p{number}": {} for number in range(1_000)}}, "data"),
    ],
)
def test_large_schemas_are_refused(schema: Any, field: str) -> None:
    assert [error.field for error in data_schemas.schema_errors(schema)] == [field]


def test_checking_a_value_has_a_budget() -> None:
    schema = {"items": {"enum": [*range(1_000)]}}
    assert list(data_schemas.errors_of("data", [1] * 1_000, schema)) == []
    (error,) = data_schemas.errors_of("data", [1] * 2_000, schema)
    assert error.message.startswith("has too many values")


LONG = "k" * 20_000


@pytest.mark.parametrize(
    "value",
    [
        {"steps": [{"key": "a", "type": "http", "url": "https://x.example", "body": {LONG: ["x"] * 3_000}}]},
        {"steps": [{"key": "a", "type": "trigger", "workflow": "b", "to": "x", "data": {LONG: [1] * 3_000}}]},
        {"data": {"properties": {LONG: {"anyOf": [True] * 3_000}}}, "steps": [{"key": "a", "type": "stop"}]},
    ],
    ids=["body", "data", "schema"],
)
def test_parts_below_a_long_name_take_little_memory(value: Any) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(Invalid):
            definitions.parse(value)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
