"""Validation of data that every encoder accepts."""

from typing import Any

import msgspec
import pytest

from bellcast.kernel import validation
from bellcast.kernel.errors import FieldError, Invalid


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def errors(value: Any) -> dict[str, str]:
    return {error.field: error.message for error in validation.data("data", value, 0)}


@pytest.mark.parametrize(
    "value",
    [2**64 - 1, -(2**63), nested(100), {"a": None, "b": [True, 1e308, -0.0, ""]}, {"\x00": "\x00"}, [[]] * 200],
    ids=["largest", "smallest", "deep", "mixed", "NUL", "wide"],
)
def test_encodable_data_is_accepted(value: Any) -> None:
    assert errors(value) == {}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value)) == msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.parametrize(
    ("value", "field", "message"),
    [
        ({"a": [1, {"b": 2**64}]}, "data.a.1.b", "send larger integers as text"),
        (-(2**63) - 1, "data", "send larger integers as text"),
        (10**5000, "data", "send larger integers as text"),
        ({"x" * 1000: 2**64}, f"data.{'x' * 195}", "send larger integers as text"),
        (nested(101), "data", "nested deeper than 100 levels"),
        (nested(50_000), "data", "nested deeper than 100 levels"),
        ({"a": "\ud800"}, "data.a", "valid Unicode"),
        ({"\ud800": 1}, "data", "valid Unicode"),
        ({"\ud800": {"a": 2**64}}, "data.?.a", "send larger integers as text"),
        ({"a": object()}, "data", "valid JSON"),
    ],
    ids=["64 bits", "negative", "huge", "long path", "deep", "very deep", "surrogate", "in a key", "below", "object"],
)
def test_unencodable_data_is_refused_by_its_path(value: Any, field: str, message: str) -> None:
    messages = errors(value)
    assert messages.keys() == {field}
    assert message in messages[field]


def test_large_data_is_refused_before_it_is_searched() -> None:
    (error,) = validation.data("data", [2**64] * 10_000, 100)
    assert error.message.startswith("must be at most 100 bytes")


def test_error_that_two_checks_find_is_listed_once() -> None:
    twice = [
        FieldError("url", "must be a path"),
        FieldError("title", "must be text"),
        FieldError("url", "must be a path"),
    ]
    assert Invalid.fields(twice).errors == (twice[0], twice[1])
