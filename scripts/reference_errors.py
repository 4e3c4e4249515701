"""The reference page of what can go wrong, made of the tree of errors and the reasons a live connection ends."""

from bellcast import errors
from bellcast.live.connection import close_reasons
from bellcast.live.connection.close_reasons import CloseReason

INTRODUCTION = """\
# Errors

This page is made from the code by `make docs`; change the sentences there.

Over HTTP a refusal is `application/problem+json` (RFC 9457). `type` is the address of a page on your own server that
says what is on this one, `code` is the word to test for, `errors` names each bad field by its path in the body:

```json
{"type": "/errors/invalid", "code": "invalid", "title": "Invalid request", "status": 422,
 "detail": "title: must not be empty", "errors": [{"field": "title", "message": "must not be empty"}]}
```

On a WebSocket the same word stands in the frame that answers yours:

```json
{"type": "error", "ref": 7, "code": "forbidden", "message": "These credentials do not allow this."}
```

Whatever was refused changed nothing. 429 and 503 carry `Retry-After`: seconds to wait.

## Codes

| Code | Status | | What it means |
|---|---|---|---|
"""

ENDS = """
## How a live connection ends

Before it closes a connection, the server says why in a `close` frame; a WebSocket is then closed with the same code, an
event stream just ends. `reconnect` says whether coming back can help, `after` how many milliseconds to wait first.

| Code | `reason` | `reconnect` | `after` | |
|---|---|---|---|---|
"""

MEANINGS = {
    "BAD_REQUEST": "What was asked for makes no sense here.",
    "UNAUTHENTICATED": "No credentials, or wrong ones: get a token.",
    "REVOKED": "The recipient's sessions were ended: sign in again.",
    "EXPIRED": "The session token ran out: come back with a fresh one.",
    "FORBIDDEN": "Right credentials, but not for this.",
    "NO_PONG": "The client did not answer a ping; its line was dead.",
    "TOO_MANY": "The recipient has `BELLCAST_LIMIT_CONNECTIONS_PER_RECIPIENT` connections already.",
    "TOO_LARGE": "A frame was larger than `BELLCAST_LIMIT_FRAME`.",
    "TOO_FAST": "More frames a second than `BELLCAST_LIMIT_FRAMES_PER_SECOND`.",
    "TOO_SLOW": "More than `BELLCAST_LIMIT_UNSENT` bytes waited for this reader. Nothing is lost: it resumes by position.",
    "UNAVAILABLE": "The store is away, or this process is full.",
    "RESTARTING": "The server is going down; `after` is another for everybody, so that they do not come back as one.",
}


def page() -> str:
    """Every error, then every end."""
    codes = "".join(map(_error, _distinct()))
    ends = "".join(_end(name, value) for name, value in vars(close_reasons).items() if isinstance(value, CloseReason))
    return INTRODUCTION + codes + ENDS + ends


def _distinct() -> list[type[errors.BellcastError]]:
    """One a code: what a room says more exactly has the code of the error it stands below."""
    told = errors.every()
    return sorted(told, key=lambda error: (error.status, error.code))


def _error(error: type[errors.BellcastError]) -> str:
    said = " ".join((error.__doc__ or "").split())
    return f"| `{error.code}` | {error.status} | {error.title} | {said} |\n"


def _end(name: str, end: CloseReason) -> str:
    again = "yes" if end.reconnect else "no"
    wait = "" if end.after is None else f"{end.after:,}"
    return f"| {end.code} | `{end.reason}` | {again} | {wait} | {MEANINGS[name]} |\n"
