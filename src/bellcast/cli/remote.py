"""Requests to a running server: the Python client, its errors explained to a person."""

from collections.abc import Iterator
from contextlib import contextmanager

from bellcast import settings as effective
from bellcast.cli.console import CommandError
from bellcast.client import (
    Bellcast,
    BellcastError,
    Credentials,
    Forbidden,
    InvalidArgument,
    RequestRefused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    WrongProject,
)
from bellcast.settings import Settings, address


def credentials(settings: Settings) -> Credentials:
    """Return the secret that requests carry, with the project's key if it is known."""
    secret = effective.secret(settings)
    if secret is None:
        raise CommandError(
            f"no secret: BELLCAST_SECRET is not set, and {settings.store.data} has no credentials",
            "set it, or name the server's data folder with --data",
        )
    if settings.client.secret is None:
        project = effective.existing_project(settings)
        return Credentials(secret, project.key if project else None)
    return Credentials(secret)


@contextmanager
def server(settings: Settings) -> Iterator[Bellcast]:
    """The running server. What it refuses ends the command."""
    url = effective.url(settings)
    with Bellcast(url, credentials(settings)) as bell:
        try:
            yield bell
        except BellcastError as error:
            raise _stop(error, settings, url) from error


def _stop(error: BellcastError, settings: Settings, url: str) -> CommandError:
    match error:
        case Unavailable():
            return _unavailable(error, settings, url)
        case WrongProject():
            return CommandError(
                f"the server at {url} is another Bellcast (project {error.project}); "
                f"the credentials {_origin(settings)} are not for it",
                "name your server with --url, or its data folder with --data",
            )
        case Unauthorized():
            return CommandError(
                f"the server at {url} does not accept this secret ({_origin(settings)})",
                "set BELLCAST_SECRET, or name that server's data folder with --data",
            )
        case Forbidden():
            return CommandError(error.reason, "use the project secret, or a key with the scopes this needs")
        case TooManyRequests():
            return CommandError("the server has too many requests", f"try again in {error.retry_after or 1:.0f} s")
        case RequestRefused():
            return CommandError(error.reason, "nothing was changed")
        case InvalidArgument():
            return CommandError(str(error), "nothing was sent", 2)
        case _:
            return CommandError(str(error), "is --url right?")


def _unavailable(error: Unavailable, settings: Settings, url: str) -> CommandError:
    if error.status is not None:
        return CommandError(
            f"the server at {url} cannot work now: {error.reason}", "try again soon, or ask `bellcast doctor`"
        )
    if settings.client.url is None and address.stored(settings) is not None:
        return CommandError(
            f"no server answers at {url}, where the last `bellcast serve` for {settings.store.data} listened",
            "start it again, or name yours with --url",
        )
    return CommandError(f"no server answers at {url}", "start one with `bellcast serve`, or name yours with --url")


def _origin(settings: Settings) -> str:
    if settings.client.secret is not None:
        return "from BELLCAST_SECRET"
    return "from BELLCAST_PROJECT" if settings.project is not None else f"from {settings.store.data}"
