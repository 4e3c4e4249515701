"""Split the body of a bulk request into its items, without creating more objects than the limit allows: a body of 16 MB can
have eight million elements, which take 80 bytes each."""

import re
from collections.abc import Sequence

import msgspec

from bellcast.kernel.contention import Scheduler
from bellcast.kernel.errors import Invalid, TooLarge, UnsupportedMediaType
from bellcast.kernel.http import request_body
from bellcast.kernel.limits import MAX_ITEM_BYTES

# A line with more than white space, from its first other character.
LINE = re.compile(rb"[^\s][^\r\n]*")
LINE_END = re.compile(rb"[\r\n]")
# Maximum commas of a JSON array that has a limit: an element takes about 80 bytes.
MAX_COMMAS = 2_000_000
# Bytes split into lines without a pause: at most 4 ms, and 16 MB take 60 ms.
LINES_BYTES = 1_048_576


async def read(
    request: request_body.ApiRequest, max_bytes: int, limit: int, pace: Scheduler, noun: str = "notifications"
) -> Sequence[bytes | msgspec.Raw]:
    """Return the items of a body, not decoded: a JSON array, or one JSON object per line. Raises UnsupportedMediaType, and
    TooLarge for more than `limit` (0: any number)."""
    media_type = request_body.media_type(request)
    has_lines = media_type in request_body.NDJSON_TYPES
    if not has_lines and not request_body.JSON_TYPE.fullmatch(media_type):
        raise UnsupportedMediaType("Send a JSON array, or one JSON object per line as application/x-ndjson.")
    text = await request_body.raw(request, max_bytes)
    return await lines(text, limit, pace) if has_lines else elements(text, limit, noun)


async def lines(text: bytes, limit: int, pace: Scheduler) -> list[bytes]:
    """Return the lines that are not blank. Raises TooLarge for more than `limit` (0: any number)."""
    items: list[bytes] = []
    start = 0
    while start < len(text):
        line_end = LINE_END.search(text, start + LINES_BYTES)
        end = line_end.end() if line_end else len(text)
        for line in LINE.finditer(text, start, end):
            items.append(line[0])
            if limit and len(items) > limit:
                raise too_many(limit)
        start = end
        if start < len(text):
            await pace.wait()
    return items


def elements(text: bytes, limit: int, noun: str = "notifications") -> list[msgspec.Raw]:
    """Split a JSON array into elements without decoding them. Raises TooLarge for more than `limit` (0: any number)."""
    if limit and text.count(b",") > MAX_COMMAS:
        raise TooLarge(f"A bulk request may have at most {MAX_COMMAS} commas; send it in several parts.")
    try:
        items = request_body.decoder(list[msgspec.Raw]).decode(text)
    except msgspec.ValidationError:
        request_body.anything(text)  # invalid JSON gets a different error
        raise Invalid.of("", f"must be a list of {noun}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as broken:
        raise request_body.unreadable(text, broken) from None
    if limit and len(items) > limit:
        raise too_many(limit)
    return items


def check_size(item: bytes | msgspec.Raw) -> None:
    """Raise TooLarge for an item of more than MAX_ITEM_BYTES."""
    if len(item) > MAX_ITEM_BYTES:
        raise TooLarge(f"An item may have at most {MAX_ITEM_BYTES} bytes, got {len(item)}.")


def too_many(limit: int) -> TooLarge:
    """Return the error for a request with more items than `limit`."""
    return TooLarge(f"A bulk request may have at most {limit} items.")
