"""Conditions over JSON values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.templates import conditions

VALUES = {
    "data": {"total": 100, "vip": True, "tags": ["a", "b"], "client": {"name": "Ann"}, "empty": "", "one": 1},
    "recipient": {"locale": "de-AT", "roles": ["admin"]},
    "steps": {"bell": {"state": "done", "seen_at": None}},
}


def is_true(condition: Any) -> bool:
    assert list(conditions.errors_of("if", condition, frozenset({"bell"}))) == []
    return conditions.evaluate(condition, VALUES)


@pytest.mark.parametrize(
    ("variable", "operator", "value", "expected"),
    [
        ("data.total", "eq", 100, True),
        ("data.total", "eq", 100.0, True),
        ("data.total", "eq", "100", False),
        ("data.total", "ne", 99, True),
        ("data.total", "gte", 100, True),
        ("data.total", "gt", 100, False),
        ("data.total", "lt", 100.5, True),
        ("data.total", "lte", 99, False),
        ("data.total", "lt", "200", False),
        ("data.nothing", "lt", 1, False),
        ("data.nothing", "gte", None, False),
        ("data.nothing", "eq", None, True),
        ("data.vip", "eq", True, True),
        ("data.vip", "eq", 1, False),
        ("data.one", "eq", True, False),
        ("data.vip", "gt", 0, False),
        ("recipient.locale", "gt", "de", True),
        ("data.tags", "contains", "a", True),
        ("data.tags", "contains", "c", False),
        ("data.client", "contains", "name", True),
        ("recipient.locale", "contains", "AT", True),
        ("recipient.locale", "in", ["de", "de-AT"], True),
        ("data.one", "in", [True], False),
        ("data.tags", "eq", ["a", "b"], True),
        ("data.tags.1", "eq", "b", True),
        ("data.tags.9", "eq", None, True),
        ("data.client", "eq", {"name": "Ann"}, True),
        ("steps.bell.state", "eq", "done", True),
        ("data.total", "eq", {"var": "data.total"}, True),
        ("data.total", "eq", {"var": "data.one"}, False),
    ],
)
def test_comparison_follows_json(variable: str, operator: str, value: Any, expected: bool) -> None:
    assert is_true({"var": variable, "op": operator, "value": value}) is expected


@pytest.mark.parametrize(
    ("variable", "exists", "empty"),
    [
        ("data.total", True, False),
        ("data.empty", True, True),
        ("data.nothing", False, True),
        ("data.tags", True, False),
    ],
)
def test_existence_and_emptiness_are_compared(variable: str, exists: bool, empty: bool) -> None:
    assert is_true({"var": variable, "op": "exists"}) is exists
    assert is_true({"var": variable, "op": "empty"}) is empty


def test_groups_combine_conditions() -> None:
    yes, no = {"var": "data.total", "value": 100}, {"var": "data.total", "value": 1}
    assert is_true({"all": [yes, yes]})
    assert not is_true({"all": [yes, no]})
    assert is_true({"any": [no, yes]})
    assert not is_true({"any": []})
    assert is_true({"all": []})
    assert is_true({"not": {"all": [yes, no]}})


@pytest.mark.parametrize(
    ("condition", "path"),
    [
        (1, "if"),
        ({}, "if.var"),
        ({"var": "total", "value": 1}, "if.var"),
        ({"var": "data..x", "value": 1}, "if.var"),
        ({"var": "steps.mail.state", "value": 1}, "if.var"),
        ({"var": "data.x", "op": "like", "value": 1}, "if.op"),
        ({"var": "data.x", "op": "eq"}, "if.value"),
        ({"var": "data.x", "op": "exists", "value": 1}, "if.value"),
        ({"var": "data.x", "value": {"var": "x"}}, "if.value.var"),
        ({"var": "data.x", "value": 1, "then": 2}, "if.then"),
        ({"all": [{"not": {"var": "x", "value": 1}}]}, "if.all.0.not.var"),
        ({"any": 1}, "if.any"),
        ({"all": [], "any": []}, "if.any"),
    ],
)
def test_wrong_condition_names_the_path(condition: Any, path: str) -> None:
    assert path in [error.field for error in conditions.errors_of("if", condition, frozenset({"bell"}))]


def test_deep_or_large_condition_is_refused() -> None:
    deep: Any = {"var": "data.x", "value": 1}
    for _ in range(10_000):
        deep = {"not": deep}
    assert list(conditions.errors_of("if", deep, frozenset()))
    assert list(conditions.errors_of("if", {"all": [{"var": "data.x", "value": 1}] * 10_000}, frozenset()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.sampled_from(conditions.OPERATORS), json_values, json_values)
def test_comparison_of_any_values_does_not_fail(operator: str, left: Any, right: Any) -> None:
    condition = {"var": "data.x", "op": operator, "value": right}
    assert conditions.evaluate(condition, {"data": {"x": left}}) in (True, False)


def test_index_of_many_digits_names_nothing() -> None:
    assert conditions.lookup("data." + "9" * 5_000, {"data": [1]}) is None
