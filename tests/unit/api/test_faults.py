"""Naming every bad field of a value."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct, field

from bellcast.api import validation_errors
from bellcast.errors import FieldError, Invalid


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
    sender: str | None = field(default=None, name="except")


def named(value, **more):
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
        ({"title": "x", "except": 1}, {"except": "must be text or null, got an integer"}),
        ({"title": "x", "sender": "c1"}, {"sender": "is not a known field"}),
        ({"title": "x", "titel": 1}, {"titel": 'is not a known field; did you mean "title"?'}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),  # one name in every process
)
def test_each_bad_field_is_named_with_what_is_expected(value, expected):
    found = named(value)
    assert (found if isinstance(expected, dict) else found.keys()) == expected


@pytest.mark.parametrize(
    ("value", "kind"), [([], "a list"), ("x", "text"), (None, "null"), (5, "a number"), (True, "true or false")]
)
def test_what_is_no_object_is_one_fault_without_a_field(value, kind):
    assert named(value) == {"": f"must be an object, got {kind}"}


def test_a_good_value_has_no_faults():
    assert named({"title": "x", "inner": "text", "many": [], "words": None, "when": "2030-01-31T12:00:00Z"}) == {}


def test_texts_are_numbers_where_all_is_text():
    assert named({"title": "x", "count": "7"}, strict=False) == {}
    assert named({"title": "x", "count": "seven"}, strict=False) == {"count": "must be an integer, got text"}


@pytest.fixture
def conversions(monkeypatch):
    """How often a value is converted: the cost of finding what is wrong with a body."""
    counted = []
    convert = msgspec.convert
    monkeypatch.setattr(msgspec, "convert", lambda *args, **more: counted.append(1) or convert(*args, **more))
    return counted


class TestHugeBodies:
    """A body of a mebibyte costs as little to refuse as a small one."""

    def test_a_list_of_bad_elements_names_the_first_hundred(self, conversions):
        found = validation_errors.validation_errors({"title": "x", "words": [1] * 500_000}, Outer)
        assert [error.field for error in found] == [f"words.{number}" for number in range(100)]
        assert len(conversions) < 200

    def test_a_bad_element_behind_thousands_of_good_ones_blames_its_list(self, conversions):
        found = validation_errors.validation_errors({"title": "x", "words": ["a"] * 500_000 + [1]}, Outer)
        assert found == [FieldError("words", "must be text, got an integer")]
        assert len(conversions) <= 2 + validation_errors.MAX_CHECKED_ELEMENTS

    def test_a_list_of_bad_objects_names_the_first_hundred_fields(self, conversions):
        found = validation_errors.validation_errors({"title": "x", "many": [{"a": 1, "b": 2}] * 100_000}, Outer)
        assert len(found) == 100
        assert len(conversions) < 200

    def test_unknown_fields_name_the_first_hundred(self):
        assert len(validation_errors.validation_errors({f"field{number}": 1 for number in range(60_000)}, Outer)) == 100

    def test_the_name_of_an_unknown_field_is_cut(self):
        (error,) = validation_errors.validation_errors({"title": "x", "é" * 1_000_000: 1}, Outer)
        assert error == FieldError("é" * 100 + "…", "is not a known field")

    def test_a_refusal_names_a_hundred_fields_whoever_found_them(self):
        refusal = Invalid.fields([FieldError(str(number), "is wrong") for number in range(1_000)])
        assert len(refusal.errors) == 100
        assert len(refusal.detail) < 2_000


class TestRules:
    """Rules speak of the good fields beside the bad ones."""

    @staticmethod
    def rules(value):
        found = []
        if len(value.title) > 5:
            found.append(FieldError("title", "too long"))
        found += [FieldError(f"words.{n}", "blank") for n, word in enumerate(value.words or ()) if not word]
        if found:
            raise Invalid.fields(found)

    def found(self, value):
        return named(value, rules=self.rules, stand_ins={"title": "a stand-in that breaks the rule itself"})

    def test_both_kinds_of_fault_are_found(self):
        assert self.found({"title": "much too long", "count": 0, "words": [""]}).keys() == {"title", "count", "words.0"}

    def test_a_stand_in_is_never_blamed(self):
        assert self.found({"count": 0, "words": [""]}) == {
            "title": "is required",
            "count": "must be an integer >= 1",
            "words.0": "blank",
        }

    def test_a_field_is_not_blamed_twice(self):
        assert self.found({"title": "x", "words": ["", 5]}) == {"words.1": "must be text, got an integer"}
