"""Split the body of a bulk request into its items, without creating more objects than the limit allows: a body of 16 MB can
have eight million elements, which take 80 bytes each."""

import re
from itertools import islice

import msgspec

from bellcast.api import request_body
from bellcast.contention import Scheduler
from bellcast.errors import Invalid, TooLarge

# A line with more than white space, from its first other character.
LINE = re.compile(rb"[^\s][^\r\n]*")
ARRAY = re.compile(rb"[ \t\r\n]*\[")
NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{},"'))
# Elements of the array are separated by commas outside of other brackets.
OUTER, INNER = re.compile(rb'[\[\]{},"]'), re.compile(rb'[\[\]{}"]')
# Bytes of structure that are counted without a pause: at most 6 ms.
PIECE_BYTES = 16_384


def lines(text: bytes, limit: int) -> list[bytes]:
    """Return the lines that are not blank. Raises TooLarge for more than `limit` (0: any number)."""
    items = [line[0] for line in islice(LINE.finditer(text), limit + 1 if limit else None)]
    if limit and len(items) > limit:
        raise too_many(limit)
    return items


async def elements(text: bytes, limit: int, pace: Scheduler, noun: str = "notifications") -> list[msgspec.Raw]:
    """Split a JSON array into elements without decoding them. Raises TooLarge for more than `limit` (0: any number)."""
    # Most bodies have fewer commas than the limit.
    if limit and text.count(b",") >= limit and ARRAY.match(text):
        counter = CommaCounter()
        structure = _structure(text)
        for start in range(0, len(structure), PIECE_BYTES):
            counter.feed(structure[start : start + PIECE_BYTES])
            if counter.commas >= limit:
                raise too_many(limit)
            await pace.wait()
    try:
        return request_body.decoder(list[msgspec.Raw]).decode(text)
    except msgspec.ValidationError:
        request_body.anything(text)  # invalid JSON has a different error
        raise Invalid.of("", f"must be a list of {noun}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as broken:
        raise request_body.unreadable(text, broken) from None


def too_many(limit: int) -> TooLarge:
    """The error for a request with more items than `limit`."""
    return TooLarge(f"A bulk request has at most {limit} items, got more.")


def _structure(text: bytes) -> bytes:
    """The brackets, commas and quotes of JSON, without escaped quotes."""
    return text.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, NOT_STRUCTURE).replace(b'""', b"")


class CommaCounter:
    """Counts the commas between the elements of a JSON array. Its structure comes in pieces."""

    def __init__(self) -> None:
        self.commas = 0
        self._depth = 0
        self._is_in_string = False

    def feed(self, piece: bytes) -> None:
        """Count the commas of the next piece."""
        position = 0
        while position < len(piece):
            if self._is_in_string:
                end = piece.find(b'"', position)
                if end == -1:
                    return
                self._is_in_string, position = False, end + 1
                continue
            found = (OUTER if self._depth == 1 else INNER).search(piece, position)
            if found is None:
                return
            position = found.end()
            self._count(found[0])

    def _count(self, token: bytes) -> None:
        if token == b",":
            self.commas += 1
        elif token == b'"':
            self._is_in_string = True
        else:
            self._depth += 1 if token in b"[{" else -1
