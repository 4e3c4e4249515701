"""Reading request bodies."""

from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request


async def fields_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body."""
    try:
        return msgspec.json.decode(await request.body(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise HTTPException(400, f"The body must be a JSON object: {error}.") from error


async def body_up_to(request: Request, most: int) -> bytes:
    """Return the body. Raise 413 as soon as it exceeds the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, f"The file is larger than {most // 1024 // 1024} MB.")
    return bytes(body)
