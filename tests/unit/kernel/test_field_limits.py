"""Limits on fields: the check of a value, and its constraints in the OpenAPI document."""

from typing import Annotated, Any

import pytest
from msgspec import UNSET, Struct, UnsetType, field

from bellcast.kernel import field_limits
from bellcast.kernel.field_limits import INNER, KEY, TITLE, Limit, each, lasting, shown
from bellcast.kernel.limits import Limits

LIMITS = Limits(title=5, tags=2, tag=3)


class Inner(Struct, kw_only=True):
    label: Annotated[str | int, Limit(3)] = ""


class Example(Struct, kw_only=True):
    key: Annotated[str, KEY]
    title: Annotated[str | UnsetType | None, TITLE] = UNSET
    short: Annotated[str, Limit("title", 1)] = "far too long for the limit"
    tags: Annotated[list[str], each("tags", Limit("tag", 1), "tags")] = []
    since: Annotated[str | float, lasting(1, 60, "must be 1 to 60 s", is_above=True)] = 30
    sender: Annotated[str | None, Limit(2)] = field(default=None, name="from")
    inner: Annotated[Inner | None, INNER] = None
    documented: Annotated[str, shown({"pattern": "x"})] = "y"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, []),
        ({"title": None}, []),
        ({"title": "short", "short": "fünf", "sender": "ab"}, []),
        ({"title": "longer"}, ["title"]),
        ({"title": " "}, ["title"]),
        ({"short": ""}, ["short"]),
        ({"short": "a\x00"}, ["short"]),
        ({"tags": ["abc", "", "abcd"]}, ["tags"]),
        ({"tags": ["", "abcd"]}, ["tags.0", "tags.1"]),
        ({"since": "1s"}, ["since"]),
        ({"since": "1m"}, []),
        ({"sender": "abc"}, ["from"]),
        ({"inner": Inner(label="abcd")}, ["inner.label"]),
        ({"inner": Inner(label=123_456)}, []),
        ({"documented": "z"}, []),
    ],
)
def test_fields_beyond_their_limits_are_named(fields: dict[str, Any], wrong: list[str]) -> None:
    example = Example(**{"key": "k", **fields})
    assert [error.field for error in field_limits.errors(example, LIMITS)] == wrong
    assert [error.field for error in field_limits.errors(example, LIMITS, "of.")] == [f"of.{one}" for one in wrong]


def test_limits_follow_a_change_of_the_settings() -> None:
    example = Example(key="k", title="longer")
    assert field_limits.errors(example, Limits(title=0)) == []
    assert [error.field for error in field_limits.errors(example, Limits(title=1))] == ["title"]


def test_schema_has_the_limits_in_force() -> None:
    rules = field_limits.of(Example)
    assert rules["short"].schema(LIMITS) == {"pattern": field_limits.PLAIN, "maxLength": 5, "minLength": 1}
    assert rules["tags"].schema(LIMITS)["maxItems"] == 2
    assert rules["since"].schema(LIMITS)["exclusiveMinimum"] == 1
    assert rules["documented"].schema(LIMITS) == {"pattern": "x"}
