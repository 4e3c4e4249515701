"""The running server: its client, with errors as CommandError, and the event streams that commands follow."""

import base64
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import httpx
import msgspec

from bellcast import settings as effective
from bellcast.cli.output import CommandError
from bellcast.client import (
    Bellcast,
    BellcastError,
    Credentials,
    Forbidden,
    InvalidArgument,
    NotFound,
    RequestRefused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    WrongProject,
)
from bellcast.client.request import UNDECODABLE
from bellcast.client.responses import Problem
from bellcast.kernel.errors import certificate_fault
from bellcast.settings import Settings
from bellcast.settings.credentials import stored_url


def credentials(settings: Settings) -> Credentials:
    """Return the secret for requests, with the project's key if it is known."""
    if settings.client.secret is not None:
        return Credentials(settings.client.secret)
    project = effective.existing_project(settings)
    if project is None:
        raise CommandError(
            f"no secret: BELLCAST_SECRET is not set, and {settings.store.data} has no credentials",
            "set it, or pass the server's data folder with --data",
        )
    return Credentials(project.secret, project.key)


@contextmanager
def server(settings: Settings, file: Path | None = None) -> Iterator[Bellcast]:
    """Yield a client of the running server. Raises its errors as CommandError, except InvalidArgument. A refusal names
    the file that the request was read from."""
    url = effective.url(settings)
    with Bellcast(url, credentials(settings)) as client:
        try:
            yield client
        except InvalidArgument:
            raise  # `main` reports it, as it does for requests that are built before a client exists
        except BellcastError as error:
            raise _command_error(error, settings, url, file) from error


def certificate_refusal(error: BaseException | None) -> tuple[str, str] | None:
    """Return why the server's certificate is not accepted, and what to do; None for other errors."""
    if error is None or (fault := certificate_fault(error)) is None:
        return None
    reason, _, fix = fault.partition(". ")
    return reason, fix[:1].lower() + fix[1:]


def _command_error(error: BellcastError, settings: Settings, url: str, file: Path | None) -> CommandError:
    match error:
        case Unavailable():
            if (refusal := certificate_refusal(error.__cause__)) is not None:
                return CommandError(f"the certificate of {url} is not accepted: {refusal[0]}", refusal[1])
            if error.status is not None:
                return CommandError(
                    f"the server at {url} is unavailable: {error.reason}", "repair what it names, or read its log"
                )
            if "refused" not in error.reason:  # no such host, or one that does not speak http or TLS, or not in time
                return CommandError(f"{url}: {error.reason}", "pass the server's address with --url")
            where, start = "", "start one with `bellcast serve`"
            if settings.client.url is None and stored_url(settings) is not None:
                where = f", where the last `bellcast serve` for {settings.store.data} listened"
                start = "start it again"
            return CommandError(f"no server responds at {url}{where}", f"{start}, or pass another with --url")
        case WrongProject():
            last, advice = stored_url(settings), "pass your server with --url, or its data folder with --data"
            if settings.client.url is not None and last not in (None, url):
                folder = settings.store.data
                advice = f"leave out --url and BELLCAST_URL: the last server of {folder} listened at {last}"
            return CommandError(
                f"the server at {url} has another project ({error.project}) than the credentials {_origin(settings)}",
                advice,
            )
        case Unauthorized():
            return CommandError(
                f"the server at {url} does not accept this secret ({_origin(settings)})",
                "set BELLCAST_SECRET, or pass that server's data folder with --data",
            )
        case Forbidden():
            return CommandError(error.reason, "use the project secret, or a key with the required scope")
        case TooManyRequests():
            return CommandError(
                "the server rejected the request because of its rate limit",
                f"try again in {error.retry_after or 1:.0f} s",
            )
        case NotFound():
            # The path is that of an object, or below it: `/v1/messages/ID/retry`.
            named = urlsplit(error.url).path.partition("/v1/")[2].split("/")[1:2]
            reason = error.reason.rstrip(".")
            texts = [reason, *(text for text in map(unquote, named) if repr(text) not in reason)]
            return CommandError(": ".join(texts), "check the key" if named else "check the path")
        case RequestRefused():
            reason = error.reason if file is None else f"{file}: {error.reason}"
            return CommandError(reason, "nothing was changed")
        case _:
            return CommandError(str(error), "check --url")


def _origin(settings: Settings) -> str:
    if settings.client.secret is not None:
        return "from BELLCAST_SECRET"
    return "from BELLCAST_PROJECT" if settings.project is not None else f"from {settings.store.data}"


# --- event streams

# Seconds. The default heartbeat interval is 25 s, so this means two missed heartbeats.
STREAM_TIMEOUT = httpx.Timeout(10, read=60)
# Reconnect delay in seconds. Short, since a user is watching.
MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY = 0.25, 5.0
MAX_REQUESTED_DELAY = 600.0  # by a server; it asks for 60 s at most
MAX_FRAME_BYTES = 16 * 1024 * 1024  # an endless frame would take all memory; a server's have up to 1 MiB


