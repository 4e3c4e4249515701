"""Data of sends is shown to authors without what identifies a person."""

import time

import pytest

from bellcast.channels import explanations
from bellcast.templates.masking import HIDDEN, masked, masked_text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"email": "ann.lee@example.com"}, {"email": f"a{HIDDEN}@e{HIDDEN}.com"}),
        ({"note": "Write to bob@mail.example.org."}, {"note": f"Write to b{HIDDEN}@m{HIDDEN}.org."}),
        ({"client": "Ann Lee", "first_name": "Ann"}, {"client": f"A{HIDDEN}", "first_name": f"A{HIDDEN}"}),
        ({"text": "Call +43 660 123 45 67 now"}, {"text": f"Call {HIDDEN}67 now"}),
        ({"api_key": "k-1", "pin": 4711}, {"api_key": f"k{HIDDEN}", "pin": 0}),
        ({"url": "https://ann:pw@shop.example/a?token=abc"}, {"url": f"https://{HIDDEN}@shop.example/a?{HIDDEN}"}),
        ({"url": "https://ann:p@ss@shop.example/a"}, {"url": f"https://{HIDDEN}@shop.example/a"}),
        # A character that is not encoded: what belongs to the password is not certain.
        ({"url": "https://ann:p?ss@shop.example/a"}, {"url": f"https://{HIDDEN}/a"}),
        ({"url": "https://ann:p#ss@shop.example/a"}, {"url": f"https://{HIDDEN}/a"}),
        ({"url": "https://shop.example?email=ann@mail.example&code=s3cret"}, {"url": f"https://{HIDDEN}"}),
        ({"when": "2030-06-10T14:00:00Z", "id": 1234567, "order": "A-1234"}, ...),
        ({"items": [{"name": "Tea", "price": 3}]}, {"items": [{"name": f"T{HIDDEN}", "price": 3}]}),
        ({"ann@example.com": 1}, {f"a{HIDDEN}@e{HIDDEN}.com": 1}),
    ],
)
def test_data_that_identifies_a_person_is_masked(value: dict[str, object], shown: object) -> None:
    assert masked(value) == (value if shown is ... else shown)


def test_fields_that_a_schema_marks_as_private_are_masked() -> None:
    schema = {
        "properties": {
            "room": {"x-private": True},
            "stay": {"properties": {"nights": {"x-private": True}}},
            "guests": {"items": {"x-private": True}},
        }
    }
    value = {"room": "Suite", "stay": {"nights": 3, "free": True}, "guests": [{"of": "Ann"}]}
    assert masked(value, schema) == {
        "room": f"S{HIDDEN}",
        "stay": {"nights": 0, "free": True},
        "guests": [{"of": f"A{HIDDEN}"}],
    }


def test_texts_without_addresses_stay() -> None:
    for text in ("Room 12, 14:00", "2030-06-10", "A-4711", "v1.2.3", ""):
        assert masked_text(text) == text


def test_hints_of_explanations_stay() -> None:
    for text in explanations.ADDRESSES.values():
        assert masked_text(text) == text


def test_long_words_are_masked_in_linear_time() -> None:
    begun = time.process_time()
    assert masked_text("a" * 100_000) == "a" * 100_000
    assert time.process_time() - begun < 1
