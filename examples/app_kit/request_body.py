"""Bounds of what a request sends: its body, and ids in its path."""

from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request

# Digits of the largest id: SQLite's integers have 64 bits.
MOST_DIGITS = 18
MAX_ID = 10**MOST_DIGITS - 1
MEGABYTE = 1024 * 1024


class IdConvertor(IntegerConvertor):
    """`{booking:id}` in a path; a longer number is no path of the app."""

    regex = f"[0-9]{{1,{MOST_DIGITS}}}"


register_url_convertor("id", IdConvertor())


async def read_body(request: Request, most: int) -> bytes:
    """Return the body. Raises 413 as soon as it has more bytes than the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            size = f"{most // MEGABYTE} MB" if most >= MEGABYTE else f"{most // 1024} kB"
            raise HTTPException(413, f"The request is larger than {size}.")
    return bytes(body)