class SseFrame(NamedTuple):
    """One frame of the stream."""

    name: str
    fields: dict[str, Any]
    id: str | None = None


def frames(chunks: Iterable[bytes]) -> Iterator[SseFrame]:
    """Parse frames from chunks of bytes."""
    rest = b""
    for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        if len(rest) > MAX_FRAME_BYTES:
            raise CommandError("the server sent an endless frame", "check --url")
        for block in blocks:
            fields: dict[str, str] = {}
            for line in block.decode(errors="replace").split("\n"):
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                fields[name] = f"{fields[name]}\n{value}" if name in fields else value
            if not fields.keys() >= {"event", "data"}:  # a comment, or `retry`
                continue
            try:
                data = msgspec.json.decode(fields["data"], type=dict[str, Any])
            except msgspec.DecodeError:
                raise CommandError("the server sent a frame that cannot be read", "check --url") from None
            yield SseFrame(fields["event"], data, fields.get("id"))


def upgrade(token: str) -> dict[str, str]:
    """Return the headers of a WebSocket upgrade."""
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "Authorization": f"Bearer {token}",
    }


@contextmanager
def stream(client: Bellcast, method: str, path: str, params: Mapping[str, Any] = {}) -> Iterator[httpx.Response]:
    """Send a request with the client's credentials, and yield its response while that arrives. Raises CommandError."""
    credentials = client.sender.peer.credentials
    headers = {} if credentials is None else {"Authorization": f"Bearer {credentials.secret}"}
    try:
        with client.sender.connections().stream(
            method, path, params=params, headers=headers, timeout=STREAM_TIMEOUT
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise error_of(response)
            yield response
    except httpx.TransportError as error:
        raise CommandError(f"the connection was lost: {error}", "run the command again") from error


class SseFollower:
    """Follows one recipient. `on_disconnect` is called with the reason each time the connection is lost.

    The server responded to an earlier request, so connection errors are treated as temporary."""

    def __init__(self, client: Bellcast, token: Callable[[], str], on_disconnect: Callable[[str], None]) -> None:
        self._client = client
        self.token = token
        self._on_disconnect = on_disconnect
        self._delay = 0.0
        self.position: str | None = None

    def frames(self, topics: Iterable[str] = ()) -> Iterator[SseFrame]:
        """Yield all frames after the position, reconnecting as needed. Raises CommandError if the server ends the
        stream."""
        params = {"topic": list(topics)}
        with httpx.Client(
            base_url=self._client.sender.connections().base_url, timeout=STREAM_TIMEOUT, params=params
        ) as http:
            while True:
                headers = {"Authorization": f"Bearer {self.token()}", "Accept": "text/event-stream"}
                if self.position is not None:
                    headers["Last-Event-ID"] = self.position
                try:
                    with http.stream("GET", "/v1/stream", headers=headers) as response:
                        if response.status_code != 200:
                            raise error_of(response)
                        for frame in frames(response.iter_raw()):
                            self._delay = MIN_RECONNECT_DELAY  # a proxy may end each stream after its first frame
                            self.position = frame.id or self.position
                            yield frame
                            if frame.name == "close":
                                self._close(**frame.fields)
                except (httpx.TransportError, Unavailable):
                    self._on_disconnect("connection lost")
                time.sleep(self._delay)  # noqa: TID251  a command at a terminal, without a clock port
                self._delay = min(MAX_RECONNECT_DELAY, self._delay * 2 or MIN_RECONNECT_DELAY)

    def _close(self, *, reason: str, reconnect: bool, after: float = 0, **_: object) -> None:
        """Wait before the next connection as the server says. Raises CommandError if it ends the stream."""
        if not reconnect:
            raise CommandError(f"the server ended the stream ({reason})", "run the command again for a new session")
        self._delay = min(max(after / 1000, MIN_RECONNECT_DELAY), MAX_REQUESTED_DELAY)
        if reason != "expired":
            self._on_disconnect(f"the server closed the connection ({reason})")


def error_of(response: httpx.Response) -> Exception:
    """Return the error of a rejected stream; Unavailable if a retry may succeed."""
    try:
        problem = msgspec.json.decode(response.read(), type=Problem)
    except UNDECODABLE:
        problem = Problem(status=response.status_code, code="unknown", title=f"status {response.status_code}")
    reason = problem.detail or problem.title
    if response.status_code in (429, 502, 503, 504):
        return Unavailable(reason)
    hint = {401: "the secret", 403: "the secret", 422: "the options"}.get(response.status_code, "--url")
    return CommandError(f"the server rejected the stream: {reason}", f"check {hint}")
