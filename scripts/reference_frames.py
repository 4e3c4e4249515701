"""The reference page of the live frames. Its examples are captured from a server, never written by hand."""

import json
import re
from typing import Any

import frames_story

# What differs from run to run, and what stands for it on the page.
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
POSITION = re.compile(r"[0-9a-f]{6,12}(?=-[0-9a-f]+(?:-[0-9a-f]+)?$)")
EPOCH = "5f3a9c17b2e4"
TIMES = {"created_at": "14:00:00.000000", "time": "14:00:25.000000"}
LATER = "14:00:05.000000"
FIXED = {"connection": "q3Zx0vJrT8mYk1Lw", "heartbeat": 25, "token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6…"}

INTRODUCTION = """\
# Live frames

This page is made by `make docs`: the examples are captured from a running server. The bell and `Session` speak this for
you; read on if you write a client of your own.

- `GET /v1/stream` is an event stream (SSE): `event:` is the name of a frame, `data:` its fields.
- `GET /v1/ws` is a WebSocket: each text frame is one JSON object, its `type` is the name, the same fields beside it.

Both take `?token=` (or `Authorization: Bearer`, or a cookie: [how](../howto/authenticate.md)) and the topics to follow,
as `?topics=a,b` or `?topic=` repeated. An event stream begins like this:

```text
"""

RESUMING = """\
```

## Positions

Every change of an inbox has a **position**, an opaque text: `position` in a frame, `id:` on an event stream. Come back
with the last one you have, as `Last-Event-ID` (browsers do it by themselves) or `?position=`, and after `ready` you are
told what changed meanwhile, the oldest change first, each notification once, and then what is new. What was made while
you were away is a `notification`, what was changed a `notification-update`, what is gone a `notification-delete`. A
position too old or unknown is one `reset`: fetch `GET /v1/inbox` again. So is a gap of more than `BELLCAST_LIMIT_REPLAY`
changes, because a page of the inbox is cheaper than those.

Apply every frame to what you hold, take `unread` and `unseen` from it as they are, and you hold what a fresh
`GET /v1/inbox` would give you.

## What the server says
"""

COMMANDS = """
## What clients say

On a WebSocket only. Any frame may carry a `ref`; the frame that answers carries it back, and comes after whatever events
the command caused, which whoever acted hears too.
"""

CLOSING = """
Codes and reasons are listed with [the errors](errors.md#how-a-live-connection-ends).
"""

TOLD = {
    "ready": "The first frame. `topics` are those you follow, `refused` those you asked for and may not, with the reason.",
    "ready resumed": "After a resume `resumed` is true, and `position` is the one resumed from. Its `id:` is left out, so "
    "that a cut in the middle of what follows loses nothing.",
    "notification": "A new one, and the counters after it.",
    "notification-update": "It was seen, read, put away or brought back, or the app corrected it. Here it is whole.",
    "notification-delete": "It was deleted or recalled, or it expired.",
    "counts": "Many changed at once. `changed` is `seen`, `read`, `unread`, `archived`, `unarchived` or `deleted`; `ids` "
    'are the ones, or `"all"`, then perhaps narrowed by `of`; `at` is the time to write into them.',
    "reset": "What changed since your position cannot be told: fetch the inbox again.",
    "event": "A live event on a topic you follow, or to you (then without `topic`). Nobody keeps it.",
    "presence": "Somebody came to a topic that matches `BELLCAST_PRESENCE_TOPICS`, or left it.",
    "typing": "Somebody on a topic began or stopped typing.",
    "heartbeat": "Still here: sent after `heartbeat` seconds of silence. Twice that without a frame: the line is dead.",
    "close": "The last frame. `after` is there when you should wait that many milliseconds.",
}

SAID = {
    "subscribe": "Follow topics. On a presence topic you are told who is there already.",
    "unsubscribe": "Follow them no more.",
    "publish": "Say something to the others on a topic, if the token's `publish` allows it. Names that only the "
    "server sends are refused with `invalid`: `notification`, `notification-update`, `notification-delete`, `counts`, `reset`, "
    "`ready`, `presence`, `typing`, `pong`, `error`, Socket.IO's `connect`, `connect_error`, `disconnect`, `disconnecting`, "
    "`newListener`, `removeListener`, and what begins with `pusher:` or `pusher_internal:`.",
    "typing": "Show the others on a topic you follow that you are typing.",
    "seen": "Shown in an open inbox.",
    "read": "Opened or acted on; read implies seen.",
    "unread": "The reverse.",
    "archive": "Put away. Like the others it takes `ids`, or `all`, perhaps `of` one type.",
    "unarchive": "Bring back.",
    "delete": "Delete.",
    "call": "Ask the app; `data` is [its handler's](../howto/answer-calls.md) reply.",
    "auth": "Put a fresh token in place of one that ends soon. A bad one is an error, and the old one goes on.",
    "ping": "Is anybody there?",
}


def page() -> str:
    """What the server says, then what clients say, each with what was captured."""
    kept, stream = frames_story.capture()
    told = "".join(_told(name, about, kept[name]) for name, about in TOLD.items())
    said = "".join(_said(name, about, kept) for name, about in SAID.items())
    refused = f"\n### error\n\nThe answer to a frame that came to nothing.\n{_pair(kept, 'error')}"
    return INTRODUCTION + _stream(stream) + RESUMING + told + CLOSING + COMMANDS + said + refused


def _stream(text: str) -> str:
    """The event stream with its one JSON line made the same in every run."""
    lines = [_stream_line(line) for line in text.strip().split("\n")]
    return "\n".join(lines) + "\n"


def _stream_line(line: str) -> str:
    name, _, value = line.partition(": ")
    if name == "data":
        value = json.dumps(_same(json.loads(value)), ensure_ascii=False, separators=(",", ":"))
    return f"{name}: {POSITION.sub(EPOCH, value) if name == 'id' else value}" if line else ""


def _told(name: str, about: str, frame: dict[str, Any]) -> str:
    title = "" if " " in name else f"\n### {name}\n"
    return f"{title}\n{about}\n\n{_block([frame])}"


def _said(name: str, about: str, kept: dict[str, Any]) -> str:
    return f"\n### {name}\n\n{about}\n{_pair(kept, name)}"


def _pair(kept: dict[str, Any], name: str) -> str:
    return f"\n{_block([kept[f'said {name}'], kept[f'answer {name}']])}"


def _block(frames: list[dict[str, Any]]) -> str:
    return "\n".join(["```json", *(_text(_same(frame)) for frame in frames), "```", ""])


def _text(frame: dict[str, Any]) -> str:
    """One field a line where a frame is long; a short one stays on one line."""
    short = json.dumps(frame, ensure_ascii=False)
    return short if len(short) <= 110 else json.dumps(frame, ensure_ascii=False, indent=2)


def _same(value: Any, name: str = "") -> Any:
    """The value as it is in every run."""
    match value:
        case dict():
            return {key: _same(inner, key) for key, inner in value.items()}
        case list():
            return [_same(inner, name) for inner in value]
        case _ if name in FIXED:
            return FIXED[name]
        case str() if name == "position":
            return POSITION.sub(EPOCH, value)
        case str() if re.match(r"\d{4}-\d\d-\d\dT", value):
            return f"2026-01-31T{TIMES.get(name, LATER)}Z"
        case str():
            return ID.sub(_first_id, value)
    return value


_known: dict[str, str] = {}


def _first_id(found: re.Match[str]) -> str:
    """Ids by the order in which they are first met."""
    return _known.setdefault(found[0], f"019c1409-6e80-7000-8000-{len(_known) + 1:012d}")
