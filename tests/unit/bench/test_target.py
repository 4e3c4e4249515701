"""Bellcast's clients and those of its peers receive the same JSON."""

import msgspec
import pytest
from benchmarks.target import EVENT_SIZE, event, event_data, is_marked, post


@pytest.mark.parametrize("number", [0, 7, 999_999])
def test_event_is_json_of_the_documented_size(number):
    encoded = event(event_data(number))
    assert len(encoded) == EVENT_SIZE
    assert msgspec.json.decode(encoded)["data"]["title"] == "New booking"
    assert is_marked(encoded)


def test_post_has_a_content_length():
    head, _, body = post("/publish", b"{}", "X: y\r\n").partition(b"\r\n\r\n")
    assert body == b"{}"
    assert b"\r\nX: y\r\n" in head
    assert b"\r\nContent-Length: 2" in head
