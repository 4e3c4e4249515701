"""Fuzzing of the WebSocket frame reader."""

from itertools import pairwise

from hypothesis import strategies as st

from bellcast.live.framing.websocket import CloseReceived, FrameReader, ProtocolViolation, ReaderEvent
from tests.fuzz.runner import fuzz
from tests.unit.live.framing.client import BINARY, CONTINUATION, TEXT, close, fragments, frame, header

MAX_SIZE = 1_000
Input = tuple[bytes, list[int]]  # the bytes of a client, and the indices at which they are cut

PAYLOADS = st.binary(max_size=140) | st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass"))
FRAMES = st.one_of(
    st.builds(
        frame,
        st.integers(0, 15),
        PAYLOADS,
        final=st.booleans(),
        reserved=st.sampled_from([0, 0, 0, 1, 4]),
        key=st.binary(min_size=4, max_size=4),
    ),
    st.lists(PAYLOADS, min_size=1, max_size=4).map(lambda parts: b"".join(fragments(TEXT, *parts))),
    st.builds(lambda length: header(TEXT, length), st.integers(0, 2**64 - 1)),
    st.builds(close, st.integers(0, 65_535), PAYLOADS),
    st.binary(max_size=20),
)
SENT = st.lists(FRAMES, max_size=6).map(b"".join)
INPUTS = st.tuples(SENT, st.lists(st.integers(0, 400), max_size=12))
SEEDS: list[Input] = [
    (frame(TEXT, b"\xed\xa0\x80"), [7, 8]),  # a surrogate, cut within
    (frame(TEXT, "é".encode()), [7]),
    (header(TEXT, 2**63), []),
    (b"\x81\xfe\x00\x05", []),  # a length that is not the shortest
    (b"".join([frame(TEXT, b"", final=False), *[frame(CONTINUATION, b"", final=False)] * 1_100]), []),
    (frame(BINARY, bytes(MAX_SIZE + 1)), [2, 4]),
    (close(1000) + frame(TEXT, b"unheard"), [3]),
]


def received(sent: bytes, cuts: list[int]) -> list[ReaderEvent]:
    reader = FrameReader(MAX_SIZE)
    ends = sorted({0, len(sent), *(min(cut, len(sent)) for cut in cuts)})
    return [event for start, end in pairwise(ends) for event in reader.receive(sent[start:end])]


def test_frame_reader_is_independent_of_chunk_boundaries() -> None:
    def check(input_: Input) -> None:
        sent, cuts = input_
        whole = received(sent, [])
        assert received(sent, cuts) == whole
        assert received(sent, list(range(min(len(sent), 400)))) == whole
        assert not any(
            isinstance(event, CloseReceived | ProtocolViolation) for event in whole[:-1]
        )  # the reader ignores input after a close or a violation
        for event in whole:
            if isinstance(event, str):
                assert len(event.encode()) <= MAX_SIZE

    fuzz("websocket frames", INPUTS, check, SEEDS)
