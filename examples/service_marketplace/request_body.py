"""Reading request bodies."""

from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from bellcast.examples.app_kit import read_body

from .bookings import Refused

T = TypeVar("T")

# The longest encrypted message, with keys for 24 devices, has 8 kB.
MOST_BYTES = 16 * 1024
LONGEST_TEXT = 500


async def read(request: Request, shape: type[T]) -> T:
    """Decode the JSON body. Raises 415, 422, 400 or 413."""
    if request.headers.get("content-type") != "application/json":
        raise HTTPException(415, "The content type must be application/json.")
    try:
        return msgspec.json.decode(await body(request), type=shape)
    except msgspec.ValidationError as error:
        raise HTTPException(422, f"{error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(400, f"The body must be JSON: {error}.") from error


async def fields_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body."""
    return await read(request, dict[str, Any])


def text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise HTTPException(422, f"{name} must be a text.")
    if len(value) > LONGEST_TEXT:
        raise Refused("error.too_long", most=LONGEST_TEXT)
    return value


async def body(request: Request) -> bytes:
    return await read_body(request, MOST_BYTES)
