"""Errors as HTTP responses: RFC 9457 problem+json."""

import msgspec

from bellcast.errors import BellcastError

MEDIA_TYPE = "application/problem+json"


def problem(refusal: BellcastError, within: str = "") -> dict[str, object]:
    """`{"type","code","title","status","detail","errors"?}`; `type` is a page served at that path. `within` is the
    prefix of the fields of one item among many: `0.title`."""
    told: dict[str, object] = {
        "type": f"/errors/{refusal.code}",
        "code": refusal.code,
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
    }
    if refusal.errors:
        paths = [".".join(filter(None, (within, error.field))) for error in refusal.errors]
        told["errors"] = [
            {"field": path, "message": error.message} for path, error in zip(paths, refusal.errors, strict=True)
        ]
    return told


def headers(refusal: BellcastError) -> dict[str, str]:
    """The headers that go with it."""
    told = {"content-type": MEDIA_TYPE}
    if refusal.retry_after is not None:
        told["retry-after"] = str(refusal.retry_after)
    if refusal.status == 401:
        told["www-authenticate"] = "Bearer"
    return told


def body(refusal: BellcastError) -> bytes:
    """The problem as JSON."""
    return msgspec.json.encode(problem(refusal))
