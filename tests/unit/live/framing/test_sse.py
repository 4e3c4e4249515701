"""An SSE stream is parsed by EventSource: each event is complete, and no field can start another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellcast.live import framing


def test_stream_for_http_1_1_is_chunked_uncached_and_unbuffered():
    assert framing.sse_head("1.1", [(b"Vary", b"Origin")]) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\n"
        b"X-Accel-Buffering: no\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nVary: Origin\r\n\r\n"
    )


def test_own_header_of_a_stream_follows_the_shared_ones():
    shared, own = framing.sse_head("1.1"), framing.sse_head("1.1", (), b"X-Request-Id: a\r\n")
    assert own == shared[:-2] + b"X-Request-Id: a\r\n\r\n"


def test_stream_for_http_1_0_ends_by_closing():
    head = framing.sse_head("1.0")
    assert b"Transfer-Encoding" not in head
    assert b"\r\nConnection: close\r\n" in head


def test_header_value_cannot_add_another_header():
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        framing.sse_head("1.1", [(b"Access-Control-Allow-Origin", b"https://a\r\nSet-Cookie: evil=1")])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(framing.sse_event("counts", b"{}"), b"event: counts\ndata: {}\n\n", id="an event"),
        pytest.param(
            framing.sse_field("id", "7") + framing.sse_event("counts", b"{}"),
            b"id: 7\nevent: counts\ndata: {}\n\n",
            id="an event with its id",
        ),
        pytest.param(
            framing.sse_field("id", "") + framing.sse_event("counts", b""),
            b"id: \nevent: counts\ndata: \n\n",
            id="an event that erases the id",
        ),
        pytest.param(framing.sse_retry(1500), b"retry: 1500\n", id="retry"),
        pytest.param(framing.sse_retry(0), b"retry: 0\n", id="retry immediately"),
        pytest.param(framing.chunk(b"x" * 26), b"1a\r\n" + b"x" * 26 + b"\r\n", id="a chunk"),
        pytest.param(framing.chunk(b""), b"", id="no chunk for no bytes"),
        pytest.param(framing.LAST_CHUNK, b"0\r\n\r\n", id="the last chunk"),
    ],
)
def test_stream_parts_have_the_expected_bytes(written, expected):
    assert written == expected


@pytest.mark.parametrize("end", ["\r", "\n", "\0"])
@pytest.mark.parametrize(
    "write",
    [lambda text: framing.sse_event(text, b""), lambda text: framing.sse_field("id", text)],
    ids=["name", "id"],
)
def test_field_with_a_line_break_is_an_internal_error(write, end):
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        write(f"a{end}data: forged")


def test_negative_retry_time_is_an_internal_error():
    with pytest.raises(ValueError, match="negative: -1"):
        framing.sse_retry(-1)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"data: x", b"id: 1", b"", "é".encode()])).map(b"".join))
def test_any_data_is_one_event_with_the_same_lines(data):
    [(fields, received)] = dispatched(framing.sse_field("id", "7") + framing.sse_event("note", data))
    assert fields == {"event": "note", "id": "7"}
    assert received == data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode()


def dispatched(stream: bytes) -> list[tuple[dict[str, str], str]]:
    """Parse a stream as an EventSource does, by the steps of WHATWG HTML 9.2.6."""
    events, fields, data = [], {}, ""
    for line in stream.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data += value + "\n"
        elif line:
            fields[name] = value
        elif data:
            events.append((fields, data[:-1]))
            fields, data = {}, ""
    return events
