"""Positions as text."""

import pytest

from bellcast.model.inboxes import MAX_POSITION_NUMBER, Position, parse_position


@pytest.mark.parametrize("position", [Position(0, 0), Position(3, 12), Position(3, 12, 7), Position(*[2**63 - 1] * 3)])
def test_position_round_trips_through_text(position: Position) -> None:
    assert parse_position(position.text) == position


@pytest.mark.parametrize("index", [0, 1, 2])
def test_number_beyond_the_stores_integers_is_no_position(index: int) -> None:
    numbers = [1, 1, 1]
    numbers[index] = MAX_POSITION_NUMBER + 1
    assert parse_position(Position(*numbers).text) is None


@pytest.mark.parametrize(
    "text", ["", "-", "1", "1-", "-1-1", "1-1-", "1-1-1-1", "0x1-1", "1_0-1", "+1-1", " 1-1", "١-1", "1-1\n"]
)
def test_malformed_text_is_no_position(text: str) -> None:
    assert parse_position(text) is None
