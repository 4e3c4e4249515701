"""Following a recipient's stream from outside: server-sent events, taken up again where they were cut."""

import base64
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import httpx
import msgspec

from bellcast.cli.console import CommandError
from bellcast.client import Bellcast, Unavailable
from bellcast.client.responses import Problem

# The server's heartbeat is 25 s unless set; two missed ones mean that nobody is there.
TIMEOUT = httpx.Timeout(10, read=60)
# Seconds between tries while the server is away: a person is watching, so never long.
FIRST_WAIT, LONGEST_WAIT = 0.25, 5.0


class Frame(NamedTuple):
    """One thing the server tells."""

    name: str
    fields: dict[str, Any]
    id: str | None = None


def frames(chunks: Iterable[bytes]) -> Iterator[Frame]:
    """The frames in a stream of bytes, wherever it is cut."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        yield from (frame for block in whole if (frame := _frame(block)) is not None)


def _frame(block: bytes) -> Frame | None:
    """The frame in a block of lines; None if it is only a comment or `retry`."""
    fields: dict[str, str] = {}
    for line in block.decode().split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        fields[name] = f"{fields[name]}\n{value}" if name in fields else value
    if not fields.keys() >= {"event", "data"}:
        return None
    return Frame(fields["event"], msgspec.json.decode(fields["data"]), fields.get("id"))


def upgrade(token: str) -> dict[str, str]:
    """The headers that ask for a WebSocket."""
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "Authorization": f"Bearer {token}",
    }


class SseFollower:
    """Follows one recipient until told to stop. `away` is called with the reason each time the server is lost.

    The server has answered before, so whatever stops answering is only away."""

    def __init__(self, bell: Bellcast, token: Callable[[], str], away: Callable[[str], None]) -> None:
        self._bell = bell
        self.token = token
        self._away = away
        self._wait = 0.0
        self.position: str | None = None

    def frames(self, topics: Iterable[str] = ()) -> Iterator[Frame]:
        """Everything that is told after the position, over as many connections as it takes."""
        params = {"topic": list(topics)}
        with httpx.Client(base_url=self._bell.sender.http.base_url, timeout=TIMEOUT, params=params) as http:
            while True:
                try:
                    yield from self._connection(http)
                except (httpx.TransportError, Unavailable):
                    self._away("the server is away")
                time.sleep(self._wait)  # noqa: TID251  a person at a terminal waits in real time
                self._wait = min(LONGEST_WAIT, self._wait * 2 or FIRST_WAIT)

    def _connection(self, http: httpx.Client) -> Iterator[Frame]:
        """Everything one connection brings."""
        headers = {"Authorization": f"Bearer {self.token()}", "Accept": "text/event-stream"}
        if self.position is not None:
            headers["Last-Event-ID"] = self.position
        with http.stream("GET", "/v1/stream", headers=headers) as answer:
            if answer.status_code != 200:
                raise _refused(answer)
            for frame in frames(answer.iter_raw()):
                self._wait = 0.0
                self.position = frame.id or self.position
                yield frame
                if frame.name == "close":
                    self._closed(**frame.fields)

    def _closed(self, reason: str, reconnect: bool, after: int = 0, **_: object) -> None:
        """The server ended it, and said whether to come back."""
        if not reconnect:
            raise CommandError(f"the server ended the stream ({reason})", "run it again for a fresh session")
        self._wait = after / 1000
        if reason != "expired":
            self._away(f"the server said {reason}")


def _refused(answer: httpx.Response) -> Exception:
    """Why there is no stream; Unavailable is worth another try."""
    try:
        problem = msgspec.json.decode(answer.read(), type=Problem)
    except msgspec.DecodeError:
        problem = Problem(status=answer.status_code, code="unknown", title=f"it answered {answer.status_code}")
    said = problem.detail or problem.title
    if answer.status_code in (429, 502, 503, 504):
        return Unavailable(said)
    return CommandError(f"the server gives no stream: {said}", "is --url right?")
