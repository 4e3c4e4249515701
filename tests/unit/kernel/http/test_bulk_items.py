"""Splitting of bulk requests: items are counted before they are created."""

import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellcast.kernel.concurrency import Scheduler
from bellcast.kernel.errors import BadRequest, BellcastError, Invalid, TooLarge
from bellcast.kernel.http import request_body

SIZE = 400_000
JSON = st.recursive(
    st.none() | st.integers() | st.text(st.sampled_from('a,"\\\\[]{}'), max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


async def lines(text: bytes, limit: int) -> list[bytes]:
    return await request_body.item_lines(text, limit, Scheduler())


async def elements(text: bytes, limit: int) -> list[bytes]:
    return [bytes(item) for item in request_body.item_elements(text, limit)]


@contextmanager
def peak_below(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("split", "text"),
    [
        (elements, b"[" + b"1," * request_body.MAX_COMMAS + b",1]"),
        (lines, b"1\n" * SIZE),
    ],
    ids=["elements", "lines"],
)
async def test_too_many_items_are_refused_in_bounded_memory(
    split: Callable[[bytes, int], Awaitable[list[bytes]]], text: bytes
) -> None:
    with peak_below(8 * len(text)), pytest.raises(TooLarge, match=r"at most (10 items|2000000 commas)"):
        await split(text, 10)


async def test_blank_lines_take_no_memory() -> None:
    text = b" \n" * SIZE + b"{}" + b"\r" * SIZE
    with peak_below(SIZE):
        assert await lines(text, 10) == [b"{}"]


@settings(max_examples=50)
@given(st.lists(JSON, max_size=5))
async def test_elements_are_counted_exactly(items: list[object]) -> None:
    text = msgspec.json.encode(items)
    assert [msgspec.json.decode(item) for item in await elements(text, len(items))] == items
    if len(items) > 1:
        with pytest.raises(TooLarge):
            await elements(text, len(items) - 1)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"{,,}", BadRequest),
        (b"[1]" + b",1" * SIZE, BadRequest),
        (b"[" * SIZE + b",,", BadRequest),
        (b'{"a":[1,2,3]}', Invalid),
        (b'[1,"', BadRequest),
        (b'["' + b"," * 9, BadRequest),
    ],
)
async def test_other_json_has_its_own_error(text: bytes, error: type[BellcastError]) -> None:
    with pytest.raises(error):
        await elements(text, 2)
