"""Workflows in Python describe the same definitions as JSON."""

from datetime import timedelta

import pytest

from bellcast.kernel.errors import Invalid
from bellcast.workflows import definitions
from bellcast.workflows.flows import Flow, Workflows


def test_methods_add_steps_with_the_fields_of_their_type() -> None:
    flow = Flow()
    flow.inbox("bell", title="Hello")
    flow.delay("later", timedelta(hours=1))
    flow.delay("until", until=flow.data.starts_at, offset="-24h")
    flow.wait_for("looked", "seen", step="bell", timeout="30m")
    flow.throttle("few", "1h", limit=2)
    flow.digest("all", "10m", by="{{ data.kind }}")
    flow.trigger("other", "other", flow.recipient.key, data={"id": flow.data.id})
    flow.http("call", "https://app.example/")
    flow.python("risk", "score")
    flow.stop("end")
    definitions.parse({"steps": flow.steps})
    assert flow.steps[1] == {"key": "later", "type": "delay", "for": 3600.0}
    assert flow.steps[2]["until"] == {"var": "data.starts_at"}
    assert flow.steps[6] == {
        "key": "other", "type": "trigger", "workflow": "other", "to": {"var": "recipient.key"},
        "data": {"id": {"var": "data.id"}},
    }  # fmt: skip


def test_conditions_combine_and_nest() -> None:
    flow = Flow()
    flow.inbox("bell", title="Hello")
    with flow.when((flow.data.total >= 100) & ~flow.data.tags.contains("vip")):
        flow.inbox("a", title="A")
        with flow.when(flow.data.kind.is_in(["x", "y"]) | flow.data.kind.is_empty()):
            flow.inbox("b", title="B")
    first = {
        "all": [
            {"var": "data.total", "op": "gte", "value": 100},
            {"not": {"var": "data.tags", "op": "contains", "value": "vip"}},
        ]
    }
    second = {"any": [{"var": "data.kind", "op": "in", "value": ["x", "y"]}, {"var": "data.kind", "op": "empty"}]}
    assert flow.steps[1]["if"] == first
    assert flow.steps[2]["if"] == {"all": [first, second]}
    definitions.parse({"steps": flow.steps})


def test_conditions_have_no_truth_value_in_python() -> None:
    flow = Flow()
    with pytest.raises(TypeError, match=r"flow\.when"):
        bool(flow.data.total == 1)
    with pytest.raises(TypeError, match=r"flow\.when"):
        bool(flow.data.total)


def test_wrong_and_repeated_definitions_are_refused() -> None:
    workflows = Workflows()
    with pytest.raises(Invalid):
        workflows.define("wrong")(lambda flow: flow.inbox("bell"))
    workflows.define("right")(lambda flow: flow.stop("end"))
    with pytest.raises(ValueError, match="already defined"):
        workflows.define("right")
    workflows.function("f")(print)
    with pytest.raises(ValueError, match="already registered"):
        workflows.function("f")
