"""Talking to a running server: the Python client, with what can go wrong told to a person."""

from collections.abc import Iterator
from contextlib import contextmanager

from bellcast import settings as effective
from bellcast.cli.screen import Stop
from bellcast.client import (
    Bellcast,
    BellcastError,
    Forbidden,
    RequestRefused,
    Retries,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from bellcast.settings import Settings

# A person waits: about a second of tries, which a restarting server needs.
RETRIES = Retries(tries=3)


def secret(settings: Settings) -> str:
    """What opens the server's door."""
    found = effective.secret(settings)
    if found is None:
        raise Stop(
            f"no secret: BELLCAST_SECRET is not set, and {settings.store.data} has no credentials",
            "set it, or name the server's data folder with --data",
        )
    return found


@contextmanager
def server(settings: Settings) -> Iterator[Bellcast]:
    """The running server. What it refuses ends the command."""
    with Bellcast(settings.client.url, secret(settings), retries=RETRIES) as bell:
        try:
            yield bell
        except BellcastError as error:
            raise _stop(error, settings) from error


def _stop(error: BellcastError, settings: Settings) -> Stop:
    url = settings.client.url
    match error:
        case Unavailable():
            return unreachable(url, error.reason)
        case Unauthorized():
            return Stop(
                f"the server at {url} does not know this secret ({_origin(settings)})",
                "set BELLCAST_SECRET, or name that server's data folder with --data",
            )
        case Forbidden():
            return Stop(str(error.detail), "use the project secret, or a key with the scopes this needs")
        case TooManyRequests():
            return Stop("the server has too many requests", f"try again in {error.retry_after or 1:.0f} s")
        case RequestRefused():
            return Stop(error.detail or error.problem.title, "nothing was changed")
        case _:
            return Stop(f"{url}: {error}", "is --url right?")


def unreachable(url: str, reason: str) -> Stop:
    """Nobody there, or nobody who can work now."""
    if reason.startswith("no answer"):
        return Stop(f"no server answers at {url}", "start one with `bellcast serve`, or name yours with --url")
    return Stop(f"the server at {url} cannot work now: {reason}", "try again soon, or ask `bellcast doctor`")


def _origin(settings: Settings) -> str:
    if settings.client.secret is not None:
        return "from BELLCAST_SECRET"
    return "from BELLCAST_PROJECT" if settings.project is not None else f"from {settings.store.data}"
