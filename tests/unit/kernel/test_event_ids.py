"""Event ids of clients: numbers that no store can hold are not ids."""

import pytest

from bellcast.kernel.brokers import history


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7fffffffffffffff.1", history.EventId(2**63 - 1, 1)),
        ("8000000000000000.1", None),
        ("ffffffffffffffff.fffffffffffffff", None),
        ("1", None),
    ],
)
def test_epoch_is_a_signed_number_of_64_bits(text: str, expected: history.EventId | None) -> None:
    assert history.parse_event_id(text) == expected
