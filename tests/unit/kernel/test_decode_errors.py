"""Decoder errors become a field and a message."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from bellcast.kernel.http.validation_errors import field_error, sentence


class Inner(Struct, forbid_unknown_fields=True):
    kind: str | None = None


class Sample(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=3)]
    ids: list[str] = []
    on: bool = False
    of: Inner | None = None
    view: Literal["read", "all"] = "all"
    on_by_view: dict[Literal["read", "all"], bool] = {}
    at: datetime | None = None


@pytest.mark.parametrize(
    ("value", "field", "message"),
    [
        ([], "", "must be an object, got a list"),
        ({}, "name", "is required"),
        ({"name": 7}, "name", "must be text, got an integer"),
        ({"name": "long"}, "name", "must be text of length <= 3"),
        ({"name": "a", "ids": "b"}, "ids", "must be a list, got text"),
        ({"name": "a", "ids": ["b", 7]}, "ids.1", "must be text, got an integer"),
        ({"name": "a", "on": 1}, "on", "must be true or false, got an integer"),
        ({"name": "a", "of": {"kind": []}}, "of.kind", "must be text or null, got a list"),
        ({"name": "a", "of": {"mind": 1}}, "of.mind", "is not a known field"),
        ({"name": "a", "game": 1}, "game", "is not a known field"),
        ({"name": "a", "at": "soon"}, "at", "must be a time such as 2030-01-31T12:00:00Z"),
        ({"name": "a", "view": "some"}, "view", "is an unknown value: 'some'"),
        ({"name": "a", "on_by_view": {"some": True}}, "on_by_view", "is an unknown value: 'some'"),
    ],
)
def test_decode_error_names_its_field(value: Any, field: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(value, Sample)
    error = field_error(refused.value)
    assert (error.field, error.message) == (field, message)


def test_unknown_decode_error_hides_the_decoders_message() -> None:
    assert field_error(ValueError("`Frob` overflowed - at `$.a[0].b`")).message == "cannot be read"


def test_received_value_is_abbreviated_in_the_message() -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"name": "a", "view": "x" * 5_000}, Sample)
    assert len(field_error(refused.value).message) < 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "The body is not JSON."),
        ("[]", "The body must be an object, got a list."),
        ("{}", "The body: name is required."),
    ],
)
def test_decode_error_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(msgspec.DecodeError) as refused:
        msgspec.json.decode(text, type=Sample)
    assert sentence(refused.value, "The body") == message
