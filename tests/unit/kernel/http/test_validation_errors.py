"""Validation errors name every bad field of a value."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct, field

from bellcast.kernel.errors import FieldError, Invalid
from bellcast.kernel.http import validation_errors


class Inner(Struct, forbid_unknown_fields=True):
    name: str
    size: int = 0


class Outer(Struct, kw_only=True, forbid_unknown_fields=True):
    title: str
    count: Annotated[int, Meta(ge=1)] = 1
    kind: Literal["a", "b"] | None = None
    when: datetime | None = None
    inner: Inner | str | None = None
    many: list[Inner] = []
    words: list[str] | None = None
    ratio: float = 0.0
    data: dict[str, Any] = {}
    switches: dict[Literal["on", "off"], bool] = {}
    sizes: dict[str, list[int]] = {}
    sender: str | None = field(default=None, name="except")


FIELDS = "count, data, except, inner, kind, many, ratio, sizes, switches, title, when, words"


def messages_by_field(value, **more):
    return {error.field: error.message for error in validation_errors.validation_errors(value, Outer, **more)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, {"title": "is required"}),
        ({"title": 5}, {"title": "must be text, got an integer"}),
        ({"title": None}, {"title": "must be text, got null"}),
        ({"title": "x", "count": 0}, {"count": "must be an integer >= 1"}),
        ({"title": "x", "count": "1"}, {"count": "must be an integer, got text"}),
        ({"title": "x", "count": 1.5}, {"count": "must be an integer, got a number"}),
        ({"title": "x", "kind": "c"}, {"kind": "must be one of: a, b"}),
        ({"title": "x", "when": "soon"}, {"when": "must be a time such as 2030-01-31T12:00:00Z"}),
        ({"title": "x", "when": 5}, {"when": "must be a time or null, got an integer"}),
        ({"title": "x", "inner": {"size": "x", "nmae": 1}}, {"inner.name", "inner.size", "inner.nmae"}),
        ({"title": "x", "inner": []}, {"inner": "must be text or an object or null, got a list"}),
        ({"title": "x", "many": [{"name": "a"}, 5, {"name": 1}]}, {"many.1", "many.2.name"}),
        ({"title": "x", "words": ["a", 1, None]}, {"words.1", "words.2"}),
        ({"title": "x", "ratio": True}, {"ratio": "must be a number, got true or false"}),
        ({"title": "x", "data": []}, {"data": "must be an object, got a list"}),
        ({"title": "x", "switches": {"on": 1, "of": True}}, {"switches.on", "switches.of"}),
        ({"title": "x", "switches": {"of": 1}}, {"switches.of"}),
        ({"title": "x", "switches": []}, {"switches": "must be an object, got a list"}),
        ({"title": "x", "sizes": {"a": [1, "2"], "b": []}}, {"sizes.a.1": "must be an integer, got text"}),
        ({"title": "x", "except": 1}, {"except": "must be text or null, got an integer"}),
        ({"title": "x", "sender": "c1"}, {"sender": f"is not a known field; expected one of: {FIELDS}"}),
        ({"title": "x", "titel": 1}, {"titel": 'is not a known field; did you mean "title"?'}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),  # one id in every process
)
def test_each_bad_field_is_named_with_the_expected_form(value, expected):
    errors = messages_by_field(value)
    assert (errors if isinstance(expected, dict) else errors.keys()) == expected


@pytest.mark.parametrize(
    ("value", "kind"), [([], "a list"), ("x", "text"), (None, "null"), (5, "a number"), (True, "true or false")]
)
def test_value_that_is_not_an_object_is_one_error_without_a_field(value, kind):
    assert messages_by_field(value) == {"": f"must be an object, got {kind}"}


def test_good_value_has_no_errors():
    assert (
        messages_by_field({"title": "x", "inner": "text", "many": [], "words": None, "when": "2030-01-31T12:00:00Z"})
        == {}
    )


def test_numbers_may_be_text_where_all_values_are_text():
    assert messages_by_field({"title": "x", "count": "7"}, strict=False) == {}
    assert messages_by_field({"title": "x", "count": "seven"}, strict=False) == {
        "count": "must be an integer, got text"
    }


@pytest.fixture
def conversions(monkeypatch):
    """Counts conversions of a value, the cost of finding the errors of a body."""
    calls = []
    convert = msgspec.convert
    monkeypatch.setattr(msgspec, "convert", lambda *args, **more: calls.append(1) or convert(*args, **more))
    return calls


class TestHugeBodies:
    """Refusing a body of a mebibyte costs as little as refusing a small one."""

    def test_list_of_bad_elements_names_the_first_hundred(self, conversions):
        errors = validation_errors.validation_errors({"title": "x", "words": [1] * 500_000}, Outer)
        assert [error.field for error in errors] == [f"words.{number}" for number in range(100)]
        assert len(conversions) < 200

    def test_bad_element_after_thousands_of_good_ones_is_reported_on_its_list(self, conversions):
        errors = validation_errors.validation_errors({"title": "x", "words": ["a"] * 500_000 + [1]}, Outer)
        assert errors == [FieldError("words", "must be text, got an integer")]
        assert len(conversions) <= 2 + validation_errors.MAX_CHECKED_ELEMENTS

    def test_list_of_bad_objects_names_the_first_hundred_fields(self, conversions):
        errors = validation_errors.validation_errors({"title": "x", "many": [{"a": 1, "b": 2}] * 100_000}, Outer)
        assert len(errors) == 100
        assert len(conversions) < 200

    def test_unknown_fields_name_the_first_hundred(self):
        assert len(validation_errors.validation_errors({f"field{number}": 1 for number in range(60_000)}, Outer)) == 100

    def test_name_of_an_unknown_field_is_cut(self):
        (error,) = validation_errors.validation_errors({"title": "x", "é" * 1_000_000: 1}, Outer)
        assert error == FieldError("é" * 100 + "…", f"is not a known field; expected one of: {FIELDS}")

    def test_refusal_names_at_most_a_hundred_fields(self):
        refusal = Invalid.fields([FieldError(str(number), "is wrong") for number in range(1_000)])
        assert len(refusal.errors) == 100
        assert len(refusal.detail) < 2_000


class TestRules:
    """Rules check the good fields of a value that also has bad ones."""

    @staticmethod
    def rules(value):
        errors = []
        if len(value.title) > 5 or value.title == "x":  # also a stand-in
            errors.append(FieldError("title", "too long"))
        errors += [FieldError(f"words.{n}", "blank") for n, word in enumerate(value.words or ()) if not word]
        if errors:
            raise Invalid.fields(errors)

    def errors(self, value):
        return messages_by_field(value, rules=self.rules)

    def test_both_kinds_of_error_are_reported(self):
        assert self.errors({"title": "much too long", "count": 0, "words": [""]}).keys() == {
            "title",
            "count",
            "words.0",
        }

    def test_stand_in_is_never_reported(self):
        assert self.errors({"count": 0, "words": [""]}) == {
            "title": "is required",
            "count": "must be an integer >= 1",
            "words.0": "blank",
        }

    def test_list_that_must_not_be_empty_has_a_stand_in(self):
        class Grant(Struct):
            can: Annotated[list[Literal["read", "write"]], Meta(min_length=1)]
            name: str

        def refuse(value):
            raise Invalid.of("name", f"is wrong for {value.can}")

        errors = validation_errors.validation_errors({"name": "y", "can": []}, Grant, refuse)
        assert [(one.field, one.message) for one in errors][1:] == [("name", "is wrong for ['write']")]

    def test_field_is_reported_once(self):
        assert self.errors({"title": "y", "words": ["", 5]}) == {"words.1": "must be text, got an integer"}


def test_suggestions_of_a_request_are_limited() -> None:
    suggestions = validation_errors.Suggestions()
    unknown = {f"titl{number}": 1 for number in range(validation_errors.MAX_SUGGESTIONS)}
    first = validation_errors.validation_errors({"title": "x", **unknown}, Outer, suggestions=suggestions)
    second = validation_errors.validation_errors({"title": "x", "titel": 1}, Outer, suggestions=suggestions)
    assert [error.message for error in first] == ['is not a known field; did you mean "title"?'] * len(unknown)
    assert [error.message for error in second] == [f"is not a known field; expected one of: {FIELDS}"]


def test_known_names_are_listed_once_in_a_request() -> None:
    suggestions = validation_errors.Suggestions()
    assert [suggestions.hint(name, {"body", "title"}) for name in ("x", "y")] == ["; expected one of: body, title", ""]
