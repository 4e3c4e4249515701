"""Watchers of the live feed are counted by what they received."""

import pytest
from benchmarks.feed_watchers import WatcherCounts
from benchmarks.frames import events


def test_skipped_events_are_counted_by_their_number():
    counts = WatcherCounts()
    blocks, _ = events(
        b": feed\n\nevent: publish\ndata: {}\n\nevent: request\ndata: {}\n\n"
        b'event: skipped\ndata: {"count":300,"by":{"publish":300}}\n\n'
    )
    assert [counts.count(block.payload) for block in blocks] == [1, 1, 0]
    assert (counts.passed, counts.skipped) == (2, 300)


def test_skipped_event_without_a_number_is_an_error():
    with pytest.raises(KeyError):
        WatcherCounts().count(b"event: skipped\ndata: {}")
