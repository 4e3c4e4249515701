"""Reading what a page sends."""

from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

T = TypeVar("T")

# A sealed message of the greatest length with a key for each of 24 devices has 8 kB.
MOST_BYTES = 16 * 1024
LONGEST_TEXT = 500


async def read(request: Request, shape: type[T]) -> T:
    """The body, which must be JSON of that shape."""
    if request.headers.get("content-type") != "application/json":
        raise HTTPException(415, "JSON is expected.")
    try:
        return msgspec.json.decode(await _body(request), type=shape)
    except msgspec.ValidationError as error:
        raise HTTPException(422, f"{error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"JSON is expected: {error}.") from error


async def fields_of(request: Request) -> dict[str, Any]:
    """The JSON object in the body."""
    return await read(request, dict[str, Any])


def text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise HTTPException(422, f"{name} must be a text of at most {LONGEST_TEXT} characters.")
    return value


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"That is more than {MOST_BYTES // 1024} kB.")
    return bytes(body)
