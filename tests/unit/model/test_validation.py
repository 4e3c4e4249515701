"""Validation of drafts: storable times, and data that every encoder accepts."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bellcast.errors import Invalid
from bellcast.model import validation
from bellcast.model.limits import Limits
from bellcast.model.notifications import Draft, Edit

NOW = datetime(2026, 1, 31, tzinfo=UTC)
LIMITS = Limits()


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


@pytest.mark.parametrize(
    "expires_at", ["9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999-00:01", "0001-01-01T00:00:00+23:59"]
)
def test_time_outside_the_calendar_is_refused_in_drafts_and_edits(expires_at: str) -> None:
    moment = datetime.fromisoformat(expires_at)
    for check, subject in (
        (validation.check_draft, Draft(to="alice", title="Hello", expires_at=moment)),
        (validation.check_edit, Edit(expires_at=moment)),
    ):
        with pytest.raises(Invalid) as refused:
            check(subject, LIMITS, NOW)  # type: ignore[operator] # each validator has its own type
        assert [error.field for error in refused.value.errors] == ["expires_at"]


@pytest.mark.parametrize(
    ("field", "draft"),
    [
        ("tags", Draft(to="alice", title="x", tags=[""] * 100_000)),
        ("to", Draft(to=["\x00"] * 100_000, title="x")),
    ],
    ids=["tags", "recipients"],
)
def test_too_long_list_is_refused_before_its_elements_are_checked(field: str, draft: Draft) -> None:
    with pytest.raises(Invalid) as caught:
        validation.check_draft(draft, LIMITS, NOW)
    assert [error.field for error in caught.value.errors] == [field]
    assert "got 100000" in caught.value.errors[0].message


@pytest.mark.parametrize(
    ("field", "draft"),
    [
        ("email.html", {"email": {"html": "x" * (validation.MAX_MESSAGE_TEXT + 1)}}),
        ("email.text", {"email": {"text": "x" * (validation.MAX_MESSAGE_TEXT + 1)}}),
        ("chat.text", {"chat": {"text": "x" * (validation.MAX_MESSAGE_TEXT + 1)}}),
        ("push.body", {"push": {"body": "x\x00"}}),
        ("email.layout", {"email": {"layout": "x" * 101}}),
        ("template", {"template": "x" * 101}),
    ],
)
def test_unusable_text_of_a_message_is_refused_by_its_field(field: str, draft: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        validation.check_draft(msgspec.convert({"to": "alice", "title": "x"} | draft, Draft), LIMITS, NOW)
    assert [error.field for error in caught.value.errors] == [field]
    assert len(caught.value.detail) < 200


def test_largest_text_of_a_message_is_accepted() -> None:
    email = {"html": "x" * validation.MAX_MESSAGE_TEXT, "layout": "x" * validation.MAX_TEMPLATE_KEY}
    validation.check_draft(msgspec.convert({"to": "alice", "title": "x", "email": email}, Draft), LIMITS, NOW)
