"""Ours and the peers' clients receive the same bytes of JSON."""

import msgspec
import pytest

from bellcast.bench.target import EVENT_SIZE, event, event_data, is_marked, post


@pytest.mark.parametrize("number", [0, 7, 999_999])
def test_an_event_is_json_of_the_size_it_is_said_to_be(number):
    whole = event(event_data(number))
    assert len(whole) == EVENT_SIZE
    assert msgspec.json.decode(whole)["data"]["title"] == "New booking"
    assert is_marked(whole)


def test_a_post_says_how_long_its_body_is():
    head, _, body = post("/publish", b"{}", "X: y\r\n").partition(b"\r\n\r\n")
    assert body == b"{}"
    assert b"\r\nX: y\r\n" in head
    assert b"\r\nContent-Length: 2" in head
