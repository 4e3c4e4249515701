"""Positions as text."""

import pytest

from bellcast.inbox.types.inboxes import MAX_POSITION_NUMBER, MAX_REPLAYS, Position, SentRows, parse_position

MAX = MAX_POSITION_NUMBER
SENT = (SentRows(14, 20), SentRows(18, 22))


@pytest.mark.parametrize(
    "position",
    [Position(0, 0), Position(3, 12), Position(3, 12, 7, SENT), Position(MAX, MAX, MAX, (SentRows(MAX, MAX),))],
)
def test_position_round_trips_through_text(position: Position) -> None:
    assert parse_position(position.text) == position


@pytest.mark.parametrize("index", range(5))
def test_number_beyond_the_stores_integers_is_not_a_position(index: int) -> None:
    numbers = [1, 1, 1, 1, 1]
    numbers[index] = MAX + 1
    assert parse_position("{:x}-{:x}-{:x}.{:x}.{:x}".format(*numbers)) is None


def test_position_in_a_replay_of_an_older_release_is_unknown() -> None:
    assert parse_position("1-3-2") is None


def test_oldest_of_many_interrupted_replays_are_merged() -> None:
    position = Position(1, 2)
    for number in range(3, 20):
        position = position.after_created(number, number + 1)
    assert (len(position.sent), position.sent[0], position.newest) == (MAX_REPLAYS, SentRows(12, 4), 19)
    assert parse_position(position.text) == position


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "1",
        "1-",
        "-1-1",
        "1-1-",
        "1-1-1-1",
        "1-1-1.1",
        "1-1-1.1.1.1",
        "1-1.1.1",
        "0x1-1",
        "1_0-1",
        "+1-1",
        " 1-1",
        "١-1",
        "1-1\n",
    ],
)
def test_malformed_text_is_not_a_position(text: str) -> None:
    assert parse_position(text) is None
