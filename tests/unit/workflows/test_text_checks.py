"""The work of checks of texts: it does not grow with the product of texts and declared variables."""

import difflib
from collections.abc import Sequence
from typing import Any, cast

import pytest

from bellcast.templates import content_checks, variables
from bellcast.templates.variables import UsedVariable
from bellcast.workflows import publish_checks

NAMES = [f"property_{number:03}_of_the_booking" for number in range(990)]
SCHEMA = {"type": "object", "properties": {name: {"type": "string"} for name in NAMES}}


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Record each search of similar names, with the pairs of characters that it compares."""
    found = list[tuple[str, int]]()

    def search(word: str, names: Sequence[str], n: int) -> list[str]:
        found.append((word, len(word) * sum(map(len, names))))
        return [*names[:n]]

    monkeypatch.setattr(difflib, "get_close_matches", search)
    return found


def mail(key: str, name: str) -> dict[str, Any]:
    """Return a step whose three texts each read 20 variables."""
    texts = {
        field: " ".join(f"{{{{ data.{name}_{field}_{number} }}}}" for number in range(20))
        for field in ("subject", "text", "html")
    }
    return {"key": key, "type": "email", **texts}


async def findings(steps: list[dict[str, Any]]) -> list[publish_checks.StepFinding]:
    # With a schema, the context is not read.
    return await publish_checks.of_workflow(cast("Any", None), "acme", "booking", {"steps": steps, "data": SCHEMA})


async def test_texts_of_a_workflow_share_the_work_for_hints(searches: list[tuple[str, int]]) -> None:
    found = await findings([mail(f"step_{number}", f"unknown_{number}_of_the_bookings") for number in range(50)])
    assert len(found) == content_checks.MAX_FINDINGS
    assert {one.code for one in found} == {"unknown_variable"}
    assert 5 <= len(searches) < 20
    assert sum(pairs for _, pairs in searches) <= content_checks.MAX_COMPARED
    hinted = [number for number, one in enumerate(found) if "Do you mean" in one.message]
    assert hinted == [*range(len(searches))]


async def test_variable_of_several_texts_has_a_hint_in_each(searches: list[tuple[str, int]]) -> None:
    text = {"type": "sms", "text": "{{ data.clint }}"}
    found = await findings([{**text, "key": "a"}, {**text, "key": "b"}])
    assert [one.field for one in found] == ["steps.0.text", "steps.1.text"]
    assert all(one.message.endswith(f"Do you mean data.{NAMES[0]}?") for one in found)
    assert [word for word, _ in searches] == ["clint"]


def test_long_variable_is_compared_with_few_names(searches: list[tuple[str, int]]) -> None:
    declared = content_checks.DeclaredPaths(variables.schema_paths([("types", "booked", SCHEMA)]))
    used = [UsedVariable(f"data.{name}", "string", is_required=True) for name in ("x" * 60_000, "clint")]
    hints = ["Do you mean" in one.message for one in content_checks.of_variables(used, declared)]
    assert hints == [False, True]
    assert [word for word, _ in searches] == ["clint"]


def test_declared_paths_contain_the_variables_inside_and_around_them() -> None:
    items = {"type": "array", "items": {"properties": {"name": {}}}}
    schema = {"required": ["host"], "properties": {"host": {"properties": {"name": {}}}, "list": items, "any": {}}}
    declared = content_checks.DeclaredPaths(variables.schema_paths([("types", "booked", schema)]))
    found = {
        "data.host": "data.host.name",
        "data.host.name": "data.host.name",
        "data.host.mail": None,
        "data.any.of.it": "data.any",
        "data.list[]": "data.list[].name",
        "data.list[].name.last": "data.list[].name",
        "data.lis": None,
    }
    assert {path: declared.find(path) for path in found} == found
