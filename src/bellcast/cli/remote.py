"""Requests to a running server through the Python client, with errors as CommandError."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

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
from bellcast.kernel.errors import certificate_fault
from bellcast.settings import Settings
from bellcast.settings.credentials import stored_url


def credentials(settings: Settings) -> Credentials:
    """Return the secret for requests, with the project's key if it is known."""
    secret = effective.secret(settings)
    if secret is None:
        raise CommandError(
            f"no secret: BELLCAST_SECRET is not set, and {settings.store.data} has no credentials",
            "set it, or pass the server's data folder with --data",
        )
    if settings.client.secret is None:
        project = effective.existing_project(settings)
        return Credentials(secret, project.key if project else None)
    return Credentials(secret)


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
                    f"the server at {url} is unavailable: {error.reason}", "try again, or run `bellcast doctor`"
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
