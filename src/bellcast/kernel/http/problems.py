"""Errors as HTTP responses: RFC 9457 problem+json."""

import msgspec

from bellcast.kernel.errors import BellcastError

MEDIA_TYPE = "application/problem+json"


def problem(refusal: BellcastError, within: str = "") -> dict[str, object]:
    """`{"type","code","title","status","detail","errors"?}`; `type` is a page served at that path. `within` is the
    prefix of the fields of one item among many: `0.title`; an item has `retry_after` (seconds) too."""
    fields: dict[str, object] = {
        "type": f"/errors/{refusal.code}",
        "code": refusal.code,
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        **refusal.members,
    }
    if refusal.errors:
        paths = [".".join(filter(None, (within, error.field))) for error in refusal.errors]
        fields["errors"] = [
            {"field": path, "message": error.message} | ({} if error.line is None else {"line": error.line})
            for path, error in zip(paths, refusal.errors, strict=True)
        ]
    if within and refusal.retry_after is not None:  # an item has no header Retry-After
        fields["retry_after"] = refusal.retry_after
    return fields


def headers(refusal: BellcastError) -> dict[str, str]:
    """Return the headers of the response."""
    result = {"content-type": MEDIA_TYPE}
    if refusal.retry_after is not None:
        result["retry-after"] = str(refusal.retry_after)
    if refusal.status == 401:
        result["www-authenticate"] = "Bearer"
    return result


def body(refusal: BellcastError) -> bytes:
    """Encode the problem as JSON."""
    return msgspec.json.encode(problem(refusal))
