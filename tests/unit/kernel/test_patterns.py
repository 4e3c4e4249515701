"""Topic patterns."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.kernel.events import pattern_matches


@pytest.mark.parametrize(
    ("pattern", "topic"),
    [("a", "a"), ("*", ""), ("*", "any.thing"), ("room-*", "room-"), ("*-7", "room-7"), ("a*c", "abc"), ("a**b", "ab")],
)
def test_star_matches_any_characters(pattern: str, topic: str) -> None:
    assert pattern_matches(pattern, topic)


@pytest.mark.parametrize(
    ("pattern", "topic"), [("a", "b"), ("", "a"), ("room-*", "rooms-1"), ("ab*ba", "aba"), ("a.c", "abc"), ("*x*", "y")]
)
def test_other_characters_match_themselves(pattern: str, topic: str) -> None:
    assert not pattern_matches(pattern, topic)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_patterns_agree_with_regular_expressions(pattern: str, topic: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), topic) is not None
    assert pattern_matches(pattern, topic) is expected


def test_hostile_pattern_is_matched_in_bounded_time() -> None:
    started = time.process_time()
    assert not pattern_matches("*a" * 2_000 + "b", "a" * 4_000)
    assert time.process_time() - started < 1
