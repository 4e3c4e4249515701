"""Reading what a page sends."""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request


async def fields_of(request: Request) -> dict[str, Any]:
    """The JSON object in the body."""
    try:
        return msgspec.json.decode(await request.body(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise HTTPException(400, f"A JSON object is expected: {error}.") from error


async def body_up_to(request: Request, most: int) -> bytes:
    """The body, refused as soon as it is longer than that."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, f"That is more than {most // 1024 // 1024} MB.")
    return bytes(body)
