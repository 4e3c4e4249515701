"""Generates the reference of errors and close codes from their definitions."""

from bellcast.console.pages.error_pages import ORIGINS, texts
from bellcast.kernel import errors
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason

INTRODUCTION = """\
# Errors

This page is generated from the code by `make docs`; edit the texts there.

Over HTTP an error is `application/problem+json` (RFC 9457). `type` is the path of a page on your server that explains the
error, `code` is the value to test for, and `errors` names each invalid field by its path in the body:

```json
{"type": "/errors/invalid", "code": "invalid", "title": "Invalid request", "status": 422,
 "detail": "title: must not be empty", "errors": [{"field": "title", "message": "must not be empty"}]}
```

On a WebSocket the reply to a failed frame has the same code:

```json
{"type": "error", "ref": 7, "code": "forbidden", "message": "These credentials do not allow this."}
```

A refused request changes nothing. Responses with 429 and 503 have a `Retry-After` header, in seconds.

## Codes

| Code | Status | | Meaning |
|---|---|---|---|
"""

ENDS = """
## How a live connection ends

Before it closes a connection, the server sends a `close` frame with the reason. A WebSocket is then closed with the same code; an
event stream ends. `reconnect` is whether the client should reconnect, `after` the delay before that in milliseconds.

| Code | `reason` | `reconnect` | `after` | |
|---|---|---|---|---|
"""

OTHERS = """
## Other codes

| Code | Meaning | |
|---|---|---|
"""

# Meanings of the close reasons that share the code of an error. The others have their own pages.
MEANINGS = {
    "BAD_REQUEST": "The request is invalid here.",
    "UNAUTHENTICATED": "The credentials are missing or wrong: get a token.",
    "FORBIDDEN": "The credentials are valid but do not allow this.",
    "UNAVAILABLE": "The store is unavailable, or the process has no room for connections: then `after` is 5,000.",
}


def page() -> str:
    """Return the page: the errors, then the close codes."""
    codes = "".join(map(_error, _distinct()))
    ends = "".join(_end(name, value) for name, value in vars(close_reasons).items() if isinstance(value, CloseReason))
    reported = {code: one for code, one in texts()["reasons"].items() if one.close_code is None}
    others = "".join(f"| `{code}` | {one.meaning} | {ORIGINS[one.origin]} |\n" for code, one in reported.items())
    return INTRODUCTION + codes + ENDS + ends + OTHERS + others


def _distinct() -> list[type[errors.BellcastError]]:
    """Return one error per code; a more specific subclass has the code of its parent."""
    return sorted(errors.every(), key=lambda error: (error.status, error.code))


def _error(error: type[errors.BellcastError]) -> str:
    meaning = " ".join((error.__doc__ or "").split())
    return f"| `{error.code}` | {error.status} | {error.title} | {meaning} |\n"


def _end(name: str, end: CloseReason) -> str:
    again = "yes" if end.reconnect else "no"
    wait = "" if end.after is None else f"{end.after:,}"
    meaning = MEANINGS.get(name) or (texts()["reasons"] | texts()["errors"])[end.reason].meaning
    return f"| {end.code} | `{end.reason}` | {again} | {wait} | {meaning} |\n"
