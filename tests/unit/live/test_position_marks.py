"""Resume positions in frames: a frame completed from parts equals a frame that was marked as a whole."""

import pytest

from bellcast.kernel.events import LiveEvent
from bellcast.live.connection.dialect import Dialect
from bellcast.live.native import protocol
from bellcast.live.socketio.protocol import FRAMES, POLLING_BODY, SocketIODialect

SOCKETIO = [
    SocketIODialect(namespace, encoding, resumable=True)
    for encoding in (FRAMES, POLLING_BODY)
    for namespace in ("/", "/admin")
] + [SocketIODialect("/", FRAMES, resumable=True, offset_prefix=prefix) for prefix in ("!", "+")]


def body(data: bytes) -> bytes:
    """Decode the chunks of a response body."""
    decoded = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        decoded, data = decoded + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return decoded


@pytest.mark.parametrize("dialect", [protocol.SSE_PLAIN, protocol.SSE_CHUNKED, *SOCKETIO])
@pytest.mark.parametrize("size", [1, 80, 200, 70_000])
def test_completed_frame_equals_a_marked_one(dialect: Dialect, size: int) -> None:
    data, mark = dialect.encode(LiveEvent("", "n", "x" * size, topic="a", id="c81e.2")), dialect.mark
    assert data is not None
    assert mark is not None
    start, end = mark.around(data, "c81e.2")
    for position in ("", "5f3a-1", "5f3a-1", "5f3a-1ff"):
        head, marked = mark.head(position), mark(data, f"{position}~c81e.2")
        frame = (b"" if start is None else start[len(head)]) + head + end
        if dialect is protocol.SSE_CHUNKED:
            frame, marked = body(frame), body(marked)
        assert frame == marked


def test_dialects_whose_clients_derive_the_position_have_no_mark() -> None:
    assert protocol.WEBSOCKET.mark is None
    assert SocketIODialect("/", FRAMES, resumable=False).mark is None
