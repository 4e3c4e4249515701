"""ETags of responses, and conditional requests."""

import hashlib

import msgspec

from bellcast.kernel.errors import PreconditionFailed
from bellcast.kernel.http import request_body
from bellcast.kernel.http.request_body import ApiRequest

IF_MATCH, IF_NONE_MATCH = b"if-match", b"if-none-match"
ANY = "*"


def tag_of(*values: object) -> str:
    """Return the ETag of JSON values: a part for each. Conditions compare only the first, that of what a write replaces."""
    return f'"{".".join(hashlib.sha256(msgspec.json.encode(one)).hexdigest()[:32] for one in values)}"'


def tagged(*values: object) -> dict[str, str]:
    """Return the headers of a response with an object: what a write replaces, and what is shown of it. With both, its ETag also
    changes with fields that a write ignores."""
    return {"etag": tag_of(*values), "cache-control": "no-store"}


def unchanged(request: ApiRequest, etag: str) -> bool:
    """True if the client's cached response is current (If-None-Match, compared weakly)."""
    tags = [one.removeprefix("W/") for one in _tags(request, IF_NONE_MATCH)]
    return etag in tags or ANY in tags


def is_conditional(request: ApiRequest) -> bool:
    """True if a write depends on the object's current state."""
    return any(request_body.header(request, name) is not None for name in (IF_MATCH, IF_NONE_MATCH))


def check(request: ApiRequest, etag: str | None) -> None:
    """Raise PreconditionFailed unless the object's ETag is in If-Match (compared strongly) and not in If-None-Match.
    `etag` is None if the object does not exist."""
    if request_body.header(request, IF_MATCH) is not None:
        wanted = _tags(request, IF_MATCH)
        if etag is None or not any(one in (etag, ANY) or one.startswith(f"{etag[:-1]}.") for one in wanted):
            raise PreconditionFailed
    if etag is not None and unchanged(request, etag):
        raise PreconditionFailed


def _tags(request: ApiRequest, name: bytes) -> list[str]:
    value = request_body.header(request, name)
    return [] if value is None else [one.strip() for one in value.split(",")]
